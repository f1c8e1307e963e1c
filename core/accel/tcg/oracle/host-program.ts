/** Programs of this folder on the host CPU. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Bits = 32 | 64;

/** Compiles a C file of this folder and gives what it makes of the input. Null where gcc cannot do that, where the host does not run such
 *  programs (a virtual machine may offer 64-bit execution only), or where the program says with empty input that the CPU lacks
 *  something. */
export function runOnHost(
  source: string,
  bits: Bits,
  input: Uint8Array,
  flags: readonly string[] = [],
): Buffer<ArrayBuffer> | null {
  if (process.arch !== 'x64' && process.arch !== 'ia32') return null;
  const folder = mkdtempSync(join(tmpdir(), 'oracle-'));
  try {
    const program = join(folder, 'native');
    const arguments_ = [`-m${bits}`, '-O1', '-w', ...flags, '-o', program, join(import.meta.dirname, source)];
    if (spawnSync('gcc', arguments_).status !== 0) return null;
    // Without a shell in between: one would take a program that the kernel refuses for a script.
    if (spawnSync(program, { input: '' }).status !== 0) return null;
    const ran = spawnSync(program, { input, maxBuffer: 1 << 29 });
    if (ran.status !== 0) throw new Error(`oracle ended with ${ran.status} ${ran.signal}`);
    return ran.stdout as Buffer<ArrayBuffer>;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
