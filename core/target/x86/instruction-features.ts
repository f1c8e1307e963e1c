/** Which CPUID feature an encoding belongs to: a model without it does not know the instruction. By encoding rather than by
 *  definition, because most vector operations are MMX in one form and SSE2 in the other. Intel SDM volume 2, AMD APM volume 3. */
import type { Encoding } from './decode/encoding.ts';
import { THREE_D_NOW_EXTENSIONS } from './semantics/three-d-now.ts';

const BY_NAME: Readonly<Record<string, string>> = {
  cmpxchg8b: 'cx8',
  rdtsc: 'tsc',
  rdtscp: 'rdtscp',
  rdmsr: 'msr',
  wrmsr: 'msr',
  sysenter: 'sep',
  sysexit: 'sep',
  syscall: 'syscall',
  sysret: 'syscall',
  clflush: 'clflush',
  clflushopt: 'clflushopt',
  clwb: 'clwb',
  fxsave: 'fxsr',
  fxrstor: 'fxsr',
  monitor: 'monitor',
  mwait: 'monitor',
  movbeLoad: 'movbe',
  movbeStore: 'movbe',
  rdrand: 'rdrand',
  rdseed: 'rdseed',
  invpcid: 'invpcid',
  xsave: 'xsave',
  xrstor: 'xsave',
  xgetbv: 'xsave',
  xsetbv: 'xsave',
  xsaveopt: 'xsaveopt',
  tzcnt: 'bmi1',
  andn: 'bmi1',
  bextr: 'bmi1',
  blsi: 'bmi1',
  blsmsk: 'bmi1',
  blsr: 'bmi1',
  bzhi: 'bmi2',
  mulx: 'bmi2',
  pdep: 'bmi2',
  pext: 'bmi2',
  rorx: 'bmi2',
  sarx: 'bmi2',
  shlx: 'bmi2',
  shrx: 'bmi2',
  vcvtph2ps: 'f16c',
  vcvtps2ph: 'f16c',
  vpclmulqdq: 'pclmulqdq',
  adcx: 'adx',
  adox: 'adx',
  lzcnt: 'abm',
  popcnt: 'popcnt',
  crc32: 'sse4.2',
  pclmulqdq: 'pclmulqdq',
  stac: 'smap',
  clac: 'smap',
  ldmxcsr: 'sse',
  stmxcsr: 'sse',
  sfence: 'sse',
  movnti: 'sse2',
  mfence: 'sse2',
  lfence: 'sse2',
  emms: 'mmx',
  femms: '3dnow',
};
const BY_PREFIX: readonly (readonly [start: string, feature: string])[] = [
  ['cmov', 'cmov'],
  ['fcmov', 'cmov'],
  ['fcomi', 'cmov'],
  ['fucomi', 'cmov'],
  ['fisttp', 'sse3'],
  ['sha1', 'sha-ni'],
  ['sha256', 'sha-ni'],
  ['aes', 'aes'],
  ['vaes', 'aes'],
  ['vfm', 'fma'],
  ['vfnm', 'fma'],
];

const opcodes = (list: string) => new Set(list.split(' ').map((code) => Number.parseInt(code, 16)));
/** MMX forms that came with SSE, and with SSE2 (0F map). */
const MMX_OF_SSE = opcodes('2a 2c 2d 70 c4 c5 d7 da de e0 e3 e4 e7 ea ee f6 f7');
const MMX_OF_SSE2 = opcodes('d4 d6 f4 fb');
/** Forms with F3 that came with SSE2, without a prefix too. */
const F3_OF_SSE2 = opcodes('5a 5b 6f 70 7e 7f d6 e6');
const NONE_OF_SSE2 = opcodes('5a 5b');
const OF_SSE3 = new Set([
  'f20f12',
  'f30f12',
  'f30f16',
  'f20f7c',
  '660f7c',
  'f20f7d',
  '660f7d',
  'f20fd0',
  '660fd0',
  'f20ff0',
]);

/** Integers of 256 bits, and what came with them. */
const AVX2_ONLY =
  /^v(p(broadcast|gather|maskmov|blendd|s[lr][lr]vd|s[lr]lvq|sravd|srlvq)|gather|broadcasti|perm2i|inserti|extracti|perm(ps|pd)$|perm[dq]$)/;
function isAvx2({ instruction, operands, vex }: Encoding): boolean {
  const { name } = instruction;
  if (AVX2_ONLY.test(name)) return true;
  // Broadcasts from a register.
  if (/^vbroadcasts/.test(name)) return operands.some(({ letter }) => letter === 'U');
  const isWide = vex!.lengths.length === 1 && vex!.lengths[0] === 1;
  return (
    isWide && (/^vp(?!test|ermil)/.test(name) || name === 'vmpsadbw' || (name === 'vmova' && encodesLoad(operands)))
  );
}
/** VMOVNTDQA. */
const encodesLoad = (operands: Encoding['operands']) => operands[0]!.letter === 'V' && operands[1]!.letter === 'M';

/** Name of the feature, or null for what every model has. */
export function featureOf(encoding: Encoding): string | null {
  const { instruction, operands, map, opcode, prefix, vex } = encoding;
  const { name } = instruction;
  const named = BY_NAME[name] ?? BY_PREFIX.find(([start]) => name.startsWith(start))?.[1];
  if (named) return named;
  if (encoding.suffix >= 0) return THREE_D_NOW_EXTENSIONS.has(name) ? '3dnowext' : '3dnow';
  if (vex) return isAvx2(encoding) ? 'avx2' : 'avx';
  const isMmx = operands.some(({ letter }) => 'PQT'.includes(letter));
  const isSse = operands.some(({ letter }) => 'VWU'.includes(letter));
  if (!isMmx && !isSse) return null;
  if (map === 2)
    return opcode <= 0x0b || (opcode >= 0x1c && opcode <= 0x1e) ? 'ssse3' : opcode === 0x37 ? 'sse4.2' : 'sse4.1';
  if (map === 3) return opcode === 0x0f ? 'ssse3' : opcode >= 0x60 && opcode <= 0x63 ? 'sse4.2' : 'sse4.1';
  if (isMmx && prefix !== 0x66 && prefix !== 0xf2 && prefix !== 0xf3)
    return MMX_OF_SSE2.has(opcode) ? 'sse2' : MMX_OF_SSE.has(opcode) ? 'sse' : 'mmx';
  if (OF_SSE3.has(`${prefix.toString(16)}0f${opcode.toString(16).padStart(2, '0')}`)) return 'sse3';
  if (prefix === 0x66 || prefix === 0xf2) return 'sse2';
  if (prefix === 0xf3) return F3_OF_SSE2.has(opcode) ? 'sse2' : 'sse';
  return NONE_OF_SSE2.has(opcode) ? 'sse2' : 'sse';
}
