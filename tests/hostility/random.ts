/** Chance that can be repeated: the same seed gives the same run. Every fuzzer here takes its seed on the command line or
 *  from its test, and names it when something breaks. */

/** Mulberry32: 32 bits of state, good enough to shake a machine. */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0;
  }
  u32(): number {
    this.state = (this.state + 0x6d2b_79f5) >>> 0;
    let x = this.state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  }
  /** 0 to `bound` - 1. */
  below(bound: number): number {
    return Math.floor((this.u32() / 2 ** 32) * bound);
  }
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }
  chance(share: number): boolean {
    return this.u32() < share * 2 ** 32;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.u32());
  }
  /** A 32-bit value as hardware meets them: corners as often as noise. */
  value(): number {
    switch (this.below(6)) {
      case 0:
        return this.pick([0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x8000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]);
      case 1:
        return (1 << this.below(32)) >>> 0;
      case 2:
        return this.below(256);
      case 3:
        return this.below(65536);
      default:
        return this.u32();
    }
  }
}

/** What a fuzzer found: the seed, what it did last, and how it ended. */
export class Finding extends Error {
  constructor(seed: number, steps: readonly string[], cause: unknown) {
    const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`seed ${seed}, last steps:\n  ${steps.slice(-12).join('\n  ')}\n${reason}`, { cause });
    this.name = 'Finding';
  }
}

/** Seeds and seconds of a long run: `node FILE.soak.ts [SECONDS] [FIRST_SEED]`. */
export function soakArguments(seconds: number): { readonly endMs: number; readonly firstSeed: number } {
  const [, , wanted, seed] = process.argv;
  return { endMs: performance.now() + Number(wanted ?? seconds) * 1000, firstSeed: Number(seed ?? Date.now() % 1e6) };
}

/** Runs `once` with one seed after the other until the time is up; the first finding ends the program with exit code 1.
 *  The program's last line is the count. */
export async function soak(name: string, seconds: number, once: (seed: number) => void | Promise<void>): Promise<void> {
  const { endMs, firstSeed } = soakArguments(seconds);
  let seed = firstSeed;
  process.once('exit', (code) => console.log(`${seed - firstSeed} passed, ${code === 0 ? 0 : 1} failed, 0 skipped`));
  for (; performance.now() < endMs; seed++)
    try {
      await once(seed);
    } catch (error) {
      console.error(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      process.exit(1);
    }
  console.log(`${name}: ${seed - firstSeed} runs from seed ${firstSeed}, nothing found`);
}
