/** Instructions with a VEX prefix (C4, C5) as text; the decoder has definitions of its own for them, which execute. Most are SSE instructions in another coat: the prefix stands for 66, F2, F3, REX and the map, and adds a register.
 *  Intel SDM volume 2, 2.3. Not known: EVEX, FMA4, XOP, the mask instructions of AVX-512; gathers. */
import { decodeWithMaps, type LongDecoded } from '../decode/decoder.ts';
import type { Decodable, Encoding } from '../decode/encoding.ts';
import { buildVexMaps } from '../decode/maps.ts';

export interface VexInstruction {
  /** The instruction as it would be without VEX, and its length with it. */
  readonly decoded: LongDecoded;
  readonly length: number;
  /** The register that VEX adds; it counts if `hasThird`. */
  readonly third: number;
  readonly hasThird: boolean;
  readonly is256: boolean;
  readonly isWide: boolean;
  /** The instruction exists with VEX only: its name is whole. */
  readonly isOwn: boolean;
}

// Operand `B`: the register that VEX adds.
const own = (name: string, ...encodings: string[]): Decodable => ({ name, encodings });
const three = (name: string, opcode: string, operands = 'Vx,Bx,Wx') => own(name, `66 0f 38 ${opcode} ${operands}`);
const FMA = [
  ['fmaddsub', 6, 'p'],
  ['fmsubadd', 7, 'p'],
  ['fmadd', 8, 'p'],
  ['fmadd', 9, 's'],
  ['fmsub', 10, 'p'],
  ['fmsub', 11, 's'],
  ['fnmadd', 12, 'p'],
  ['fnmadd', 13, 's'],
  ['fnmsub', 14, 'p'],
  ['fnmsub', 15, 's'],
] as const;
/** Instructions that only VEX encodes: AVX, AVX2, FMA, F16C, BMI. A name that ends in `.` takes `s` or `d` by W. */
const VEX_ONLY: readonly Decodable[] = [
  own('vzeroupper', 'np 0f 77'),
  own('vbroadcastss', '66 0f 38 18 Vx,Wd'),
  own('vbroadcastsd', '66 0f 38 19 Vx,Wq'),
  own('vbroadcastf128', '66 0f 38 1a Vx,Mq'),
  own('vbroadcasti128', '66 0f 38 5a Vx,Mq'),
  own('vpbroadcastb', '66 0f 38 78 Vx,Wq'),
  own('vpbroadcastw', '66 0f 38 79 Vx,Wq'),
  own('vpbroadcastd', '66 0f 38 58 Vx,Wq'),
  own('vpbroadcastq', '66 0f 38 59 Vx,Wq'),
  three('vmaskmovps', '2c', 'Vx,Bx,Mx'),
  three('vmaskmovpd', '2d', 'Vx,Bx,Mx'),
  own('vmaskmovps.store', '66 0f 38 2e Mx,Bx,Vx'),
  own('vmaskmovpd.store', '66 0f 38 2f Mx,Bx,Vx'),
  three('vpmaskmov.', '8c', 'Vx,Bx,Mx'),
  own('vpmaskmov.', '66 0f 38 8e Mx,Bx,Vx'),
  three('vpermilps', '0c'),
  three('vpermilpd', '0d'),
  own('vtestps', '66 0f 38 0e Vx,Wx'),
  own('vtestpd', '66 0f 38 0f Vx,Wx'),
  three('vpermps', '16'),
  three('vpermd', '36'),
  three('vpsrlv.', '45'),
  three('vpsravd', '46'),
  three('vpsllv.', '47'),
  own('vcvtph2ps', '66 0f 38 13 Vx,Wq'),
  own('vpermq', '66 0f 3a 00 Vx,Wx,Ib'),
  own('vpermpd', '66 0f 3a 01 Vx,Wx,Ib'),
  own('vpblendd', '66 0f 3a 02 Vx,Bx,Wx,Ib'),
  own('vpermilps', '66 0f 3a 04 Vx,Wx,Ib'),
  own('vpermilpd', '66 0f 3a 05 Vx,Wx,Ib'),
  own('vperm2f128', '66 0f 3a 06 Vx,Bx,Wx,Ib'),
  own('vinsertf128', '66 0f 3a 18 Vx,Bx,Wq,Ib'),
  own('vextractf128', '66 0f 3a 19 Wq,Vx,Ib'),
  own('vcvtps2ph', '66 0f 3a 1d Wq,Vx,Ib'),
  own('vinserti128', '66 0f 3a 38 Vx,Bx,Wq,Ib'),
  own('vextracti128', '66 0f 3a 39 Wq,Vx,Ib'),
  own('vperm2i128', '66 0f 3a 46 Vx,Bx,Wx,Ib'),
  own('vblendvps', '66 0f 3a 4a Vx,Bx,Wx,Ib'),
  own('vblendvpd', '66 0f 3a 4b Vx,Bx,Wx,Ib'),
  own('vpblendvb', '66 0f 3a 4c Vx,Bx,Wx,Ib'),
  ...[0x90, 0xa0, 0xb0].flatMap((base, i) =>
    FMA.map(([stem, low, kind]) =>
      three(
        `v${stem}${['132', '213', '231'][i]}${kind}.`,
        (base + low).toString(16),
        kind === 'p' ? 'Vx,Bx,Wx' : 'Vd,Bd,Wd',
      ),
    ),
  ),
  own('andn', 'np 0f 38 f2 Gy,By,Ey'),
  own('blsr', 'np 0f 38 f3 /1 By,Ey'),
  own('blsmsk', 'np 0f 38 f3 /2 By,Ey'),
  own('blsi', 'np 0f 38 f3 /3 By,Ey'),
  own('bzhi', 'np 0f 38 f5 Gy,Ey,By'),
  own('bextr', 'np 0f 38 f7 Gy,Ey,By'),
  own('shlx', '66 0f 38 f7 Gy,Ey,By'),
  own('sarx', 'f3 0f 38 f7 Gy,Ey,By'),
  own('shrx', 'f2 0f 38 f7 Gy,Ey,By'),
  own('pdep', 'f2 0f 38 f5 Gy,By,Ey'),
  own('pext', 'f3 0f 38 f5 Gy,By,Ey'),
  own('mulx', 'f2 0f 38 f6 Gy,By,Ey'),
  own('rorx', 'f2 0f 3a f0 Gy,Ey,Ib'),
];
/** Where the added register stands among the operands of an instruction that only VEX encodes; -1: nowhere. */
const thirdOf = new Map<Decodable, number>();
/** The same without the operand that the decoder does not know. */
export const WITHOUT_THIRD = VEX_ONLY.map((instruction) => {
  const bare: Decodable = {
    name: instruction.name,
    encodings: instruction.encodings.map((text) => text.replace(/B[xdy],|,B[xdy]/, '')),
  };
  const operands = /\S+$/.exec(instruction.encodings[0]!)![0].split(',');
  thirdOf.set(
    bare,
    operands.findIndex((o) => o.startsWith('B')),
  );
  return bare;
});

/** SSE instructions of two operands that stay so: they write their first operand and do not read it. */
const TWO_OPERANDS =
  /^(sqrtp[sd]|rcpps|rsqrtps|cvt(t?ps|t?pd|dq)2(ps|pd|dq)|pabs[bwd]|roundp[sd]|phminposuw|aesimc|aeskeygenassist|ptest|u?comis[sd]|pcmp[ei]str[im]|movu|mova|mov(Zero|mskp[sd]|ddup|s[lh]dup|hpsStore|nti)|pmovmskb|pmov[sz]x..|pshuf(d|[lh]w)|pextr[bwd]|ldmxcsr|stmxcsr|cvtt?s[sd]2si|maskmovdqu)$/;
/** Moves into the low part are of three operands only between registers, those of halves only from memory. */
function hasThird(e: Encoding<Decodable>, isRegister: boolean): boolean {
  const { name } = e.instruction;
  if (TWO_OPERANDS.test(name)) return false;
  if (name === 'movScalar') return e.operands[0]!.letter === 'V' || (e.opcode === 0x11 && isRegister);
  return true;
}

/** Scalars: the length bit means nothing. */
const SCALAR = /^(?!p).*(s[sd]|s[sd]2s[di])$/;
/** Instructions on 128 bits only, and on 256 only. */
const ONLY_128 =
  /^(mov(Scalar|Zero|hlps|hps|hpsStore)|pinsr[bwd]|pextr[bwd]|insertps.*|aes.*|pclmulqdq|dppd|phminposuw|pcmp[ei]str[im]|maskmovdqu|(ld|st)mxcsr|andn|bls.*|bzhi|bextr|s[ha][lr]x|p(dep|ext)|mulx|rorx)$/;
const ONLY_256 = /^v(broadcast(f128|i128|sd)|perm2.128|(insert|extract)[fi]128|perm(d|q|ps|pd))$/;
/** Their second operand has 128 bits whatever the length. */
export const COUNT_OF_128 = /^ps(ll|rl|ra)[wdq]$/;

let maps: ReturnType<typeof buildVexMaps> | null = null;
const isSse = (e: Encoding<Decodable>) =>
  e.vex === null &&
  e.prefix !== 0 &&
  e.operands.every((o) => !'PQT'.includes(o.letter)) &&
  (e.operands.some((o) => 'VWU'.includes(o.letter)) || /mxcsr$/.test(e.instruction.name)) &&
  !/^(pblendvb|blendvp[sd]|sha)/.test(e.instruction.name);

/** The instruction at `at` if it has a VEX prefix that is known. */
export function decodeVex(bytes: Uint8Array, at: number, bits: 16 | 32 | 64): VexInstruction | null {
  let p = at;
  const before: number[] = [];
  for (; p < bytes.length && [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67].includes(bytes[p]!); p++)
    before.push(bytes[p]!);
  const isLong = bytes[p] === 0xc4;
  if ((!isLong && bytes[p] !== 0xc5) || p + 4 > bytes.length) return null;
  const first = bytes[p + 1]!;
  // Elsewhere these bytes are LES and LDS unless what would be their ModRM byte names a register.
  if (bits !== 64 && first < 0xc0) return null;
  const last = isLong ? bytes[p + 2]! : first;
  const map = isLong ? first & 31 : 1;
  if (map < 1 || map > 3) return null;
  const opcode = bytes[p + (isLong ? 3 : 2)]!;
  if (map === 1 && (opcode === 0x38 || opcode === 0x3a)) return null;
  const isWide = isLong && last >= 0x80;
  const rex = bits === 64 ? 0x40 | (isWide ? 8 : 0) | (first & 0x80 ? 0 : 4) | (isLong ? (~first >> 5) & 3 : 0) : 0;
  const selected = [[], [0x66], [0xf3], [0xf2]][last & 3]!;
  const opcodeEscape = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][map]!;
  const prefixes = [...before, ...selected, ...(rex ? [rex] : []), ...opcodeEscape];
  const start = p + (isLong ? 3 : 2);
  const plain = Uint8Array.from([...prefixes, ...bytes.subarray(start, start + 15)]);
  maps ??= buildVexMaps(WITHOUT_THIRD, isSse);
  const decoded = decodeWithMaps(maps, plain, 0, bits);
  if (!decoded?.encoding) return null;
  const length = start - at + decoded.length - prefixes.length;
  if (length > 15) return null;
  const isOwn = thirdOf.has(decoded.instruction);
  const is256 = (last & 4) !== 0;
  const { name } = decoded.instruction;
  const isScalarMove = /^mov(Scalar|Zero)$/.test(name) && (opcode === 0x10 || opcode === 0x11);
  const isScalar = !thirdOf.has(decoded.instruction) && (isScalarMove || SCALAR.test(name));
  if (is256 ? ONLY_128.test(name) && !isScalar : ONLY_256.test(name)) return null;
  const third = (~last >> 3) & (bits === 64 ? 15 : 7);
  const isThree = isOwn ? thirdOf.get(decoded.instruction)! >= 0 : hasThird(decoded.encoding, decoded.modrm >= 0xc0);
  if (!isThree && third !== 0) return null;
  return {
    decoded,
    length,
    third,
    hasThird: isThree,
    is256: is256 && !isScalar,
    isWide,
    isOwn,
  };
}
/** Place of the added register among the operands as the manual writes them. */
export function placeOfThird(v: VexInstruction): number {
  if (v.isOwn) return thirdOf.get(v.decoded.instruction)!;
  // Shifts by an immediate write the added register.
  return /Sse$|^p[sl][rl]ldq$/.test(v.decoded.instruction.name) ? 0 : 1;
}
