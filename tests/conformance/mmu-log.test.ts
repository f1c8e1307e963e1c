/** `-d mmu`: control registers and A20 as QEMU tells them; and that it has nothing to tell of `-d pcall`, which is refused. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ASSEMBLER, assemble, missingPrograms } from '../cpu/assemble.ts';
import { scratchFolder } from '../manager/sample-machine.ts';
import { writeProbeRom } from '../support/guest-programs.ts';
import { hasQemu, qemu, terrarium } from '../support/machine.ts';

/** `at`: port of the exit device. */
function logOf(program: string, image: string, item: string, at: number, more: readonly string[] = []): string {
  const log = join(scratchFolder(), 'log');
  const exit = ['-device', `isa-debug-exit,iobase=0x${at.toString(16)},iosize=0x4`];
  const machine = ['-M', 'pc', '-m', '16', '-nodefaults', '-display', 'none', '-no-reboot', '-bios', image];
  const args = [...machine, ...exit, '-d', item, '-D', log, ...more];
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
  expect(status, stderr).toBe(1);
  return readFileSync(log, 'latin1');
}
const missing = missingPrograms(ASSEMBLER);

describe.runIf(hasQemu && missing.length === 0)('-d mmu (needs qemu-system-x86_64 and binutils)', () => {
  it.each([
    ['real', 5],
    ['paging', 500],
    ['tasks', 3],
    ['vm86', 3],
  ])('tells of %s what QEMU tells', (name, least) => {
    const image = assemble(name, scratchFolder());
    const theirs = logOf(qemu, image, 'mmu', 0xf4, ['-accel', 'tcg']);
    expect(theirs.split('\n').length).toBeGreaterThan(least);
    expect(logOf(terrarium, image, 'mmu', 0xf4)).toBe(theirs);
    expect(logOf(qemu, image, 'pcall', 0xf4, ['-accel', 'tcg'])).toBe('');
  });
  it('tells of A20', () => {
    const image = join(scratchFolder(), 'rom.bin');
    writeProbeRom(
      image,
      [0, 2, 2, 0].map((value) => ({ out: 1, port: 0x92, value })),
    );
    const theirs = logOf(qemu, image, 'mmu', 0x501, ['-accel', 'tcg']);
    expect(theirs).toContain('A20 update: a20=1\n');
    expect(logOf(terrarium, image, 'mmu', 0x501)).toBe(theirs);
  });
});
