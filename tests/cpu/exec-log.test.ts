/** `-d exec,cpu,nochain` of the same image here and on QEMU: every block that we enter QEMU enters too, in the same order and with the
 *  same registers. QEMU runs one instruction at a time, so that where blocks end does not matter. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { ASSEMBLER, assemble, missingPrograms } from './assemble.ts';
import { runGuest } from './board.ts';
import { QEMU } from './on-qemu.ts';

const folder = mkdtempSync(join(tmpdir(), 'exec-log-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const missing = missingPrograms([...ASSEMBLER, QEMU]);
if (missing.length > 0) console.warn(`tests/cpu/exec-log skipped: ${missing.join(', ')} not found`);

/** Entries without host addresses, compile flags and the condition codes' inner state. */
function entries(log: string): string[] {
  return log
    .split(/^(?=Trace 0: )/m)
    .filter((entry) => entry.startsWith('Trace 0: '))
    .map((entry) =>
      entry
        .replace(/^Trace 0: 0x[0-9a-f]+ /, '')
        .replace(/\/[0-9a-f]{8}\]/, ']')
        .replace(/^CCS=.*$/m, 'CCS')
        .replace(/^EFER=.*[\s\S]*/m, (text) => text.split('\n')[0]!),
    );
}

it.skipIf(missing.length > 0).each([
  { name: 'real', items: 'exec,cpu,nochain' },
  // TCG does not set RF in the image of EFLAGS that a fault pushes: registers differ, and where it is printed the way does.
  { name: 'vm86', items: 'exec,nochain', most: 8000 },
])('$name: $items', ({ name, items, most = Infinity }) => {
  const image = assemble(name, folder);
  const log = join(folder, `${name}.log`);
  const args = ['-accel', 'tcg', '-cpu', 'qemu64', '-m', '16', '-nodefaults', '-display', 'none', '-no-reboot'];
  const devices = [
    '-chardev',
    'null,id=log',
    '-device',
    'isa-debugcon,iobase=0xe9,chardev=log',
    '-device',
    'isa-debug-exit,iobase=0xf4',
  ];
  spawnSync(QEMU, [...args, '-bios', image, ...devices, '-singlestep', '-d', items, '-D', log]);
  const theirs = entries(readFileSync(log, 'latin1'));
  let text = '';
  runGuest(readFileSync(image), { logged: items.split(','), log: (_mask, line) => (text += `${line}\n`) });
  const ours = entries(text).slice(0, most);
  expect(ours.length).toBeGreaterThan(200);
  expect(theirs.length).toBeGreaterThanOrEqual(ours.length);
  let at = 0;
  const where = (entry: string) => entry.slice(0, entry.indexOf(']'));
  ours.forEach((entry, i) => {
    const found = theirs.indexOf(entry, at);
    if (found < 0) {
      const near = theirs.slice(at).find((other) => where(other) === where(entry));
      expect(entry, `entry ${i} of ${ours.length}`).toBe(near ?? theirs[at]);
    }
    at = found + 1;
  });
});
