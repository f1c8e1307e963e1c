/** AT&T mnemonics of instructions: the names and suffixes that QEMU's monitor prints (capstone 4, after LLVM).
 *
 *  A pattern is the mnemonic with `?` for the suffix of the operand size and `!` for that of the first operand's width.
 *  Instructions without a pattern have their own name, and the suffix of the first operand's width if they work on general
 *  registers. */
import type { Decodable, Encoding } from '../decode/encoding.ts';

const CONDITIONS: Readonly<Record<string, string>> = { nb: 'ae', z: 'e', nz: 'ne', nbe: 'a', nl: 'ge', nle: 'g' };

const BY_NAME: Readonly<Record<string, string>> = {
  imul1: 'imul!',
  imul3: 'imul!',
  movzx: 'movz',
  movsx: 'movs',
  movsxd: 'movslq',
  movbeLoad: 'movbe!',
  movbeStore: 'movbe!',
  nopE: 'nop!',
  lfence: 'lfence',
  mfence: 'mfence',
  sfence: 'sfence',
  xlat: 'xlatb',
  enter: 'enter',
  bound: 'bound',
  jmpE: 'jmp!',
  callE: 'call!',
  call: 'call?',
  ret: 'ret?',
  retI: 'ret?',
  jmpFar: 'ljmp?',
  callFar: 'lcall?',
  jmpFarE: 'ljmp?',
  callFarE: 'lcall?',
  retf: 'lret?',
  retfI: 'lret?',
  iret: 'iret?',
  pusha: 'pusha?',
  popa: 'popa?',
  pushf: 'pushf?',
  popf: 'popf?',
  inI: 'in!',
  inDx: 'in!',
  outI: 'out!',
  outDx: 'out!',
  ins: 'ins!',
  outs: 'outs!',
  movs: 'movs!',
  cmps: 'cmps!',
  stos: 'stos!',
  lods: 'lods!',
  scas: 'scas!',
  movFromSeg: 'mov!',
  movToSeg: 'mov!',
  movFromCr: 'mov!',
  movToCr: 'mov!',
  movFromDr: 'mov!',
  movToDr: 'mov!',
  sgdt: 'sgdt?',
  sidt: 'sidt?',
  lgdt: 'lgdt?',
  lidt: 'lidt?',
  int: 'int',
  aam: 'aam',
  aad: 'aad',
  ldmxcsr: 'ldmxcsr',
  stmxcsr: 'stmxcsr',
  lldt: 'lldt!',
  ltr: 'ltr!',
  lmsw: 'lmsw!',
  verr: 'verr',
  verw: 'verw',
  arpl: 'arpl',
  invlpg: 'invlpg',
  invpcid: 'invpcid',
  fxsave: 'fxsave',
  fxrstor: 'fxrstor',
  clflush: 'clflush',
  clflushopt: 'clflushopt',
  clwb: 'clwb',
  cmpxchg8b: 'cmpxchg8b',
  cmpxchg16b: 'cmpxchg16b',

  fneni: 'feni8087_nop',
  fndisi: 'fdisi8087_nop',
  fnsetpm: 'fsetpm',
  fnstswAx: 'fnstsw',
  fstp1: 'fstpnce',
  insertpsMemory: 'insertps',
  crc32: 'crc32!',
};

/** Definitions of several instructions: by the encoding, operands left out. */
const BY_ENCODING: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  movu: {
    'np 0f 10': 'movups',
    'np 0f 11': 'movups',
    '66 0f 10': 'movupd',
    '66 0f 11': 'movupd',
    'f3 0f 6f': 'movdqu',
    'f3 0f 7f': 'movdqu',
    'f2 0f f0': 'lddqu',
  },
  mova: {
    'np 0f 28': 'movaps',
    'np 0f 29': 'movaps',
    '66 0f 28': 'movapd',
    '66 0f 29': 'movapd',
    '66 0f 6f': 'movdqa',
    '66 0f 7f': 'movdqa',
    'np 0f 2b': 'movntps',
    '66 0f 2b': 'movntpd',
    '66 0f e7': 'movntdq',
    '66 0f 38 2a': 'movntdqa',
  },
  movScalar: {
    'f3 0f 10': 'movss',
    'f3 0f 11': 'movss',
    'f2 0f 10': 'movsd',
    'f2 0f 11': 'movsd',
    'np 0f 12': 'movlps',
    'np 0f 13': 'movlps',
    '66 0f 12': 'movlpd',
    '66 0f 13': 'movlpd',
    '66 0f d6': 'movq',
    '66 0f 7e': 'movd',
  },
  movZero: { 'f3 0f 10': 'movss', 'f2 0f 10': 'movsd', '66 0f 6e': 'movd', 'f3 0f 7e': 'movq', '66 0f d6': 'movq' },
  movMmx: { 'np 0f 6e': 'movd', 'np 0f 6f': 'movq', 'np 0f 7f': 'movq' },
  movFromMmx: { 'np 0f 7e': 'movd', 'np 0f 7f': 'movq', 'np 0f e7': 'movntq' },
  movhps: { 'np 0f 16': 'movhps', '66 0f 16': 'movhpd' },
  movhpsStore: { 'np 0f 17': 'movhps', '66 0f 17': 'movhpd' },
  andp: { 'np 0f 54': 'andps', '66 0f 54': 'andpd' },
  andnp: { 'np 0f 55': 'andnps', '66 0f 55': 'andnpd' },
  orp: { 'np 0f 56': 'orps', '66 0f 56': 'orpd' },
  xorp: { 'np 0f 57': 'xorps', '66 0f 57': 'xorpd' },
  pextrd: { '66 0f 3a 16': 'pextrd', '66 0f 3a 17': 'extractps' },
  ud0: { '0f ff': 'ud0', '0f b9': 'ud2b' },
  nopE: { '0f 0d': 'prefetch' },
};
/** 0F 18 and 0F 0D: a prefetch by the reg field. */
const PREFETCH_18 = ['prefetchnta', 'prefetcht0', 'prefetcht1', 'prefetcht2'];
const PREFETCH_0D = ['prefetch', 'prefetchw'];
/** CMPPS and its kin with a predicate as immediate. */
const PREDICATES = ['eq', 'lt', 'le', 'unord', 'neq', 'nlt', 'nle', 'ord'];

/** The 24 predicates that AVX adds. */
const AVX_PREDICATES = (
  'eq_uq nge ngt false neq_oq ge gt true eq_os lt_oq le_oq unord_s neq_us nlt_uq nle_uq ord_s ' +
  'eq_us nge_uq ngt_uq false_os neq_os ge_oq gt_oq true_us'
).split(' ');
/** VCMPPS and its kin; null for other instructions and predicates that are none. */
export function avxPredicate(name: string, immediate: number): string | null {
  const predicate = [...PREDICATES, ...AVX_PREDICATES][immediate];
  return /^cmp[ps][sd]$/.test(name) && predicate ? `cmp${predicate}${name.slice(3)}` : null;
}
const stringOf = (e: Encoding<Decodable>) => (e.operands.length ? e.text.slice(0, e.text.lastIndexOf(' ')) : e.text);

/** Operand size of an x87 instruction, from its name: an integer's or a float's. */
function x87Name(name: string): string {
  const [, head, size] = /^(f[a-z0-9]*?[a-z])(16|32|64|80)$/.exec(name) ?? [];
  if (!head || !size) return name;
  const isInteger = head.startsWith('fi');
  if (size === '80') return `${head}t`;
  if (size === '64') return isInteger ? `${head}ll` : `${head}l`;
  if (size === '32') return isInteger ? `${head}l` : `${head}s`;
  return `${head}s`;
}

/** The pattern of an encoding; `modrm` and `immediate` where the name depends on them. */
export function mnemonicOf(e: Encoding<Decodable>, modrm: number, immediate: number): string {
  const { name } = e.instruction;
  const code = stringOf(e);
  const reg = (modrm >> 3) & 7;
  if (name === 'nopE' && modrm < 0xc0) {
    if (code === '0f 18' && reg < 4) return PREFETCH_18[reg]!;
    if (code === '0f 0d') return PREFETCH_0D[reg] ?? 'prefetch';
  }
  if (/^cmp[ps][sd]$/.test(name) && immediate < 8) return `cmp${PREDICATES[immediate]}${name.slice(3)}`;
  const byEncoding = BY_ENCODING[name]?.[code];
  if (byEncoding) return name === 'movhps' && modrm >= 0xc0 ? 'movlhps' : byEncoding;
  if (name.endsWith('?')) return name.replace('?', '!');
  if (/^(x(save|rstor)|vm|inv)/.test(name)) return name;
  const known = BY_NAME[name];
  if (known) return known;
  const [, stem, condition] = /^(j|cmov|set)(n?[obzsplbe]+)$/.exec(name) ?? [];
  if (stem && condition) return `${stem}${CONDITIONS[condition] ?? condition}${stem === 'cmov' ? '!' : ''}`;
  if (/^(push|pop)Seg/.test(name)) return `${name.slice(0, name.indexOf('S'))}?`;
  const letters = e.operands.map((o) => o.letter);
  if (e.map === 0 && e.opcode >= 0xd8 && e.opcode <= 0xdf) return x87Name(name.replace(/(\..*|To)$/, ''));
  if (letters.some((l) => 'VWUPQT'.includes(l))) return name.replace(/(Mmx|Sse)$/, '');
  return letters.some((l) => ['E', 'F', 'M', 'R', 'G', 'Z', 'AL', 'eAX', 'sI'].includes(l) || l === 'I')
    ? `${name}!`
    : name;
}
