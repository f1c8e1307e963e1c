/** How guest code is being executed, in words: `info jit` and the text of `x-query-jit`. QEMU's lines come first, as far as they have
 *  a meaning here: a region is what comes closest to a translation block. */
import type { JitStatistics } from './context.ts';

/** QEMU's refusal where nothing translates. */
export const NO_JIT = 'JIT information is only available with accel=tcg';

type Row = readonly [label: string, value: string | number];
const lines = (rows: readonly Row[], width: number) =>
  rows.map(([label, value]) => `${label.padEnd(width)} ${value}\n`).join('');

/** `info jit` */
export function jitText(statistics: JitStatistics): string {
  const { compiler } = statistics;
  const { exits } = compiler;
  const hostSize = compiler.regions > 0 ? Math.round(compiler.codeBytes / compiler.regions) : 0;
  const buffer: Row[] = [
    ['gen code size', `${compiler.codeBytes}/${compiler.codeLimit}`],
    ['TB count', compiler.regions],
    ['TB avg host size', `${hostSize} bytes`],
  ];
  const events: Row[] = [
    ['TB flush count', compiler.flushes],
    ['TB invalidate count', compiler.invalidated],
  ];
  const cpu: Row[] = [
    ['guest instructions', statistics.guestInstructions],
    ['guest MIPS', `${statistics.mips.toFixed(1)} (since power-on ${statistics.averageMips.toFixed(1)})`],
    ['vCPU busy', `${(statistics.busy * 100).toFixed(1)} %`],
    ['mode switches', statistics.modeSwitches],
    ['port reads', statistics.portReads],
    ['port writes', statistics.portWrites],
    ['MMIO accesses', statistics.mmioAccesses],
    ['idle-poll rests', statistics.idlePollRests],
  ];
  const interpreter: Row[] = [['blocks decoded', statistics.blocksDecoded]];
  const compiled: Row[] = [
    ['x-jit', compiler.mode],
    ['regions', compiler.regions],
    ['modules', compiler.modules],
    ['WebAssembly bytes', compiler.wasmBytes],
    ['regions compiled', `${compiler.compiledRegions} (${compiler.compiledInstructions} instructions)`],
    ['regions reused', `${compiler.reused} (compiled before, ${compiler.ready} modules with machine code)`],
    ['compile time', `${compiler.compileMilliseconds.toFixed(1)} ms`],
    ['blocks refused', compiler.refused],
    ['regions released', `${compiler.released} (${compiler.invalidated} invalidated)`],
    ['modules evicted', compiler.evictedModules],
    ['exits: resumed', `${exits.resumed} (an instruction left to the interpreter)`],
    ['exits: interpreted', `${exits.interpreted} (went on in code that is not compiled)`],
    ['exits: budget', `${exits.budget} (time was up, or an event)`],
  ];
  return [
    `Translation buffer state:\n${lines(buffer, 19)}`,
    `Statistics:\n${lines(events, 19)}`,
    `vCPU:\n${lines(cpu, 20)}`,
    `Tier 1, a generated WebAssembly interpreter:\n${lines(interpreter, 20)}`,
    `Tier 2, regions compiled to WebAssembly:\n${lines(compiler.mode === 'off' ? compiled.slice(0, 1) : compiled, 20)}`,
  ].join('\n');
}
