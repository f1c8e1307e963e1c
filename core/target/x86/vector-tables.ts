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
function mixColumns(s: Uint8Array, factors: readonly number[]): void {
  for (let c = 0; c < 16; c += 4) {
    const column = s.slice(c, c + 4);
    for (let r = 0; r < 4; r++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum ^= multiply(column[k]!, factors[(k - r) & 3]!);
      s[c + r] = sum;
    }
  }
}
const MIX = [2, 3, 1, 1];
const UNMIX = [14, 11, 13, 9];
function aesRound(a: Uint8Array, key: Uint8Array, isDecryption: boolean, isLast: boolean): void {
  const box = isDecryption ? substitution().inverse : substitution().forward;
  const old = a.slice();
  for (let c = 0; c < 4; c++)
    for (let r = 0; r < 4; r++) a[c * 4 + r] = box[old[((c + (isDecryption ? -r : r)) & 3) * 4 + r]!]!;
  if (!isLast) mixColumns(a, isDecryption ? UNMIX : MIX);
  for (let i = 0; i < 16; i++) a[i] = a[i]! ^ key[i]!;
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
      const half = (v: Uint8Array, high: number) =>
        new DataView(v.buffer, v.byteOffset + (high ? 8 : 0), 8).getBigUint64(0, true);
      let x = half(a, imm & 1);
      let y = half(b, imm & 16);
      let product = 0n;
      for (; y; y >>= 1n) {
        if (y & 1n) product ^= x;
        x <<= 1n;
      }
      for (let i = 0; i < 16; i++) a[i] = Number((product >> BigInt(8 * i)) & 0xffn);
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
      mixColumns(a, UNMIX);
      break;
    default:
      aesRound(a, b, op >= VECTOR_OP.aesDecrypt, op === VECTOR_OP.aesEncryptLast || op === VECTOR_OP.aesDecryptLast);
  }
}

/** CRC-32C of `bits` more bits. */
export function crc32c(crc: number, value: number, bits: number): number {
  let c = crc ^ (bits === 32 ? value : value & (2 ** bits - 1));
  for (let i = 0; i < bits; i++) c = (c >>> 1) ^ (c & 1 ? 0x82f6_3b78 : 0);
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
