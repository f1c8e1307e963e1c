/** How guest code is being executed, in words: `info jit` and the text of `x-query-jit`. */
import type { JitStatistics } from './context.ts';

/** QEMU's refusal where nothing translates. */
export const NO_JIT = 'JIT information is only available with accel=tcg';

/** `info jit` */
export function jitText(statistics: JitStatistics): string {
  const rows: [string, string | number][] = [
    ['guest instructions', statistics.guestInstructions],
    ['guest MIPS', statistics.mips.toFixed(1)],
    ['vCPU busy', `${(statistics.busy * 100).toFixed(1)} %`],
    ['blocks decoded', statistics.blocksDecoded],
    ['mode switches', statistics.modeSwitches],
    ['port reads', statistics.portReads],
    ['port writes', statistics.portWrites],
    ['MMIO accesses', statistics.mmioAccesses],
    ['idle-poll rests', statistics.idlePollRests],
  ];
  const lines = rows.map(([label, value]) => `${label.padEnd(20)} ${value}`);
  return ['Tier 1: generated WebAssembly interpreter', ...lines, ''].join('\n');
}
