/** Guests from assembler source to a 64 KiB BIOS image, with the host's binutils. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const GUESTS = join(import.meta.dirname, 'guests');

/** Programs of the list that are not installed. */
export function missingPrograms(programs: readonly string[]): string[] {
  return programs.filter((program) => spawnSync(program, ['--version']).status !== 0);
}
export const ASSEMBLER = ['as', 'ld', 'objcopy'] as const;

/** Assembles `guests/NAME.S` in `folder`; gives the image's path. */
export function assemble(name: string, folder: string): string {
  const run = (program: string, args: string[]) => {
    const { status, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${program}: ${stderr}`);
  };
  run('as', ['--32', '-I', GUESTS, '-o', `${name}.o`, join(GUESTS, `${name}.S`)]);
  run('ld', ['-m', 'elf_i386', '-Ttext=0xf0000', '-e', '0xf0000', '-o', `${name}.elf`, `${name}.o`]);
  run('objcopy', ['-O', 'binary', '-j', '.text', `${name}.elf`, `${name}.bin`]);
  return join(folder, `${name}.bin`);
}
