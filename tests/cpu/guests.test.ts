/** System-level behaviour against real QEMU: each guest is a small BIOS that tries out protection, paging, VM86, task switches
 *  and real mode and writes what it sees to port 0xe9; both machines must write the same.
 *  Where QEMU's TCG departs from the manuals we follow the manuals: those lines are listed, with the reason, and must differ. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ASSEMBLER, assemble, missingPrograms } from './assemble.ts';
import { runGuest } from './board.ts';
import { QEMU, runOnQemu } from './on-qemu.ts';

const folder = mkdtempSync(join(tmpdir(), 'guests-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const missing = missingPrograms([...ASSEMBLER, QEMU]);

interface Departure {
  readonly why: string;
  /** What QEMU writes and what we write in its place, within a line. */
  readonly qemu: RegExp;
  readonly ours: string;
  /** Lines that it makes differ. */
  readonly lines: number;
}

/** The bare board has no local APIC, and the CPU says so. */
const WITHOUT_APIC: Departure = {
  why: 'no local APIC',
  qemu: /(?<=^00000001 .{41})B(?=..$)/,
  ours: '9',
  lines: 1,
};

const CASES: { readonly name: string; readonly cpu?: string; readonly departures: readonly Departure[] }[] = [
  { name: 'real', departures: [] },
  {
    name: 'segments',
    departures: [
      {
        why: 'a return to an absent stack segment is #SS in the manuals',
        qemu: /(^7[2367]: (?:\S+ ){10})#0B/,
        ours: '$1#0C',
        lines: 4,
      },
    ],
  },
  {
    name: 'gates',
    departures: [
      {
        why: 'JMP through a call gate to an absent code segment is #NP in the manuals',
        qemu: /^([8ACE]4 .. \S+) #0D\/0050/,
        ours: '$1 #0B/0050',
        lines: 20,
      },
      {
        why: 'a task gate that names an LDT is #GP in the manuals',
        qemu: /#0A\/0404/g,
        ours: '#0D/0404',
        lines: 4,
      },
    ],
  },
  { name: 'paging', departures: [] },
  { name: 'vm86', departures: [] },
  { name: 'tasks', departures: [] },
  { name: 'debug', departures: [] },
  { name: 'fastcalls', departures: [] },
  {
    name: 'msrs',
    departures: [
      {
        why: 'EFER has no SVME without SVM',
        qemu: /(?<=^C0000080 0{16} 0{12})1901/,
        ours: '0901',
        lines: 1,
      },
      {
        why: 'an address that is not canonical is #GP in the manuals',
        qemu: /(?<=^C0000(?:082|083|102) 0{16} F{16} )0123456789ABCDE6/,
        ours: '0000FFFF0000000D',
        lines: 3,
      },
    ],
  },
  { name: 'msrs', cpu: 'qemu32', departures: [] },
  { name: 'msrs', cpu: 'pentium3', departures: [] },
  { name: 'cpuid', cpu: '486', departures: [] },
  ...['pentium2', 'pentium3', 'qemu32', 'kvm32', 'coreduo', 'n270'].map((cpu) => ({
    name: 'cpuid',
    cpu,
    departures: [WITHOUT_APIC],
  })),
  {
    name: 'cpuid',
    cpu: 'core2duo',
    departures: [WITHOUT_APIC],
  },
  {
    name: 'cpuid',
    cpu: 'Haswell',
    departures: [
      {
        why: 'PCIDs, x2APIC and TSC deadline are ours alone, and the bare board has no local APIC',
        qemu: /(?<=^00000001 .*)F6D83203 078BFBFD/,
        ours: 'F7FA3203 078BF9FD',
        lines: 1,
      },
      { why: 'INVPCID is ours alone', qemu: /(?<=^00000007 00000000 .*)3A9/, ours: '7A9', lines: 1 },
    ],
  },
  {
    name: 'cpuid',
    cpu: 'athlon',
    departures: [WITHOUT_APIC],
  },
  {
    name: '3dnow',
    cpu: 'athlon',
    departures: [
      {
        why: 'FEMMS is #UD and #NM as every other instruction is in the manual',
        qemu: /^femms \+ \+ $/,
        ours: 'femms #06/0000 #07/0000 ',
        lines: 1,
      },
    ],
  },
];

describe('guests see what they see on QEMU', () => {
  if (missing.length > 0) console.warn(`tests/cpu skipped: ${missing.join(', ')} not found`);
  it.skipIf(missing.length > 0).each(CASES)('$name $cpu', ({ name, cpu = 'qemu64', departures }) => {
    const image = assemble(name, folder);
    const theirs = runOnQemu(image, cpu).split('\n');
    expect(theirs.at(-2)).toBe('end');
    const counts = departures.map(() => 0);
    const expected = theirs.map((line) =>
      departures.reduce((text, { qemu, ours }, i) => {
        const changed = text.replace(qemu, ours);
        if (changed !== text) counts[i]!++;
        return changed;
      }, line),
    );
    for (const jit of ['on', 'always'] as const) {
      const { output, end } = runGuest(readFileSync(image), { cpu, jit });
      expect(end, jit).toBe('exit');
      expect(output.split('\n'), jit).toEqual(expected);
    }
    expect(counts).toEqual(departures.map(({ lines }) => lines));
  });
});
