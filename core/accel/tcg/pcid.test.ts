/** Process-context identifiers (Intel SDM volume 3A section 4.10): what a change of CR3 keeps and what INVPCID drops, in both tiers. */
import { describe, expect, it } from 'vitest';
import { defineCpu, parseCpuOption } from '../../target/x86/cpu-definition.ts';
import { CR4, EFLAGS, FIELDS } from '../../target/x86/state.ts';
import { bareMachine, enterLong, LONG_TABLES } from './testing.ts';

const START = 0x1000;
/** The context that runs first maps 0x205000 to itself, the other one to 0x5000: both have tables of their own. */
const PROBE = 0x20_5000;
const ENTRY = LONG_TABLES + 0x2008;
const OTHER = LONG_TABLES + 0x4000;
const DESCRIPTOR = 0x6000;
const KEEP = 0x8000_0000;

const word = (value: number) => [0, 8, 16, 24].map((shift) => ((value >>> shift) & 0xff).toString(16).padStart(2, '0'));
const at = (opcode: string, address: number) => opcode + word(address).join('');
const READ = { rax: at('488b0425', PROBE), rdx: at('488b1425', PROBE), r8: at('4c8b0425', PROBE) };
/** rbx: the first context again; rcx: the other one; rsi: a page table entry; rdi: type of INVPCID. */
const FIRST = '0f22db';
const SECOND = '0f22d9';
/** The tables' own 2 MiB stand at 4 MiB too, in both contexts. */
const REMAP = at('48893425', ENTRY + 0x20_0000);
const INVPCID = at('660f38823c25', DESCRIPTOR);
const HLT = 'f4';

interface Setting {
  readonly first?: number;
  readonly second?: number;
  readonly isGlobal?: boolean;
  readonly type?: number;
  readonly descriptor?: readonly [pcid: number, address: number];
}
function run(jit: 'off' | 'always', code: string, setting: Setting = {}) {
  const { definition } = defineCpu(parseCpuOption('max'));
  const m = bareMachine(4 << 20, { jit, definition });
  enterLong(m, START);
  const global = setting.isGlobal ? 0x100 : 0;
  m.view.setUint32(ENTRY, 0x20_0087 | global, true);
  m.view.setUint32(OTHER, (OTHER + 0x1000) | 7, true);
  m.view.setUint32(OTHER + 0x1000, (OTHER + 0x2000) | 7, true);
  m.view.setUint32(OTHER + 0x2000, 0x87, true);
  m.view.setUint32(OTHER + 0x2008, 0x87, true); // the second 2 MiB are the first ones
  for (const tables of [LONG_TABLES, OTHER]) m.view.setUint32(tables + 0x2010, 0x20_0087, true);
  m.view.setUint32(PROBE, 1, true);
  m.view.setUint32(0x5000, 2, true);
  const [pcid, address] = setting.descriptor ?? [1, PROBE];
  m.view.setUint32(DESCRIPTOR, pcid, true);
  m.view.setUint32(DESCRIPTOR + 8, address, true);
  m.ram.set(Buffer.from(code, 'hex'), START);
  const { state } = m.cpu;
  state.cr4 |= CR4.PCIDE | CR4.PGE;
  m.cpu.ops.writeCr(3, LONG_TABLES + 1);
  state.setParts(FIELDS.gpr, LONG_TABLES + 1, setting.first ?? 0, 3);
  state.setParts(FIELDS.gpr, OTHER + 2, setting.second ?? 0, 1);
  state.setParts(FIELDS.gpr, 0x87 | global, 0, 6);
  state.setParts(FIELDS.gpr, setting.type ?? 0, 0, 7);
  state.setEflags(state.getEflags() & ~EFLAGS.IF);
  const how = m.cpu.run(1000);
  const seen = [0, 2, 8].map((register) => state.low(FIELDS.gpr, register));
  return { how, seen, shutdowns: m.shutdowns, cr3: [state.low(FIELDS.cr3), state.high(FIELDS.cr3)] };
}

describe.each(['off', 'always'] as const)('PCIDs, x-jit=%s', (jit) => {
  const thereAndBack = READ.rax + SECOND + READ.rdx + REMAP + FIRST + READ.r8 + HLT;
  it('gives each context its own translations', () => {
    const { how, seen, cr3 } = run(jit, READ.rax + SECOND + READ.rdx + FIRST + READ.r8 + HLT, {
      first: KEEP,
      second: KEEP,
    });
    expect(how).toBe('halted');
    expect(seen).toEqual([1, 2, 1]);
    expect(cr3).toEqual([LONG_TABLES + 1, 0]);
  });
  it('keeps them where bit 63 of CR3 says so, and reads them anew where it does not', () => {
    expect(run(jit, thereAndBack, { first: KEEP }).seen).toEqual([1, 2, 1]);
    expect(run(jit, thereAndBack).seen).toEqual([1, 2, 2]);
  });
  it('keeps them when the context stays the same', () => {
    const again = READ.rax + REMAP + FIRST + READ.rdx + HLT;
    expect(run(jit, again, { first: KEEP }).seen[1]).toBe(1);
    expect(run(jit, again).seen[1]).toBe(2);
  });
  it('keeps global ones in every context', () => {
    expect(run(jit, thereAndBack, { isGlobal: true }).seen).toEqual([1, 1, 1]);
  });
  it.each([
    ['an address of another context', 0, [1, PROBE], 2],
    ['another context', 1, [1, 0], 2],
    ['a third context: no', 1, [3, 0], 1],
    ['everything', 2, [0, 0], 2],
    ['everything but global ones', 3, [0, 0], 2],
  ] as const)('INVPCID of %s', (_what, type, descriptor, expected) => {
    const code = READ.rax + SECOND + READ.rdx + REMAP + INVPCID + FIRST + READ.r8 + HLT;
    const { how, seen } = run(jit, code, { first: KEEP, type, descriptor });
    expect(how).toBe('halted');
    expect(seen).toEqual([1, 2, expected]);
  });
  it.each([
    ['an address', 0, 2],
    ['the context', 1, 2],
    ['everything', 2, 2],
  ] as const)('INVPCID of %s that is current', (_what, type, expected) => {
    const { seen } = run(jit, READ.rax + REMAP + INVPCID + READ.rdx + HLT, { type });
    expect(seen[1]).toBe(expected);
  });
  it('INVPCID spares global ones but for type 2', () => {
    const code = READ.rax + REMAP + INVPCID + READ.rdx + HLT;
    expect([1, 2, 3].map((type) => run(jit, code, { type, isGlobal: true }).seen[1])).toEqual([1, 2, 1]);
  });
  it('INVPCID faults on an unknown type', () => {
    expect(run(jit, INVPCID + HLT, { type: 4 }).shutdowns).toBe(1); // no IDT
  });
});
