/** What instructions with a VEX prefix share (Intel SDM volume 2, 2.3 and 2.4): rights, 256 bits as two parts, zeros above the result,
 *  and SSE definitions in their new coat. An SSE definition is read once for each 128 bits with operands that stand for the parts. */

import { parseEncoding } from '../decode/encoding.ts';
import { EFLAGS } from '../state.ts';
import { type Instruction, instruction, type Operand, type Ops, type Width } from './ops.ts';
import { lanes } from './vector.ts';

/** The handler of 16-bit code looks whether it is in VM86. */
export const VEX_VARIANTS = ['opSize'] as const;

function refuseVm86<V>(o: Ops<V>): void {
  if (o.form.opSize !== 16) return;
  o.when(o.and(o.field('eflagsSystem'), o.const(EFLAGS.VM)), () => void o.call('vexUnavailable'), undefined, false);
}
/** #UD in real mode and VM86: for those on general registers. */
export function enterVex<V>(o: Ops<V>): void {
  refuseVm86(o);
  o.when(o.eqz(o.field('vexReady')), () => void o.call('vexUnavailable'), undefined, false);
}
/** The same, and #UD where the system has not switched AVX on, #NM for CR0.TS. */
export function enterAvx<V>(o: Ops<V>): void {
  refuseVm86(o);
  o.when(o.eqz(o.field('avxReady')), () => void o.call('avxUnavailable'), undefined, false);
}

const refuse = (): never => {
  throw new Error('part of an instruction: there is no such access');
};
/** Values in the place of an operand. */
export function standIn<V>(width: Width, load: () => V, store: (value: V) => void = refuse): Operand<V> {
  return { kind: 'r', width, load, modify: load, store, part: refuse, address: refuse };
}
export const zeros = <V>(o: Ops<V>): V => lanes(o, [0]);
/** A result of 128 bits, zeros above. */
export function storeLow<V>(o: Ops<V>, dst: Operand<V>, value: V): void {
  dst.store(value);
  if (dst.kind === 'r') dst.part(1).store(zeros(o));
}
/** Both parts of an operand of 256 bits, or the one of 128. */
export function loadParts<V>(x: Operand<V>): V[] {
  return x.width === 256 ? [x.part(0).load(), x.part(1).load()] : [x.load()];
}
/** One or two parts; a store to memory changes nothing unless all of it can be written. */
export function storeParts<V>(o: Ops<V>, dst: Operand<V>, parts: readonly V[]): void {
  if (parts.length === 1) {
    if (dst.kind === 'r') storeLow(o, dst, parts[0]!);
    else dst.store(parts[0]!);
    return;
  }
  if (dst.kind !== 'r') {
    const at = dst.address();
    const crosses = o.gtU(o.and(at, o.const(0xfff)), o.const(4096 - 32));
    o.when(crosses, () => void o.call('probeWrite', at, o.const(32)), undefined, false);
  }
  parts.forEach((part, i) => {
    dst.part(i).store(part);
  });
}

export interface VexShape {
  /** The prefix names the first source; without it the SSE form's destination is no source. */
  readonly isThree?: boolean;
  readonly lengths?: readonly ('128' | '256' | 'lig')[];
  /** Bits of the immediate that the upper part starts behind. */
  readonly immediateShift?: number;
  /** The second source has 128 bits, and both parts use all of it (shift counts). */
  readonly sharesSource?: boolean;
  /** Encodings of 256 bits have a narrower destination, or source. */
  readonly narrows?: boolean;
  readonly widens?: boolean;
  /** W where it is not ignored. */
  readonly w?: 'w0' | 'w1';
  /** It sets flags of MXCSR. */
  readonly raises?: boolean;
  /** It sets none, but compiled code leaves rare values to the interpreter all the same. */
  readonly leaves?: boolean;
}

/** Letters for twice the width. */
const WIDER: Readonly<Record<string, string>> = { w: 'd', d: 'q', q: 'x', x: 't' };
/** Encodings with VEX of an SSE instruction. */
function vexEncodings(sse: Instruction, shape: VexShape): string[] {
  const isSse = (text: string) => /[VWU][bwdqx]/.test(text) && !/[PQT][bwdqx]/.test(text);
  return sse.encodings.filter(isSse).flatMap((text) => {
    const { prefix, map } = parseEncoding(sse, text);
    const [, rest, list] = /([0-9a-f]{2}(?: \/\d)?) (\S+)$/.exec(text)!;
    const mandatory = prefix > 0 ? prefix.toString(16) : 'np';
    const operands = list!.split(',');
    if (shape.isThree) operands.splice(1, 0, 'Hx');
    const mapName = ['', '0f', '0f38', '0f3a'][map];
    return (shape.lengths ?? ['128', '256']).map((length) => {
      const wider = operands.map((operand, i) => {
        const isLast = i === (shape.isThree ? 2 : 1);
        const keeps = (isLast && shape.sharesSource) || (i === 0 && shape.narrows) || !/^[VWUHM]/.test(operand);
        return length !== '256' || keeps ? operand : operand[0]! + WIDER[operand[1]!];
      });
      // Where only the low half counts, 256 bits are two such halves.
      return `vex.${length}.${mandatory}.${mapName}.${shape.w ?? 'wig'} ${rest} ${wider.join(',')}`;
    });
  });
}

/** Part `index` of a source that is half as wide as the result. */
function halfOf<V>(o: Ops<V>, src: Operand<V>, value: V, index: number): Operand<V> {
  if (src.width === 128) return standIn(64, () => o.lane('i64x2.extract_lane', index, value));
  if (src.width === 64) return standIn(32, () => o.narrow(o.shrU(value, 32 * index)));
  return standIn(16, () => o.zeroExtend(o.shrU(value, 16 * index), 16));
}

/** An SSE instruction with VEX. */
export function vexed(sse: Instruction, shape: VexShape): Instruction {
  const { isThree = false, immediateShift = 0 } = shape;
  const isCompared = sse.dst === 'r';
  return instruction({
    ...(sse.writesFlags ? { writesFlags: sse.writesFlags } : {}),
    ...(sse.natives ? { natives: sse.natives } : {}),
    name: `v${sse.name}`,
    encodings: vexEncodings(sse, shape),
    dst: isCompared ? 'r' : 'w',
    variants: VEX_VARIANTS,
    semantics<V>(o: Ops<V>, dst: Operand<V>, b: Operand<V>, c: Operand<V>, d: Operand<V>): void {
      enterAvx(o);
      const src = isThree ? c : b;
      const immediate = isThree ? d : c;
      const isWide = dst.width === 256 || src?.width === 256;
      if (dst.width < 128) {
        // To a general register or memory.
        const source = src.width === 128 ? standIn(128, () => src.load()) : src;
        o.inPart('plain', () => sse.semantics(o, dst, source, immediate, d));
        return;
      }
      const values = src.width === 256 ? loadParts(src) : [src.load()];
      const source = (i: number): Operand<V> => {
        if (isWide && src.width < 256 && !shape.sharesSource) return halfOf(o, src, values[0]!, i);
        return standIn(src.width === 256 ? 128 : src.width, () => values[i] ?? values[0]!);
      };
      const firsts = isThree ? loadParts(b) : isCompared ? [dst.load()] : null;
      const by = (i: number) =>
        i && immediateShift ? standIn<V>(8, () => o.shrU(immediate.load(), immediateShift)) : immediate;
      const run = (pass: 'plain' | 'gather', store: (value: V, i: number) => void) => {
        for (let i = 0; i < (isWide ? 2 : 1); i++) {
          const target = standIn(
            128,
            () => firsts?.[i] ?? values[i] ?? values[0]!,
            (value) => store(value, i),
          );
          o.inPart(pass, () => sse.semantics(o, target, source(i), by(i), d));
        }
      };
      const scratch = (value: V, i: number) => o.scratchVector(i).store(value);
      const fromScratch = () => {
        const [low, high] = [o.scratchVector(0).load(), o.scratchVector(1).load()] as const;
        if (shape.narrows)
          storeLow(o, dst, o.shuffle(low, high, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]));
        else storeParts(o, dst, [low, high]);
      };
      const plainly = () => {
        // Compiled code may leave in the middle, and the instruction is done anew: nothing was stored then.
        if (isWide && (shape.narrows || shape.raises || shape.leaves)) {
          run('plain', scratch);
          fromScratch();
          return;
        }
        run('plain', (value, i) => dst.part(i).store(value));
        if (!isWide && !isCompared) dst.part(1).store(zeros(o));
      };
      if (!isWide || !shape.raises) {
        plainly();
        return;
      }
      // A fault of either part leaves the destination as it was and shows the flags of both.
      const masks = o.const(0x1f80);
      o.rarely(
        o.ne(o.and(o.field('mxcsr'), masks), masks),
        () => {
          o.setField('sseGathered', o.const(0));
          run('gather', scratch);
          o.call('settleGathered');
          fromScratch();
        },
        plainly,
      );
    },
  });
}
