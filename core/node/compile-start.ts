/** Entry of the thread that compiles regions, in bundles. */
import { fileURLToPath } from 'node:url';
import { runProgram } from './kept-code.ts';

runProgram(fileURLToPath(new URL('./programs/compile-worker.cjs', import.meta.url)), 'worker');
