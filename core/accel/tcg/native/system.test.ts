import { describe, expect, it } from 'vitest';
import { CpuState, CR0, CS, DESC, DS, EFLAGS, ES, FIELDS, SS } from '../../../target/x86/state.ts';
import { randomTransfer, stateWords } from '../../../target/x86/testing/random-transfer.ts';
import { MODE } from '../blocks.ts';
import { TLB } from '../interpreter/layout.ts';
import { NO_FILLS } from '../testing.ts';
import { createNatives } from './module.ts';

const STATE = 0x1000;
const TLBS = 0x4000;
const BANK = TLB.entries * TLB.entryBytes;
const RAM = 0x10_0000;
const RAM_BYTES = 4 << 20;
const memory = new WebAssembly.Memory({ initial: 128, maximum: 65536, shared: true });
const natives = createNatives(
  { memory, allocate: () => ({ offset: 0 }) },
  STATE,
  TLBS,
  NO_FILLS,
  () => 1,
) as unknown as Record<string, (...args: number[]) => number>;
const own = new CpuState(memory.buffer, STATE);
const ram = new Uint8Array(memory.buffer, RAM, RAM_BYTES);
const machineRam = new ArrayBuffer(RAM_BYTES);
const tlb = new Int32Array(memory.buffer, TLBS, BANK / 2);

/** Linear addresses are physical ones; `missing` pages are not in the TLB, or cannot be written. */
function fillTlb(isMissing: () => boolean): void {
  for (let slot = 0; slot < 2 * TLB.entries; slot++) {
    const page = (slot % TLB.entries) * 4096;
    const entry = slot * (TLB.entryBytes / 4);
    tlb.fill(0, entry, entry + TLB.entryBytes / 4);
    const isRam = page < RAM_BYTES;
    tlb[entry + TLB.read / 4] = isRam && !isMissing() ? page : TLB.invalid;
    tlb[entry + TLB.write / 4] = isRam && !isMissing() ? page : TLB.invalid;
    tlb[entry + TLB.addend / 4] = RAM;
  }
}
/** What cpu.ts makes of segments and privilege. */
function setMode(state: CpuState): void {
  const ss = state.segments[SS]!;
  const isBig = (ss.flags & DESC.big) !== 0;
  const isData = ss.flat && state.segments[DS]!.flat && state.segments[ES]!.flat;
  const isUser = state.cpl === 3;
  const mode =
    (state.segments[CS]!.flags & DESC.big ? MODE.code32 : 0) |
    (isBig && ss.flat ? MODE.flatStack : 0) |
    (isData ? MODE.flatData : 0) |
    (isUser ? MODE.user : 0);
  state.set(FIELDS.mode, mode);
  state.set(FIELDS.stackMask, isBig ? 0xffff_ffff : 0xffff);
  state.set(FIELDS.tlbBase, TLBS + (isUser ? BANK : 0));
}

describe('system instructions in WebAssembly', () => {
  it('do what the exact definitions do, or nothing', { timeout: 120_000 }, () => {
    const taken = new Map<string, number>();
    let seed = 1;
    const chance = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % below === 0;
    };
    for (let n = 1; n <= 1500; n++) {
      const { m, setup } = randomTransfer(n * 7919, false, machineRam);
      if (!setup.native) continue;
      const { state } = m;
      // Half of all random machines would step.
      if (!chance(4)) state.set(FIELDS.eflagsSystem, state.eflagsSystem & ~EFLAGS.TF);
      state.set(FIELDS.interruptWaits, chance(4) ? 0xffff_ffff : 0);
      state.set(FIELDS.deliveriesLogged, chance(8) ? 1 : 0);
      state.set(FIELDS.interruptShadow, chance(8) ? 1 : 0);
      if (setup.op.startsWith('load') && chance(3)) state.cr0 &= ~CR0.PE;
      setMode(state);
      fillTlb(() => false);
      if (chance(4)) fillTlb(() => chance(3));
      own.u8.set(state.u8);
      ram.set(new Uint8Array(m.ram.buffer));
      const before = own.u8.slice();
      const [name, ...args] = setup.native;
      const refused = natives[name]!(...args);
      const what = `machine ${n}: ${setup.op}`;
      if (refused) {
        expect(refused, what).toBe(1);
        expect(Buffer.compare(Buffer.from(own.u8), before), `${what} touched something`).toBe(0);
        expect(Buffer.compare(Buffer.from(ram), Buffer.from(m.ram.buffer)), what).toBe(0);
        continue;
      }
      expect(
        m.fault(() => setup.run(m)),
        what,
      ).toBeNull();
      const mode = state.low(FIELDS.mode);
      setMode(state);
      // A segment load that would change the mode is left to the engine.
      if (name === 'loadSegment') expect(state.low(FIELDS.mode), what).toBe(mode);
      const [is, wanted] = [stateWords(own), stateWords(state)];
      if (is.some((word, i) => word !== wanted[i])) expect(is, what).toEqual(wanted);
      expect(Buffer.compare(Buffer.from(ram), Buffer.from(m.ram.buffer)), what).toBe(0);
      // Neither a trap nor an interrupt is due that the engine would have to look for.
      if (name !== 'loadSegment') expect(own.eflagsSystem & EFLAGS.TF, what).toBe(0);
      if (name === 'interruptReturn')
        expect(own.eflagsSystem & EFLAGS.IF & own.low(FIELDS.interruptWaits), what).toBe(0);
      taken.set(name, (taken.get(name) ?? 0) + 1);
      const isReal = !state.protectedMode || state.vm86;
      if (isReal) taken.set(`${name} outside`, (taken.get(`${name} outside`) ?? 0) + 1);
    }
    for (const name of ['loadSegment', 'softwareInterrupt', 'interruptReturn', 'sysenter', 'sysexit'])
      expect(taken.get(name) ?? 0, name).toBeGreaterThan(12);
    // In real or VM86 mode.
    expect(taken.get('loadSegment outside')).toBeGreaterThan(40);
  });

  it('is left to the engine where deliveries are logged or keyboard calls counted', () => {
    let tried = 0;
    for (let n = 1; tried < 10; n++) {
      const { m, setup } = randomTransfer(n * 7919, false, machineRam);
      if (!setup.op.startsWith('int ')) continue;
      const { state } = m;
      state.set(FIELDS.eflagsSystem, state.eflagsSystem & ~EFLAGS.TF);
      setMode(state);
      fillTlb(() => false);
      const run = (change: () => void, ...args: number[]) => {
        own.u8.set(state.u8);
        ram.set(new Uint8Array(m.ram.buffer));
        change();
        return natives.softwareInterrupt!(...args);
      };
      const [, vector, eip] = setup.native as [string, number, number];
      if (run(() => {}, vector, eip) !== 0) continue;
      tried++;
      expect(run(() => own.set(FIELDS.deliveriesLogged, 1), vector, eip)).toBe(1);
      expect(
        run(
          () => {
            // The same gate for INT 16h.
            const idt = RAM + own.idtBase;
            const words = new Uint32Array(memory.buffer);
            own.setIdt(own.idtBase, 0x7ff);
            words.copyWithin((idt + 0x16 * 8) >>> 2, (idt + vector * 8) >>> 2, ((idt + vector * 8) >>> 2) + 2);
          },
          0x16,
          eip,
        ),
      ).toBe(1);
    }
  });
});
