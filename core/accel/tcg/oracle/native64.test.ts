import { describe, expect, it } from 'vitest';
import { EXECUTABLE } from '../../../target/x86/semantics/index.ts';
import { longCases, longControlCases } from './cases64.ts';
import { type LongOutcome, type LongSnippet, LongSubject, runNative64 } from './native64.ts';

const BIT: Record<string, number> = { C: 1, P: 4, A: 0x10, Z: 0x40, S: 0x80, O: 0x800 };
const UNDEFINED = new Map(
  EXECUTABLE.map((i) => [i.name, [...(i.undefinedFlags ?? '')].reduce((m, f) => m | BIT[f]!, 0)]),
);

function difference(s: LongSnippet, host: LongOutcome, ours: LongOutcome): string | null {
  const name = s.what.split(' ')[0]!;
  const flags = 0x8d5 & ~(UNDEFINED.get(name) ?? 0);
  const bad: string[] = [];
  const hex = (n: bigint | number) => n.toString(16);
  // SHLD and SHRD of 16 bits by more than 16: undefined by the manuals, and makers differ.
  const count = s.what.includes('CL') ? Number(s.regs[1]! & 31n) : s.code.at(-1)! & 31;
  if (/^sh[lr]d .* 16 /.test(s.what) && count > 16) return null;
  if (host.signal !== ours.signal) bad.push(`signal ${host.signal} here ${ours.signal}`);
  if (host.signal === 5 && host.rip !== ours.rip) bad.push(`rip ${hex(host.rip)} here ${hex(ours.rip)}`);
  // BSF and BSR of zero: Intel's CPUs clear the upper half of a 32-bit register, AMD's do not.
  const kept = /^bs[fr] .* 32 /.test(s.what) ? 0xffff_ffffn : -1n;
  host.regs.forEach((r, i) => {
    if ((r & kept) !== (ours.regs[i]! & kept)) bad.push(`r${i} ${hex(r)} here ${hex(ours.regs[i]!)}`);
  });
  if (host.signal === 5 && (host.eflags ^ ours.eflags) & flags)
    bad.push(`flags ${hex(host.eflags & 0x8d5)} here ${hex(ours.eflags & 0x8d5)}`);
  if (!Buffer.from(host.data).equals(Buffer.from(ours.data))) bad.push('memory');
  if (bad.length === 0) return null;
  return `${s.what} [${[...s.code].map(hex)}] regs ${s.regs.map(hex)} flags ${hex(s.eflags)}: ${bad.join(', ')}`;
}

const perForm = Number(process.env.CASES_PER_FORM ?? 12);
/** A compiled snippet costs a module. */
const compiledPerForm = Number(process.env.CASES_PER_FORM ?? 2);
describe('64-bit code against the host CPU', () => {
  for (const [what, cases, isCompiled] of [
    ['generated', longCases(perForm), false],
    ['control flow', longControlCases(perForm), false],
    ['generated, compiled', longCases(compiledPerForm), true],
    ['control flow, compiled', longControlCases(compiledPerForm), true],
  ] as const) {
    const host = runNative64(cases);
    it.skipIf(!host)(`agrees on ${cases.length} ${what} snippets`, { timeout: 120_000 }, () => {
      const subject = new LongSubject(isCompiled);
      const failures: string[] = [];
      cases.forEach((s, i) => {
        if (!difference(s, host![i]!, subject.run(s))) return;
        // A hypervisor that has to emulate an access does not know every instruction (ADOX was refused once in a hundred runs): what
        // the host says again counts.
        const problem = difference(s, runNative64([s])![0]!, subject.run(s));
        if (problem) failures.push(problem);
      });
      expect(failures.slice(0, 60)).toEqual([]);
      if (isCompiled) expect(subject.machine.cpu.jit.statistics.compiled).toBeGreaterThan(cases.length / 4);
    });
  }
});
