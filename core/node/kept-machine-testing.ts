/** Program of compiler-thread.test.ts, run with V8's flags of the test's choice: a machine that keeps its regions in a folder.
 *  `FOLDER MILLISECONDS NUMBER...`: runs a loop for each number until it is compiled, leaves the thread that compiles to itself for so
 *  long, ends, and says what there was. */
import { bareMachine, enterFlat32 } from '../accel/tcg/testing.ts';
import { EAX, ECX } from '../target/x86/state.ts';
import { startCompilerThread } from './compiler-thread.ts';
import { regionFiles } from './region-files.ts';

const [folder, milliseconds, ...numbers] = process.argv.slice(2);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const m = bareMachine(4 << 20, {
  jit: 'on',
  startCompiler: (setup) =>
    startCompilerThread(
      new URL('./compile-worker.ts', import.meta.url),
      setup,
      regionFiles(setup, { folder: folder!, build: 'test' }),
    ),
});
const { state, jit } = m.cpu;
let isRight = true;
for (const [i, text] of numbers.entries()) {
  const number = Number(text);
  const at = 0x1000 + 0x100 * number;
  enterFlat32(m, at);
  m.ram.set([0x83, 0xc1, number, 0x40, 0xeb, 0xfa], at); // 1: add ecx,number; inc eax; jmp 1b
  for (let j = 0; j < 3000 && jit.statistics.regions <= i; j++) {
    m.cpu.run(3000);
    await pause(2);
  }
  const [eax, ecx] = [state.reg32(EAX), state.reg32(ECX)];
  m.cpu.run(3000);
  isRight &&= state.reg32(EAX) - eax === 1000 && state.reg32(ECX) - ecx === 1000 * number;
}
await pause(Number(milliseconds));
const { regions, reused, ready } = jit.statistics;
console.log(JSON.stringify({ regions, reused, ready, isRight }));
