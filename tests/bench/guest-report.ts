/** What many runs of the guest benchmark amount to: medians, ratios to QEMU TCG, and the bars that are to be met. */
import { type EngineName, GROUPS, type GuestRun } from './guest-run.ts';

/** What a guest of 32 or 64 bits is to reach. */
export interface Bars {
  /** Times faster than QEMU TCG, geometric mean of a group's tests, at least. */
  readonly groups: Record<(typeof GROUPS)[number], number>;
  /** No single test of the group below this. */
  readonly singles: Partial<Record<(typeof GROUPS)[number], number>>;
  /** To the shell, beside QEMU; without it, the seconds themselves. */
  readonly boot: { readonly seconds: number; readonly timesQemu: number };
  readonly idlePercent: number;
  readonly memoryMiB: number | null;
}
export const BARS: Record<32 | 64, Bars> = {
  32: {
    groups: { int: 1.2, sse: 3, x87: 1, system: 0.7, app: 0.7 },
    singles: { int: 0.5 },
    boot: { seconds: 6.5, timesQemu: 6.5 / 5.2 },
    idlePercent: 2.5,
    memoryMiB: 400,
  },
  64: {
    groups: { int: 1.1, sse: 3, x87: 1, system: 0.7, app: 0.7 },
    singles: {},
    boot: { seconds: 3, timesQemu: 1.3 },
    idlePercent: 1,
    memoryMiB: null,
  },
};

export interface Verdict {
  readonly what: string;
  readonly value?: number;
  readonly bar: string;
  readonly result: 'passed' | 'FAILED' | 'skipped';
  readonly reason?: string;
}

export function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** What a test's time is: the median by the host's clock, the quickest run by it, or the median of CPU time. The latter two
 *  are for a host that is busy with other things; CPU time does not see waiting, and counts compiling in the background. */
export type BenchClock = 'host' | 'best' | 'cpu';

export class GuestReport {
  readonly runs: readonly GuestRun[];
  readonly engines: readonly EngineName[];
  /** Names of the tests in the order in which they ran. */
  readonly tests: readonly string[];

  private readonly clock: BenchClock;
  private readonly bars: Bars;

  constructor(runs: readonly GuestRun[], clock: BenchClock = 'host', bits: 32 | 64 = 32) {
    this.runs = runs;
    this.clock = clock;
    this.bars = BARS[bits];
    this.engines = [...new Set(runs.map((run) => run.engine))];
    this.tests = [...new Set(runs.flatMap((run) => Object.keys(run.tests)))];
  }

  seconds(test: string, engine: EngineName): number | undefined {
    const times = this.of(engine).flatMap((run) => run.tests[test] ?? []);
    if (this.clock === 'cpu') return median(times.map((time) => time.cpuSeconds));
    const seconds = times.map((time) => time.seconds);
    return this.clock === 'host' || seconds.length === 0 ? median(seconds) : Math.min(...seconds);
  }

  /** How many times faster than QEMU TCG. */
  ratio(test: string, engine: EngineName): number | undefined {
    const [ours, theirs] = [this.seconds(test, engine), this.seconds(test, 'qemu')];
    return ours && theirs ? theirs / ours : undefined;
  }

  /** Geometric mean of a group's ratios. INT 80h is left out of the native column: a virtual host may intercept it. */
  groupRatio(group: string, engine: EngineName): number | undefined {
    const ratios = this.tests
      .filter((test) => test.startsWith(`${group}.`) && !(engine === 'native' && test === 'system.int80'))
      .flatMap((test) => this.ratio(test, engine) ?? []);
    return ratios.length > 0
      ? Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length)
      : undefined;
  }

  figure(name: 'shellSeconds' | 'shellCpuSeconds' | 'idlePercent' | 'peakMiB', engine: EngineName): number | undefined {
    return median(this.of(engine).flatMap((run) => run[name] ?? []));
  }

  /** Runs that failed, and checksums that differ from the native run's (or, without one, from the others'). */
  problems(): string[] {
    const found = this.runs.flatMap((run) => (run.error ? [`${run.engine}: ${run.error}`] : []));
    const reference = this.engines.includes('native') ? 'native' : this.engines[0]!;
    for (const test of this.tests) {
      const truth = this.checksums(test, reference)[0];
      for (const engine of this.engines)
        for (const sum of this.checksums(test, engine))
          if (truth && sum !== truth) found.push(`${test}: ${engine} gave ${sum}, ${reference} ${truth}`);
    }
    return [...new Set(found)];
  }

  verdicts(): Verdict[] {
    const { bars } = this;
    const list: Verdict[] = [];
    const judge = (what: string, value: number | undefined, bar: number, atLeast: boolean, missing: string) => {
      const text = `${atLeast ? '>=' : '<='} ${bar.toFixed(2)}`;
      if (value === undefined) list.push({ what, bar: text, result: 'skipped', reason: missing });
      else list.push({ what, value, bar: text, result: (atLeast ? value >= bar : value <= bar) ? 'passed' : 'FAILED' });
    };
    const absent = this.engines.includes('qemu') ? 'not run' : 'no QEMU to compare with';
    for (const group of GROUPS) {
      judge(`${group}, times QEMU TCG`, this.groupRatio(group, 'terrarium'), bars.groups[group], true, absent);
      const single = bars.singles[group];
      if (single === undefined) continue;
      const ratios = this.tests
        .filter((test) => test.startsWith(`${group}.`))
        .flatMap((test) => this.ratio(test, 'terrarium') ?? []);
      const worst = ratios.length > 0 ? Math.min(...ratios) : undefined;
      judge(`${group}, slowest single test`, worst, single, true, absent);
    }
    const shell = this.clock === 'cpu' ? 'shellCpuSeconds' : 'shellSeconds';
    const qemuBoot = this.figure(shell, 'qemu');
    const bootBar = qemuBoot === undefined ? bars.boot.seconds : qemuBoot * bars.boot.timesQemu;
    judge('start to shell, s', this.figure(shell, 'terrarium'), bootBar, false, 'not run');
    judge(
      'idle at the shell, % of a core',
      this.figure('idlePercent', 'terrarium'),
      bars.idlePercent,
      false,
      'not measured',
    );
    if (bars.memoryMiB !== null)
      judge('peak memory, MiB', this.figure('peakMiB', 'terrarium'), bars.memoryMiB, false, 'not run');
    return list;
  }

  lines(): string[] {
    const peers = this.engines.filter((engine) => engine !== 'qemu');
    const withQemu = this.engines.includes('qemu');
    const cell = (value: number | undefined, digits = 2) =>
      (value === undefined ? '-' : value.toFixed(digits)).padStart(11);
    const titles = [...this.engines, ...(withQemu ? peers.map((engine) => `${engine}/qemu`) : [])];
    const row = (name: string, values: (number | undefined)[], digits?: number) =>
      name.padEnd(22) + values.map((value) => cell(value, digits)).join('');
    const lines = [''.padEnd(22) + titles.map((title) => title.slice(0, 15).padStart(11)).join(' ')];
    for (const test of this.tests) {
      const seconds = this.engines.map((engine) => cell(this.seconds(test, engine), 3)).join(' ');
      const ratios = withQemu ? peers.map((engine) => cell(this.ratio(test, engine))).join(' ') : '';
      lines.push(`${test.padEnd(22)}${seconds} ${ratios}`);
    }
    if (withQemu) {
      lines.push(
        '',
        'times faster than QEMU TCG, geometric mean',
        row('', []) + peers.map((it) => it.padStart(11)).join(''),
      );
      for (const group of GROUPS)
        lines.push(
          row(
            `  ${group}`,
            peers.map((engine) => this.groupRatio(group, engine)),
          ),
        );
    }
    lines.push('', ''.padEnd(22) + this.engines.map((it) => it.padStart(11)).join(''));
    const figures = [
      ['start to shell, s', 'shellSeconds', 2],
      ['  CPU time of that, s', 'shellCpuSeconds', 2],
      ['idle, % of a core', 'idlePercent', 1],
      ['peak memory, MiB', 'peakMiB', 0],
    ] as const;
    for (const [title, name, digits] of figures)
      lines.push(
        row(
          title,
          this.engines.map((engine) => this.figure(name, engine)),
          digits,
        ),
      );
    return lines;
  }

  private of(engine: EngineName): GuestRun[] {
    return this.runs.filter((run) => run.engine === engine);
  }
  private checksums(test: string, engine: EngineName): string[] {
    return [...new Set(this.of(engine).flatMap((run) => run.tests[test]?.checksum ?? []))];
  }
}
