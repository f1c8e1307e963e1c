import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
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
    await expect(listen({ kind: 'unix', path: `/${'x'.repeat(120)}` })).rejects.toThrow('is too long');
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
