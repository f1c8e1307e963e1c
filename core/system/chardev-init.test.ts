import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Chardev, type HostStream, RingbufChardev, registerChardevTypes } from '../backends/char/chardev.ts';
import { MuxChardev, registerMuxType } from '../backends/char/mux.ts';
import type { ChardevBackend, ChardevOptions, SocketBackend } from '../options/chardev-options.ts';
import { NO_LOCATION } from '../options/location.ts';
import { objectCanonicalPath, objectResolvePath, resetObjectRoot } from '../qom/object.ts';
import { UserError } from '../util/errors.ts';
import { Chardevs } from './chardev-init.ts';
import type { ListenAddress, SystemHost } from './host.ts';

class Wire implements HostStream {
  readonly name: string;
  output = '';
  queuedBytes = 0;
  isClosed = false;
  private readonly dataListeners: ((bytes: Uint8Array) => void)[] = [];
  private readonly closeListeners: (() => void)[] = [];
  constructor(name: string) {
    this.name = name;
  }
  write(bytes: Uint8Array) {
    this.output += new TextDecoder().decode(bytes);
  }
  onData(listener: (bytes: Uint8Array) => void) {
    this.dataListeners.push(listener);
    return () => {};
  }
  onDrain() {
    return () => {};
  }
  onClose(listener: () => void) {
    this.closeListeners.push(listener);
    return () => {};
  }
  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const listener of this.closeListeners) listener();
  }
  type(text: string) {
    for (const listener of this.dataListeners) listener(new TextEncoder().encode(text));
  }
}

/** A host whose files are strings and whose network is this test. */
function fakeHost() {
  const said: string[] = [];
  const files = new Map<string, string>();
  const bound: ListenAddress[] = [];
  const dialled: ListenAddress[] = [];
  const timers: { ms: number; task: () => void }[] = [];
  let onConnection: (stream: Wire, peer: string) => void = () => {};
  let answer: () => Promise<Wire> = () => Promise.resolve(new Wire('client'));
  let stdioTaken = false;
  const terminal = new Wire('terminal');
  const host = {
    program: 'terrarium',
    time: { monotonicNs: () => 0, wallNs: () => 0 },
    stderr: (text: string) => void said.push(text),
    openWriter(path: string, append: boolean) {
      if (path.startsWith('/missing')) throw new UserError(`Could not open '${path}': No such file or directory`);
      if (!append) files.set(path, '');
      return (bytes: Uint8Array) => void files.set(path, (files.get(path) ?? '') + new TextDecoder().decode(bytes));
    },
    openPipe: (path: string) => new Wire(path),
    stdio() {
      if (stdioTaken) throw new UserError('cannot use stdio by multiple character devices');
      stdioTaken = true;
      return terminal;
    },
    async listen(address: ListenAddress) {
      bound.push(address);
      const place =
        address.kind === 'unix'
          ? { family: 'unix', host: address.path, service: address.path }
          : { family: 'ipv4', host: address.host, service: String(address.port) };
      return {
        ...place,
        onConnection(listener: typeof onConnection) {
          onConnection = listener;
          return () => {};
        },
        close() {},
      };
    },
    async connect(address: ListenAddress) {
      dialled.push(address);
      return answer();
    },
    after(ms: number, task: () => void) {
      timers.push({ ms, task });
      return () => {};
    },
  };
  return {
    host: host as unknown as SystemHost,
    said,
    files,
    bound,
    dialled,
    timers,
    terminal,
    arrive: (stream: Wire, peer = '') => onConnection(stream, peer),
    setAnswer: (next: typeof answer) => {
      answer = next;
    },
  };
}

const options = (id: string, backend: ChardevBackend, more: Partial<ChardevOptions> = {}) => ({
  value: { id, backend, mux: false, logfile: undefined, logappend: false, ...more } satisfies ChardevOptions,
  location: NO_LOCATION,
});
const socket = (more: Partial<SocketBackend> = {}): SocketBackend => ({
  type: 'socket',
  address: { kind: 'unix', path: '/run/s' },
  server: true,
  wait: false,
  telnet: false,
  nodelay: false,
  reconnect: 0,
  ...more,
});
const settle = async () => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};
function listenTo(chardev: Chardev): string[] {
  const heard: string[] = [];
  chardev.attach({
    canReceive: () => 100,
    receive: (bytes) => heard.push(new TextDecoder().decode(bytes)),
    event: (event) => heard.push(`<${event}>`),
  });
  return heard;
}
const say = (chardev: Chardev, text: string) => chardev.write(new TextEncoder().encode(text));

beforeAll(() => {
  registerChardevTypes();
  registerMuxType();
});
beforeEach(() => resetObjectRoot());

describe('character devices of the command line', () => {
  it('are objects below /chardevs, found by id', async () => {
    const { host } = fakeHost();
    const chardevs = new Chardevs(host);
    await chardevs.create([options('a', { type: 'null' }), options('r', { type: 'ringbuf', size: 4 })]);
    expect(chardevs.all.map((c) => [c.id, c.filename, objectCanonicalPath(c)])).toEqual([
      ['a', 'null', '/chardevs/a'],
      ['r', 'ringbuf', '/chardevs/r'],
    ]);
    const ring = chardevs.find('r') as RingbufChardev;
    expect(ring).toBeInstanceOf(RingbufChardev);
    say(ring, 'abcdef');
    expect(new TextDecoder().decode(ring.contents())).toBe('cdef');
    expect(chardevs.find('nosuch')).toBeNull();
  });

  it('write to files, and keep a log beside', async () => {
    const { host, files } = fakeHost();
    files.set('/log', 'before ');
    const chardevs = new Chardevs(host);
    await chardevs.create([
      options('f', { type: 'file', path: '/out', append: false }, { logfile: '/log', logappend: true }),
    ]);
    say(chardevs.find('f')!, 'text');
    expect([files.get('/out'), files.get('/log')]).toEqual(['text', 'before text']);
  });

  it('leave nothing behind when they cannot be made', async () => {
    const { host } = fakeHost();
    const chardevs = new Chardevs(host);
    const missing = options('f', { type: 'file', path: '/missing/x', append: false });
    await expect(chardevs.create([missing])).rejects.toThrow("Could not open '/missing/x': No such file or directory");
    const stdio = (id: string) => options(id, { type: 'stdio', signal: true });
    await expect(chardevs.create([stdio('a'), stdio('b')])).rejects.toThrow(
      'cannot use stdio by multiple character devices',
    );
    const logged = options('l', { type: 'null' }, { logfile: '/missing/log' });
    await expect(chardevs.create([logged])).rejects.toThrow('Could not open');
    await expect(chardevs.create([options('r', { type: 'ringbuf', size: 3 })])).rejects.toThrow('power of two');
    expect(chardevs.all.map((c) => c.id)).toEqual(['a']);
    expect(objectResolvePath('/chardevs/b').object).toBeNull();
    await chardevs.create([options('b', { type: 'null' })]);
    expect(chardevs.find('b')).not.toBeNull();
  });

  it('share one terminal through a multiplexer', async () => {
    const { host, terminal } = fakeHost();
    const chardevs = new Chardevs(host);
    await chardevs.create([options('m', { type: 'stdio', signal: false }, { mux: true })]);
    const mux = chardevs.find('m')!;
    expect(mux).toBeInstanceOf(MuxChardev);
    expect(chardevs.find('m-base')!.isBusy).toBe(true);
    const [first, second] = [listenTo(mux), listenTo(mux)];
    terminal.type('x');
    terminal.type('\x01cy');
    expect([...first, ...second].filter((h) => h === 'x' || h === 'y')).toHaveLength(2);
    expect(first.includes('x')).toBe(second.includes('y'));
    say(mux, 'out');
    expect(terminal.output).toBe('out');
    const actions: string[] = [];
    chardevs.setMuxActions({ quit: () => actions.push('quit') });
    terminal.type('\x01x');
    expect(actions).toEqual(['quit']);
  });
});

describe('sockets', () => {
  it('serve one client at a time; the others wait in line, not too many', async () => {
    const { host, arrive, bound } = fakeHost();
    const chardevs = new Chardevs(host);
    await chardevs.create([options('s', socket())]);
    expect(bound).toEqual([{ kind: 'unix', path: '/run/s' }]);
    const chardev = chardevs.find('s')!;
    expect(chardev.filename).toBe('disconnected:unix:/run/s,server=on');
    const heard = listenTo(chardev);
    const clients = Array.from({ length: 12 }, (_, i) => new Wire(`client ${i}`));
    for (const client of clients) arrive(client);
    expect(clients.filter((client) => client.isClosed)).toHaveLength(3); // one served, eight waiting
    clients[1]!.close(); // tired of waiting
    clients[0]!.type('one');
    say(chardev, 'hello');
    clients[0]!.close();
    clients[2]!.type('three');
    expect(heard).toEqual(['<opened>', 'one', '<closed>', '<opened>', 'three']);
    expect(clients.slice(0, 3).map((client) => client.output)).toEqual(['hello', '', '']);
    chardevs.close();
    expect(clients[2]!.isClosed).toBe(true);
  });

  it('that wait hold the machine up until the first client comes', async () => {
    const { host, arrive, said } = fakeHost();
    const chardevs = new Chardevs(host);
    let isDone = false;
    const address = { kind: 'inet', host: 'localhost', port: '4444' } as const;
    const creation = chardevs.create([options('s', socket({ wait: true, address }))]).then(() => {
      isDone = true;
    });
    await settle();
    expect([isDone, said]).toEqual([
      false,
      ['terrarium: info: QEMU waiting for connection on: disconnected:tcp:localhost:4444,server=on\n'],
    ]);
    arrive(new Wire('first'), '127.0.0.1:5');
    await creation;
    expect(chardevs.find('s')!.filename).toBe('tcp:localhost:4444,server=on <-> 127.0.0.1:5');
  });

  it.each(['', '-1', '65536', 'http', '1.5'])('do not take port %j', async (port) => {
    const chardevs = new Chardevs(fakeHost().host);
    const address = { kind: 'inet', host: '', port } as const;
    await expect(chardevs.create([options('s', socket({ address }))])).rejects.toThrow(
      `Failed to resolve port '${port}'`,
    );
  });

  it('that dial fail at once, or try again every so many seconds', async () => {
    const { host, dialled, timers, setAnswer } = fakeHost();
    const chardevs = new Chardevs(host);
    setAnswer(() => Promise.reject(new UserError("Failed to connect to '/run/s': Connection refused")));
    await expect(chardevs.create([options('s', socket({ server: false }))])).rejects.toThrow('Connection refused');
    expect(chardevs.find('s')).toBeNull();
    await chardevs.create([options('t', socket({ server: false, reconnect: 5 }))]);
    await settle();
    expect(timers.map((timer) => timer.ms)).toEqual([5000]);
    const wire = new Wire('server');
    setAnswer(() => Promise.resolve(wire));
    timers.pop()!.task();
    await settle();
    const chardev = chardevs.find('t')!;
    expect([chardev.isOpen, dialled.length]).toEqual([true, 3]);
    wire.close();
    expect([chardev.isOpen, timers.map((timer) => timer.ms)]).toEqual([false, [5000]]);
  });
});
