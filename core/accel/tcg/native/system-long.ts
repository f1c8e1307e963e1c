/** The everyday forms of SYSCALL, SYSRET, SWAPGS and IRETQ between 64-bit code of ring 0 and of ring 3, as native/system.ts has the
 *  others: each does the whole instruction, mode included, and answers 0; or touches nothing and answers 1. Nothing here faults.
 *  AMD APM volume 3, SYSCALL, SYSRET, SWAPGS, IRETx. */
import { NATIVES } from '../../../target/x86/semantics/natives.ts';
import {
  CS,
  DESC,
  DS,
  ECX,
  EFER,
  EFLAGS,
  EFLAGS_ARITHMETIC,
  ES,
  ESP,
  FIELDS,
  FS,
  GS,
  SEGMENT,
  SS,
} from '../../../target/x86/state.ts';
import { ACCESS } from '../../../target/x86/system-ops.ts';
import { type Body, defineFunction, i32, type Local, type Value } from '../../../wasm/expressions.ts';
import { I32, OP } from '../../../wasm/opcodes.ts';
import type { ModuleWriter } from '../../../wasm/writer.ts';
import { MODE } from '../blocks.ts';
import { LONG_BANK } from '../guest-memory.ts';
import { TLB } from '../interpreter/layout.ts';
import type { Fills } from './paging.ts';

const FLAT = DESC.granularity | DESC.present | DESC.s | DESC.writable | DESC.accessed;
const DATA_FLAGS = FLAT | DESC.big;
const CODE_FLAGS = FLAT | DESC.code | DESC.long;
const CODE_MASK = DESC.present | DESC.s | DESC.code | DESC.expandDown | DESC.accessed | DESC.long | DESC.big;
const CODE = DESC.present | DESC.s | DESC.code | DESC.accessed | DESC.long;
const DATA_MASK = DESC.present | DESC.s | DESC.code | DESC.expandDown | DESC.accessed | DESC.writable | DESC.big;
const DATA = DESC.present | DESC.s | DESC.accessed | DESC.writable | DESC.big;
const UNLIMITED = 0x000f_0000 | DESC.granularity;
const R11 = 11;
/** What IRET may change at ring 0 and above it; RF stays only where instruction breakpoints look at it: not here. */
const SYSTEM_FLAGS = 0x003f_7fd5 & ~(EFLAGS_ARITHMETIC | 2 | EFLAGS.VM | EFLAGS.RF);
const none = i32(0);
const BANK_BYTES = TLB.entries * TLB.entryBytes;

/** `state`, `tlb`: addresses of the CPU's state block and of its TLB. */
export function defineSystemLong(module: ModuleWriter, state: number, tlb: number, fills: Fills): void {
  const address = (f: { readonly offset: number }, more = 0) => state + f.offset + more;
  const field = (b: Body, f: { readonly offset: number }, more = 0) => b.load(OP.i32Load, none, address(f, more));
  const wide = (b: Body, f: { readonly offset: number }, more = 0) => b.load(OP.i64Load, none, address(f, more));
  const setField = (b: Body, f: { readonly offset: number }, value: Value, more = 0) =>
    b.store(OP.i32Store, none, address(f, more), value);
  const setWide = (b: Body, f: { readonly offset: number }, value: Value, more = 0) =>
    b.store(OP.i64Store, none, address(f, more), value);
  const giveUpIf = (b: Body, condition: Value) => b.unlikely(condition, () => b.return(1));
  const bankOf = (isUser: Value) => isUser.add(LONG_BANK).mul(BANK_BYTES).add(tlb);
  const segmentAt = (index: number, word: number) => FIELDS.segments.offset + index * FIELDS.segments.stride + word;
  const segment = (b: Body, index: number, word: number) => b.load(OP.i32Load, none, state + segmentAt(index, word));
  const setSegment = (b: Body, index: number, selector: Value, flags: Value, isCode: boolean) => {
    const set = (word: number, value: Value) => b.store(OP.i32Store, none, state + segmentAt(index, word), value);
    set(SEGMENT.base, none);
    set(SEGMENT.base + 4, none);
    set(SEGMENT.limit, i32(-1));
    set(SEGMENT.flags, flags);
    set(SEGMENT.selector, selector);
    // Of code the bit says that it may be read.
    set(SEGMENT.readEnd, isCode ? none.sub(flags.shrU(9).and(1)) : i32(-1));
    set(SEGMENT.writeEnd, isCode ? none : i32(-1));
  };
  /** 64-bit code without anything that looks at single instructions. Gives the system flags. */
  const begin = (b: Body): Local => {
    const flags = field(b, FIELDS.eflagsSystem);
    giveUpIf(b, field(b, FIELDS.mode).and(MODE.code64).eqz());
    giveUpIf(b, flags.and(EFLAGS.TF).or(field(b, FIELDS.dr, 7 * 8).and(0xff)));
    return flags;
  };
  const enter = (b: Body, cpl: Value) => {
    const isUser = b.let(cpl.eq(3));
    setField(b, FIELDS.cpl, cpl);
    setField(b, FIELDS.mode, isUser.mul(MODE.user).or(MODE.code64 | MODE.flatStack | MODE.flatData));
    setField(b, FIELDS.tlbBase, bankOf(isUser));
    setField(b, FIELDS.stackMask, i32(-1));
  };
  /** Arithmetic flags as EFLAGS shows them. */
  const arithmetic = defineFunction(module, [], I32, (b) => {
    const result = wide(b, FIELDS.flagResult);
    const aux = field(b, FIELDS.flagAux);
    const bits = b.let(result.narrow().xor(aux.shrU(8)));
    const nibble = b.let(bits.xor(bits.and(0xff).shrU(4)).and(15));
    b.result(
      aux
        .shrU(31)
        .or(i32(0x9669).shrU(nibble).and(1).shl(2))
        .or(aux.and(8).shl(1))
        .or(result.eqz().shl(6))
        .or(result.shrU(32).narrow().xor(aux.shl(31)).shrU(31).shl(7))
        .or(aux.xor(aux.shl(1)).shrU(31).shl(11)),
    );
  });
  const setArithmetic = (b: Body, image: Value) => {
    const bit = (n: number) => image.shrU(n).and(1);
    // The result is 0 or 1; sign and parity corrections make up for what that says wrongly.
    setWide(b, FIELDS.flagResult, bit(6).xor(1).wideU());
    const overflow = bit(0).xor(bit(11)).shl(30);
    setField(
      b,
      FIELDS.flagAux,
      bit(0)
        .shl(31)
        .or(overflow)
        .or(bit(4).shl(3))
        .or(bit(7))
        .or(bit(2).xor(bit(6)).shl(8)),
    );
  };
  const setSystem = (b: Body, value: Local) => {
    setField(b, FIELDS.eflagsSystem, value);
    setField(b, FIELDS.direction, i32(1).sub(value.shrU(10).and(1).shl(1)));
  };
  const define = (name: string, write: (b: Body, ...params: Local[]) => void) =>
    defineFunction(module, NATIVES[name]!.params, NATIVES[name]!.result, write, name);

  define('syscallLong', (b, next) => {
    const system = begin(b);
    giveUpIf(b, field(b, FIELDS.efer).and(EFER.SCE).eqz());
    const image = b.let(b.call(arithmetic).or(system.and(~EFLAGS.RF)).or(2));
    const kept = b.let(image.and(field(b, FIELDS.fmask).not()));
    const selector = b.let(field(b, FIELDS.star, 4).and(0xfffc));
    setWide(b, FIELDS.gpr, next!, ECX * 8);
    setWide(b, FIELDS.gpr, image.wideU(), R11 * 8);
    setSegment(b, CS, selector, i32(CODE_FLAGS), true);
    setSegment(b, SS, selector.add(8).and(0xffff), i32(DATA_FLAGS), false);
    setSystem(b, b.let(kept.and(SYSTEM_FLAGS)));
    setArithmetic(b, kept);
    setWide(b, FIELDS.rip, wide(b, FIELDS.lstar));
    enter(b, none);
    b.result(none);
  });

  define('sysretLong', (b) => {
    const system = begin(b);
    giveUpIf(b, field(b, FIELDS.efer).and(EFER.SCE).eqz().or(field(b, FIELDS.cpl)));
    const target = wide(b, FIELDS.gpr, ECX * 8);
    // An address that is not canonical is the exact definition's.
    giveUpIf(b, target.shrU(47).ne(0));
    const image = field(b, FIELDS.gpr, R11 * 8);
    giveUpIf(b, image.and(EFLAGS.TF).or(image.or(system).and(EFLAGS.IF).and(field(b, FIELDS.interruptWaits))));
    const selector = b.let(field(b, FIELDS.star, 4).shrU(16));
    const user = i32(3 << DESC.dplShift);
    setSegment(b, CS, selector.add(16).or(3).and(0xffff), user.or(CODE_FLAGS), true);
    setSegment(b, SS, selector.add(8).or(3).and(0xffff), user.or(DATA_FLAGS), false);
    setSystem(b, b.let(image.and(SYSTEM_FLAGS)));
    setArithmetic(b, image);
    setWide(b, FIELDS.rip, target);
    enter(b, i32(3));
    b.result(none);
  });

  define('swapGs', (b) => {
    giveUpIf(b, field(b, FIELDS.cpl).or(field(b, FIELDS.mode).and(MODE.code64).eqz()));
    const base = { offset: segmentAt(GS, SEGMENT.base) };
    const old = wide(b, base);
    setWide(b, base, wide(b, FIELDS.kernelGsBase));
    setWide(b, FIELDS.kernelGsBase, old);
    b.result(none);
  });

  const translate = (b: Body, linear: Local, bank: Value) => {
    const entry = b.let(linear.narrow().shrU(TLB.indexShift).and(TLB.indexMask).add(bank));
    b.unlikely(b.load(OP.i64Load, entry, TLB.read).ne(linear.and(-4096)), () => {
      const isUser = bank.ne(tlb + LONG_BANK * BANK_BYTES);
      entry.set(b.call(fills.fill, linear.narrow(), linear.shrU(32).narrow(), ACCESS.read, isUser));
      giveUpIf(b, entry.eqz());
    });
    return b.let(b.load(OP.i32Load, entry, TLB.addend).add(linear.narrow()));
  };
  /** Upper half of a descriptor of the GDT without limit. */
  const descriptor = (b: Body, selector: Value): Local => {
    const index = b.let(selector.and(0xfff8));
    giveUpIf(b, index.eqz().or(selector.and(4)));
    giveUpIf(b, index.add(7).gtU(field(b, FIELDS.gdtLimit)));
    const linear = b.let(wide(b, FIELDS.gdtBase).add(index.wideU()));
    giveUpIf(b, linear.narrow().and(0xfff).gtU(0xff8));
    const at = translate(b, linear, bankOf(none));
    const low = b.load(OP.i32Load, at, 0);
    const high = b.load(OP.i32Load, at, 4);
    const isFlat = low.eq(0xffff).and(high.and(0xff00_00ff).eqz());
    giveUpIf(b, isFlat.eqz().or(high.and(UNLIMITED).ne(UNLIMITED)));
    return high;
  };
  const dplOf = (high: Value) => high.shrU(DESC.dplShift).and(3);
  define('interruptReturnLong', (b) => {
    const system = begin(b);
    giveUpIf(b, system.and(EFLAGS.NT).or(field(b, FIELDS.nmiBlocked)));
    const cpl = field(b, FIELDS.cpl);
    giveUpIf(b, cpl);
    const sp = wide(b, FIELDS.gpr, ESP * 8);
    giveUpIf(
      b,
      sp
        .narrow()
        .and(0xfff)
        .gtU(4096 - 40),
    );
    const frame = translate(b, sp, field(b, FIELDS.tlbBase));
    const target = b.load(OP.i64Load, frame, 0);
    const selector = b.load(OP.i32Load16U, frame, 8);
    const image = b.load(OP.i32Load, frame, 16);
    const ss = b.load(OP.i32Load16U, frame, 32);
    giveUpIf(b, target.shrS(47).add(1).shrU(1).ne(0));
    giveUpIf(b, image.and(EFLAGS.VM | EFLAGS.TF | EFLAGS.NT));
    giveUpIf(b, image.or(system).and(EFLAGS.IF).and(field(b, FIELDS.interruptWaits)));
    const rpl = b.let(selector.and(3));
    const code = descriptor(b, selector);
    giveUpIf(b, code.and(CODE_MASK).ne(CODE).or(dplOf(code).ne(rpl)));
    giveUpIf(b, ss.and(3).ne(rpl));
    const data = b.let(none);
    const hasStack = ss.and(0xfffc);
    b.if(
      hasStack,
      () => {
        data.set(descriptor(b, ss));
        giveUpIf(b, data.and(DATA_MASK).ne(DATA).or(dplOf(data).ne(rpl)));
      },
      // Ring 0 may run on a null SS, as Linux does while it boots: it stays.
      () => giveUpIf(b, rpl.or(segment(b, SS, SEGMENT.selector))),
    );
    // Going outwards drops what the outer level may not have: only null selectors stay as they are here.
    b.if(rpl, () => {
      for (const index of [ES, DS, FS, GS]) {
        const flags = segment(b, index, SEGMENT.flags);
        giveUpIf(b, segment(b, index, SEGMENT.selector).and(0xfffc).ne(0).and(dplOf(flags).ltU(rpl)));
      }
    });
    setWide(b, FIELDS.gpr, b.load(OP.i64Load, frame, 24), ESP * 8);
    b.if(hasStack, () => setSegment(b, SS, ss, data, false));
    setSegment(b, CS, selector, code, true);
    setWide(b, FIELDS.rip, target);
    setSystem(b, b.let(image.and(SYSTEM_FLAGS)));
    setArithmetic(b, image);
    enter(b, rpl);
    b.result(none);
  });
}
