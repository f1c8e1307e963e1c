/** The x87's exceptions on a board whose software wants them as interrupt 13, by the manuals (Intel SDM volume 1 appendix D):
 *  QEMU 7.2 cannot be asked, it ends with an assertion there. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ASSEMBLER, assemble, missingPrograms } from '../cpu/assemble.ts';
import { terrarium } from '../support/machine.ts';

const folder = mkdtempSync(join(tmpdir(), 'coprocessor-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const missing = missingPrograms(ASSEMBLER);

describe('FERR# and IGNNE#', () => {
  if (missing.length > 0) console.warn(`skipped: ${missing.join(', ')} not found`);
  it.skipIf(missing.length > 0)('an exception is interrupt 13 until port F0h is written', () => {
    const log = join(folder, 'log');
    spawnSync(
      terrarium,
      [
        // With a local APIC the firmware would have to let the 8259's interrupts through.
        ...['-cpu', 'qemu64,-apic'],
        ...['-nodefaults', '-display', 'none', '-m', '16', '-bios', assemble('ferr', folder)],
        ...['-chardev', `file,id=log,path=${log}`, '-device', 'isa-debugcon,iobase=0xe9,chardev=log'],
        ...['-device', 'isa-debug-exit,iobase=0xf4'],
      ],
      { timeout: 30_000 },
    );
    const lines = readFileSync(log, 'latin1').split('\n');
    expect(lines).toEqual([
      'masked',
      '0000 3804',
      'NE clear', // the handler sees it once and clears it
      'B084 0001 3000',
      'B084 0001 3000',
      'ignored', // it clears only the line: the unit goes on, and no further interrupt comes for the same exception
      'B084 0001 B084',
      '0000B084 0001 3000', // a new one interrupts again
      'NE set',
      expect.stringMatching(/^#10\/0000 0008:000F[0-9A-F]{4} 00000002 $/),
      'B084FF',
      'end',
      '',
    ]);
  });
});
