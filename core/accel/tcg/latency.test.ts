/** An interrupt that becomes due is taken within a bounded amount of guest work, whatever runs. */
import { describe, expect, it } from 'vitest';
import { LatencyGuest, PROGRAMS } from './latency-programs.ts';

/** Instructions: a region's longest way between two looks at the budget. At a tenth of what the slower tier does (10 million
 *  instructions a second) these are 51 us. */
const MOST_INSTRUCTIONS = 512;
/** Elements of a repeated instruction: see `LONGEST` in native/strings.ts and `SLICE` in strings.ts. */
const MOST_ELEMENTS = 0x9000 + 16_384 + 4096;
/** So many count as one instruction. */
const ELEMENTS_PER_INSTRUCTION = 16;

describe.each(['off', 'on', 'always'] as const)('an interrupt that becomes due, JIT %s', (jit) => {
  it.each(PROGRAMS)('$name', (program) => {
    const guest = new LatencyGuest(program, jit);
    if (jit === 'always' && !program.isString) expect(guest.machine.cpu.jit.statistics.compiled).toBeGreaterThan(0);
    // What a slice is charged for counts to its budget.
    for (let budget = 1; budget < 6000; budget = Math.ceil(budget * 1.3)) {
      const { beyond, elements } = guest.slice(budget);
      expect(beyond).toBeLessThanOrEqual(MOST_INSTRUCTIONS);
      if (program.isString) expect(elements).toBeLessThanOrEqual(ELEMENTS_PER_INSTRUCTION * budget + MOST_ELEMENTS);
    }
    expect(guest.deliver()).toBe(0);
  });
});

it.each(['off', 'on'] as const)('strings that native functions do use the budget up, JIT %s', (jit) => {
  const guest = new LatencyGuest(PROGRAMS.find(({ name }) => name === 'many times REP MOVSD')!, jit);
  const { cpu } = guest.machine;
  const before = cpu.executed;
  expect(cpu.run(100_000)).toBe('budget');
  // Six instructions and 8192 elements, which are worth 512 instructions, in each round.
  const rounds = (cpu.executed - before) / 6;
  expect(rounds).toBeGreaterThan(100_000 / (6 + 512) - 3);
  expect(rounds).toBeLessThan(100_000 / (6 + 512) + 3);
});
