/** SHA extensions (Intel SDM volume 2, SHA1RNDS4 to SHA256RNDS2): rounds and message schedules of SHA-1 and SHA-256 on the
 *  32-bit lanes of vector registers. Lane 3 is the top one, which holds A or the first word of the four. */
import { instruction, type Operand, type Ops } from './ops.ts';
import { enterSse, loadAligned } from './vector.ts';

const LANES = [0, 1, 2, 3] as const;
function split<V>(o: Ops<V>, vector: V): V[] {
  return LANES.map((i) => o.lane('i32x4.extract_lane', i, vector));
}
/** Lanes 0 to 3. */
function join<V>(o: Ops<V>, lanes: readonly V[]): V {
  return lanes.reduce((v, x, i) => o.lane('i32x4.replace_lane', i, v, x), o.simd('i32x4.splat', lanes[0]!));
}
function sum<V>(o: Ops<V>, ...terms: V[]): V {
  return terms.reduce((a, b) => o.add(a, b));
}
function choose<V>(o: Ops<V>, x: V, y: V, z: V): V {
  return o.xor(o.and(x, y), o.and(o.not(x), z));
}
function majority<V>(o: Ops<V>, x: V, y: V, z: V): V {
  return o.or(o.and(x, y), o.and(o.or(x, y), z));
}
/** SHA-256's functions of one word: two or three rotations and, for the schedule, a shift. */
function mix<V>(o: Ops<V>, x: V, a: number, b: number, c: number, isShift: boolean): V {
  return o.xor(o.xor(o.rotr(x, a), o.rotr(x, b)), isShift ? o.shrU(x, c) : o.rotr(x, c));
}

/** `body` gets the lanes of both operands and gives the new ones. */
function lanewise(name: string, opcode: string, body: <V>(o: Ops<V>, a: V[], b: V[]) => V[]) {
  return instruction({
    name,
    encodings: [`np 0f 38 ${opcode} Vx,Wx`],
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = loadAligned(o, src);
      dst.store(join(o, body(o, split(o, dst.load()), split(o, b))));
    },
  });
}

const SHA1_CONSTANTS = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6] as const;

/** Four rounds of SHA-1 with the function and constant that the immediate names. */
function sha1Rounds<V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>, imm: Operand<V>): void {
  enterSse(o);
  const words = split(o, loadAligned(o, src)).reverse();
  const which = o.and(imm.load(), o.const(3));
  const is = (n: number) => o.eq(which, o.const(n));
  const k = SHA1_CONSTANTS.slice(1).reduce(
    (v, c, i) => o.select(is(i + 1), o.const(c | 0), v),
    o.const(SHA1_CONSTANTS[0]),
  );
  let [d, c, b, a] = split(o, dst.load()) as [V, V, V, V];
  let e = o.const(0);
  for (const word of words) {
    const parity = o.xor(o.xor(b, c), d);
    const f = o.select(is(0), choose(o, b, c, d), o.select(is(2), majority(o, b, c, d), parity));
    const next = sum(o, f, o.rotl(a, 5), word, e, k);
    e = d;
    d = c;
    c = o.rotl(b, 30);
    b = a;
    a = next;
  }
  dst.store(join(o, [d, c, b, a]));
}

/** Two rounds of SHA-256; the destination holds C D G H, the source A B E F, XMM0 the two words with their constants. */
function sha256Rounds<V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>): void {
  enterSse(o);
  let [f, e, b, a] = split(o, loadAligned(o, src)) as [V, V, V, V];
  let [h, g, d, c] = split(o, dst.load()) as [V, V, V, V];
  const words = split(o, o.xmm(0).load()).slice(0, 2);
  for (const word of words) {
    const t = sum(o, choose(o, e, f, g), mix(o, e, 6, 11, 25, false), word, h);
    const next = sum(o, t, majority(o, a, b, c), mix(o, a, 2, 13, 22, false));
    h = g;
    g = f;
    f = e;
    e = o.add(t, d);
    d = c;
    c = b;
    b = a;
    a = next;
  }
  dst.store(join(o, [f, e, b, a]));
}

export const SHA = [
  lanewise('sha1nexte', 'c8', (o, a, b) => [b[0]!, b[1]!, b[2]!, o.add(b[3]!, o.rotl(a[3]!, 30))]),
  lanewise('sha1msg1', 'c9', (o, a, b) => [
    o.xor(a[0]!, b[2]!),
    o.xor(a[1]!, b[3]!),
    o.xor(a[2]!, a[0]!),
    o.xor(a[3]!, a[1]!),
  ]),
  lanewise('sha1msg2', 'ca', (o, a, b) => {
    const w16 = o.rotl(o.xor(a[3]!, b[2]!), 1);
    const w17 = o.rotl(o.xor(a[2]!, b[1]!), 1);
    const w18 = o.rotl(o.xor(a[1]!, b[0]!), 1);
    return [o.rotl(o.xor(a[0]!, w16), 1), w18, w17, w16];
  }),
  lanewise('sha256msg1', 'cc', (o, a, b) =>
    LANES.map((i) => o.add(a[i]!, mix(o, i === 3 ? b[0]! : a[i + 1]!, 7, 18, 3, true))),
  ),
  lanewise('sha256msg2', 'cd', (o, a, b) => {
    const s1 = (x: (typeof a)[number]) => mix(o, x, 17, 19, 10, true);
    const w16 = o.add(a[0]!, s1(b[2]!));
    const w17 = o.add(a[1]!, s1(b[3]!));
    return [w16, w17, o.add(a[2]!, s1(w16)), o.add(a[3]!, s1(w17))];
  }),
  instruction({ name: 'sha256rnds2', encodings: ['np 0f 38 cb Vx,Wx'], semantics: sha256Rounds }),
  instruction({ name: 'sha1rnds4', encodings: ['np 0f 3a cc Vx,Wx,Ib'], semantics: sha1Rounds }),
];
