/** The same random guest twice: in whole blocks, and one instruction at a time. Both must come to the same state: what is cached,
 *  chained or undone after a fault must not show. */
import type { BareMachine } from '../../core/accel/tcg/testing.ts';
import { FIELDS } from '../../core/target/x86/state.ts';
import { CODE, CODE_BYTES, enter, fillCode, fillPages, fillTables, MODES } from './cpu-fuzz.ts';
import { Finding, Random } from './random.ts';

const NOWHERE = 0xffff_fff1;

function prepare(machine: BareMachine, seed: number): void {
  const random = new Random(seed);
  const { cpu } = machine;
  cpu.reset();
  cpu.setIrqLine(false);
  machine.ram.fill(0);
  machine.mmio.length = machine.writes.length = 0;
  machine.portValue = 0x5a;
  for (let i = 0; i < 1024; i += 4) machine.view.setUint32(i, ((CODE >> 4) << 16) | random.below(CODE_BYTES), true);
  fillTables(random, machine.view);
  fillPages(random, machine.view);
  fillCode(random, machine.ram.subarray(CODE, CODE + CODE_BYTES));
  // Page by page: each tells the CPU that its code is new.
  for (let at = 0; at < machine.ram.length; at += 4096) machine.dma(at, machine.ram.slice(at, at + 4096));
  enter(machine, random.pick(MODES), random);
}

function registers({ cpu }: BareMachine): string {
  const { state } = cpu;
  const segments = state.segments.map((s) =>
    [s.selector, s.base, s.limit, s.flags].map((n) => n.toString(16)).join(':'),
  );
  const general = Array.from({ length: 8 }, (_, i) => state.reg32(i).toString(16));
  const control = [
    state.cr0,
    state.cr2,
    state.cr3,
    state.cr4,
    state.cpl,
    state.getEflags(),
    state.eip,
    state.low(FIELDS.interruptShadow),
  ];
  return [...general, ...control.map((n) => n.toString(16)), ...segments, state.gdtBase, state.idtBase].join(' ');
}
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (Buffer.compare(a, b) === 0) return -1;
  return a.findIndex((byte, i) => byte !== b[i]);
}

/** @throws Finding */
export function fuzzSteps(seed: number, whole: BareMachine, stepped: BareMachine): number {
  const steps: string[] = [];
  try {
    prepare(whole, seed);
    prepare(stepped, seed);
    stepped.cpu.breakpoints.add(NOWHERE);
    const startWhole = whole.cpu.executed;
    const startStepped = stepped.cpu.executed;
    const shutdowns = [whole.shutdowns, stepped.shutdowns] as const;
    let before = registers(stepped);
    for (let round = 0; round < 60; round++) {
      const result = whole.cpu.run(7);
      if (whole.shutdowns !== shutdowns[0]) break;
      const target = whole.cpu.executed - startWhole;
      const wanted = registers(whole);
      let guard = 0;
      while (stepped.cpu.executed - startStepped < target && guard++ < 3000) {
        stepped.cpu.run(1);
        if (stepped.shutdowns !== shutdowns[1]) return target;
      }
      // A fault, a pause of a repeated instruction: nothing is retired, the state changes all the same.
      for (
        let more = 0;
        more < 300 && registers(stepped) !== wanted && stepped.cpu.executed - startStepped === target;
        more++
      ) {
        stepped.cpu.run(1);
        if (stepped.shutdowns !== shutdowns[1]) return target;
      }
      const got = registers(stepped);
      if (got !== wanted) {
        // The last step may have gone beyond a state in which the other one paused.
        if (stepped.cpu.executed - startStepped > target) return target;
        throw new Error(`after ${target} instructions, from\n  ${before}\nblocks  ${wanted}\nsingle  ${got}`);
      }
      const at = firstDifference(whole.ram, stepped.ram);
      if (at >= 0)
        throw new Error(
          `after ${target} instructions memory differs at ${at.toString(16)}: ${whole.ram[at]} and ${stepped.ram[at]}, at\n  ${wanted}`,
        );
      before = wanted;
      steps.push(`${target}: eip ${whole.cpu.state.eip.toString(16)}`);
      if (result === 'halted') break;
    }
    return whole.cpu.executed - startWhole;
  } catch (error) {
    throw new Finding(seed, steps, error);
  }
}
