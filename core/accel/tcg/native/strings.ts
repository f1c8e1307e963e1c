/** Repeated MOVS and STOS, as far as one call can do them in plain memory: ascending, 32-bit addresses in unlimited segments or
 *  linear ones of 64 bits, both sides in the TLB, nobody stepping, a page at a time and not for long. They answer how many elements are done, 0 if none; the helper of
 *  the same instruction does the rest. A page with code has no write right in the TLB, so no code is written here. */

import { NATIVES } from '../../../target/x86/semantics/natives.ts';
import { EFLAGS, ES, FIELDS, SEGMENT } from '../../../target/x86/state.ts';
import { type Body, defineFunction, i32, type Local, type Value } from '../../../wasm/expressions.ts';
import { I32, I64, OP } from '../../../wasm/opcodes.ts';
import type { ModuleWriter } from '../../../wasm/writer.ts';
import { TLB } from '../interpreter/layout.ts';

/** Bytes that one call does at most, but for the rest of a page. */
const LONG = 0x8000;
const LONGEST = LONG + 4096;
/** Copies up to this length are done here, longer ones by the engine's bulk instructions. */
const SHORT = 64;

export function defineStrings(module: ModuleWriter, state: number): void {
  const none = i32(0);
  const field = (b: Body, f: { readonly offset: number }, more = 0) =>
    b.load(OP.i32Load, none, state + f.offset + more);
  const segmentWord = (b: Body, segment: Value, word: number) =>
    b.load(OP.i32Load, segment.mul(FIELDS.segments.stride), state + FIELDS.segments.offset + word);
  const low = (linear: Value) => (linear.type === I64 ? linear.narrow() : linear);
  const giveUpIf = (b: Body, condition: Value, done: Value = none) => b.unlikely(condition, () => b.return(done));

  /** Where an element lies in memory; gives up unless the TLB says. */
  const translate = (b: Body, linear: Local, right: number, done: Local) => {
    const entry = b.let(low(linear).shrU(TLB.indexShift).and(TLB.indexMask).add(field(b, FIELDS.tlbBase)));
    const tag = b.load(linear.type === I64 ? OP.i64Load : OP.i32Load, entry, right);
    giveUpIf(b, tag.ne(linear.and(-4096)), done);
    return b.let(b.load(OP.i32Load, entry, TLB.addend).add(low(linear)));
  };
  /** What every call needs. */
  const begin = (b: Body, count: Local) => {
    giveUpIf(b, count.eqz());
    giveUpIf(b, field(b, FIELDS.direction).ne(1));
    giveUpIf(
      b,
      field(b, FIELDS.eflagsSystem)
        .and(EFLAGS.TF)
        .or(field(b, FIELDS.dr, 7 * 8).and(0xff)),
    );
  };
  const linearOf = (b: Body, segment: Value, offset: Value, end: number) => {
    giveUpIf(b, segmentWord(b, segment, end).ne(-1));
    giveUpIf(b, offset.geU(i32(-1).sub(LONGEST)));
    return b.let(segmentWord(b, segment, SEGMENT.base).add(offset));
  };
  /** Takes `n` down to the elements that begin and end in the page of `linear`. */
  const bound = (b: Body, n: Local, linear: Value, shift: Value) => {
    const room = b.let(i32(4096).sub(low(linear).and(0xfff)).shrU(shift));
    n.set(n.ltU(room).select(n, room));
  };
  const define = (name: string, write: (b: Body, ...params: Local[]) => void) => {
    const { params, result } = NATIVES[name]!;
    defineFunction(module, params, result, write, name);
  };
  /** Runs `body` for the `n` elements that are left (it takes `n` down to what it does), page after page; gives what was done. */
  const pages = (b: Body, count: Local, shift: Local, linear: Local[], body: (n: Local, done: Local) => void) => {
    const done = b.let(none);
    const n = b.variable(I32);
    b.loop((again) => {
      n.set(count.sub(done));
      body(n, done);
      done.set(done.add(n));
      for (const at of linear) at.set(at.add(at.type === I64 ? n.shl(shift).wideU() : n.shl(shift)));
      b.if(done.ltU(count).and(done.shl(shift).ltU(LONG)), again);
    });
    b.result(done);
  };
  /** Runs `body` with ascending offsets below `end`. */
  const each = (b: Body, at: Local, end: Value, step: number, body: () => void) =>
    b.loop((again) => {
      b.if(at.add(step).leU(end), () => {
        body();
        at.set(at.add(step));
        again();
      });
    });

  const movs = (b: Body, from: Local, to: Local, count: Local, shift: Local) =>
    pages(b, count, shift, [from, to], (n, done) => {
      bound(b, n, from, shift);
      bound(b, n, to, shift);
      giveUpIf(b, n.eqz(), done);
      const source = translate(b, from, TLB.read, done);
      const target = translate(b, to, TLB.write, done);
      const bytes = b.let(n.shl(shift));
      const distance = b.let(target.sub(source));
      // What was just written would be read again.
      giveUpIf(b, distance.ltU(bytes).and(distance.ne(0)), done);
      b.if(
        bytes.leU(SHORT),
        () => {
          const at = b.let(i32(0));
          const copy = (load: number, store: number) => () =>
            b.store(store, target.add(at), 0, b.load(load, source.add(at), 0));
          each(b, at, bytes, 8, copy(OP.i64Load, OP.i64Store));
          each(b, at, bytes, 4, copy(OP.i32Load, OP.i32Store));
          each(b, at, bytes, 1, copy(OP.i32Load8U, OP.i32Store8));
        },
        () => {
          target.emit(b.w);
          source.emit(b.w);
          bytes.emit(b.w);
          for (const byte of [0xfc, 10, 0, 0]) b.w.code.byte(byte); // memory.copy
        },
      );
    });
  define('repMovs', (b, segment, si, di, count, shift) => {
    begin(b, count!);
    const from = linearOf(b, segment!, si!, SEGMENT.readEnd);
    const to = linearOf(b, i32(ES), di!, SEGMENT.writeEnd);
    movs(b, from, to, count!, shift!);
  });
  define('repMovsLong', (b, from, to, count, shift) => {
    begin(b, count!);
    movs(b, from!, to!, count!, shift!);
  });

  /** `value` has 32 bits, or 64 for the widest elements. */
  const stos = (b: Body, to: Local, count: Local, value: Local, shift: Local) =>
    pages(b, count, shift, [to], (n, done) => {
      bound(b, n, to, shift);
      giveUpIf(b, n.eqz(), done);
      const target = translate(b, to, TLB.write, done);
      const bytes = b.let(n.shl(shift));
      // The value in all four bytes, or eight.
      const word = b.let(low(value));
      b.if(shift.eqz(), () => word.set(word.and(0xff).mul(0x0101_0101)));
      b.if(shift.eq(1), () => word.set(word.and(0xffff).mul(0x0001_0001)));
      const twice = b.let(word.wideU().or(word.wideU().shl(32)));
      if (value.type === I64) b.if(shift.eq(3), () => twice.set(value));
      const isUniform = b.let(twice.eq(word.and(0xff).mul(0x0101_0101).wideU().mul(0x1_0000_0001)));
      b.if(
        bytes.gtU(SHORT).and(isUniform),
        () => {
          target.emit(b.w);
          word.and(0xff).emit(b.w);
          bytes.emit(b.w);
          for (const byte of [0xfc, 11, 0]) b.w.code.byte(byte); // memory.fill
        },
        () => {
          const at = b.let(i32(0));
          each(b, at, bytes, 8, () => b.store(OP.i64Store, target.add(at), 0, twice));
          each(b, at, bytes, 4, () => b.store(OP.i32Store, target.add(at), 0, word));
          each(b, at, bytes, 2, () => b.store(OP.i32Store16, target.add(at), 0, word));
          each(b, at, bytes, 1, () => b.store(OP.i32Store8, target.add(at), 0, word));
        },
      );
    });
  define('repStos', (b, di, count, value, shift) => {
    begin(b, count!);
    stos(b, linearOf(b, i32(ES), di!, SEGMENT.writeEnd), count!, value!, shift!);
  });
  define('repStosLong', (b, to, count, value, shift) => {
    begin(b, count!);
    stos(b, to!, count!, value!, shift!);
  });
}
