/** The everyday forms of segment loads, INT n, IRET, SYSENTER and SYSEXIT in WebAssembly, as target/x86/quick-transfer.ts has
 *  them for the engine: protected mode with 32-bit gates, stacks and descriptors of the GDT, frames inside one page, everything
 *  in the TLB already, nobody stepping, watching or logging. Each does the whole instruction, mode included, and answers 0; or
 *  touches nothing and answers 1: the exact definition follows. Nothing here faults. */

import { NATIVES } from '../../../target/x86/semantics/natives.ts';
import {
  CR0,
  CS,
  DESC,
  DS,
  ECX,
  EDX,
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
  TR,
} from '../../../target/x86/state.ts';
import { ACCESS } from '../../../target/x86/system-ops.ts';
import { type Body, type Callee, defineFunction, i32, type Local, type Value } from '../../../wasm/expressions.ts';
import { I32, OP, VOID } from '../../../wasm/opcodes.ts';
import type { ModuleWriter } from '../../../wasm/writer.ts';
import { MODE } from '../blocks.ts';
import { TLB } from '../interpreter/layout.ts';
import type { Fills } from './paging.ts';

const CODE_MASK = DESC.present | DESC.s | DESC.code | DESC.expandDown;
const CODE = DESC.present | DESC.s | DESC.code;
/** A data segment that does not expand down and was used before. */
const DATA_MASK = CODE_MASK | DESC.accessed;
const DATA = DESC.present | DESC.s | DESC.accessed;
const CONFORMING = DESC.s | DESC.code | DESC.expandDown;
const UNLIMITED = 0x000f_0000 | DESC.granularity;
const FLAT = DESC.granularity | DESC.big | DESC.present | DESC.s | DESC.writable | DESC.accessed;
/** P, S and type of a gate without the bit that tells trap from interrupt gates. */
const GATE_MASK = 0x9e00;
const GATE_32 = 0x8e00;
const TSS_32 = 9;
/** INT 16h is counted: who waits for keys there is idle. */
const KEYBOARD_INT = 0x16;
/** What IRET may change at every level; see context.ts. */
const SYSTEM_FLAGS = 0x003f_7fd5 & ~(EFLAGS_ARITHMETIC | 2);
const EVERYONE = SYSTEM_FLAGS & ~(EFLAGS.IF | EFLAGS.IOPL | EFLAGS.VM | EFLAGS.VIF | EFLAGS.VIP | EFLAGS.RF);
const none = i32(0);

interface Descriptor {
  readonly low: Local;
  readonly high: Local;
}
interface Hidden {
  readonly selector: Value;
  readonly base: Value;
  readonly limit: Value;
  readonly flags: Value;
  readonly readEnd: Value;
  readonly writeEnd: Value;
}

/** `state`, `tlb`: addresses of the CPU's state block and of the supervisor's bank of its TLB. */
export function defineSystem(module: ModuleWriter, state: number, tlb: number, fills: Fills): void {
  const address = (f: { readonly offset: number }, more = 0) => state + f.offset + more;
  const field = (b: Body, f: { readonly offset: number }, more = 0) => b.load(OP.i32Load, none, address(f, more));
  const setField = (b: Body, f: { readonly offset: number }, value: Value, more = 0) =>
    b.store(OP.i32Store, none, address(f, more), value);
  const giveUpIf = (b: Body, condition: Value) => b.unlikely(condition, () => b.return(1));
  const gpr = (b: Body, index: number) => field(b, FIELDS.gpr, index * 8);
  const setGpr = (b: Body, index: number, value: Value) => {
    setField(b, FIELDS.gpr, value, index * 8);
    setField(b, FIELDS.gpr, none, index * 8 + 4);
  };
  const setEip = (b: Body, value: Value) => {
    setField(b, FIELDS.rip, value);
    setField(b, FIELDS.rip, none, 4);
  };
  const segmentOffset = (index: Value | number) =>
    typeof index === 'number' ? i32(index * FIELDS.segments.stride) : index.mul(FIELDS.segments.stride);
  const segment = (b: Body, index: Value | number, word: number) =>
    b.load(OP.i32Load, segmentOffset(index), address(FIELDS.segments, word));
  const setSegment = (b: Body, index: Value | number, hidden: Hidden) => {
    const at = segmentOffset(index);
    const set = (word: number, value: Value) => b.store(OP.i32Store, at, address(FIELDS.segments, word), value);
    set(SEGMENT.base, hidden.base);
    set(SEGMENT.base + 4, none);
    set(SEGMENT.limit, hidden.limit);
    set(SEGMENT.flags, hidden.flags);
    set(SEGMENT.selector, hidden.selector);
    set(SEGMENT.readEnd, hidden.readEnd);
    set(SEGMENT.writeEnd, hidden.writeEnd);
  };
  const dplOf = (high: Value) => high.shrU(DESC.dplShift).and(3);
  const baseOf = ({ low, high }: Descriptor) => low.shrU(16).or(high.and(0xff).shl(16)).or(high.and(0xff00_0000));
  /** Limit 0xffffffff. */
  const isUnlimited = ({ low, high }: Descriptor) => low.and(0xffff).eq(0xffff).and(high.and(UNLIMITED).eq(UNLIMITED));
  /** A code segment, or a data segment that may be written, without limit. */
  const unlimited = (d: Descriptor, selector: Value, isCode: boolean): Hidden => ({
    selector,
    base: baseOf(d),
    limit: i32(-1),
    flags: d.high,
    // Of code the bit says that it may be read.
    readEnd: isCode ? none.sub(d.high.shrU(9).and(1)) : i32(-1),
    writeEnd: isCode ? none : i32(-1),
  });
  const flatSegment = (selector: Value, isCode: boolean, dpl: number): Hidden => ({
    selector,
    base: none,
    limit: i32(-1),
    flags: i32(FLAT | (isCode ? DESC.code : 0) | (dpl << DESC.dplShift)),
    readEnd: i32(-1),
    writeEnd: isCode ? none : i32(-1),
  });

  /** Where a linear address lies in memory; gives up unless the TLB's bank allows the access. */
  const translate = (b: Body, linear: Local, right: number, bank: Value) => {
    const entry = b.let(linear.shrU(TLB.indexShift).and(TLB.indexMask).add(bank));
    b.unlikely(b.load(OP.i32Load, entry, right).ne(linear.and(-4096)), () => {
      const access = right === TLB.write ? ACCESS.write : ACCESS.read;
      entry.set(b.call(fills.fill, linear, 0, access, bank.ne(tlb)));
      giveUpIf(b, entry.eqz());
    });
    return b.let(b.load(OP.i32Load, entry, TLB.addend).add(linear));
  };
  const supervisor = i32(tlb);
  /** Eight bytes of a system table. */
  const quad = (b: Body, linear: Local): Descriptor => {
    giveUpIf(b, linear.and(0xfff).gtU(0xff8));
    const at = translate(b, linear, TLB.read, supervisor);
    return { low: b.load(OP.i32Load, at, 0), high: b.load(OP.i32Load, at, 4) };
  };
  const descriptor = (b: Body, selector: Value): Descriptor => {
    const index = b.let(selector.and(0xfff8));
    giveUpIf(b, index.eqz().or(selector.and(4)));
    giveUpIf(b, index.add(7).gtU(field(b, FIELDS.gdtLimit)));
    return quad(b, b.let(field(b, FIELDS.gdtBase).add(index)));
  };
  /** Any offset may be read and written and is its own linear address. */
  const isFlat = (b: Body, index: Value | number) =>
    segment(b, index, SEGMENT.base)
      .eqz()
      .and(segment(b, index, SEGMENT.writeEnd).eq(-1));

  /** Protected mode, without anything that looks at single instructions. Gives the system flags. */
  const begin = (b: Body): Local => {
    const flags = field(b, FIELDS.eflagsSystem);
    giveUpIf(b, field(b, FIELDS.cr0).and(CR0.PE).eqz());
    giveUpIf(
      b,
      flags
        .and(EFLAGS.VM | EFLAGS.TF)
        .or(field(b, FIELDS.dr, 7 * 8).and(0xff))
        .or(field(b, FIELDS.efer).and(EFER.LMA)),
    );
    return flags;
  };

  const updateMode = defineFunction(module, [], VOID, (b) => {
    const ssFlags = segment(b, SS, SEGMENT.flags);
    const isBig = b.let(ssFlags.shrU(22).and(1));
    const flatSs = b.let(isFlat(b, SS));
    const isUser = b.let(field(b, FIELDS.cpl).eq(3));
    const code32 = segment(b, CS, SEGMENT.flags).shrU(22).and(1);
    const flatData = flatSs.and(isFlat(b, DS)).and(isFlat(b, ES));
    const mode = code32
      .mul(MODE.code32)
      .or(isBig.and(flatSs).mul(MODE.flatStack))
      .or(flatData.mul(MODE.flatData))
      .or(isUser.mul(MODE.user));
    setField(b, FIELDS.mode, mode);
    setField(b, FIELDS.stackMask, none.sub(isBig).or(0xffff));
    setField(b, FIELDS.tlbBase, isUser.mul(TLB.entries * TLB.entryBytes).add(tlb));
  });

  /** The whole EFLAGS register but for RF. */
  const eflags = defineFunction(module, [], I32, (b) => {
    const result = field(b, FIELDS.flagResult);
    const aux = field(b, FIELDS.flagAux);
    const bits = b.let(result.xor(aux.shrU(8)));
    const nibble = b.let(bits.xor(bits.and(0xff).shrU(4)).and(15));
    b.result(
      field(b, FIELDS.eflagsSystem)
        .and(~EFLAGS.RF)
        .or(2)
        .or(aux.shrU(31))
        .or(i32(0x9669).shrU(nibble).and(1).shl(2))
        .or(aux.and(8).shl(1))
        .or(result.eqz().shl(6))
        .or(result.xor(aux.shl(31)).shrU(31).shl(7))
        .or(aux.xor(aux.shl(1)).shrU(31).shl(11)),
    );
  });
  const setArithmeticFlags = (b: Body, image: Value) => {
    const bit = (n: number) => image.shrU(n).and(1);
    // The result is 0 or 1; sign and parity corrections make up for what that says wrongly.
    setField(b, FIELDS.flagResult, bit(6).xor(1));
    setField(b, FIELDS.flagResult, none, 4);
    setField(
      b,
      FIELDS.flagAux,
      bit(0)
        .shl(31)
        .or(bit(0).xor(bit(11)).shl(30))
        .or(bit(4).shl(3))
        .or(bit(7))
        .or(bit(2).xor(bit(6)).shl(8)),
    );
  };
  const setSystemFlags = (b: Body, value: Local) => {
    setField(b, FIELDS.eflagsSystem, value);
    setField(b, FIELDS.direction, i32(1).sub(value.shrU(10).and(1).shl(1)));
  };

  const define = (name: string, write: (b: Body, ...params: Local[]) => void) =>
    defineFunction(module, NATIVES[name]!.params, NATIVES[name]!.result, write, name);
  const done = (b: Body, mode?: Callee) => {
    if (mode) b.call(mode);
    b.result(none);
  };

  /** Gives up if ES or DS comes to be flat, or no longer is, where that makes another mode. */
  const keepMode = (b: Body, index: Local, base: Value, writeEnd: Value) =>
    b.if(index.eq(ES).or(index.eq(DS)), () => {
      const rest = isFlat(b, i32(ES + DS).sub(index)).and(isFlat(b, SS));
      const isNow = field(b, FIELDS.mode).and(MODE.flatData).ne(0);
      giveUpIf(b, base.eqz().and(writeEnd.eq(-1)).and(rest).ne(isNow));
    });
  // MOV and POP of a null selector or a data segment into ES, DS, FS or GS, or of anything outside of protected mode, as far as the mode
  // stays what it is.
  define('loadSegment', (b, index, given) => {
    giveUpIf(b, index!.eq(SS).or(index!.eq(CS)).or(field(b, FIELDS.efer).and(EFER.LMA)));
    const selector = b.let(given!.and(0xffff));
    b.if(field(b, FIELDS.cr0).and(CR0.PE).eqz().or(field(b, FIELDS.eflagsSystem).and(EFLAGS.VM)), () => {
      const base = b.let(selector.shl(4));
      keepMode(b, index!, base, segment(b, index!, SEGMENT.writeEnd));
      const at = segmentOffset(index!);
      b.store(OP.i32Store, at, address(FIELDS.segments, SEGMENT.base), base);
      b.store(OP.i32Store, at, address(FIELDS.segments, SEGMENT.base + 4), none);
      b.store(OP.i32Store, at, address(FIELDS.segments, SEGMENT.selector), selector);
      b.return(0);
    });
    const [base, limit, flags, readEnd, writeEnd] = [none, none, none, none, none].map((v) => b.let(v)) as [
      Local,
      Local,
      Local,
      Local,
      Local,
    ];
    b.if(selector.and(0xfffc), () => {
      const d = descriptor(b, selector);
      const { low, high } = d;
      giveUpIf(b, high.and(DATA_MASK).ne(DATA));
      const dpl = b.let(dplOf(high));
      giveUpIf(b, field(b, FIELDS.cpl).gtU(dpl).or(selector.and(3).gtU(dpl)));
      base.set(baseOf(d));
      const units = b.let(low.and(0xffff).or(high.and(0x000f_0000)));
      limit.set(high.and(DESC.granularity).select(units.shl(12).or(0xfff), units));
      flags.set(high);
      // Room for an access of 32 bytes.
      const top = limit.gtU(30).select(limit.sub(30), none);
      readEnd.set(limit.eq(-1).select(limit, top));
      writeEnd.set(high.and(DESC.writable).select(readEnd, none));
    });
    keepMode(b, index!, base, writeEnd);
    setSegment(b, index!, { selector, base, limit, flags, readEnd, writeEnd });
    done(b);
  });

  // INT n through a 32-bit gate to the same or an inner level. `eip`: of the next instruction.
  define('softwareInterrupt', (b, vector, eip) => {
    const system = begin(b);
    giveUpIf(b, field(b, FIELDS.deliveriesLogged).or(vector!.eq(KEYBOARD_INT)));
    giveUpIf(b, vector!.mul(8).add(7).gtU(field(b, FIELDS.idtLimit)));
    const gate = quad(b, b.let(field(b, FIELDS.idtBase).add(vector!.mul(8))));
    const cpl = field(b, FIELDS.cpl);
    giveUpIf(b, gate.high.and(GATE_MASK).ne(GATE_32).or(dplOf(gate.high).ltU(cpl)));
    const selector = b.let(gate.low.shrU(16));
    const code = descriptor(b, selector);
    const dpl = b.let(dplOf(code.high));
    giveUpIf(b, code.high.and(CODE_MASK).ne(CODE).or(dpl.gtU(cpl)).or(isUnlimited(code).eqz()));

    const isInner = b.let(dpl.ltU(cpl));
    const oldSp = gpr(b, ESP);
    const oldSs = segment(b, SS, SEGMENT.selector);
    const sp = b.let(oldSp);
    const ss = b.let(oldSs);
    const base = b.let(segment(b, SS, SEGMENT.base));
    const bank = b.let(field(b, FIELDS.tlbBase));
    const bytes = b.let(i32(12));
    const inner: Descriptor = { low: b.let(none), high: b.let(segment(b, SS, SEGMENT.flags)) };
    b.if(
      isInner,
      () => {
        const tr = segment(b, TR, SEGMENT.flags);
        const is32 = tr.shrU(8).and(13).eq(TSS_32);
        giveUpIf(b, tr.and(DESC.present).eqz().or(is32.eqz()));
        const at = b.let(dpl.mul(8).add(4));
        giveUpIf(b, at.add(7).gtU(segment(b, TR, SEGMENT.limit)));
        const stack = quad(b, b.let(segment(b, TR, SEGMENT.base).add(at)));
        sp.set(stack.low);
        ss.set(stack.high.and(0xffff));
        giveUpIf(b, ss.and(3).ne(dpl));
        const d = descriptor(b, ss);
        giveUpIf(b, d.high.and(DATA_MASK | DESC.writable).ne(DATA | DESC.writable));
        giveUpIf(b, dplOf(d.high).ne(dpl).or(isUnlimited(d).eqz()));
        inner.low.set(d.low);
        inner.high.set(d.high);
        base.set(baseOf(d));
        bank.set(supervisor);
        bytes.set(20);
      },
      () => giveUpIf(b, segment(b, SS, SEGMENT.writeEnd).ne(-1)),
    );
    giveUpIf(b, inner.high.and(DESC.big).eqz());
    giveUpIf(b, sp.ltU(bytes));
    const top = b.let(sp.sub(bytes));
    const linear = b.let(base.add(top));
    giveUpIf(b, linear.and(0xfff).add(bytes).gtU(4096));
    const frame = translate(b, linear, TLB.write, bank);

    b.store(OP.i32Store, frame, 0, eip!);
    b.store(OP.i32Store, frame, 4, segment(b, CS, SEGMENT.selector));
    b.store(OP.i32Store, frame, 8, b.call(eflags));
    b.if(isInner, () => {
      b.store(OP.i32Store, frame, 12, oldSp);
      b.store(OP.i32Store, frame, 16, oldSs);
      setSegment(b, SS, unlimited(inner, ss, false));
      setField(b, FIELDS.cpl, dpl);
    });
    setSegment(b, CS, unlimited(code, selector.and(0xfffc).or(dpl), true));
    setGpr(b, ESP, top);
    setEip(b, gate.low.and(0xffff).or(gate.high.and(0xffff_0000)));
    const isTrapGate = gate.high.shrU(8).and(1);
    const keeps = b.let(isTrapGate.shl(9).or(~(EFLAGS.RF | EFLAGS.NT | EFLAGS.IF)));
    setField(b, FIELDS.eflagsSystem, system.and(keeps));
    setField(b, FIELDS.interruptShadow, none);
    setField(b, FIELDS.trapInhibit, i32(1));
    done(b, updateMode);
  });

  const dropInner = (b: Body, index: number, cpl: Value) => {
    const flags = segment(b, index, SEGMENT.flags);
    b.if(flags.and(CONFORMING).ne(CONFORMING).and(dplOf(flags).ltU(cpl)), () => {
      setSegment(b, index, { selector: none, base: none, limit: none, flags: none, readEnd: none, writeEnd: none });
    });
  };
  // IRET with 32-bit operands to the same or an outer level of protected mode.
  define('interruptReturn', (b) => {
    const system = begin(b);
    giveUpIf(b, system.and(EFLAGS.NT).or(field(b, FIELDS.nmiBlocked)));
    giveUpIf(b, segment(b, SS, SEGMENT.readEnd).ne(-1));
    giveUpIf(b, segment(b, SS, SEGMENT.flags).and(DESC.big).eqz());
    const sp = gpr(b, ESP);
    const linear = b.let(segment(b, SS, SEGMENT.base).add(sp));
    giveUpIf(b, sp.gtU(0xffff_ff00));
    giveUpIf(b, linear.and(0xfff).gtU(4096 - 20));
    const frame = translate(b, linear, TLB.read, field(b, FIELDS.tlbBase));
    const eip = b.load(OP.i32Load, frame, 0);
    const selector = b.load(OP.i32Load16U, frame, 4);
    const image = b.load(OP.i32Load, frame, 8);
    const cpl = field(b, FIELDS.cpl);
    const rpl = b.let(selector.and(3));
    giveUpIf(b, rpl.ltU(cpl));
    giveUpIf(b, image.and(EFLAGS.VM | EFLAGS.TF));
    giveUpIf(b, image.or(system).and(EFLAGS.IF).and(field(b, FIELDS.interruptWaits)));
    const code = descriptor(b, selector);
    giveUpIf(b, code.high.and(CODE_MASK).ne(CODE).or(dplOf(code.high).ne(rpl)).or(isUnlimited(code).eqz()));

    const iopl = system.shrU(12).and(3);
    const mask = b.let(i32(EVERYONE));
    b.if(cpl.leU(iopl), () => mask.set(mask.or(EFLAGS.IF)));
    b.if(cpl.eqz(), () => mask.set(mask.or(EFLAGS.IOPL | EFLAGS.VIF | EFLAGS.VIP)));
    const isOuter = b.let(rpl.ne(cpl));
    const ss = b.let(none);
    const outer: Descriptor = { low: b.let(none), high: b.let(none) };
    b.if(isOuter, () => {
      ss.set(b.load(OP.i32Load16U, frame, 16));
      giveUpIf(b, ss.and(3).ne(rpl));
      const d = descriptor(b, ss);
      const wanted = DATA | DESC.writable | DESC.big;
      giveUpIf(b, d.high.and(DATA_MASK | DESC.writable | DESC.big).ne(wanted));
      giveUpIf(b, dplOf(d.high).ne(rpl).or(isUnlimited(d).eqz()));
      outer.low.set(d.low);
      outer.high.set(d.high);
    });
    b.if(
      isOuter,
      () => {
        setGpr(b, ESP, b.load(OP.i32Load, frame, 12));
        setSegment(b, SS, unlimited(outer, ss, false));
        setField(b, FIELDS.cpl, rpl);
        for (const index of [ES, DS, FS, GS]) dropInner(b, index, rpl);
      },
      () => setGpr(b, ESP, sp.add(12)),
    );
    setSegment(b, CS, unlimited(code, selector, true));
    setEip(b, eip);
    // RF stays only where instruction breakpoints look at it: not here.
    setSystemFlags(b, b.let(system.and(mask.not()).and(~EFLAGS.RF).or(image.and(mask))));
    setArithmeticFlags(b, image);
    done(b, updateMode);
  });

  const fastTransfer = (b: Body, cs: Value, ss: Value, dpl: number) => {
    setSegment(b, CS, flatSegment(cs, true, dpl));
    setSegment(b, SS, flatSegment(ss, false, dpl));
    setField(b, FIELDS.cpl, i32(dpl));
  };
  define('sysenter', (b) => {
    const system = begin(b);
    const selector = b.let(field(b, FIELDS.sysenterCs).and(0xfffc));
    giveUpIf(b, selector.eqz());
    setField(b, FIELDS.eflagsSystem, system.and(~(EFLAGS.IF | EFLAGS.RF)));
    fastTransfer(b, selector, selector.add(8).and(0xffff), 0);
    setGpr(b, ESP, field(b, FIELDS.sysenterEsp));
    setEip(b, field(b, FIELDS.sysenterEip));
    done(b, updateMode);
  });
  define('sysexit', (b) => {
    begin(b);
    const selector = b.let(field(b, FIELDS.sysenterCs).and(0xfffc));
    giveUpIf(b, selector.eqz().or(field(b, FIELDS.cpl)));
    fastTransfer(b, selector.add(16).or(3).and(0xffff), selector.add(24).or(3).and(0xffff), 3);
    setGpr(b, ESP, gpr(b, ECX));
    setEip(b, gpr(b, EDX));
    done(b, updateMode);
  });
}
