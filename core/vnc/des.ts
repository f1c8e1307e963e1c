/** DES (FIPS 46-3), one block at a time, for VNC authentication, which knows nothing else. Not for secrets: 56 bits. */

// The standard's tables; their numbers count bits from 1 at the left.
// biome-ignore format: tables as the standard prints them
const IP = [58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24, 16, 8,
  57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7];
const FP = IP.map((_, i) => IP.indexOf(i + 1) + 1);
/** Six bits around each group of four. */
const EXPANSION = Array.from({ length: 48 }, (_, i) => ((Math.floor(i / 6) * 4 + (i % 6) + 31) % 32) + 1);
// biome-ignore format: tables as the standard prints them
const P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25];
// biome-ignore format: tables as the standard prints them
const PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
  63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4];
// biome-ignore format: tables as the standard prints them
const PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
  41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32];
const ROTATIONS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];
/** S-boxes: four rows of sixteen hexadecimal digits each. */
const S = [
  'e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d',
  'f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9',
  'a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c',
  '7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e',
  '2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453',
  'c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d',
  '4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c',
  'd2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b',
].map((digits) => Array.from(digits, (digit) => Number.parseInt(digit, 16)));

type Bits = number[];

const toBits = (bytes: Uint8Array): Bits => Array.from({ length: 64 }, (_, i) => (bytes[i >> 3]! >> (7 - (i & 7))) & 1);
const permute = (bits: Bits, table: readonly number[]): Bits => table.map((position) => bits[position - 1]!);
const xor = (a: Bits, b: Bits): Bits => a.map((bit, i) => bit ^ b[i]!);

function roundKeys(key: Uint8Array): Bits[] {
  const bits = permute(toBits(key), PC1);
  let left = bits.slice(0, 28);
  let right = bits.slice(28);
  return ROTATIONS.map((by) => {
    left = [...left.slice(by), ...left.slice(0, by)];
    right = [...right.slice(by), ...right.slice(0, by)];
    return permute([...left, ...right], PC2);
  });
}

function feistel(half: Bits, key: Bits): Bits {
  const mixed = xor(permute(half, EXPANSION), key);
  const out: Bits = [];
  S.forEach((box, i) => {
    const [a, b, c, d, e, f] = mixed.slice(i * 6, i * 6 + 6) as [number, number, number, number, number, number];
    const value = box[((a << 1) | f) * 16 + ((b << 3) | (c << 2) | (d << 1) | e)]!;
    for (let bit = 3; bit >= 0; bit--) out.push((value >> bit) & 1);
  });
  return permute(out, P);
}

/** Encrypts one block of eight bytes with a key of eight bytes (parity bits unused). */
export function desEncryptBlock(key: Uint8Array, block: Uint8Array): Uint8Array {
  const bits = permute(toBits(block), IP);
  let left = bits.slice(0, 32);
  let right = bits.slice(32);
  for (const roundKey of roundKeys(key)) [left, right] = [right, xor(left, feistel(right, roundKey))];
  const result = permute([...right, ...left], FP);
  return Uint8Array.from({ length: 8 }, (_, i) =>
    result.slice(i * 8, i * 8 + 8).reduce((byte, bit) => (byte << 1) | bit, 0),
  );
}

/** RFC 6143 7.2.2: the answer to a 16-byte challenge. Only eight characters of a password count, each with its bits in reverse. */
export function vncAuthResponse(password: string, challenge: Uint8Array): Uint8Array {
  const key = new Uint8Array(8);
  for (let i = 0; i < Math.min(8, password.length); i++) {
    const byte = password.charCodeAt(i) & 0xff;
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) key[i]! |= 0x80 >> bit;
  }
  const response = new Uint8Array(16);
  response.set(desEncryptBlock(key, challenge.subarray(0, 8)), 0);
  response.set(desEncryptBlock(key, challenge.subarray(8, 16)), 8);
  return response;
}
