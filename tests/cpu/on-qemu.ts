/** Runs a BIOS image on real QEMU: what it wrote to port 0xe9. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

export const QEMU = 'qemu-system-x86_64';

/** `contents` replaces what the image file holds. */
export function runOnQemu(image: string, cpu: string, contents?: Uint8Array): string {
  if (contents) writeFileSync(image, contents);
  const log = `${image}.out`;
  const args = [
    '-accel', 'tcg', '-cpu', cpu, '-m', '16', '-nodefaults', '-display', 'none', '-no-reboot', '-bios', image,
    '-chardev', `file,id=log,path=${log}`, '-device', 'isa-debugcon,iobase=0xe9,chardev=log',
    '-device', 'isa-debug-exit,iobase=0xf4',
  ]; // biome-ignore format: pairs
  spawnSync(QEMU, args, { timeout: 30_000 });
  return readFileSync(log, 'latin1');
}
