/** The web shell as a program: its address, its end by signals, one per data folder, and its own sudden death. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { ApiMethod, ApiParams, ApiResult } from '../../electron/api/contract.ts';
import { findPackageRoot } from '../../electron/app/host.ts';
import { identifyProcess } from '../../electron/machines/process-identity.ts';
import { sampleMachine, scratchFolder } from './sample-machine.ts';

const PROGRAM = join(findPackageRoot(import.meta.dirname), 'electron', 'shell', 'web', 'main.ts');

interface Run {
  child: ChildProcess;
  output: () => string;
  ended: Promise<number | string | null>;
  url: Promise<URL>;
}

function run(...args: string[]): Run {
  const environment = { ...process.env, TERRARIUM_EMULATOR: 'qemu-system-x86_64' };
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  const url = new Promise<URL>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (bytes) => {
        output += bytes;
        const match = /^Terrarium is at (http:\/\/127\.0\.0\.1:\d+\/\?token=\S+)$/m.exec(output);
        if (match) resolve(new URL(match[1]!));
      });
    }
  });
  const ended = new Promise<number | string | null>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal));
  });
  return { child, output: () => output, ended, url };
}

async function connect(url: URL) {
  const socket = new WebSocket(`ws://${url.host}/api`, {
    headers: { 'x-terrarium-token': url.searchParams.get('token') ?? '' },
  });
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  let lastId = 0;
  return <M extends ApiMethod>(method: M, params?: ApiParams<M>) =>
    new Promise<ApiResult<M>>((resolve, reject) => {
      const id = ++lastId;
      socket.on('message', (data) => {
        const message = JSON.parse(String(data));
        if (message.id === id) 'error' in message ? reject(message.error) : resolve(message.result);
      });
      socket.send(JSON.stringify({ id, method, params }));
    });
}

/** A zombie that nobody has fetched yet is gone. */
const isAlive = (pid: number) => identifyProcess(pid) !== undefined;

describe("the web shell's program", () => {
  it('serves, is alone in its data folder, and powers machines off at SIGTERM', async () => {
    const dataDir = join(scratchFolder(), 'data');
    const first = run('--data-dir', dataDir);
    const call = await connect(await first.url);
    const second = run('--data-dir', dataDir);
    expect(await second.ended).toBe(1);
    expect(second.output()).toMatch(/^Terrarium is running already with the data folder .* \(process \d+\)/);
    const definition = sampleMachine();
    await call('machines.create', { definition, newDisks: [] });
    const { runtime } = await call('machines.start', { id: definition.id });
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe(0);
    expect(isAlive(runtime!.pid)).toBe(false);
    const third = run('--data-dir', dataDir);
    const again = await connect(await third.url);
    expect(await again('machines.list')).toMatchObject([{ id: definition.id, state: 'off', failure: null }]);
    third.child.kill('SIGINT');
    expect(await third.ended).toBe(0);
  });

  it('that is killed takes no machine with it: the next one finds it running', async () => {
    const dataDir = join(scratchFolder(), 'data');
    const first = run('--data-dir', dataDir);
    const call = await connect(await first.url);
    const definition = sampleMachine();
    await call('machines.create', { definition, newDisks: [] });
    const { runtime } = await call('machines.start', { id: definition.id });
    first.child.kill('SIGKILL');
    expect(await first.ended).toBe('SIGKILL');
    expect(isAlive(runtime!.pid)).toBe(true);
    const next = run('--data-dir', dataDir);
    const again = await connect(await next.url);
    const found = await again('machines.get', { id: definition.id });
    expect(found).toMatchObject({ summary: { state: 'running' }, runtime: { pid: runtime!.pid } });
    next.child.kill('SIGINT');
    expect(await next.ended).toBe(0);
    expect(isAlive(runtime!.pid)).toBe(false);
  });

  it.each([
    [['--port', 'x'], /x is not a port/],
    [['--on-quit', 'explode'], /--on-quit cannot be explode/],
    [['--nonsense'], /Unknown option '--nonsense'.*usage:/s],
  ])('refuses %j', async (args, message) => {
    const refused = run('--data-dir', join(scratchFolder(), 'data'), ...args);
    expect(await refused.ended).toBe(1);
    expect(refused.output()).toMatch(message);
  });

  it('refuses a damaged library in one sentence, without a stack trace', async () => {
    const dataDir = scratchFolder();
    writeFileSync(join(dataDir, 'library.db'), 'x'.repeat(10_000));
    const refused = run('--data-dir', dataDir);
    expect(await refused.ended).toBe(1);
    expect(refused.output()).toMatch(
      /^The library .*library\.db cannot be read: it is not an SQLite database\. It was left as it is\./,
    );
    expect(refused.output()).not.toMatch(/\bat .*\.ts:/);
  });

  it('refuses a port that is in use', async () => {
    const first = run('--data-dir', join(scratchFolder(), 'data'));
    const { port } = await first.url;
    const second = run('--data-dir', join(scratchFolder(), 'data'), '--port', port);
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`The port ${port} is in use.`);
  });
});
