import { describe, expect, it } from 'vitest';
import { CS, DESC, EFER, EFLAGS, ESP, FIELDS, GS, SS } from '../../../target/x86/state.ts';
import { type BareMachine, bareMachine, enterLong } from '../testing.ts';

const RAM = 4 << 20;
const CODE = 0x2_0000;
const GDT = 0x3_0000;
const STACK = 0x4_0000;
const ENTRY = 0x5_0000;
const USER = 0x6_0000;
/** Ring 0 code and data, ring 3 data and code, as SYSCALL and SYSRET want them. */
const DESCRIPTORS = [0x00af_9b00, 0x00cf_9300, 0x00cf_f300, 0x00af_fb00];
const [KERNEL_CODE, KERNEL_DATA, USER_DATA, USER_CODE] = [0x08, 0x10, 0x1b, 0x23];
const FLAT = DESC.present | DESC.s | DESC.writable | DESC.accessed | DESC.granularity;
const BYTES = {
  syscall: [0x0f, 0x05],
  sysret: [0x48, 0x0f, 0x07],
  swapgs: [0x0f, 0x01, 0xf8],
  iret: [0x48, 0xcf],
} as const;
type Name = keyof typeof BYTES;

function random(seed: number): (below: number) => number {
  let s = seed;
  return (below) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * below);
  };
}

const fresh = () => bareMachine(RAM, { jit: 'off' });
/** Puts a machine in front of the instruction, from a seed. */
function prepare(m: BareMachine, name: Name, seed: number): void {
  const next = random(seed);
  enterLong(m, CODE);
  const { state } = m.cpu;
  DESCRIPTORS.forEach((high, i) => {
    m.view.setUint32(GDT + 8 + i * 8, 0xffff, true);
    m.view.setUint32(GDT + 12 + i * 8, high, true);
  });
  state.setParts(FIELDS.gdtBase, GDT, 0);
  state.set(FIELDS.gdtLimit, 0x2f);
  state.efer = EFER.LME | EFER.LMA | EFER.SCE;
  state.setParts(FIELDS.star, next(2 ** 32), (0x13 << 16) | 0x08);
  state.setParts(FIELDS.lstar, ENTRY, 0);
  state.setParts(FIELDS.fmask, next(2 ** 22), 0);
  state.setParts(FIELDS.kernelGsBase, next(2 ** 32), 0xffff_8000);
  for (let i = 0; i < 16; i++) state.setParts(FIELDS.gpr, next(2 ** 32), next(2 ** 32), i);
  state.setParts(FIELDS.gpr, USER + next(4000), 0, 1);
  state.setParts(FIELDS.gpr, STACK + 8 * next(300), 0, ESP);
  const flags = 2 | (next(2 ** 22) & 0x0024_0ed5);
  state.setParts(FIELDS.gpr, flags, 0, 11);
  if (name === 'syscall') {
    state.segments[CS]!.set(USER_CODE, 0, 0xffff_ffff, FLAT | DESC.code | DESC.long | DESC.dpl);
    state.segments[SS]!.set(USER_DATA, 0, 0xffff_ffff, FLAT | DESC.big | DESC.dpl);
    state.cpl = 3;
  }
  if (name === 'iret') {
    const isOuter = next(2) === 0;
    for (const index of [0, 3, 4, 5]) state.segments[index]!.set(0, 0, 0, 0);
    const at = state.reg32(ESP);
    [USER + next(4000), isOuter ? USER_CODE : KERNEL_CODE, flags, STACK, isOuter ? USER_DATA : KERNEL_DATA].forEach(
      (word, i) => {
        m.view.setUint32(at + 8 * i, word, true);
        m.view.setUint32(at + 8 * i + 4, 0, true);
      },
    );
  }
  state.setEflags((next(2 ** 22) & 0xcd5) | 2);
  m.ram.set(BYTES[name], CODE);
  // The pages that the everyday form looks at are in the TLB already.
  m.cpu.run(0);
  for (const page of [STACK, GDT]) m.cpu.memory.read(page, 4, true);
}
function outcome(m: BareMachine) {
  const { state } = m.cpu;
  const { segments } = state;
  const shown = (index: number) => {
    const { selector, base, limit, flags, readEnd, writeEnd } = segments[index]!;
    return { selector, base, limit, flags, readEnd, writeEnd };
  };
  return {
    rip: state.rip,
    gpr: Array.from({ length: 16 }, (_, i) => [state.low(FIELDS.gpr, i), state.high(FIELDS.gpr, i)]),
    eflags: state.getEflags(),
    cpl: state.cpl,
    segments: [shown(CS), shown(SS), shown(GS)],
    kernelGsBase: [state.low(FIELDS.kernelGsBase), state.high(FIELDS.kernelGsBase)],
  };
}

describe('system instructions of 64-bit code in WebAssembly', () => {
  for (const name of Object.keys(BYTES) as Name[])
    it(`${name} does what the exact definition does`, () => {
      let exact = 0;
      const rounds = 60;
      const [ours, reference] = [fresh(), fresh()];
      const { ops } = ours.cpu;
      const wrap = <A extends unknown[]>(f: (...args: A) => void) => {
        const bound = f.bind(ops);
        return (...args: A) => {
          exact++;
          bound(...args);
        };
      };
      ops.syscall = wrap(ops.syscall);
      ops.sysret = wrap(ops.sysret);
      ops.swapgs = wrap(ops.swapgs);
      ops.iret = wrap(ops.iret);
      for (let seed = 1; seed <= rounds; seed++) {
        prepare(ours, name, seed * 7919);
        ours.cpu.run(1);

        prepare(reference, name, seed * 7919);
        const { state } = reference.cpu;
        state.rip = CODE + BYTES[name].length;
        const exactly = reference.cpu.ops;
        if (name === 'syscall') exactly.syscall();
        else if (name === 'swapgs') exactly.swapgs();
        else exactly[name](8);
        reference.cpu.run(0);
        expect(outcome(ours), `${name}, seed ${seed}`).toEqual(outcome(reference));
      }
      expect(exact).toBeLessThan(rounds / 4);
    });

  it('iret on a null stack segment stays on it', () => {
    const m = fresh();
    let exact = 0;
    for (const ring of [0, 3]) {
      // The seed decides which ring the frame leads to.
      let seed = 1;
      do prepare(m, 'iret', seed++);
      while (m.view.getUint32(m.cpu.state.reg32(ESP) + 8, true) !== (ring === 3 ? USER_CODE : KERNEL_CODE));
      const { state } = m.cpu;
      state.segments[SS]!.set(0, 0, 0, 0);
      if (ring === 0) m.view.setUint32(state.reg32(ESP) + 32, 0, true);
      const target = m.view.getUint32(state.reg32(ESP), true);
      m.cpu.ops.iret = () => {
        exact++;
      };
      m.cpu.run(1);
      expect([state.rip, state.cpl, state.segments[SS]!.selector]).toEqual([target, ring, ring === 3 ? USER_DATA : 0]);
      expect(state.reg32(ESP)).toBe(STACK);
      // Lock-step compares it: the exact definition and the native one leave the same.
      expect(state.u32[FIELDS.stackMask.offset >>> 2]).toBe(0xffff_ffff);
    }
    expect(exact).toBe(0);
  });

  it('leave what is not everyday to the exact definition', () => {
    const m = fresh();
    prepare(m, 'syscall', 1);
    m.cpu.state.efer = EFER.LME | EFER.LMA;
    let vector = -1;
    m.cpu.ops.deliverException = (raised) => {
      vector = raised;
      m.cpu.state.halted = true;
    };
    m.cpu.run(1);
    expect(vector).toBe(6);
    const stepped = fresh();
    prepare(stepped, 'sysret', 1);
    stepped.cpu.state.setParts(FIELDS.gpr, EFLAGS.TF | 2, 0, 11);
    stepped.cpu.run(1);
    expect(stepped.cpu.state.cpl).toBe(3);
    expect(stepped.cpu.state.getEflags() & EFLAGS.TF).toBe(EFLAGS.TF);
  });
});
