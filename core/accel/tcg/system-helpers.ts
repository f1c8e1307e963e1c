/** Helpers of the interrupt flag and its virtual copy, of random numbers, and of MONITOR and MWAIT.
 *  CR4.VME and CR4.PVI (Intel SDM volume 3 sections 21.3 and 21.4): code that may not touch IF owns VIF instead, and VIP tells
 *  that an interrupt waits for it. Only a CPU with the feature lets CR4 have the bits. */
import { raise, VECTOR } from '../../target/x86/fault.ts';
import { CR4, ECX, EFLAGS, EFLAGS_ARITHMETIC } from '../../target/x86/state.ts';
import { unimplementedFamily } from '../../target/x86/unimplemented.ts';
import type { Helper, HelperContext } from './helpers.ts';

/** Flags that the VM86 monitor's guest cannot change. */
const NOT_VIRTUAL = EFLAGS.IF | EFLAGS.IOPL;

export function createSystemHelpers(ctx: HelperContext): Record<string, Helper> {
  const { state, bus } = ctx;
  const denied = (): never => raise(state, VECTOR.GP, 0);
  const setSystemFlags = (set: number, clear: number) =>
    state.setSystemFlags(((state.eflagsSystem & ~clear) | set) >>> 0);
  /** CLI and STI: the flag that they act on. */
  const interruptFlag = (): number => {
    if (!state.protectedMode) return EFLAGS.IF;
    const { iopl, cpl, cr4 } = state;
    if (state.vm86) {
      if (iopl === 3) return EFLAGS.IF;
      return cr4 & CR4.VME ? EFLAGS.VIF : denied();
    }
    if (cpl <= iopl) return EFLAGS.IF;
    return cpl === 3 && cr4 & CR4.PVI ? EFLAGS.VIF : denied();
  };
  /** VM86 below IOPL 3, where flags show VIF in IF's place. */
  const isVirtual = (): boolean => state.vm86 && state.iopl < 3;
  const changeableFlags = (size: number): number => {
    const { cpl, iopl } = state;
    let mask = EFLAGS_ARITHMETIC | EFLAGS.TF | EFLAGS.DF | EFLAGS.NT | EFLAGS.AC | EFLAGS.ID;
    if (!state.protectedMode || cpl === 0) mask |= EFLAGS.IF | EFLAGS.IOPL;
    else if (cpl <= iopl) mask |= EFLAGS.IF;
    if (state.vm86) mask = (mask & ~EFLAGS.IOPL) | EFLAGS.IF;
    return size === 2 ? mask & 0xffff : mask;
  };
  let seed = 0x2545_f491;

  const named = new Set<string>();

  return {
    /** `code`: opcode map, opcode, ModRM. */
    invalidOpcode: (code) => {
      const opcode = (code >>> 8) & 0xff;
      const family = unimplementedFamily(code >>> 16, opcode, code & 0xff);
      if (family && !named.has(family.name)) {
        named.add(family.name);
        const text = `${['', '0f ', '0f 38 ', '0f 3a '][(code >>> 16) & 3]}${opcode.toString(16).padStart(2, '0')}`;
        bus.log('unimp', () => `${family.name} is not implemented: ${text} raises #UD`);
      }
      return raise(state, VECTOR.UD);
    },
    /** PUSHF where IOPL does not allow it: the image with VIF for IF and IOPL 3, if the CPU can. */
    virtualFlags: (image, size) => {
      if (!(state.cr4 & CR4.VME) || size !== 2) denied();
      const interrupt = state.eflagsSystem & EFLAGS.VIF ? EFLAGS.IF : 0;
      return (image & ~EFLAGS.IF) | EFLAGS.IOPL | interrupt;
    },
    popf: (value, size) => {
      let mask = changeableFlags(size);
      let virtual = 0;
      if (isVirtual()) {
        const isWaiting = (state.eflagsSystem & EFLAGS.VIP) !== 0;
        if (value & EFLAGS.TF || (value & EFLAGS.IF && isWaiting)) denied();
        mask &= ~NOT_VIRTUAL;
        virtual = EFLAGS.VIF;
      }
      const system = mask & ~EFLAGS_ARITHMETIC;
      const old = state.eflagsSystem;
      let fresh = ((old & ~(system | EFLAGS.RF | virtual)) | (value & system)) >>> 0;
      if (value & EFLAGS.IF) fresh |= virtual;
      if (fresh !== old) state.setSystemFlags(fresh);
      state.setArithmeticFlags(value);
      return 0;
    },
    cli: () => {
      setSystemFlags(0, interruptFlag());
      return 0;
    },
    sti: () => {
      const flag = interruptFlag();
      if (flag === EFLAGS.VIF) {
        if (state.eflagsSystem & EFLAGS.VIP) denied();
        setSystemFlags(EFLAGS.VIF, 0);
      } else if (!(state.eflagsSystem & EFLAGS.IF)) {
        setSystemFlags(EFLAGS.IF, 0);
        state.interruptShadow = true;
      }
      return 0;
    },

    /** Boards without a source of randomness get a fixed sequence (xorshift). */
    random: () => {
      if (bus.random) return bus.random() | 0;
      seed ^= seed << 13;
      seed ^= seed >>> 17;
      seed ^= seed << 5;
      return seed;
    },

    /** Rights and extensions; the address is the instruction's to look at. */
    monitor: () => {
      if (state.cpl !== 0) raise(state, VECTOR.UD);
      if (state.reg32(ECX) !== 0) denied();
      return 0;
    },
    /** The CPU that writes to the monitored line would be another one: only an interrupt ends the wait. */
    mwait: () => {
      if (state.cpl !== 0) raise(state, VECTOR.UD);
      if (state.reg32(ECX) !== 0) denied();
      state.halted = true;
      bus.haltedChanged?.(true);
      return 0;
    },
  };
}
