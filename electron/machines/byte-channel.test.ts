import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { scratchFolder } from '../../tests/manager/sample-machine.ts';
import { bridgeToSocket, type ChannelPeer, SharedTerminal } from './byte-channel.ts';

const MIB = 1024 * 1024;

async function listen(onConnection: (socket: Socket) => void): Promise<string> {
  const path = join(scratchFolder(), 'socket');
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}

class Window implements ChannelPeer {
  bytes = 0;
  text = '';
  closed: string | undefined;
  pauses = 0;
  resumes = 0;
  /** When false, nothing that is sent gets through. */
  reads: boolean;
  private stuck: (() => void)[] = [];
  constructor(reads = true) {
    this.reads = reads;
  }
  send(bytes: Uint8Array, done: () => void) {
    this.bytes += bytes.length;
    if (this.bytes < 1000) this.text += Buffer.from(bytes);
    if (this.reads) done();
    else this.stuck.push(done);
  }
  read() {
    this.reads = true;
    for (const done of this.stuck.splice(0)) done();
  }
  pause() {
    this.pauses++;
  }
  resume() {
    this.resumes++;
  }
  close(reason: string) {
    this.closed = reason;
  }
}

describe('bridgeToSocket', () => {
  it('goes at the pace of a window that does not read', async () => {
    let written = 0;
    const path = await listen((socket) => {
      const chunk = Buffer.alloc(64 * 1024);
      const pump = () => {
        while (written < 64 * MIB) {
          written += chunk.length;
          if (!socket.write(chunk)) {
            socket.once('drain', pump);
            return;
          }
        }
      };
      pump();
    });
    const window = new Window(false);
    const input = bridgeToSocket(path, window);
    await expect.poll(() => window.bytes).toBeGreaterThan(MIB);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(window.bytes).toBeLessThan(2 * MIB);
    expect(written).toBeLessThan(16 * MIB);
    window.read();
    await expect.poll(() => window.bytes).toBe(64 * MIB);
    input.closed();
  });

  it('stops a window that sends what the machine does not read', async () => {
    const path = await listen((socket) => void socket.pause());
    const window = new Window();
    const input = bridgeToSocket(path, window);
    for (let count = 0; count < 20; count++) input.receive(Buffer.alloc(MIB));
    expect(window.pauses).toBeGreaterThan(0);
    expect(window.closed).toMatch(/does not read/);
  });

  it('tells when there is nothing to connect to', async () => {
    const window = new Window();
    bridgeToSocket(join(scratchFolder(), 'none'), window);
    await expect.poll(() => window.closed).toBe('the machine closed the connection');
  });
});

describe('SharedTerminal', () => {
  it('shows late comers what was said, bounded, and takes input from all', async () => {
    let machine: Socket | undefined;
    let heard = '';
    const path = await listen((socket) => {
      machine = socket;
      socket.on('data', (bytes) => {
        heard += bytes;
      });
      socket.write('login: ');
    });
    const terminal = new SharedTerminal(path, 100);
    onTestFinished(() => terminal.close());
    await terminal.ready();
    const [first, late] = [new Window(), new Window()];
    const one = terminal.attach(first);
    await expect.poll(() => first.text).toBe('login: ');
    const two = terminal.attach(late);
    expect(late.text).toBe('login: ');
    one.receive(Buffer.from('a'));
    two.receive(Buffer.from('b'));
    await expect.poll(() => heard).toBe('ab');
    one.closed();
    machine?.write('x'.repeat(5000));
    await expect.poll(() => late.bytes).toBe(5007);
    expect(first.bytes).toBe(7);
    const later = new Window();
    terminal.attach(later);
    expect(later.bytes).toBeLessThanOrEqual(200);
    machine?.destroy();
    await expect.poll(() => late.closed).toBe('the machine closed the connection');
    const tooLate = new Window();
    terminal.attach(tooLate);
    expect(tooLate.closed).toBe('the machine closed the connection');
  });

  it("drops a window that does not keep up, not the machine's output", async () => {
    const path = await listen((socket) => void socket.write(Buffer.alloc(12 * MIB)));
    const terminal = new SharedTerminal(path);
    onTestFinished(() => terminal.close());
    const [slow, quick] = [new Window(false), new Window()];
    terminal.attach(slow);
    terminal.attach(quick);
    await expect.poll(() => quick.bytes).toBe(12 * MIB);
    expect(slow.closed).toMatch(/too slow/);
  });

  it('says when it cannot be reached', async () => {
    await expect(new SharedTerminal(join(scratchFolder(), 'none')).ready()).rejects.toThrow();
  });
});
