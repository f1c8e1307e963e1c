/** Repeated MOVS, STOS, CMPS and SCAS, as far as one call can do them in plain memory: ascending, 32-bit addresses that do not go round or
 *  linear ones of 64 bits, both sides in plain memory, nobody stepping, a page at a time and not for long. They answer how many elements are done, 0 if none; the helper of
 *  the same instruction does the rest. A page with code has no write right in the TLB, so no code is written here. */

import { NATIVES } from '../../../target/x86/semantics/natives.ts';
import { EFLAGS, ES, FIELDS, SEGMENT } from '../../../target/x86/state.ts';
import { type Body, defineFunction, i32, i64, type Local, type Value } from '../../../wasm/expressions.ts';
import { I32, I64, OP } from '../../../wasm/opcodes.ts';
import type { ModuleWriter } from '../../../wasm/writer.ts';
import { TLB } from '../interpreter/layout.ts';
import type { Fills } from './paging.ts';

/** Bytes that one call does at most, but for the rest of a page. */
const LONG = 0x8000;
const LONGEST = LONG + 4096;
/** Copies up to this length are done here, longer ones by the engine's bulk instructions. */
const SHORT = 64;

export function defineStrings(module: ModuleWriter, state: number, fills: Fills): void {
  const none = i32(0);
  const field = (b: Body, f: { readonly offset: number }, more = 0) =>
    b.load(OP.i32Load, none, state + f.offset + more);
  const segmentWord = (b: Body, segment: Value, word: number) =>
    b.load(OP.i32Load, segment.mul(FIELDS.segments.stride), state + FIELDS.segments.offset + word);
  const low = (linear: Value) => (linear.type === I64 ? linear.narrow() : linear);
  const giveUpIf = (b: Body, condition: Value, done: Value = none) => b.unlikely(condition, () => b.return(done));

  /** Where an element lies in memory; gives up unless the TLB, or a walk, says. */
  const translate = (b: Body, linear: Local, right: number, done: Local) => {
    const isLong = linear.type === I64;
    const entry = b.let(low(linear).shrU(TLB.indexShift).and(TLB.indexMask).add(field(b, FIELDS.tlbBase)));
    const tag = b.load(isLong ? OP.i64Load : OP.i32Load, entry, right);
    const addend = b.load(OP.i32Load, entry, TLB.addend);
    b.unlikely(tag.ne(linear.and(-4096)), () => {
      const read = isLong ? fills.fillReadLong : fills.fillRead;
      const write = isLong ? fills.fillWriteLong : fills.fillWrite;
      addend.set(b.call(right === TLB.write ? write : read, linear, 1));
      giveUpIf(b, addend.eq(1), done);
    });
    return b.let(addend.add(low(linear)));
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
  /** Where the elements begin. Takes `count` down to those whose offsets are below the segment's `end` (state.ts). */
  const linearOf = (b: Body, segment: Value, offset: Value, end: number, count: Local, shift: Value) => {
    const below = segmentWord(b, segment, end);
    b.if(
      below.eq(-1),
      () => giveUpIf(b, offset.geU(i32(-1).sub(LONGEST))),
      () => {
        giveUpIf(b, offset.geU(below));
        const room = b.let(below.sub(offset).sub(1).shrU(shift).add(1));
        count.set(count.ltU(room).select(count, room));
      },
    );
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
      // What was just written is read again: not more than lies between at a time.
      const isRepeated = b.let(distance.ltU(bytes).and(distance.ne(0)));
      const unit = b.let(isRepeated.and(distance.ltU(8)).select(i32(1).shl(shift), 8));
      b.if(
        bytes.leU(SHORT).or(isRepeated),
        () => {
          const at = b.let(i32(0));
          const copy = (step: number, load: number, store: number) => () =>
            each(b, at, bytes, step, () => b.store(store, target.add(at), 0, b.load(load, source.add(at), 0)));
          b.if(unit.eq(8), copy(8, OP.i64Load, OP.i64Store));
          b.if(unit.geU(4), copy(4, OP.i32Load, OP.i32Store));
          b.if(unit.geU(2), copy(2, OP.i32Load16U, OP.i32Store16));
          copy(1, OP.i32Load8U, OP.i32Store8)();
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
    const from = linearOf(b, segment!, si!, SEGMENT.readEnd, count!, shift!);
    const to = linearOf(b, i32(ES), di!, SEGMENT.writeEnd, count!, shift!);
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
  const SCRATCH = state + FIELDS.vectorScratch.offset;
  /** By log2 of an element's bytes: a word with the lowest bit of each element set, and the highest. */
  const lowest = [0x0101_0101_0101_0101n, 0x0001_0001_0001_0001n, 0x0000_0001_0000_0001n, 1n];
  const choose = (shift: Value, words: readonly bigint[]) =>
    shift
      .ltU(2)
      .select(shift.eqz().select(i64(words[0]!), i64(words[1]!)), shift.eq(2).select(i64(words[2]!), i64(words[3]!)));
  /** An element, zero-extended. */
  const element = (b: Body, address: Value, shift: Local): Local => {
    const value = b.variable(I64);
    const read = (op: number) => () => value.set(b.load(op, address, 0));
    const large = () => b.if(shift.eq(2), read(OP.i64Load32U), read(OP.i64Load));
    const small = () => b.if(shift.eqz(), read(OP.i64Load8U), read(OP.i64Load16U));
    b.if(shift.ltU(2), small, large);
    return value;
  };
  /** Compares elements at `linear` addresses with each other, or with `value`, until one ends it. Eight bytes at a time, told apart by the
   *  lowest bit that differs or, for REPNE, that the first element of zero leaves; those at the end one by one. */
  const seek = (b: Body, linear: Local[], value: Local | null, count: Local, shift: Local, isRepne: Local) => {
    const done = b.let(none);
    const n = b.variable(I32);
    const at = b.variable(I32);
    const bytes = b.variable(I32);
    const isEnd = b.let(none);
    const ones = b.let(choose(shift, lowest));
    const tops = b.let(
      choose(
        shift,
        lowest.map((ones, i) => ones << BigInt((8 << i) - 1)),
      ),
    );
    /** The value as an element, and as eight bytes full of it. */
    const one = value ? b.let(shift.eq(3).select(value, value.and(i64(1).shl(i32(8).shl(shift)).sub(1)))) : null;
    const wanted = one ? b.let(one.mul(ones)) : null;
    b.loop((again) => {
      n.set(count.sub(done));
      for (const each of linear) bound(b, n, each, shift);
      giveUpIf(b, n.eqz(), done);
      const places = linear.map((each) => translate(b, each, TLB.read, done));
      const second = places.at(-1)!;
      bytes.set(n.shl(shift));
      at.set(none);
      b.block((found) => {
        b.loop((on) => {
          b.if(at.add(8).leU(bytes), () => {
            const other = wanted ?? b.load(OP.i64Load, places[0]!.add(at), 0);
            const differs = b.let(other.xor(b.load(OP.i64Load, second.add(at), 0)));
            b.if(isRepne, () => differs.set(differs.sub(ones).and(differs.not()).and(tops)));
            b.if(differs.eqz(), () => {
              at.set(at.add(8));
              on();
            });
            at.set(at.add(differs.ctz().narrow().shrU(3).and(i32(-1).shl(shift))));
            isEnd.set(i32(1));
            found();
          });
        });
        b.loop((on) => {
          b.if(at.ltU(bytes), () => {
            const left = one ?? element(b, places[0]!.add(at), shift);
            const right = element(b, second.add(at), shift);
            b.if(left.eq(right).eq(isRepne), () => {
              isEnd.set(i32(1));
              found();
            });
            at.set(at.add(i32(1).shl(shift)));
            on();
          });
        });
        at.set(at.sub(i32(1).shl(shift)));
      });
      // `at`: the last element that was compared.
      n.set(at.shrU(shift).add(1));
      done.set(done.add(n));
      b.store(OP.i64Store, none, SCRATCH, one ?? element(b, places[0]!.add(at), shift));
      b.store(OP.i64Store, none, SCRATCH + 8, element(b, second.add(at), shift));
      for (const each of linear) each.set(each.add(each.type === I64 ? n.shl(shift).wideU() : n.shl(shift)));
      b.if(isEnd.eqz().and(done.ltU(count)).and(done.shl(shift).ltU(LONG)), again);
    });
    b.result(done.or(isEnd.shl(31)));
  };
  define('repCmps', (b, segment, si, di, count, shift, isRepne) => {
    begin(b, count!);
    const from = linearOf(b, segment!, si!, SEGMENT.readEnd, count!, shift!);
    const to = linearOf(b, i32(ES), di!, SEGMENT.readEnd, count!, shift!);
    seek(b, [from, to], null, count!, shift!, isRepne!);
  });
  define('repCmpsLong', (b, from, to, count, shift, isRepne) => {
    begin(b, count!);
    seek(b, [from!, to!], null, count!, shift!, isRepne!);
  });
  define('repScas', (b, di, count, value, shift, isRepne) => {
    begin(b, count!);
    seek(
      b,
      [linearOf(b, i32(ES), di!, SEGMENT.readEnd, count!, shift!)],
      b.let(value!.wideU()),
      count!,
      shift!,
      isRepne!,
    );
  });
  define('repScasLong', (b, to, count, value, shift, isRepne) => {
    begin(b, count!);
    seek(b, [to!], value!, count!, shift!, isRepne!);
  });

  define('repStos', (b, di, count, value, shift) => {
    begin(b, count!);
    stos(b, linearOf(b, i32(ES), di!, SEGMENT.writeEnd, count!, shift!), count!, value!, shift!);
  });
  define('repStosLong', (b, to, count, value, shift) => {
    begin(b, count!);
    stos(b, to!, count!, value!, shift!);
  });
}
