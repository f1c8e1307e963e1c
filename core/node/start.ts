/** Entry of `terrarium-x86_64`. */
import { fileURLToPath } from 'node:url';
import { runProgram } from './kept-code.ts';
import { setV8Flags } from './v8-flags.ts';

setV8Flags();
const isBundle = import.meta.url.endsWith('.mjs');
const source = './main.ts';
const program = isBundle
  ? runProgram(fileURLToPath(new URL('./programs/main.cjs', import.meta.url)), 'main')
  : await import(/* @vite-ignore */ source);
(program as typeof import('./main.ts')).main(process.argv.slice(2));
