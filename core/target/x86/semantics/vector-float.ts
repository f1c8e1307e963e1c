/** SSE arithmetic and comparison in floating point. It is done with WebAssembly's operations where a look at operands and result
 *  shows that no flag of MXCSR but precision can rise, and that one is set and masked; all else is exact in sse-float.ts. */
import type { SimdName } from '../../../wasm/simd.ts';
import { FLOAT_OP } from '../sse-float.ts';
import { instruction, type Operand, type Ops } from './ops.ts';
import { enterSse, lanes, loadAligned } from './vector.ts';
import {
  areOrdered,
  exactly,
  FORMS,
  floatCode,
  floatEncoding,
  floatVector,
  isOutside,
  lowNumber,
  natively,
  ones,
  outside,
  type Precision,
  precisionOf,
  scalarOperand,
  TYPE,
  WHOLE,
  WINDOWS,
  withLow,
} from './vector-number.ts';

type Arithmetic = 'add' | 'sub' | 'mul' | 'div';
/** The upper 32 bits of a number's pattern. */
const topOfLow = <V>(o: Ops<V>, precision: Precision, v: V) =>
  o.lane('i32x4.extract_lane', precision === 's' ? 0 : 1, v);
const topOf = <V>(o: Ops<V>, precision: Precision, number: V) =>
  precision === 's'
    ? o.scalar('i32.reinterpret_f32', number)
    : o.narrow(o.shrU(o.scalar('i64.reinterpret_f64', number), 32));
/** For sums both operands are in a window, for the others the first operand and the result; then the other operand is a normal number
 *  too and nothing over- or underflows. */
const isSum = (name: Arithmetic) => name === 'add' || name === 'sub';

/** `a` op `b` on vectors. `code`, `second`: for the helper, where it is not that on these operands. */
function packed<V>(
  o: Ops<V>,
  precision: Precision,
  name: Arithmetic,
  a: V,
  b: V,
  store: (v: V) => void,
  code = floatCode(FLOAT_OP[name], precision, false),
  second = b,
) {
  const { ints } = WHOLE[precision];
  const result = o.simd(`${TYPE[precision]}.${name}` as SimdName, a, b);
  const [from, then] = WINDOWS[name][precision];
  const bad = o.simd('v128.or', outside(o, precision, a, from), outside(o, precision, isSum(name) ? b : result, then));
  const isFast = o.ltU(o.simd(`${ints}.bitmask`, bad), o.field('ssePlain'));
  o.when(
    isFast,
    () => store(result),
    () => {
      const pass = () => natively(o, `${name}p${precision}`, [a, b], code, [a, second], store);
      // A NaN keeps its sign.
      const isNan = second === b ? null : o.simd('v128.any_true', o.simd(`${TYPE[precision]}.ne`, b, b));
      if (isNan === null) pass();
      else o.when(isNan, () => store(exactly(o, code, a, second)), pass);
    },
    true,
  );
}
const arithmetic = (name: Arithmetic, opcode: string) =>
  FORMS.map((form) => {
    const precision = precisionOf(form);
    const type = precision === 's' ? 'f32' : 'f64';
    const code = floatCode(FLOAT_OP[name], precision, form[0] === 's');
    if (form[0] === 'p')
      return instruction({
        name: `${name}${form}`,
        encodings: [floatEncoding(form, opcode)],
        natives: [`${name}p${precision}`],
        semantics: (o, dst, src) => {
          enterSse(o);
          const b = loadAligned(o, src);
          const a = dst.load();
          packed(o, precision, name, a, b, (v) => dst.store(v));
        },
      });
    return instruction({
      name: `${name}${form}`,
      encodings: [floatEncoding(form, opcode)],
      natives: [`${name}p${precision}`],
      semantics: (o, dst, src) => {
        enterSse(o);
        const b = scalarOperand(o, src, precision);
        const a = dst.load();
        const number = o.scalar(`${type}.${name}`, lowNumber(o, precision, a), b);
        const result = withLow(o, precision, a, number);
        const [from, then] = WINDOWS[name][precision];
        const bad = o.or(
          isOutside(o, precision, topOfLow(o, precision, a), from),
          isOutside(o, precision, topOf(o, precision, isSum(name) ? b : number), then),
        );
        const isFast = o.ltU(o.shrU(bad, 31), o.field('ssePlain'));
        o.when(
          isFast,
          () => dst.store(result),
          () => {
            const above = ones(o, precision);
            const operands = [
              withLow(o, precision, above, lowNumber(o, precision, a)),
              withLow(o, precision, above, b),
            ] as const;
            const helped = [a, floatVector(o, precision, b)] as const;
            natively(o, `${name}p${precision}`, operands, code, helped, (v) =>
              dst.store(withLow(o, precision, a, lowNumber(o, precision, v))),
            );
          },
          true,
        );
      },
    });
  });
const squareRoot = () =>
  FORMS.map((form) => {
    const precision = precisionOf(form);
    const isScalar = form[0] === 's';
    const code = floatCode(FLOAT_OP.sqrt, precision, isScalar);
    return instruction({
      name: `sqrt${form}`,
      encodings: [floatEncoding(form, '51')],
      natives: [`sqrtp${precision}`],
      semantics: (o, dst, src) => {
        enterSse(o);
        const number = isScalar ? scalarOperand(o, src, precision) : null;
        const b = number === null ? loadAligned(o, src) : floatVector(o, precision, number);
        const a = isScalar ? dst.load() : b;
        const bad = o.simd('v128.or', b, outside(o, precision, b, WINDOWS.sqrt[precision]));
        const signs = o.simd(`${WHOLE[precision].ints}.bitmask`, bad);
        const isFast = o.ltU(isScalar ? o.and(signs, o.const(1)) : signs, o.field('ssePlain'));
        o.when(
          isFast,
          () =>
            dst.store(
              number === null
                ? o.simd(`${TYPE[precision]}.sqrt`, b)
                : withLow(o, precision, a, o.scalar(precision === 's' ? 'f32.sqrt' : 'f64.sqrt', number)),
            ),
          () => {
            const operand = isScalar ? withLow(o, precision, ones(o, precision), lowNumber(o, precision, b)) : b;
            natively(o, `sqrtp${precision}`, [operand, operand], code, [a, b], (v) =>
              dst.store(isScalar ? withLow(o, precision, a, lowNumber(o, precision, v)) : v),
            );
          },
          true,
        );
      },
    });
  });

/** MIN, MAX: the second operand where both are zeros (or a NaN, which is done exactly). */
const extreme = (name: 'min' | 'max', opcode: string) =>
  FORMS.map((form) => {
    const precision = precisionOf(form);
    const isScalar = form[0] === 's';
    return instruction({
      name: `${name}${form}`,
      encodings: [floatEncoding(form, opcode)],
      semantics: (o, dst, src) => {
        enterSse(o);
        const { a, b, isFast } = compared(o, precision, isScalar, dst, src);
        o.when(
          isFast,
          () => dst.store(o.simd(`${TYPE[precision]}.p${name}`, b, a)),
          () => dst.store(exactly(o, floatCode(FLOAT_OP[name], precision, isScalar), a, b)),
          true,
        );
      },
    });
  });
/** Operands of a comparison as vectors (of a scalar one: equal above the low lane), and whether all are numbers, none denormal. */
function compared<V>(o: Ops<V>, precision: Precision, isScalar: boolean, dst: Operand<V>, src: Operand<V>) {
  if (!isScalar) {
    const b = loadAligned(o, src);
    const a = dst.load();
    const good = o.simd('v128.and', areOrdered(o, precision, a), areOrdered(o, precision, b));
    return { a, b, isFast: o.eq(o.simd(`${WHOLE[precision].ints}.bitmask`, good), o.const(WHOLE[precision].mask)) };
  }
  const number = scalarOperand(o, src, precision);
  const a = dst.load();
  const both = o.lane(`${TYPE[precision]}.replace_lane`, 1, a, number);
  const good = o.simd(`${WHOLE[precision].ints}.bitmask`, areOrdered(o, precision, both));
  return {
    a,
    b: withLow(o, precision, a, number),
    number,
    isFast: o.eq(precision === 's' ? o.and(good, o.const(3)) : good, o.const(3)),
  };
}
/** The mask of a predicate, for operands that have an order. */
function predicate<V>(o: Ops<V>, precision: Precision, a: V, b: V, imm: V): V {
  const type = TYPE[precision];
  const zeros = () => lanes(o, [0]);
  const tests: (() => V)[] = [
    () => o.simd(`${type}.eq`, a, b),
    () => o.simd(`${type}.lt`, a, b),
    () => o.simd(`${type}.le`, a, b),
    zeros,
  ];
  const number = o.known(imm);
  if (number !== null) {
    const test = tests[number & 3]!();
    return number & 4 ? o.simd('v128.not', test) : test;
  }
  const bit = (n: number) => o.and(imm, o.const(1 << n));
  const [eq, lt, le, never] = tests.map((test) => test()) as [V, V, V, V];
  const chosen = o.select(bit(1), o.select(bit(0), never, le), o.select(bit(0), lt, eq));
  const inverted = o.simd('i32x4.splat', o.sub(o.const(0), o.and(o.shrU(imm, 2), o.const(1))));
  return o.simd('v128.xor', chosen, inverted);
}
const comparisons = () =>
  FORMS.map((form) => {
    const precision = precisionOf(form);
    const isScalar = form[0] === 's';
    return instruction({
      name: `cmp${form}`,
      encodings: [`${floatEncoding(form, 'c2')},Ib`],
      semantics: (o, dst, src, immediate) => {
        enterSse(o);
        // With VEX there are more ways to treat what has no order.
        const imm = o.and(immediate.load(), o.const(o.form.vexPart ? 31 : 7));
        const { a, b, isFast } = compared(o, precision, isScalar, dst, src);
        const code = floatCode(FLOAT_OP.compare, precision, isScalar);
        o.when(
          isFast,
          () => {
            const mask = predicate(o, precision, a, b, imm);
            dst.store(isScalar ? withLow(o, precision, a, lowNumber(o, precision, mask)) : mask);
          },
          () => dst.store(exactly(o, code, a, b, imm)),
          true,
        );
      },
    });
  });
const flagComparison = (name: 'comi' | 'ucomi', op: number) =>
  (['s', 'd'] as const).map((precision) =>
    instruction({
      name: `${name}s${precision}`,
      encodings: [
        `${precision === 's' ? 'np' : '66'} 0f ${name === 'comi' ? '2f' : '2e'} Vx,W${precision === 's' ? 'd' : 'q'}`,
      ],
      dst: 'r',
      writesFlags: 'OSZAPC',
      semantics: (o, dst, src) => {
        enterSse(o);
        const { a, b, number, isFast } = compared(o, precision, true, dst, src);
        const type = precision === 's' ? 'f32' : 'f64';
        const first = lowNumber(o, precision, a);
        o.when(
          isFast,
          () => o.commitZeroCarry(o.scalar(`${type}.eq`, first, number!), o.scalar(`${type}.lt`, first, number!)),
          () => void o.callVector('vectorCompare', o.const(floatCode(op, precision, true)), a, b),
          true,
        );
      },
    }),
  );

/** Sums or differences of neighbours. */
const horizontal = (name: string, encoding: string, op: 'add' | 'sub', precision: Precision) =>
  instruction({
    name,
    encodings: [encoding],
    natives: [`${op}p${precision}`],
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = loadAligned(o, src);
      const a = dst.load();
      const size = precision === 's' ? 4 : 8;
      const every = (odd: number) =>
        Array.from({ length: 16 }, (_, i) => (Math.floor(i / size) * 2 + odd) * size + (i % size));
      const x = o.shuffle(a, b, every(0));
      const y = o.shuffle(a, b, every(1));
      packed(o, precision, op, x, y, (v) => dst.store(v));
    },
  });
/** Differences in even lanes, sums in odd ones. */
const alternating = (precision: Precision) =>
  instruction({
    name: `addsubp${precision}`,
    encodings: [precision === 's' ? 'f2 0f d0 Vx,Wx' : '66 0f d0 Vx,Wx'],
    natives: [`addp${precision}`],
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = loadAligned(o, src);
      const a = dst.load();
      const signs = lanes(
        o,
        precision === 's' ? [0, 0, 0, 0x80, 0, 0, 0, 0] : [0, 0, 0, 0, 0, 0, 0, 0x80, ...Array(8).fill(0)],
      );
      const sums = floatCode(FLOAT_OP.addsub, precision, false);
      packed(o, precision, 'add', a, o.simd('v128.xor', b, signs), (v) => dst.store(v), sums, b);
    },
  });

/** Twelve bits of a reciprocal, or of that of a square root; MXCSR has no part in it. */
const approximation = (name: 'rcp' | 'rsqrt', opcode: string) =>
  (['ps', 'ss'] as const).map((form) => {
    const isScalar = form === 'ss';
    return instruction({
      name: `${name}${form}`,
      encodings: [floatEncoding(form, opcode)],
      semantics: (o, dst, src) => {
        enterSse(o);
        const b = isScalar ? floatVector(o, 's', scalarOperand(o, src, 's')) : loadAligned(o, src);
        const a = isScalar ? dst.load() : b;
        const strange = outside(o, 's', b, WINDOWS.sqrt.s);
        const signs = o.simd('i32x4.bitmask', name === 'rcp' ? strange : o.simd('v128.or', b, strange));
        o.when(
          isScalar ? o.and(signs, o.const(1)) : signs,
          () => dst.store(exactly(o, floatCode(FLOAT_OP[name], 's', isScalar), a, b)),
          () => {
            const quotient = name === 'rcp' ? o.simd('f32x4.div', ones(o, 's'), b) : inverseRoot(o, b);
            const rounded = o.simd('i32x4.add', quotient, lanes(o, [0, 4, 0, 0]));
            const cut = o.simd('v128.and', rounded, lanes(o, [0, 0xf8, 0xff, 0xff]));
            dst.store(isScalar ? withLow(o, 's', a, lowNumber(o, 's', cut)) : cut);
          },
          false,
        );
      },
    });
  });
function inverseRoot<V>(o: Ops<V>, v: V): V {
  const half = (x: V) =>
    o.simd(
      'f32x4.demote_f64x2_zero',
      o.simd('f64x2.div', ones(o, 'd'), o.simd('f64x2.sqrt', o.simd('f64x2.promote_low_f32x4', x))),
    );
  const bytes = Array.from({ length: 16 }, (_, i) => i);
  const high = o.shuffle(
    v,
    v,
    bytes.map((i) => 8 + (i & 7)),
  );
  return o.shuffle(
    half(v),
    half(high),
    bytes.map((i) => (i < 8 ? i : i + 8)),
  );
}

export const VECTOR_FLOAT = [
  ...squareRoot(),
  ...arithmetic('add', '58'),
  ...arithmetic('mul', '59'),
  ...arithmetic('sub', '5c'),
  ...arithmetic('div', '5e'),
  ...extreme('min', '5d'),
  ...extreme('max', '5f'),
  ...approximation('rcp', '53'),
  ...approximation('rsqrt', '52'),
  ...comparisons(),
  ...flagComparison('ucomi', FLOAT_OP.ucomis),
  ...flagComparison('comi', FLOAT_OP.comis),
  horizontal('haddps', 'f2 0f 7c Vx,Wx', 'add', 's'),
  horizontal('haddpd', '66 0f 7c Vx,Wx', 'add', 'd'),
  horizontal('hsubps', 'f2 0f 7d Vx,Wx', 'sub', 's'),
  horizontal('hsubpd', '66 0f 7d Vx,Wx', 'sub', 'd'),
  alternating('s'),
  alternating('d'),
];
