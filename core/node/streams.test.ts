import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { HostStream } from '../backends/char/chardev.ts';
import type { ByteStream } from '../util/byte-stream.ts';
import { connect, listen, openWriter } from './streams.ts';

const folder = mkdtempSync(join(tmpdir(), 'streams-'));
afterAll(() => rmSync(folder, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
/** Resolves when the stream has given so many bytes. */
function received(stream: ByteStream, count: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    stream.onData((part) => {
      text += new TextDecoder().decode(part);
      if (text.length >= count) resolve(text);
    });
  });
}
const closed = (stream: ByteStream) => new Promise<void>((resolve) => stream.onClose(resolve));

describe('sockets', () => {
  it('carry bytes both ways, keep what came before anyone listened, and tell the end', async () => {
    const path = join(folder, 'a');
    const server = await listen({ kind: 'unix', path });
    expect(server).toMatchObject({ family: 'unix', service: path });
    const accepted = new Promise<ByteStream>((resolve) => server.onConnection((stream) => resolve(stream)));
    const client = await connect({ kind: 'unix', path });
    client.write(bytes('early'));
    const stream = await accepted;
    expect(await received(stream, 5)).toBe('early');
    const reply = received(client, 5);
    stream.write(bytes('reply'));
    expect(await reply).toBe('reply');
    const end = closed(stream);
    client.close();
    await end;
    expect(stream.isClosed).toBe(true);
    server.close();
    expect(existsSync(path)).toBe(false);
  });
  it('take a free port of a range', async () => {
    const first = await listen({ kind: 'inet', host: '127.0.0.1', port: 0, to: undefined });
    const port = Number(first.service);
    await expect(listen({ kind: 'inet', host: '127.0.0.1', port, to: undefined })).rejects.toThrow(
      'Failed to find an available port: Address already in use',
    );
    const second = await listen({ kind: 'inet', host: '127.0.0.1', port, to: Math.min(65535, port + 20) });
    expect(Number(second.service)).toBeGreaterThan(port);
    first.close();
    second.close();
  });
  it('fail in the C library’s words', async () => {
    const path = join(folder, 'missing', 'x');
    await expect(listen({ kind: 'unix', path })).rejects.toThrow(
      `Failed to bind socket to ${path}: No such file or directory`,
    );
    await expect(connect({ kind: 'unix', path })).rejects.toThrow(
      `Failed to connect to '${path}': No such file or directory`,
    );
    const long = { kind: 'unix', path: `/${'x'.repeat(107)}` } as const;
    for (const attempt of [listen(long), connect(long)])
      await expect(attempt).rejects.toThrow(`UNIX socket path '${long.path}' is too long`);
    await expect(connect({ kind: 'unix', path: folder })).rejects.toThrow('Failed to connect');
  });
  it('replace a socket that was left behind, and nothing else', async () => {
    const path = join(folder, 'kept');
    openWriter(path, false)(bytes('precious'));
    for (const taken of [path, folder])
      await expect(listen({ kind: 'unix', path: taken })).rejects.toThrow(
        `Failed to bind socket to ${taken}: Address already in use`,
      );
    expect(readFileSync(path, 'utf8')).toBe('precious');
    const stale = join(folder, 'stale');
    const first = await listen({ kind: 'unix', path: stale });
    const second = await listen({ kind: 'unix', path: stale });
    first.close();
    second.close();
  });
  it('try the next port only where one is taken', async () => {
    const started = Date.now();
    await expect(listen({ kind: 'inet', host: '192.0.2.1', port: 20_000, to: 60_000 })).rejects.toThrow(
      'Failed to find an available port: Cannot assign requested address',
    );
    expect(Date.now() - started).toBeLessThan(5000);
  });
  it('count what a peer has not taken, and tell when it has', async () => {
    const path = join(folder, 'queue');
    const server = await listen({ kind: 'unix', path });
    const accepted = new Promise<HostStream>((resolve) => server.onConnection((s) => resolve(s as HostStream)));
    const client = await connect({ kind: 'unix', path });
    const stream = await accepted;
    const block = new Uint8Array(1 << 20);
    for (let i = 0; i < 4; i++) stream.write(block);
    expect(stream.queuedBytes).toBeGreaterThan(1 << 20);
    const drained = new Promise<void>((resolve) => stream.onDrain(resolve));
    let received = 0;
    client.onData((chunk) => {
      received += chunk.length;
    });
    await drained;
    expect(stream.queuedBytes).toBe(0);
    stream.close(); // what was written still arrives
    await new Promise<void>((resolve) => client.onClose(resolve));
    expect(received).toBe(4 << 20);
    stream.write(block); // dropped
    server.close();
  });
  it('tell when a short queue is gone, too', async () => {
    const path = join(folder, 'short-queue');
    const server = await listen({ kind: 'unix', path });
    const accepted = new Promise<HostStream>((resolve) => server.onConnection((s) => resolve(s as HostStream)));
    const client = await connect({ kind: 'unix', path });
    const stream = await accepted;
    let sent = 0;
    while (stream.queuedBytes < 5000) {
      stream.write(new Uint8Array(1024));
      sent += 1024;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(stream.queuedBytes).toBeLessThan(16_384); // less than Node's high-water mark
    const drained = new Promise<void>((resolve) => stream.onDrain(resolve));
    const all = received(client, sent);
    await drained;
    expect(stream.queuedBytes).toBe(0);
    await all;
    stream.close();
    server.close();
  });
  it('hold their input while nobody wants it', async () => {
    const path = join(folder, 'held');
    const server = await listen({ kind: 'unix', path });
    const accepted = new Promise<HostStream>((resolve) => server.onConnection((s) => resolve(s as HostStream)));
    const client = await connect({ kind: 'unix', path });
    const stream = await accepted;
    const seen: string[] = [];
    stream.onData((chunk) => seen.push(new TextDecoder().decode(chunk)));
    stream.setReading!(false);
    client.write(bytes('later'));
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual([]);
    const came = new Promise<void>((resolve) => stream.onData(() => resolve()));
    stream.setReading!(true);
    await came;
    expect(seen.join('')).toBe('later');
    client.close();
    server.close();
  });
});

describe('files and the terminal', () => {
  it('writes and appends', () => {
    const path = join(folder, 'log');
    openWriter(path, false)(bytes('one'));
    openWriter(path, true)(bytes('two'));
    expect(readFileSync(path, 'utf8')).toBe('onetwo');
    expect(() => openWriter(folder, false)).toThrow(`Could not open '${folder}': Is a directory`);
  });
  it('standard output goes on after the end of standard input', () => {
    const script = `
      import { stdio } from '${new URL('./streams.ts', import.meta.url)}';
      const stream = stdio(true);
      stream.onData(() => {});
      process.stdin.on('close', () => setImmediate(() => stream.write(new TextEncoder().encode('still ' + stream.isClosed))));
    `;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], { input: 'x', encoding: 'utf8' });
    expect(run.stdout).toBe('still false');
  });
});
