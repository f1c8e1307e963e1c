import { describe, expect, it } from 'vitest';
import { INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import { controlCases, generatedCases, sequenceCases } from './cases.ts';
import { type Outcome, runNative, type Snippet, Subject } from './native.ts';

const BIT: Record<string, number> = { C: 1, P: 4, A: 0x10, Z: 0x40, S: 0x80, O: 0x800 };
const UNDEFINED = new Map(
  INSTRUCTIONS.map((i) => [i.name, [...(i.undefinedFlags ?? '')].reduce((m, f) => m | BIT[f]!, 0)]),
);
const hex = (n: number) => (n >>> 0).toString(16);

function difference(s: Snippet, host: Outcome, ours: Outcome): string | null {
  const name = s.what.split(' ')[0]!;
  // AF is undefined after the logic operations that sequences contain.
  const flags = 0x8d5 & ~(name === 'sequence' ? BIT.A! : (UNDEFINED.get(name) ?? 0));
  const bad: string[] = [];
  // SHLD and SHRD of 16 bits by more than 16: undefined by the manuals, and makers differ.
  const count = s.what.includes('CL') ? s.regs[1]! : s.code.at(-1)!;
  if (/^sh[lr]d .* 16 /.test(s.what) && (count & 31) > 16) return null;
  if (host.signal !== ours.signal) return `${s.what}: signal ${host.signal} here ${ours.signal}`;
  if (host.signal === 5 && host.eip !== ours.eip) bad.push(`eip ${hex(host.eip)} here ${hex(ours.eip)}`);
  // BSF and BSR leave the destination alone for zero on every CPU that matters; the order of registers is the encoding's.
  host.regs.forEach((r, i) => {
    if (r !== ours.regs[i]) bad.push(`r${i} ${hex(r)} here ${hex(ours.regs[i]!)}`);
  });
  if (host.signal === 5 && (host.eflags ^ ours.eflags) & flags)
    bad.push(`flags ${hex(host.eflags & 0x8d5)} here ${hex(ours.eflags & 0x8d5)}`);
  if (!Buffer.from(host.data).equals(Buffer.from(ours.data))) bad.push('memory');
  if (bad.length === 0) return null;
  return `${s.what} [${[...s.code].map(hex)}] regs ${s.regs.map(hex)} flags ${hex(s.eflags)}: ${bad.join(', ')}`;
}

const perForm = Number(process.env.CASES_PER_FORM ?? 12);
describe('against the host CPU', () => {
  for (const is16 of [false, true])
    for (const [what, cases] of [
      ['generated', generatedCases(perForm, is16)],
      ['control flow', controlCases(perForm, is16)],
      ...(is16 ? [] : [['sequence', sequenceCases(perForm * 400)] as const]),
    ] as const) {
      const host = runNative(cases);
      it.skipIf(!host)(`agrees on ${cases.length} ${what} snippets in ${is16 ? 16 : 32}-bit segments`, () => {
        const subject = new Subject();
        const failures: string[] = [];
        cases.forEach((s, i) => {
          const problem = difference(s, host![i]!, subject.run(s));
          if (problem) failures.push(problem);
        });
        expect(failures.slice(0, 60)).toEqual([]);
      });
    }
});
