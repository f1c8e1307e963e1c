/** `x /i` of the monitor, ours against the real QEMU's, line by line, in 16- and 32-bit code. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasQemu, projectRoot, qemu, RunningMachine, terrarium } from '../support/machine.ts';

const ROM_BYTES = 65536;
/** Real mode at F000:FF00: load the GDT, set CR0.PE, far jump to flat 32-bit code, halt there. */
const ENTRY = 0xff00;
const GDT = 0xff80;
const START = [
  ...[0x2e, 0x66, 0x0f, 0x01, 0x16, 0xa0, 0xff], // lgdt cs:[ffa0]
  ...[0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], // cr0 |= 1
  ...[0x66, 0xea, 0x30, 0xff, 0x0f, 0x00, 0x08, 0x00], // jmp 8:000fff30
];
const FLAT_CODE = [0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0];

/** A ROM with `code` at 000F0000 that ends in 32-bit code. */
function rom(code: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ROM_BYTES);
  bytes.set(code);
  bytes.set(START, ENTRY);
  bytes.set([0xfa, 0xf4, 0xeb, 0xfd], 0xff30); // cli; hlt; jmp back
  bytes.set(FLAT_CODE, GDT + 8);
  bytes.set([0x0f, 0, GDT & 0xff, GDT >> 8, 0x0f, 0], 0xffa0);
  bytes.set([0xea, 0, ENTRY >> 8, 0, 0xf0], 0xfff0);
  return bytes;
}

describe.runIf(hasQemu)('x /i (needs qemu-system-x86_64)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-disassembly-'));
  const text = new Uint8Array(readFileSync(join(projectRoot, 'core/accel/tcg/kernel/kernel.bin')));
  let machines: RunningMachine[] = [];
  beforeAll(async () => {
    const bios = join(folder, 'rom.bin');
    writeFileSync(bios, rom(text.subarray(0x20)));
    const args = ['-accel', 'tcg', '-M', 'pc', '-S', '-bios', bios];
    machines = [
      await RunningMachine.start({ program: qemu, args }),
      await RunningMachine.start({ program: terrarium, args }),
    ];
  });
  afterAll(async () => {
    for (const machine of machines) await machine.stop();
    rmSync(folder, { recursive: true });
  });
  const both = async (command: string) =>
    Promise.all(machines.map(async (m) => (await m.qmp.hmp(command)).split('\r\n')));

  it('shows the same in 16-bit code', async () => {
    const [theirs, ours] = await both('x /3000i 0xf0000');
    expect(ours!.length).toBeGreaterThan(3000);
    expect(ours).toEqual(theirs);
  });
  it('shows the same in 32-bit code', async () => {
    for (const machine of machines) {
      await machine.qmp.execute('cont');
      for (let i = 0; !/CS =0008 .* CS32/.test(await machine.qmp.hmp('info registers')); i++) {
        expect(i).toBeLessThan(200);
        await new Promise((done) => setTimeout(done, 20));
      }
      await machine.qmp.execute('stop');
    }
    const [theirs, ours] = await both('x /4000i 0xf0000');
    expect(ours!.length).toBeGreaterThan(4000);
    expect(ours).toEqual(theirs);
    const [physical, ourPhysical] = await both('xp /20i 0xfff30');
    expect(ourPhysical).toEqual(physical);
  });
});
