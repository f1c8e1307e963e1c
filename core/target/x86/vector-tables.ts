/** Vector operations that work on bytes one by one: blends, insertion, sums of differences, string comparison (SDM volume 1,
 *  chapter 12), CRC-32C, AES (FIPS 197) and carry-less multiplication. */

/** Operations; the numbers stand in generated code. */
export const VECTOR_OP = {
  insert: 5,
  clmul: 6,
  aesKey: 7,
  aesMix: 8,
  aesEncrypt: 9,
  aesEncryptLast: 10,
  aesDecrypt: 11,
  aesDecryptLast: 12,
} as const;

/** Multiplication in GF(2^8) of AES. */
function multiply(a: number, b: number): number {
  let result = 0;
  let x = a;
  for (let bits = b; bits; bits >>= 1) {
    if (bits & 1) result ^= x;
    x = (x << 1) ^ (x & 0x80 ? 0x11b : 0);
  }
  return result;
}
/** Substitution and its inverse, made on first use. */
let boxes: { forward: Uint8Array; inverse: Uint8Array } | null = null;
function substitution(): { forward: Uint8Array; inverse: Uint8Array } {
  if (boxes) return boxes;
  const forward = new Uint8Array(256);
  const inverse = new Uint8Array(256);
  // 3 generates the field; 0xf6 is its inverse.
  let p = 1;
  let q = 1;
  forward[0] = 0x63;
  do {
    p = multiply(p, 3);
    q = multiply(q, 0xf6);
    const turned = q ^ (q << 1) ^ (q << 2) ^ (q << 3) ^ (q << 4);
    forward[p] = ((turned ^ (turned >> 8)) & 0xff) ^ 0x63;
  } while (p !== 1);
  forward.forEach((s, i) => {
    inverse[s] = i;
  });
  boxes = { forward, inverse };
  return boxes;
}
/** A column of the state after one byte went through substitution and MixColumns, in memory order; the other rows' are rotations. */
interface Rounds {
  readonly forward: Uint32Array;
  readonly inverse: Uint32Array;
  /** MixColumns backwards alone. */
  readonly unmix: Uint32Array;
}
let rounds: Rounds | null = null;
function roundTables(): Rounds {
  if (rounds) return rounds;
  const { forward, inverse } = substitution();
  const column = (x: number, [f0, f1, f2, f3]: readonly [number, number, number, number]) =>
    multiply(x, f0) | (multiply(x, f1) << 8) | (multiply(x, f2) << 16) | (multiply(x, f3) << 24);
  const MIX = [2, 1, 1, 3] as const;
  const UNMIX = [14, 9, 13, 11] as const;
  rounds = {
    forward: Uint32Array.from(forward, (x) => column(x, MIX)),
    inverse: Uint32Array.from(inverse, (x) => column(x, UNMIX)),
    unmix: Uint32Array.from({ length: 256 }, (_, x) => column(x, UNMIX)),
  };
  return rounds;
}
const OLD = new Uint8Array(16);
/** Columns through a table; `step`: where the bytes of the next row come from. */
function mixColumns(a: Uint8Array, table: Uint32Array, step: number): void {
  OLD.set(a);
  for (let c = 0; c < 4; c++) {
    let word = 0;
    for (let r = 0; r < 4; r++) {
      const t = table[OLD[((c + r * step) & 3) * 4 + r]!]!;
      word ^= r === 0 ? t : (t << (8 * r)) | (t >>> (32 - 8 * r));
    }
    for (let r = 0; r < 4; r++) a[c * 4 + r] = word >>> (8 * r);
  }
}
function aesRound(a: Uint8Array, key: Uint8Array, isDecryption: boolean, isLast: boolean): void {
  const step = isDecryption ? -1 : 1;
  if (isLast) {
    const box = isDecryption ? substitution().inverse : substitution().forward;
    OLD.set(a);
    for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++) a[c * 4 + r] = box[OLD[((c + r * step) & 3) * 4 + r]!]!;
  } else mixColumns(a, isDecryption ? roundTables().inverse : roundTables().forward, step);
  for (let i = 0; i < 16; i++) a[i] = a[i]! ^ key[i]!;
}
/** Carry-less product of two numbers of 32 bits: low and high half. */
function carrylessProduct(x: number, y: number): readonly [number, number] {
  let low = 0;
  let high = 0;
  for (let i = 0; i < 32; i++) {
    if (!((y >>> i) & 1)) continue;
    low ^= x << i;
    if (i) high ^= x >>> (32 - i);
  }
  return [low, high];
}

/** `a` op= `b`. */
export function vectorTable(op: number, imm: number, a: Uint8Array, b: Uint8Array): void {
  switch (op) {
    case VECTOR_OP.insert: {
      const from = ((imm >> 6) & 3) * 4;
      const lane = b.slice(from, from + 4);
      a.set(lane, ((imm >> 4) & 3) * 4);
      for (let i = 0; i < 4; i++) if ((imm >> i) & 1) a.fill(0, i * 4, i * 4 + 4);
      break;
    }
    case VECTOR_OP.clmul: {
      const x = new DataView(a.buffer, a.byteOffset + (imm & 1) * 8, 8);
      const y = new DataView(b.buffer, b.byteOffset + ((imm >> 4) & 1) * 8, 8);
      const [x0, x1] = [x.getUint32(0, true), x.getUint32(4, true)];
      const [y0, y1] = [y.getUint32(0, true), y.getUint32(4, true)];
      // Karatsuba: the middle is the product of the sums without the outer ones.
      const [l0, l1] = carrylessProduct(x0, y0);
      const [h0, h1] = carrylessProduct(x1, y1);
      const [m0, m1] = carrylessProduct(x0 ^ x1, y0 ^ y1);
      const to = new DataView(a.buffer, a.byteOffset, 16);
      to.setInt32(0, l0, true);
      to.setInt32(4, l1 ^ m0 ^ l0 ^ h0, true);
      to.setInt32(8, h0 ^ m1 ^ l1 ^ h1, true);
      to.setInt32(12, h1, true);
      break;
    }
    case VECTOR_OP.aesKey: {
      const { forward } = substitution();
      const word = (at: number) => [0, 1, 2, 3].map((i) => forward[b[at + i]!]!);
      const turned = (w: number[]) => [w[1]! ^ imm, w[2]!, w[3]!, w[0]!];
      const [x, y] = [word(4), word(12)];
      a.set([...x, ...turned(x), ...y, ...turned(y)]);
      break;
    }
    case VECTOR_OP.aesMix:
      a.set(b);
      mixColumns(a, roundTables().unmix, 0);
      break;
    default:
      aesRound(a, b, op >= VECTOR_OP.aesDecrypt, op === VECTOR_OP.aesEncryptLast || op === VECTOR_OP.aesDecryptLast);
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let i = 0; i < 8; i++) c = (c >>> 1) ^ (c & 1 ? 0x82f6_3b78 : 0);
  return c;
});
/** CRC-32C of `bits` more bits. */
export function crc32c(crc: number, value: number, bits: number): number {
  let c = crc;
  for (let i = 0; i < bits; i += 8) c = (c >>> 8) ^ CRC[(c ^ (value >>> i)) & 0xff]!;
  return c >>> 0;
}

/** PCMPxSTRx: `lengthA`, `lengthB` in elements or -1 for strings that a zero ends. The mask goes to `a` when `isMask`. */
export function compareStrings(
  imm: number,
  a: Uint8Array,
  b: Uint8Array,
  lengthA: number,
  lengthB: number,
  isMask: boolean,
): { flags: number; index: number } {
  const isWord = (imm & 1) !== 0;
  const isSigned = (imm & 2) !== 0;
  const count = isWord ? 8 : 16;
  const element = (v: Uint8Array, i: number) => {
    const raw = isWord ? v[i * 2]! | (v[i * 2 + 1]! << 8) : v[i]!;
    return isSigned ? (isWord ? (raw << 16) >> 16 : (raw << 24) >> 24) : raw;
  };
  const zeroAt = (v: Uint8Array) => {
    for (let i = 0; i < count; i++) if (element(v, i) === 0) return i;
    return count;
  };
  const na = lengthA < 0 ? zeroAt(a) : Math.min(lengthA, count);
  const nb = lengthB < 0 ? zeroAt(b) : Math.min(lengthB, count);
  let result = 0;
  for (let j = 0; j < count; j++) {
    let holds = false;
    switch ((imm >> 2) & 3) {
      case 0: // any of a
        for (let i = 0; i < na && j < nb; i++) if (element(a, i) === element(b, j)) holds = true;
        break;
      case 1: // in a range of a
        for (let i = 0; i + 1 < na && j < nb; i += 2)
          if (element(b, j) >= element(a, i) && element(b, j) <= element(a, i + 1)) holds = true;
        break;
      case 2:
        holds = j < na && j < nb ? element(a, j) === element(b, j) : j >= na && j >= nb;
        break;
      default: // a stands at j, cut off by the end of the vector
        holds = true;
        for (let i = 0; i < na && i + j < count; i++)
          if (i + j >= nb || element(a, i) !== element(b, i + j)) holds = false;
    }
    if (holds) result |= 1 << j;
  }
  const all = (1 << count) - 1;
  const polarity = (imm >> 4) & 3;
  if (polarity === 1) result ^= all;
  else if (polarity === 3) result ^= (1 << nb) - 1;
  const index = result === 0 ? count : imm & 0x40 ? 31 - Math.clz32(result) : 31 - Math.clz32(result & -result);
  const flags = (result ? 1 : 0) | (nb < count ? 0x40 : 0) | (na < count ? 0x80 : 0) | (result & 1 ? 0x800 : 0);
  if (isMask) {
    a.fill(0);
    if (imm & 0x40) {
      for (let i = 0; i < 16; i++) if ((result >> (isWord ? i >> 1 : i)) & 1) a[i] = 0xff;
    } else {
      a[0] = result & 0xff;
      a[1] = result >> 8;
    }
  }
  return { flags, index };
}
