/** One run of the guest benchmark on one engine: starts it, reads the guest's serial lines, watches the process. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchmarkGuest } from '../guests/images.ts';
import { engine as emulator, hasQemu, qemu } from '../support/machine.ts';
import { cpuSeconds, peakMiB } from './process-usage.ts';

/** `first`: ours without what earlier runs have translated. */
export type EngineName = 'native' | 'terrarium' | 'first' | 'qemu' | 'v86';
export const ENGINES: readonly EngineName[] = ['native', 'terrarium', 'first', 'qemu', 'v86'];
export const GROUPS = ['int', 'sse', 'x87', 'system', 'app'] as const;

export interface TestTime {
  /** Seconds between the guest's START and BENCH lines by the host's clock; natively by the program's own. */
  readonly seconds: number;
  /** The same by the guest's clock. */
  readonly guestSeconds: number;
  /** CPU time of all the engine's threads between the two lines; natively of the program and its children. */
  readonly cpuSeconds: number;
  readonly checksum: string;
}
export interface GuestRun {
  readonly engine: EngineName;
  readonly tests: Record<string, TestTime>;
  shellSeconds?: number;
  shellCpuSeconds?: number;
  idlePercent?: number;
  peakMiB?: number;
  error?: string;
}
export interface RunOptions {
  readonly words: readonly string[];
  readonly idleSeconds: number;
  readonly limitSeconds: number;
  readonly onTest?: (engine: EngineName, test: string, seconds: number) => void;
  /** More options for our engine, such as `-cpu core2duo`. */
  readonly ours: readonly string[];
}

/** Why an engine cannot take part here, or undefined. */
export function unavailable(engine: EngineName, guest: BenchmarkGuest, bits: 32 | 64): string | undefined {
  if (engine === 'v86' && bits === 64) return 'it has no 64-bit mode';
  if (engine === 'native' && spawnSync(guest.busybox, ['true']).status !== 0)
    return 'this host runs no 32-bit programs';
  if (engine === 'qemu' && !hasQemu) return `${qemu} is not installed`;
  if (engine === 'v86' && !existsSync('/usr/share/seabios/bios.bin')) return 'Debian package seabios is not installed';
  return undefined;
}

const v86Script = fileURLToPath(new URL('v86-run.mjs', import.meta.url));

function commandLine(engine: EngineName, guest: BenchmarkGuest, options: RunOptions): [string, string[]] {
  if (engine === 'native') return [guest.bench, [...options.words]];
  const idle = options.idleSeconds > 0 ? options.idleSeconds + 3 : 0;
  const append = `console=ttyS0 quiet tsc=reliable mitigations=off random.trust_cpu=on panic=-1 tb.run=${options.words.join(',')} tb.idle=${idle}`;
  const args = ['-m', '512', '-kernel', guest.kernel, '-initrd', guest.initrd, '-append', append];
  args.push('-serial', 'stdio', '-display', 'none', '-no-reboot');
  if (engine === 'v86') return [process.execPath, [v86Script, ...args]];
  if (engine === 'qemu') return [qemu, ['-accel', 'tcg', ...args]];
  const first = engine === 'first' ? ['-accel', 'tcg,x-keep=off'] : [];
  return [emulator, [...first, ...options.ours, ...args]];
}

export function runGuest(engine: EngineName, guest: BenchmarkGuest, options: RunOptions): Promise<GuestRun> {
  const run: GuestRun = { engine, tests: {} };
  const native = engine === 'native';
  const scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'terrarium-bench-'));
  const [program, args] = commandLine(engine, guest, options);
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  const child = spawn(program, args, {
    env: { ...process.env, TB_CPU: '1', TB_TMP: scratch, TB_BUSYBOX: guest.busybox },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = child.pid ?? 0;
  let line = '';
  let testStarted = 0;
  let testStartedCpu = 0;
  let said = '';
  let done = false;

  const measureIdle = () => {
    const [cpuBefore, before] = [cpuSeconds(pid), elapsed()];
    setTimeout(() => {
      run.idlePercent = ((cpuSeconds(pid) - cpuBefore) / (elapsed() - before)) * 100;
    }, options.idleSeconds * 1000);
  };
  const onLine = (text: string) => {
    const now = elapsed();
    if (text.includes('SHELL-READY')) {
      run.shellSeconds = now;
      run.shellCpuSeconds = cpuSeconds(pid);
    } else if (text.startsWith('IDLE-START')) setTimeout(measureIdle, 1500);
    else if (/START \S+$/.test(text)) {
      testStarted = now;
      testStartedCpu = cpuSeconds(pid);
    } else if (text.includes('BENCH-END')) {
      run.peakMiB = peakMiB(pid);
      done = true;
      child.kill('SIGTERM');
    } else if (/Kernel panic|Segmentation fault|Illegal instruction|trap /.test(text)) run.error = text.trim();
    const bench = /BENCH (\S+) ([\d.]+) ([0-9a-f]{8})(?: ([\d.]+))?$/.exec(text);
    if (!bench) return;
    const [name, guestSeconds, checksum] = [bench[1]!, Number(bench[2]), bench[3]!];
    const cpu = native ? Number(bench[4]) : cpuSeconds(pid) - testStartedCpu;
    const seconds = native ? guestSeconds : now - testStarted;
    run.tests[name] = { seconds, guestSeconds, cpuSeconds: cpu, checksum };
    options.onTest?.(engine, name, seconds);
  };
  child.stdout.on('data', (bytes: Buffer) => {
    line += bytes.toString('latin1');
    const lines = line.split('\n');
    line = lines.pop()!;
    for (const text of lines) onLine(text.trimEnd());
  });
  child.stderr.on('data', (bytes: Buffer) => {
    said = (said + bytes).slice(-2000);
  });
  return new Promise((resolve) => {
    const limit = setTimeout(() => {
      run.error = `not done after ${options.limitSeconds} s`;
      child.kill('SIGKILL');
    }, options.limitSeconds * 1000);
    const finish = (why?: string) => {
      clearTimeout(limit);
      rmSync(scratch, { recursive: true, force: true });
      if (why !== undefined) run.error ??= why;
      resolve(run);
    };
    child.once('error', (error) => finish(error.message));
    child.once('close', (code) => finish(done || (native && code === 0) ? undefined : `ended with ${code}: ${said}`));
  });
}
