/** Debian from its disk compiles a program with tcc and runs it, each time another one, while the emulator's memory is sampled from
 *  outside: resident set, V8's heap and what stands beside it, compiled guest code. After the first rounds none of them may grow. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { currentMiB } from '../bench/process-usage.ts';
import { projectRoot } from '../support/machine.ts';
import { QmpConnection } from '../support/qmp-connection.ts';
import { diskGuest } from './disk-guest.ts';
import { GuestConsole, QUIET } from './guest-console.ts';
import { diskInitramfs } from './images.ts';

/** MiB; counts are counts. */
export interface MemorySample {
  readonly resident: number;
  readonly heap: number;
  readonly external: number;
  readonly code: number;
  readonly regions: number;
  /** Blocks that were ever decoded. */
  readonly blocks: number;
}
/** Growth that is none: a share, so many MiB (regions) more, and bytes for each block decoded meanwhile: what the engine knows of
 *  blocks goes when their pool is full. */
const SLACK: Readonly<Record<Exclude<keyof MemorySample, 'blocks'>, readonly [number, number, number]>> = {
  resident: [0.05, 8, 512],
  heap: [0.02, 1, 512],
  external: [0.02, 1, 0],
  code: [0.1, 1, 0],
  regions: [0.2, 200, 0],
};
const CODE_MIB = 16;
const RAM_MIB = 96;
const LIMIT_MS = 120_000;
const REST_SECONDS = 3;

/** What there is to start; throws GuestUnavailable. */
export const compileLoopGuest = () => ({ disk: diskGuest(), ...diskInitramfs() });
export type CompileLoopGuest = ReturnType<typeof compileLoopGuest>;

/** Writes, compiles and runs the program of a round: functions whose constants are its own. */
const FUNCTIONS = 40;
const STEPS = 2000;
const SCRIPT = [
  'i=0; while [ $i -lt FUNCTIONS ]; do',
  'echo "static unsigned f$i(unsigned x){int k;for(k=0;k<STEPS;k++){x=x*$((2*($1*FUNCTIONS+i)+12345))u+k;x^=x>>$((i%13+3));}return x;}"',
  'i=$((i+1)); done >/tmp/p.c',
  'echo "int printf(const char*,...);int putchar(int);int main(void){unsigned x=$1;" >>/tmp/p.c',
  'i=0; while [ $i -lt FUNCTIONS ]; do echo "x=f$i(x);"; i=$((i+1)); done >>/tmp/p.c',
  'echo "printf(\\"%08x\\",x);putchar(10);return 0;}" >>/tmp/p.c',
  'tcc -o /tmp/p /tmp/p.c && /tmp/p && tcc -run /tmp/p.c',
].map((line) => line.replaceAll('FUNCTIONS', `${FUNCTIONS}`).replaceAll('STEPS', `${STEPS}`));
/** What that program prints. */
function outputOf(round: number): string {
  let x = round;
  for (let i = 0; i < FUNCTIONS; i++)
    for (let k = 0; k < STEPS; k++) {
      x = (Math.imul(x, 2 * (round * FUNCTIONS + i) + 12345) + k) >>> 0;
      x = (x ^ (x >>> ((i % 13) + 3))) >>> 0;
    }
  return `${x.toString(16).padStart(8, '0')}\n`;
}

export class CompileLoop {
  readonly samples: MemorySample[] = [];
  private readonly folder = mkdtempSync(join(tmpdir(), 'terrarium-loop-'));
  private machine!: GuestConsole;
  private qmp!: QmpConnection;
  private round = 0;

  static async start(guest: CompileLoopGuest, options: readonly string[] = []): Promise<CompileLoop> {
    const loop = new CompileLoop();
    try {
      await loop.boot(guest, options);
    } catch (error) {
      await loop.stop();
      throw error;
    }
    return loop;
  }
  private async boot(guest: CompileLoopGuest, options: readonly string[]): Promise<void> {
    const { folder } = this;
    const disk = join(folder, 'disk.img');
    copyFileSync(guest.disk, disk);
    const probe = pathToFileURL(join(projectRoot, 'tests/support/memory-probe.ts')).href;
    const args = [
      ...['-m', `${RAM_MIB}`, '-kernel', guest.kernel, '-initrd', guest.initrd, '-append', QUIET],
      ...['-drive', `file=${disk},format=raw`, '-accel', `tcg,tb-size=${CODE_MIB}`],
      ...['-qmp', `unix:${join(folder, 'qmp')},server=on,wait=off`, ...options],
    ];
    this.machine = GuestConsole.start(args, undefined, {
      NODE_OPTIONS: `--import=${probe}`,
      TERRARIUM_MEMORY_PROBE: join(folder, 'probe'),
    });
    this.qmp = await QmpConnection.open(join(folder, 'qmp'), LIMIT_MS);
    await this.machine.waitForShell(LIMIT_MS);
    // The guest's memory becomes resident as the guest first touches it.
    await this.run(`dd if=/dev/zero of=/tmp/all bs=1M count=${RAM_MIB - 40} 2>/dev/null; rm /tmp/all`, '');
    for (const line of SCRIPT) await this.run(`echo '${line}' >>/tmp/round`, '');
  }
  private async run(command: string, expected: string): Promise<void> {
    const { output, status } = await this.machine.run(command, LIMIT_MS);
    if (status === 0 && output === expected) return;
    // Linux says there where and why a program was ended.
    const { output: log } = await this.machine.run('dmesg | tail -n 5', LIMIT_MS);
    throw new Error(
      `${command.slice(0, 200)}: ended with ${status}, printed\n${output}\nexpected\n${expected}\nkernel's log:\n${log}`,
    );
  }
  /** The next program, compiled and run both ways that tcc knows; then a look at the memory. */
  async next(): Promise<MemorySample> {
    const output = outputOf(++this.round);
    await this.run(`sh /tmp/round ${this.round}`, output + output);
    const sample = await this.sample();
    this.samples.push(sample);
    return sample;
  }
  /** Nothing is to be done for a while: what the thread that compiles does then for later runs takes its room for the first time. */
  async rest(): Promise<void> {
    await this.run(`sleep ${REST_SECONDS}`, '');
  }
  private async sample(): Promise<MemorySample> {
    const held = await new Promise<NodeJS.MemoryUsage>((done, failed) => {
      let text = '';
      connect(join(this.folder, 'probe'))
        .on('data', (bytes) => {
          text += bytes;
        })
        .on('end', () => done(JSON.parse(text) as NodeJS.MemoryUsage))
        .on('error', failed);
    });
    const { compiler, 'blocks-decoded': blocks } = (await this.qmp.execute('x-query-jit')) as {
      'blocks-decoded': number;
      compiler: { 'code-bytes': number; regions: number };
    };
    return {
      resident: currentMiB(this.machine.child.pid!),
      heap: held.heapUsed / 2 ** 20,
      external: held.external / 2 ** 20,
      code: compiler['code-bytes'] / 2 ** 20,
      regions: compiler.regions,
      blocks,
    };
  }
  /** What grew: in each measure the last quarter of the rounds against the first, each by its largest; `warm` rounds do not count. */
  growth(warm: number): string[] {
    const counted = this.samples.slice(warm);
    const quarter = Math.ceil(counted.length / 4);
    const most = (part: readonly MemorySample[], key: keyof MemorySample) => Math.max(...part.map((it) => it[key]));
    const decoded = counted.at(-1)!.blocks - counted[0]!.blocks;
    const found: string[] = [];
    for (const key of Object.keys(SLACK) as (keyof typeof SLACK)[]) {
      const [share, more, perBlock] = SLACK[key];
      const first = most(counted.slice(0, quarter), key);
      const last = most(counted.slice(-quarter), key);
      if (last > first * (1 + share) + more + (decoded * perBlock) / 2 ** 20)
        found.push(`${key} grew from ${first.toFixed(1)} to ${last.toFixed(1)}`);
    }
    if (most(counted, 'code') > CODE_MIB) found.push(`compiled code takes ${most(counted, 'code').toFixed(1)} MiB`);
    return found;
  }
  async stop(): Promise<void> {
    this.qmp?.close();
    await this.machine?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
export const sampleText = (s: MemorySample) =>
  `resident ${s.resident.toFixed(0)}, heap ${s.heap.toFixed(1)}, external ${s.external.toFixed(1)}, code ${s.code.toFixed(1)} MiB, ${s.regions} regions, ${s.blocks} blocks`;
