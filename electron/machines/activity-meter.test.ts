import { spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sampleMachine } from '../../tests/manager/sample-machine.ts';
import { ActivityMeter } from './activity-meter.ts';
import { type ProcessUsage, parsePs, processUsage } from './process-usage.ts';

class FakeMachine {
  readonly definition = sampleMachine({
    storage: [
      { kind: 'disk', id: 'ide0-0', bus: 0, unit: 0, path: '/disk.img', format: 'raw' },
      { kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: null },
    ],
  });
  time = 1000;
  process: ProcessUsage | undefined = { cpuMs: 500, residentBytes: 1 << 20 };
  answers: Record<string, unknown> = {};
  asked: string[] = [];
  now = () => this.time;
  usage = async () => this.process;
  async execute<T>(command: string): Promise<T> {
    this.asked.push(command);
    if (!(command in this.answers)) throw new Error(`The command ${command} has not been found`);
    return this.answers[command] as T;
  }
  drive(device: string, read: number, written: number) {
    return { device, stats: { rd_bytes: read, wr_bytes: written } };
  }
}

describe('a meter', () => {
  it('gives rates from one look to the next, and none at the first', async () => {
    const machine = new FakeMachine();
    machine.answers = {
      'query-blockstats': [machine.drive('drive-ide0-0', 1000, 0), machine.drive('drive-ide1-0', 5, 0)],
      'x-query-jit': { 'guest-instructions': 1_000_000 },
    };
    const meter = new ActivityMeter(machine);
    expect(await meter.measure()).toMatchObject({ guestMips: null, hostCpuPercent: null, hostMemoryBytes: 1 << 20 });
    machine.time = 3000;
    machine.process = { cpuMs: 2500, residentBytes: 2 << 20 };
    machine.answers = {
      'query-blockstats': [machine.drive('drive-ide0-0', 1000, 4096), machine.drive('drive-ide1-0', 2053, 0)],
      'x-query-jit': {
        'guest-instructions': 101_000_000,
        compiler: { mode: 'on', regions: 12, 'code-bytes': 4096, invalidated: 3, flushes: 1 },
      },
    };
    expect(await meter.measure()).toEqual({
      drives: [
        { deviceId: 'ide0-0', readBytesPerSecond: 0, writtenBytesPerSecond: 2048 },
        { deviceId: 'ide1-0', readBytesPerSecond: 1024, writtenBytesPerSecond: 0 },
      ],
      guestMips: 50,
      compiled: { regions: 12, codeBytes: 4096, invalidated: 3 },
      hostCpuPercent: 100,
      hostMemoryBytes: 2 << 20,
    });
  });

  it('asks an engine that cannot count instructions once', async () => {
    for (const answer of [undefined, { 'human-readable-text': 'TB count 12\n' }]) {
      const machine = new FakeMachine();
      machine.answers = { 'query-blockstats': [], ...(answer && { 'x-query-jit': answer }) };
      const meter = new ActivityMeter(machine);
      for (let look = 0; look < 3; look++) {
        expect((await meter.measure()).guestMips).toBeNull();
        machine.time += 1000;
      }
      expect(machine.asked.filter((command) => command === 'x-query-jit')).toHaveLength(1);
    }
  });

  it('tells of compiled code only where the engine compiles', async () => {
    const compilers = [undefined, null, 'on', { mode: 'off', regions: 0 }, { mode: 'on', regions: 'many' }];
    const seen = [];
    for (const compiler of compilers) {
      const machine = new FakeMachine();
      machine.answers = { 'query-blockstats': [], 'x-query-jit': { 'guest-instructions': 1, compiler } };
      seen.push((await new ActivityMeter(machine).measure()).compiled);
    }
    expect(seen).toEqual([null, null, null, null, { regions: 0, codeBytes: 0, invalidated: 0 }]);
  });

  it('is not misled by what an engine may send, nor by counters that start anew', async () => {
    const machine = new FakeMachine();
    const meter = new ActivityMeter(machine);
    machine.answers = { 'query-blockstats': [null, machine.drive('drive-ide0-0', 9000, 0)] };
    await meter.measure();
    machine.time = 2000;
    machine.answers = { 'query-blockstats': [{ device: 'drive-ide0-0', stats: { rd_bytes: 'much' } }] };
    machine.process = undefined;
    expect(await meter.measure()).toMatchObject({
      drives: [{ readBytesPerSecond: 0, writtenBytesPerSecond: 0 }, { readBytesPerSecond: 0 }],
      hostCpuPercent: null,
      hostMemoryBytes: null,
    });
  });
});

describe('the usage of a process', () => {
  it.skipIf(process.platform === 'win32')('grows with what it does, and ends with it', async () => {
    const busy = spawn(process.execPath, ['-e', 'for (;;) ;'], { stdio: 'ignore' });
    onTestFinished(() => void busy.kill('SIGKILL'));
    const read = () => processUsage(busy.pid!);
    const deadline = Date.now() + 10_000;
    while (((await read())?.cpuMs ?? 0) < 100 && Date.now() < deadline) await new Promise(setImmediate);
    const usage = await read();
    expect(usage?.cpuMs).toBeGreaterThanOrEqual(100);
    expect(usage?.residentBytes).toBeGreaterThan(10 << 20);
    const gone = new Promise((resolve) => busy.once('exit', resolve));
    busy.kill('SIGKILL');
    await gone;
    expect(await read()).toBeUndefined();
  });

  it('is read from what ps prints on other systems', () => {
    expect(parsePs('  0:01.25  2048\n')).toEqual({ cpuMs: 1250, residentBytes: 2 << 20 });
    expect(parsePs('1-02:03:04 1')).toEqual({ cpuMs: 93_784_000, residentBytes: 1024 });
    expect(parsePs('')).toBeUndefined();
  });
});
