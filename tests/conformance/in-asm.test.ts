/** `-d in_asm`: the instructions that a guest comes by, as QEMU lists them. Blocks need not begin and end at the same places. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../manager/sample-machine.ts';
import { reportingDevices, writeProbeRom } from '../support/guest-programs.ts';
import { hasQemu, qemu, terrarium } from '../support/machine.ts';

function logOf(program: string, more: readonly string[]): string {
  const folder = scratchFolder();
  const [rom, log] = [join(folder, 'rom.bin'), join(folder, 'log')];
  writeProbeRom(rom, [
    { out: 1, port: 0x70, value: 0x10 },
    { in: 1, port: 0x71 },
    { out: 2, port: 0xe9, value: 0x4142 },
    { out: 4, port: 0xcf8, value: 0x80000000 },
    { in: 4, port: 0xcfc },
    { in: 2, port: 0xcfc },
    { bytes: 4, port: 0x511 },
  ]);
  const args = ['-M', 'pc', '-display', 'none', '-nodefaults', '-bios', rom, '-d', 'in_asm', '-D', log, ...more];
  const { status, stderr } = spawnSync(program, [...args, ...reportingDevices(join(folder, 'output'))], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(status, stderr).toBe(1);
  return readFileSync(log, 'utf8');
}
const instructions = (log: string) =>
  [...new Set(log.split('\n').filter((line) => /^0x[0-9a-f]{8}: {2}/.test(line)))].sort();

describe.runIf(hasQemu)('-d in_asm (needs qemu-system-x86_64)', () => {
  it.each(['off', 'always'])('lists what QEMU lists, x-jit=%s', (jit) => {
    const theirs = logOf(qemu, ['-accel', 'tcg', '-cpu', 'qemu32']);
    const ours = logOf(terrarium, ['-accel', `tcg,x-jit=${jit}`]);
    expect(instructions(ours).length).toBeGreaterThan(40);
    expect(instructions(ours)).toEqual(instructions(theirs));
    // Nothing else, and every block in QEMU's frame.
    const framed = /^(-{16}\nIN: \n(0x[0-9a-f]{8}: {2}.*\n)+\n)+$/;
    expect(theirs).toMatch(framed);
    expect(ours).toMatch(framed);
  });
});
