/** Builds a program that runs snippets on the host CPU. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Compiles a C file of this folder for 32 bits (or 64) into `folder`. Null where gcc cannot do that, or where the host does not run
 *  such programs: a virtual machine may offer 64-bit execution only. */
export function buildNative(
  source: string,
  folder: string,
  flags: readonly string[] = [],
  bits: 32 | 64 = 32,
): string | null {
  const program = join(folder, source.replace(/\.c$/, ''));
  const built = spawnSync('gcc', [
    `-m${bits}`,
    '-O1',
    '-w',
    ...flags,
    '-o',
    program,
    join(import.meta.dirname, source),
  ]);
  if (built.status !== 0) return null;
  // Without a shell in between: one would take a program that the kernel refuses for a script.
  return spawnSync(program, { input: '' }).status === 0 ? program : null;
}
