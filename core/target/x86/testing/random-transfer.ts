/** Random protected-mode machines about to deliver an interrupt, return from one, or load a segment: mostly what an ordinary
 *  kernel has, sometimes not. */
import { deliverQuickly, iretQuickly, loadSegmentQuickly } from '../quick-transfer.ts';
import { type CpuState, CR0, CS, DS, ECX, EDX, EFLAGS, ES, ESP, FIELDS, FS, GS, SS, TR } from '../state.ts';
import { FAKE_RAM_BYTES, FakeMachine, GDT, IDT, TSS } from './fake-machine.ts';

function random(seed: number): (below: number) => number {
  let s = seed;
  return (below) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * below);
  };
}
type Next = (below: number) => number;
const pick = <T>(next: Next, ...of: T[]): T => of[next(of.length)]!;

function descriptor(next: Next, isCode: boolean, dpl: number): number {
  let high = (isCode ? 0x9b00 : 0x9300) | (dpl << 13) | 0x00cf_0000;
  if (next(8) === 0)
    high ^= pick(next, 0x8000, 0x1000, 0x800, 0x400, 0x200, 0x100, 0x2000, 0x4000, 1 << 22, 1 << 23, 1 << 16);
  if (next(4) === 0) high |= pick(next, 0x10, 0x100_0000);
  return high >>> 0;
}

export interface Transfer {
  readonly op: string;
  /** By the exact definition. */
  readonly run: (m: FakeMachine) => void;
  /** Without objects, or not at all. */
  readonly quick?: (m: FakeMachine) => boolean;
  /** Native function and arguments. */
  readonly native?: readonly [name: string, ...args: number[]];
}

/** The same machine for the same seed. `memory` is the machine's until it is given to the next one. */
export function randomTransfer(
  seed: number,
  withHits: boolean,
  memory = new ArrayBuffer(FAKE_RAM_BYTES),
): { m: FakeMachine; setup: Transfer } {
  const next = random(seed);
  new Uint8Array(memory).fill(0);
  const m = new FakeMachine('qemu64', memory);
  const { state, ram } = m;
  if (withHits)
    Object.assign(m, { arenaView: ram, hit: (linear: number) => (linear + 64 <= ram.byteLength ? linear : -1) });
  Object.assign(m.ctx.bus, { logs: () => false });
  state.cr0 = (next(20) ? CR0.PE : 0) | CR0.ET;
  const cpl = pick(next, 0, 0, 3, 3, 1);
  const selectors = [0, 8, 0x10, 0x1b, 0x23, 0x28, 0x31, 0x39];
  const levels = [0, 0, 0, 3, 3, 0, 1, 1];
  for (let i = 1; i < 8; i++) {
    const low = next(12) ? 0x0000_ffff : next(2 ** 32);
    ram.setUint32(GDT + i * 8, low, true);
    ram.setUint32(GDT + i * 8 + 4, descriptor(next, i === 1 || i === 3 || i === 6, levels[i]!), true);
  }
  state.setGdt(GDT, next(20) ? 0x47 : 0x27);
  state.setIdt(IDT, next(20) ? 0x7ff : 0x47);
  const vector = pick(next, 0, 6, 8, 13, 14, 0x20, 0x80);
  const gateType = next(6) ? pick(next, 14, 15) : next(16);
  m.setGate(
    IDT + vector * 8,
    next(8) ? 8 : pick(next, ...selectors, 0x31, 0x100, 12),
    next(2 ** 32),
    gateType,
    pick(next, 0, 3),
    next(12) > 0,
  );
  const segment = (index: number, selector: number) => {
    const at = GDT + (selector & 0xfff8);
    const low = ram.getUint32(at, true);
    const high = ram.getUint32(at + 4, true);
    const limit = (low & 0xffff) | (high & 0xf_0000);
    const base = ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000)) >>> 0;
    state.segments[index]!.set(selector, base, (high & (1 << 23) ? (limit << 12) | 0xfff : limit) >>> 0, high);
  };
  const code = cpl === 3 ? 0x1b : cpl === 1 ? 0x31 : 8;
  const data = cpl === 3 ? 0x23 : cpl === 1 ? 0x39 : 0x10;
  segment(CS, code);
  segment(SS, data);
  for (const index of [ES, DS, FS, GS]) {
    if (next(3) === 0) state.segments[index]!.set(0, 0, 0, 0);
    else segment(index, pick(next, 0x10, 0x23, 0x28, data));
  }
  state.cpl = cpl;
  state.segments[TR]!.set(
    0x40,
    TSS,
    next(15) ? 0x67 : 7,
    pick(next, 0x8b00, 0x8b00, 0x8900, 0x8900, 0x8300, 0x0b00) & (next(2) ? ~0x200 : -1),
  );
  const stack = () =>
    next(6) ? 0x6000 + next(0x1000) * 4 : pick(next, 0, 8, 12, 0x7004, 0x7ffe, 0xffff_fff0, 0x1_0010);
  for (const level of [0, 1]) {
    ram.setUint32(TSS + 4 + level * 8, stack(), true);
    ram.setUint32(TSS + 8 + level * 8, next(8) ? [0x10, 0x39][level]! : pick(next, ...selectors), true);
  }
  const esp = stack();
  state.setReg32(ESP, esp);
  state.eip = next(2 ** 32);
  const flags = next(2 ** 22) & ~(EFLAGS.VM | EFLAGS.NT);
  state.setEflags((flags | (next(20) ? 0 : EFLAGS.VM) | (next(20) ? 0 : EFLAGS.NT)) >>> 0);
  if (next(5) === 0) state.set(FIELDS.dr, 0x401, 7);
  if (next(5) === 0) state.nmiBlocked = true;

  const size = next(10) ? 4 : 2;
  const setup = pick<() => Transfer>(
    next,
    () => {
      const errorCode = next(2) ? next(0x10000) : undefined;
      const rf = [0, 6, 13, 14].includes(vector);
      return {
        op: `exception ${vector}`,
        run: (x) => x.ops.deliverException(vector, errorCode),
        quick: (x) => deliverQuickly(x.ctx, vector, false, errorCode ?? -1, rf),
      };
    },
    () => ({
      op: `interrupt ${vector}`,
      run: (x) => x.ops.deliverInterrupt(vector),
      quick: (x) => deliverQuickly(x.ctx, vector, false, -1, false),
    }),
    () => ({
      op: `int ${vector}`,
      run: (x) => x.ops.softwareInterrupt(vector, 'int'),
      quick: (x) => deliverQuickly(x.ctx, vector, true, -1, false),
      native: ['softwareInterrupt', vector, state.eip],
    }),
    () => {
      const rpl = next(6) ? Math.max(cpl, pick(next, 0, 3, 3)) : next(4);
      const target = next(10) ? { 0: 8, 1: 0x31, 2: 0x31, 3: 0x1b }[rpl]! : pick(next, ...selectors);
      const ss = next(10) ? { 0: 0x10, 1: 0x39, 2: 0x39, 3: 0x23 }[rpl]! : pick(next, ...selectors);
      const image = next(2 ** 22) & ~(next(20) ? EFLAGS.VM : 0) & ~(next(3) ? EFLAGS.TF : 0);
      const frame = [next(2 ** 32), target, image, stack(), ss];
      const base = state.segments[SS]!.base + esp;
      if (base + 20 <= ram.byteLength)
        frame.forEach((value, i) => {
          if (size === 4) ram.setUint32(base + i * 4, value, true);
          else ram.setUint16(base + i * 2, value & 0xffff, true);
        });
      return {
        op: 'iret',
        run: (x) => x.ops.iret(size),
        quick: (x) => size === 4 && iretQuickly(x.ctx),
        ...(size === 4 ? { native: ['interruptReturn'] as const } : {}),
      };
    },
    () => {
      const index = pick(next, ES, SS, DS, FS, GS);
      const selector = pick(next, ...selectors, 1, 3, 0x13, 0x20, 0x400, 0x14);
      return {
        op: `load ${index}`,
        run: (x) => x.ops.loadSegment(index, selector),
        quick: (x) => loadSegmentQuickly(x.ctx, index, selector),
        native: ['loadSegment', index, selector],
      };
    },
    () => {
      state.set(FIELDS.sysenterCs, pick(next, 0, 8, 8, 8, 8, 11, 0xfff8, 0x1_0008));
      state.set(FIELDS.sysenterEsp, next(2 ** 32));
      state.set(FIELDS.sysenterEip, next(2 ** 32));
      return { op: 'sysenter', run: (x) => x.ops.sysenter(), native: ['sysenter'] };
    },
    () => {
      state.set(FIELDS.sysenterCs, pick(next, 0, 8, 8, 8, 8, 11, 0xfff8, 0x1_0008));
      state.setReg32(ECX, next(2 ** 32));
      state.setReg32(EDX, next(2 ** 32));
      return { op: 'sysexit', run: (x) => x.ops.sysexit(4), native: ['sysexit'] };
    },
  )();
  return { m, setup };
}

/** The state block but for how the arithmetic flags are kept. */
export function stateWords(state: CpuState): Uint32Array {
  const words = state.u32.slice();
  words[FIELDS.flagResult.offset >>> 2] = state.getEflags();
  words[FIELDS.flagAux.offset >>> 2] = 0;
  return words;
}
