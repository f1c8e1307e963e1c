/** The same program on two CPUs, or twice on one: everything a guest could see must be the same. And, when it is not, the
 *  shortest program for which it still is not. */
import { FIELDS, type StateField } from '../../../core/target/x86/state.ts';
import { Random } from '../../hostility/random.ts';
import { generate } from './generate.ts';
import { generate16, placementOf } from './generate-16.ts';
import { generateLong } from './generate-long.ts';
import { type Ending, type Guest, MODES, type World } from './guest.ts';
import { listing, type Program } from './program.ts';
import { HIGH, LEGACY_TABLES, PAE_TABLES, REAL, TOP } from './world.ts';

/** Fields that a guest can read, one way or the other. */
const VISIBLE: readonly (keyof typeof FIELDS)[] = [
  'gpr',
  'rip',
  'cr0',
  'cr2',
  'cr3',
  'cr4',
  'cpl',
  'fpr',
  'fpuControl',
  'fpuStatus',
  'fpuTop',
  'fpuEmpty',
  'fpuOpcode',
  'fpuIpSelector',
  'fpuDpSelector',
  'fpuIp',
  'fpuDp',
  'mxcsr',
  'dr',
  'efer',
  'kernelGsBase',
];

/** One of the ways to run a program. */
export interface Way {
  readonly name: string;
  readonly guest: Guest;
  readonly isCompiled?: boolean;
  /** How often it runs before its end counts: a program must be known before it is compiled. */
  readonly passes: number;
  /** Instructions to run before the outside world may look. */
  slice(random: Random): number;
}

/** The size of code. */
export const BITS = [16, 32, 64] as const;
export type Bits = (typeof BITS)[number];
const GENERATORS = { 16: generate16, 32: generate, 64: generateLong } as const;

/** The world of a seed. */
export function worldOf(seed: number, bits: Bits = 32): World {
  const random = new Random(seed ^ 0x5eed);
  if (bits === 16) {
    const { mode, base } = placementOf(seed);
    return { mode, pae: false, portable: false, base };
  }
  if (bits === 64) {
    const mode = random.chance(0.75) ? 'user' : 'kernel';
    return { mode, pae: true, portable: false, long: random.pick([0, 0, HIGH, TOP]) };
  }
  return { mode: random.chance(0.75) ? 'user' : random.pick(MODES), pae: random.chance(0.3), portable: false };
}

function bytesOf(field: StateField, u8: Uint8Array): Uint8Array {
  return u8.subarray(field.offset, field.offset + field.count * field.stride);
}
const hex = (n: number) => n.toString(16);

/** What is different, or null. */
function differences(a: Guest, b: Guest, endA: Ending, endB: Ending, is16: boolean): string | null {
  const found: string[] = [];
  if (endA.how !== endB.how) found.push(`ends by ${endA.how} and ${endB.how}`);
  if (endA.executed !== endB.executed) found.push(`executed ${endA.executed} and ${endB.executed}`);
  const [x, y] = [a.machine.cpu.state, b.machine.cpu.state];
  for (const name of VISIBLE) {
    const field = FIELDS[name];
    const [p, q] = [bytesOf(field, x.u8), bytesOf(field, y.u8)];
    if (Buffer.compare(p, q) !== 0)
      found.push(`${name} ${Buffer.from(p).toString('hex')} and ${Buffer.from(q).toString('hex')}`);
  }
  for (let i = 0; i < 16; i++) {
    const at = FIELDS.xmm.offset + i * 64;
    const [p, q] = [x.u8.subarray(at, at + 32), y.u8.subarray(at, at + 32)];
    if (Buffer.compare(p, q) !== 0)
      found.push(`ymm${i} ${Buffer.from(p).toString('hex')} and ${Buffer.from(q).toString('hex')}`);
  }
  if (x.getEflags() !== y.getEflags()) found.push(`eflags ${hex(x.getEflags())} and ${hex(y.getEflags())}`);
  x.segments.forEach((s, i) => {
    const t = y.segments[i]!;
    const show = (r: typeof s) => [r.selector, r.base, r.limit, r.flags].map(hex).join(':');
    if (show(s) !== show(t)) found.push(`segment ${i} ${show(s)} and ${show(t)}`);
  });
  const [logA, logB] = [a.log(), b.log()];
  const at = logA.findIndex((r, i) => JSON.stringify(r) !== JSON.stringify(logB[i]));
  if (at >= 0 || logA.length !== logB.length) {
    const show = (r: (typeof logA)[number] | undefined) =>
      r
        ? Object.entries(r)
            .map(([k, v]) => `${k} ${hex(v)}`)
            .join(' ')
        : 'nothing';
    const i = at < 0 ? logA.length : at;
    found.push(`fault ${i}: ${show(logA[i])} and ${show(logB[i])}`);
  }
  const memory = firstDifference(a.machine.ram, b.machine.ram, is16);
  if (memory >= 0)
    found.push(`memory at ${hex(memory)}: ${hex(a.machine.ram[memory]!)} and ${hex(b.machine.ram[memory]!)}`);
  if (JSON.stringify(a.machine.mmio) !== JSON.stringify(b.machine.mmio)) found.push('writes to the device');
  if (JSON.stringify(a.machine.writes) !== JSON.stringify(b.machine.writes)) found.push('writes to ports');
  return found.length > 0 ? found.join('\n  ') : null;
}

function firstDifference(a: Uint8Array, b: Uint8Array, is16: boolean): number {
  // Kernel, data and code; the rest is not mapped, and what 16-bit programs left there stays.
  for (const [from, to] of [
    [0, LEGACY_TABLES],
    [LEGACY_TABLES, PAE_TABLES + 5 * 4096],
    [0x10_0000, 0x10_f000],
    [0x20_0000, 0x20_3000],
    [REAL.handlers, is16 ? 0x10_0000 : REAL.handlers],
  ] as const) {
    const [p, q] = [a.subarray(from, to), b.subarray(from, to)];
    if (Buffer.compare(p, q) !== 0) return from + p.findIndex((byte, i) => byte !== q[i]);
  }
  return -1;
}

export interface Comparison {
  readonly difference: string | null;
  readonly executed: number;
  readonly faults: number;
  readonly how: Ending['how'];
}

/** Runs the program both ways. A program that does not end in time says nothing. */
export function compare(program: Program, world: World, first: Way, second: Way): Comparison {
  const endings = [first, second].map((way) => {
    const random = new Random(program.seed ^ 0x51ce);
    for (let pass = 1; ; pass++) {
      way.guest.load(program, world);
      const ending = way.guest.run(() => way.slice(random));
      if (pass === way.passes) return ending;
    }
  });
  const [a, b] = endings as [Ending, Ending];
  const isOver = a.how !== 'budget' && b.how !== 'budget';
  return {
    difference: isOver ? differences(first.guest, second.guest, a, b, world.base !== undefined) : null,
    executed: a.executed,
    faults: first.guest.log().length,
    how: a.how,
  };
}

/** Leaves items out as long as `fails` stays true, until none can be left out. */
export function shrink(program: Program, fails: (program: Program) => boolean): Program {
  let best = program;
  for (let before = -1; before !== best.items.length; ) {
    before = best.items.length;
    best = shrinkOnce(best, fails);
  }
  return best;
}
/** Large runs first, then single items. */
function shrinkOnce(program: Program, fails: (program: Program) => boolean): Program {
  let best = program;
  for (let size = Math.max(1, best.items.length >> 1); size >= 1; size >>= 1) {
    for (let at = 0; at < best.items.length; ) {
      const items = [...best.items.slice(0, at), ...best.items.slice(at + size)];
      if (items.length === best.items.length) break;
      const smaller = { ...best, items };
      if (fails(smaller)) best = smaller;
      else at += size;
    }
  }
  return best;
}

/** One seed: generate, compare, and report what fails as small as it gets. */
export function tryWays(seed: number, first: Way, second: Way, bits: Bits = 32): Comparison {
  const program = GENERATORS[bits](seed, { portable: false });
  const world = worldOf(seed, bits);
  const result = compare(program, world, first, second);
  if (result.difference === null) return result;
  const fails = (p: Program) => compare(p, world, first, second).difference !== null;
  if (!fails(program))
    throw new Error(`seed ${seed} (${JSON.stringify(world)}) failed once, and not again:\n  ${result.difference}`);
  const small = shrink(program, fails);
  const { difference } = compare(small, world, first, second);
  throw new Mismatch(
    small,
    world,
    `${first.name} and ${second.name} differ, ${JSON.stringify(world)}\n${listing(small)}\n  ${difference}`,
  );
}

/** Two ways that should agree did not. */
export class Mismatch extends Error {
  readonly program: Program;
  readonly world: World;
  constructor(program: Program, world: World, message: string) {
    super(message);
    this.name = 'Mismatch';
    this.program = program;
    this.world = world;
  }
}
