import { beforeAll, describe, expect, it } from 'vitest';
import { objectNewAs } from '../../qom/object.ts';
import {
  type CharEvent,
  type CharFrontend,
  type HostStream,
  RingbufChardev,
  registerChardevTypes,
  SocketChardev,
  StreamChardev,
} from './chardev.ts';
import { MuxChardev, registerMuxType } from './mux.ts';

beforeAll(() => {
  registerChardevTypes();
  registerMuxType();
});

/** The host's end of a stream. */
class FakeStream implements HostStream {
  readonly written: number[] = [];
  queuedBytes = 0;
  isClosed = false;
  isReading = true;
  data: (bytes: Uint8Array) => void = () => {};
  drain: () => void = () => {};
  private ended: () => void = () => {};
  write(bytes: Uint8Array) {
    this.written.push(...bytes);
  }
  onData(listener: (bytes: Uint8Array) => void) {
    this.data = listener;
    return () => {};
  }
  onDrain(listener: () => void) {
    this.drain = listener;
    return () => {};
  }
  onClose(listener: () => void) {
    this.ended = listener;
    return () => {};
  }
  setReading(isOn: boolean) {
    this.isReading = isOn;
  }
  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    this.ended();
  }
  text(text: string) {
    this.data(new TextEncoder().encode(text));
  }
  get output() {
    return String.fromCharCode(...this.written);
  }
}

/** A front end with so much room. */
class TestFrontend implements CharFrontend {
  readonly got: number[] = [];
  readonly events: CharEvent[] = [];
  room: number;
  constructor(room: number) {
    this.room = room;
  }
  canReceive() {
    return this.room;
  }
  receive(bytes: Uint8Array) {
    this.got.push(...bytes);
    this.room -= bytes.length;
  }
  event(event: CharEvent) {
    this.events.push(event);
  }
  get text() {
    return String.fromCharCode(...this.got);
  }
}
const frontend = (room = 1000) => new TestFrontend(room);

describe('Chardev', () => {
  it('gives a front end no more than it can take, and holds the source meanwhile', () => {
    const chardev = objectNewAs(StreamChardev, 'chardev-pipe');
    const stream = new FakeStream();
    const user = frontend(3);
    chardev.attach(user);
    chardev.connect(stream);
    expect(user.events).toEqual(['opened']);
    stream.text('hello');
    expect([user.text, stream.isReading]).toEqual(['hel', false]);
    user.room = 10;
    chardev.acceptInput();
    expect([user.text, stream.isReading]).toEqual(['hello', true]);
    stream.close();
    expect(user.events).toEqual(['opened', 'closed']);
    chardev.write(Uint8Array.of(1)); // nobody there
  });
  it('has one front end', () => {
    const chardev = objectNewAs(StreamChardev, 'chardev-pipe');
    chardev.id = 'a';
    chardev.attach(frontend());
    expect(() => chardev.attach(frontend())).toThrow("Device 'a' is in use");
    chardev.detach();
    chardev.attach(frontend());
  });
  it('ringbuf keeps the newest bytes', () => {
    const ring = objectNewAs(RingbufChardev, 'chardev-ringbuf');
    expect(() => ring.setSize(3)).toThrow('size of ringbuf chardev must be power of two');
    ring.setSize(4);
    ring.write(Uint8Array.from([1, 2, 3, 4, 5, 6]));
    expect([...ring.contents()]).toEqual([3, 4, 5, 6]);
  });
});

describe('SocketChardev', () => {
  it('names its state and peer, and takes one client at a time', () => {
    const socket = objectNewAs(SocketChardev, 'chardev-socket');
    socket.setAddress('tcp:127.0.0.1:4444,server=on');
    expect(socket.filename).toBe('disconnected:tcp:127.0.0.1:4444,server=on');
    const stream = new FakeStream();
    expect(socket.connect(stream, '127.0.0.1:5000')).toBe(true);
    expect(socket.connect(new FakeStream(), '127.0.0.1:5001')).toBe(false);
    expect(socket.filename).toBe('tcp:127.0.0.1:4444,server=on <-> 127.0.0.1:5000');
    stream.close();
    expect(socket.filename).toBe('disconnected:tcp:127.0.0.1:4444,server=on');
  });
  it('speaks telnet: offers, escapes, drops negotiation, hears a break', () => {
    const socket = objectNewAs(SocketChardev, 'chardev-socket');
    socket.isTelnet = true;
    const stream = new FakeStream();
    const user = frontend();
    socket.attach(user);
    socket.connect(stream);
    expect(stream.written).toEqual([255, 251, 1, 255, 251, 3, 255, 251, 0, 255, 253, 0]);
    stream.written.length = 0;
    socket.write(Uint8Array.from([65, 255, 66]));
    expect(stream.written).toEqual([65, 255, 255, 66]);
    for (const byte of [97, 255, 253, 1, 98, 255, 255, 255, 250, 24, 0, 255, 240, 99, 255, 243])
      stream.data(Uint8Array.of(byte));
    expect(user.got).toEqual([97, 98, 255, 99]);
    expect(user.events).toEqual(['opened', 'break']);
  });

  it('negotiates before the front end greets', () => {
    const socket = objectNewAs(SocketChardev, 'chardev-socket');
    socket.isTelnet = true;
    socket.attach({
      canReceive: () => 10,
      receive() {},
      event: (event) => event === 'opened' && socket.write(Uint8Array.of(72, 105)),
    });
    const stream = new FakeStream();
    socket.connect(stream);
    expect([stream.written[0], stream.written.slice(-2)]).toEqual([255, [72, 105]]);
  });

  it('hears what was typed before a break first, in one piece of input too', () => {
    const socket = objectNewAs(SocketChardev, 'chardev-socket');
    socket.isTelnet = true;
    const order: string[] = [];
    socket.attach({
      canReceive: () => 10,
      receive: (bytes) => order.push(`bytes ${[...bytes]}`),
      event: (event) => order.push(event),
    });
    const stream = new FakeStream();
    socket.connect(stream);
    stream.data(Uint8Array.of(97, 255, 243, 98));
    expect(order).toEqual(['opened', 'bytes 97', 'break', 'bytes 98']);
  });
});

describe('MuxChardev', () => {
  function mux() {
    const below = objectNewAs(StreamChardev, 'chardev-stdio');
    const stream = new FakeStream();
    below.connect(stream);
    const chardev = objectNewAs(MuxChardev, 'chardev-mux');
    let quits = 0;
    chardev.actions = { quit: () => void quits++ };
    chardev.setUp(below);
    return { stream, chardev, quits: () => quits };
  }
  it('moves the focus with Ctrl-a c and gives each its input', () => {
    const m = mux();
    const [serial, monitor] = [frontend(), frontend()];
    m.chardev.attach(serial);
    m.chardev.attach(monitor);
    m.stream.text('one');
    m.stream.text('\x01ctwo\x01\x01');
    expect([serial.text, monitor.text]).toEqual(['one', 'two\x01']);
    expect(serial.events).toEqual(['opened', 'mux-in', 'mux-out']);
    expect(monitor.events).toEqual(['opened', 'mux-in']);
    m.stream.text('\x01c\x01b');
    expect(serial.events.slice(-2)).toEqual(['mux-in', 'break']);
  });
  it('keeps apart what was typed for one and for another', () => {
    const m = mux();
    const [serial, monitor] = [frontend(2), frontend()];
    m.chardev.attach(serial);
    m.chardev.attach(monitor);
    m.stream.text('guest\x01cinfo');
    expect([serial.text, monitor.text]).toEqual(['gu', 'info']);
    m.stream.text('\x01c');
    serial.room = 10;
    m.chardev.acceptInput();
    m.stream.text('!');
    expect([serial.text, monitor.text]).toEqual(['guest!', 'info']);
    serial.room = 0;
    m.stream.text(`${'x'.repeat(100)}\x01chelp`);
    expect([serial.text, monitor.text, m.stream.isReading]).toEqual(['guest!', 'infohelp', true]);
  });
  it('helps, and quits', () => {
    const m = mux();
    m.chardev.attach(frontend());
    m.stream.text('\x01h');
    expect(m.stream.output).toContain('C-a c    switch between console and monitor');
    m.stream.text('\x01x');
    expect(m.quits()).toBe(1);
  });
  it('still hears Ctrl-a while a front end does not read, and holds the source in the end', () => {
    const m = mux();
    m.chardev.attach(frontend(0));
    m.stream.text('lots of typing');
    m.stream.text('\x01x');
    expect([m.quits(), m.stream.isReading]).toEqual([1, true]);
    m.stream.text('x'.repeat(10_000));
    expect(m.stream.isReading).toBe(false);
  });
});
