/** Handler forms: an instruction with the kinds and widths of its operands and what else its definition looks at. Every
 *  distinct form is one handler. */
import type { DecodedOperand, Executable } from '../../../target/x86/decode/decoder.ts';
import { EXECUTABLE } from '../../../target/x86/semantics/index.ts';
import type { Form, Instruction, OperandKind, Width } from '../../../target/x86/semantics/ops.ts';
import { FIELDS } from '../../../target/x86/state.ts';

export interface HandlerForm {
  readonly key: string;
  readonly instruction: Instruction;
  readonly operands: readonly { readonly kind: OperandKind; readonly width: Width }[];
  readonly form: Form;
}

const BY_NAME = new Map(EXECUTABLE.map((i) => [i.name, i]));

/** `name:r32,m32;o16;a16;rf3;s;l` -- only what the instruction declares; defaults (o32, a32, no rep, flat stack, CS without limit) are
 *  left out.
 *  64-bit code has handlers of its own and there o64 and a32; its default is a64. */
export function parseForm(key: string, isLong = false): HandlerForm {
  const [head, ...tags] = key.split(';');
  const [name, list] = head!.split(':');
  const instruction = BY_NAME.get(name!);
  if (!instruction) throw new Error(`no instruction ${name}`);
  const operands = (list ?? '')
    .split(',')
    .filter((o) => o !== '')
    .map((o) => ({ kind: o[0] as OperandKind, width: Number(o.slice(1)) as Width }));
  const form: Form = {
    opSize: tags.includes('o16') ? 16 : tags.includes('o64') ? 64 : 32,
    addrSize: tags.includes('a16') ? 16 : isLong && !tags.includes('a32') ? 64 : 32,
    rep: tags.includes('rf3') ? 0xf3 : tags.includes('rf2') ? 0xf2 : 0,
    flatStack: !tags.includes('s'),
    limited: tags.includes('l'),
    long: isLong,
  };
  return { key, instruction, operands, form };
}

/** Three bits: `q` is of 64-bit code only, `s` never. */
const KIND_CODE = { r: 1, m: 2, f: 3, g: 4, i: 5, q: 6, v: 7, s: 6 } as const satisfies Record<OperandKind, number>;
const AFTER_GENERAL = FIELDS.gpr.offset + 16 * FIELDS.gpr.stride;
/** How an operand of 64-bit code is reached. */
function longKind(d: Executable, o: DecodedOperand, memoryKind: OperandKind): OperandKind {
  if (o.kind === 'm') return memoryKind;
  if (o.kind === 'r') return o.width === 32 && o.value >= AFTER_GENERAL ? 'v' : 'r';
  return o.width === 64 && d.high !== o.value >> 31 ? 'q' : 'i';
}
/** The same as a number that is distinct where keys of one instruction are: six bits for each operand, then variants. Small integers
 *  are what V8 finds quickest: blocks are decoded by the ten thousand. */
export function formCode(
  d: Executable,
  memoryKind: 'm' | 's' | 'f' | 'g',
  flatStack: boolean,
  isLong = false,
  limited = false,
): number {
  const { operands } = d;
  let code = 0;
  for (let i = 0; i < operands.length; i++) {
    const o = operands[i]!;
    const { width } = o;
    let kind: number = KIND_CODE.i;
    if (o.kind === 'm')
      kind = memoryKind === 'f' ? KIND_CODE.f : memoryKind === 'g' ? KIND_CODE.g : KIND_CODE[memoryKind];
    else if (o.kind === 'r') kind = isLong && width === 32 && o.value >= AFTER_GENERAL ? KIND_CODE.v : KIND_CODE.r;
    else if (isLong && width === 64 && d.high !== o.value >> 31) kind = KIND_CODE.q;
    const size = width === 32 ? 2 : width === 64 ? 3 : width === 8 ? 0 : width === 16 ? 1 : width === 128 ? 4 : 5;
    code |= ((kind << 3) | size) << (6 * i);
  }
  let tags = 0;
  const { variants } = d.instruction;
  if (variants)
    for (const variant of variants) {
      if (variant === 'opSize' && d.opSize !== 32) tags |= d.opSize === 16 ? 1 : 32;
      if (variant === 'addrSize' && d.addrSize === (isLong ? 32 : 16)) tags |= 2;
      if (variant === 'rep' && d.rep) tags |= d.rep === 0xf2 ? 4 : 8;
      if (variant === 'stack' && !flatStack) tags |= 16;
      if (variant === 'limit' && limited) tags |= 64;
    }
  return code * 128 + tags;
}

/** The key of a decoded instruction's handler. `memoryKind`: how its memory operand is reached. */
export function formKey(
  d: Executable,
  memoryKind: 'm' | 's' | 'f' | 'g',
  flatStack: boolean,
  isLong = false,
  limited = false,
): string {
  const { instruction } = d;
  let key = instruction.name;
  for (let i = 0; i < d.operands.length; i++) {
    const o = d.operands[i]!;
    const kind = isLong ? longKind(d, o, memoryKind) : o.kind === 'm' ? memoryKind : o.kind;
    key += `${i === 0 ? ':' : ','}${kind}${o.width}`;
  }
  for (const variant of instruction.variants ?? []) {
    if (variant === 'opSize' && d.opSize !== 32) key += `;o${d.opSize}`;
    if (variant === 'addrSize' && d.addrSize === (isLong ? 32 : 16)) key += `;a${d.addrSize}`;
    if (variant === 'rep' && d.rep) key += d.rep === 0xf2 ? ';rf2' : ';rf3';
    if (variant === 'stack' && !flatStack) key += ';s';
    if (variant === 'limit' && limited) key += ';l';
  }
  return key;
}

const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'];
const CONDITIONS = ['o', 'no', 'b', 'nb', 'z', 'nz', 'be', 'nbe', 's', 'ns', 'p', 'np', 'l', 'nl', 'le', 'nle'];

/** Forms that live in the big loop; all others are functions of their own, made on first use. */
export function hotForms(): string[] {
  const keys: string[] = [];
  for (const name of [...ALU, 'mov', 'test']) {
    for (const w of [32, 8]) {
      keys.push(`${name}:r${w},r${w}`, `${name}:r${w},i${w}`);
      if (name === 'adc' || name === 'sbb') continue;
      for (const kind of ['m', 'f']) {
        keys.push(`${name}:${kind}${w},r${w}`);
        keys.push(`${name}:${kind}${w},i${w}`);
        if (name !== 'test') keys.push(`${name}:r${w},${kind}${w}`);
      }
    }
  }
  for (const name of ['mov', 'cmp', 'test', 'and', 'or', 'add', 'sub', 'xor']) {
    keys.push(`${name}:r16,r16`, `${name}:r16,i16`);
    if (name === 'mov' || name === 'cmp') keys.push(`${name}:m16,r16`, `${name}:m16,i16`, `${name}:r16,m16`);
  }
  for (const kind of ['f', 'g']) for (const to of [8, 16]) keys.push(`movzx:r32,${kind}${to}`);
  keys.push(
    'mov:r32,g32',
    'mov:g32,r32',
    'mov:r8,g8',
    'mov:g8,r8',
    'add:r32,g32',
    'cmp:r32,g32',
    'cmp:r8,g8',
    'xor:r32,g32',
  );
  for (const name of ['inc', 'dec', 'neg', 'not'])
    for (const w of [32, 16, 8])
      keys.push(
        `${name}:r${w}`,
        ...(w === 32 && name !== 'neg' && name !== 'not' ? ['m32', 'f32'].map((m) => `${name}:${m}`) : []),
      );
  for (const name of ['shl', 'shr', 'sar', 'rol', 'ror']) {
    keys.push(`${name}:r32,i8`, `${name}:r32,r8`);
    if (name.startsWith('s')) keys.push(`${name}:r16,i8`, `${name}:r8,i8`);
  }
  for (const from of [8, 16])
    for (const name of ['movzx', 'movsx']) keys.push(`${name}:r32,r${from}`, `${name}:r32,m${from}`);
  keys.push(
    'lea:r32,m32',
    'lea:r16,m16',
    'imul:r32,r32',
    'imul:r32,m32',
    'imul3:r32,r32,i32',
    'mul:r32',
    'nop',
    'nopE:m32',
    'cwd',
    'xchg:r32,r32',
  );
  for (const stack of ['', ';s'])
    keys.push(`push:r32${stack}`, `push:i32${stack}`, `pop:r32${stack}`, `push:r16${stack}`, `pop:r16${stack}`);
  keys.push('push:m32', 'push:f32', 'leave');
  for (const o of ['', ';o16']) {
    keys.push(`jmp${o}`, `jmpE:r${o ? 16 : 32}${o}`);
    for (const c of CONDITIONS) keys.push(`j${c}${o}`);
  }
  keys.push(
    'jmpE:m32',
    'call',
    'call;s',
    'call;s;l',
    'call;o16;s',
    'callE:r32',
    'callE:m32',
    'callE:f32',
    'ret',
    'ret;s',
    'ret;s;l',
    'ret;o16;s',
    'retI:i16',
  );
  for (const c of ['z', 'nz', 'l', 'nl', 'b', 'nb', 's', 'ns', 'le', 'nle', 'be', 'nbe']) {
    keys.push(`set${c}:r8`, `cmov${c}:r32,r32`);
  }
  keys.push('loop', 'loop;o16;a16');
  return [...new Set(keys)];
}

const words = (text: string) => text.split(' ');
/** Cold forms that come together: the first that is met brings its whole group, in one module, where each is compiled when first
 *  executed. A module of its own costs as much as about ten functions in one. */
const FIRMWARE_FORMS = words(
  'jmpFar:i16,i16;o16 movToSeg:i16,r16 cli cld outI:i8,r8 inI:r8,i8 lidt:m16;o16 lgdt:m16;o16 movFromCr:r32,i32 movToCr:i32,r32 ' +
    'jmpFar:i32,i16 outDx:r16,r8 pushf popf bt:r32,i8 cpuid outDx:r16,r32 inDx:r16,r16 inDx:r32,r16 inDx:r8,r16 movs:i8;rf3 ' +
    'outDx:r16,r16 ins:i8;rf3 bswap:r32 rol:r16,i8 div:r32 adc:r32,m32 sbb:r32,m32 imul3:r32,m32,i32 movs:i32;rf3 xchg:r8,r8 or:m16,i16 ' +
    'sbb:m32,i32 shld:r32,r32,i8 movFromSeg:r16,i16 rsm wbinvd rdmsr wrmsr lgdt:m32 callE:r32;s;l jmpE:r32;l sti pause sgdt:m32 or:m16,r16 ' +
    'shrd:r32,r32,r8 shrd:r32,r32,i8 setnz:m8 pushSeg3;o16;s pop:m32;s pop:m16;s movFromSeg:m16,i16 pushSeg1;o16;s push:i16;s ' +
    'push:m16;s push:m32;s movToSeg:i16,m16 iret;o16 int:i8 retf;o16 pushf;o16;s pushSeg0;o16;s popf;o16;s retI:i16;o16;s idiv:r32 ' +
    'movs:i8;a16;rf3 imul:r16,r16 callFarE:m16;o16 pushf;s movFromSeg:r32,i16 popSeg3;o16;s popSeg0;o16;s div:r16 stos:i16;a16;rf3 ' +
    'inc:m16 inc:m8 stos:i32;rf3 ins:i16;rf3 outs:i16;rf3 adc:m32,r32 and:m16,i16 add:m16,r16 sidt:m32 lidt:m32 lods:i8 clc stc ' +
    'shl:m32,i8 stos:i8 shl:m8,i8 xchg:m32,r32 pop:m32 shr:m32,i8 stos:i8;rf3 rdtsc bt:r32,r32 div:m32 movs:i8 mul:m32 ' +
    'shld:r32,r32,r8 sbb:m32,r32 adc:m32,i32 bt:m32,i8 setz:m8 seto:r8 add:r16,m16 popf;s',
);
const all = (names: string, ...operands: string[]) =>
  words(names).flatMap((name) => operands.map((list) => `${name}:${list}`));
/** Of code of any size. */
const COMMON_FORMS = [
  ...all('add or and sub xor cmp', 'm16,i16', 'm16,r16', 'r16,i16', 'r16,m16', 'r16,r16', 'm8,i8'),
  ...all('adc sbb', 'r16,i16', 'r16,r16', 'm32,i32', 'm8,i8'),
  ...all('bt btr bts btc', 'm32,r32', 'm32,i8', 'r32,r32', 'r32,i8'),
  ...all('shl shr sar', 'm32,i8', 'm32,r8', 'm16,i8', 'm8,i8', 'r16,i8', 'r8,i8'),
  ...CONDITIONS.flatMap((c) => [`set${c}:m8`, `cmov${c}:r32,m32`]),
  ...all('xadd cmpxchg', 'm32,r32', 'm8,r8'),
  ...all('bsf bsr', 'r32,m32', 'r32,r32'),
  ...all('xchg', 'm32,r32', 'r8,r8'),
  ...all('div idiv imul1 mul', 'm32', 'r32'),
  ...all('inc dec neg', 'm16', 'm8', 'r8'),
  ...words(
    'cli sti cld std cpuid rdtsc rdmsr wrmsr pause wbinvd int3 invlpg:m8 lldt:r16 ltr:r16 lgdt:m32 lidt:m32 sgdt:m32',
  ),
  ...words(
    'lfence:r32 mfence:r32 sfence:r32 movFromSeg:r16,i16 movFromSeg:r32,i16 movToSeg:i16,r16 nopE:r32 movsx:r16,m8',
  ),
  ...words('inDx:r16,r16 inDx:r32,r16 inDx:r8,r16 inI:r8,i8 outDx:r16,r16 outDx:r16,r32 outDx:r16,r8 outI:i8,r8'),
  ...words(
    'wait emms fninit fnclex fnstsw:m16,i8 fxsave:m8,i8 fxrstor:m8,i8 test:m16,i16 test:r16,r16 imul3:r32,m32,i32 rol:r16,i8 cmps:i8;rf3 scas:i8;rf2',
  ),
  ...['movs', 'stos'].flatMap((name) => ['i8', 'i16', 'i32'].map((width) => `${name}:${width};rf3`)),
];
const X87_FORMS = words(
  'fld:i8 fldz fabs fxam fnstcw:m16,i8 fnstswAx fxch.d9.:i8 fild32:m32,i8 fistp32:m32,i8 ' +
    'fld64:m64,i8 fst64:m64,i8 fstp64:m64,i8 fmul64:m64,i8 fdiv64:m64,i8 faddp:i8 fsubp:i8 fsubrp:i8 fucomi:i8 fucomip:i8 fstp.dd.:i8 ' +
    'fldcw:m16,i8',
);
const VECTOR_FORMS = [
  ...all('mova movu', 'm128,r128', 'r128,m128'),
  ...all('mova pand pandn psubb psubd paddb pcmpeqd pcmpgtb punpckhdq punpckldq punpcklqdq punpcklwd', 'r128,r128'),
  ...all('por pxor pcmpeqb pminub punpcklbw', 'r128,m128', 'r128,r128'),
  ...all('pslldq psrldq', 'r128,i8'),
  ...all('movZero', 'r128,m32', 'r128,m64', 'r128,r32'),
  ...words('andp:r128,m128 pshufd:r128,r128,i8 pmovmskb:r32,r128 movhps:r128,m64'),
  ...all('movScalar', 'm64,r64', 'r64,m64', 'r64,r64'),
  ...all('addsd mulsd subsd ucomisd', 'r128,m64', 'r128,r64'),
];
/** A protected kernel of 32 bits. */
const KERNEL_FORMS = [
  ...COMMON_FORMS,
  ...words('callE:m32;s;l callE:r32;s iret retf sysenter sysexit popa;s pusha;s movFromCr:r32,i32 movToCr:i32,r32'),
  ...words(
    'movToDr:i32,r32 cmpxchg8b:m64 movs:i16 cbw shld:r32,r32,i8 shld:r32,r32,r8 shrd:r32,r32,i8 shrd:r32,r32,r8',
  ),
  ...[0, 3, 4, 5].flatMap((segment) => [`pushSeg${segment}`, `popSeg${segment}`]),
];
const LONG_KERNEL_FORMS = [
  ...COMMON_FORMS,
  ...all('bt btr bts', 'm64,r64', 'm64,i8', 'r64,r64', 'r64,i8'),
  ...CONDITIONS.map((c) => `cmov${c}:r64,m64`),
  ...all('shl shr sar', 'm64,i8', 'm64,r8'),
  ...all('xadd cmpxchg xchg', 'm64,r64'),
  ...all('bsf bsr', 'r64,m64'),
  ...all('div idiv imul1 mul', 'm64', 'r64'),
  ...all('movsx movzx', 'r64,m8', 'r64,m16'),
  ...all('shld shrd', 'r64,r64,i8', 'r64,r64,r8'),
  ...words(
    'movs:i64;rf3 stos:i64;rf3 imul3:r64,m64,i64 movFromCr:r64,i32 movToCr:i32,r64 movToDr:i32,r64 cmpxchg16b:m128',
  ),
  ...words('iret;o64 retf;o64 swapgs syscall sysret;o64 popf;o64 pushf;o64 fxrstor:m8,i8;o64 fxsave:m8,i8;o64'),
];
const LONG_VECTOR_FORMS = [...VECTOR_FORMS, 'movZero:r128,r64', 'cvtsi2sd:r128,r64', 'movScalar:r32,v32'];

export const COLD_GROUPS = [FIRMWARE_FORMS, KERNEL_FORMS, [...VECTOR_FORMS, 'movScalar:r32,r32'], X87_FORMS] as const;
export const LONG_COLD_GROUPS = [LONG_KERNEL_FORMS, LONG_VECTOR_FORMS, X87_FORMS] as const;

/** The same for 64-bit code. A scaled index and an immediate do not fit into one record. */
export function longHotForms(): string[] {
  const keys: string[] = [];
  const add = (...list: string[]) => keys.push(...list);
  for (const name of [...ALU, 'mov', 'test'])
    for (const w of [64, 32, 8]) {
      add(`${name}:r${w},r${w}`, `${name}:r${w},i${w}`);
      if (name === 'adc' || name === 'sbb') continue;
      for (const kind of ['m', 'f']) {
        add(`${name}:${kind}${w},r${w}`, `${name}:${kind}${w},i${w}`);
        if (name !== 'test') add(`${name}:r${w},${kind}${w}`);
      }
    }
  add('mov:r64,q64', 'mov:r16,r16', 'mov:r16,i16', 'cmp:r16,i16', 'cmp:r16,r16', 'test:r16,i16', 'and:r16,i16');
  for (const kind of ['m', 'f']) {
    add(`mov:${kind}16,r16`, `mov:${kind}16,i16`, `mov:r16,${kind}16`, `cmp:${kind}16,i16`, `cmp:${kind}16,r16`);
    for (const w of [32, 64]) add(`push:${kind}64`, `inc:${kind}${w}`, `dec:${kind}${w}`, `movsxd:r64,${kind}32`);
    add(`callE:${kind}64;o64`, `jmpE:${kind}64;o64`, `imul:r64,${kind}64`, `imul:r32,${kind}32`);
  }
  for (const kind of ['f', 'g', 'm'])
    for (const from of [8, 16]) for (const name of ['movzx', 'movsx']) add(`${name}:r32,${kind}${from}`);
  for (const w of [64, 32, 8]) add(`mov:r${w},g${w}`, `mov:g${w},r${w}`, `cmp:r${w},g${w}`);
  for (const w of [64, 32]) {
    add(`add:r${w},g${w}`, `xor:r${w},g${w}`, `lea:r${w},m${w}`, `cwd${w === 64 ? ';o64' : ''}`);
    for (const name of ['inc', 'dec', 'neg', 'not']) add(`${name}:r${w}`);
    for (const name of ['shl', 'shr', 'sar', 'rol', 'ror']) add(`${name}:r${w},i8`, `${name}:r${w},r8`);
    for (const from of [8, 16]) add(`movzx:r${w},r${from}`, `movsx:r${w},r${from}`);
    add(`imul:r${w},r${w}`, `imul3:r${w},r${w},i${w}`, `mul:r${w}`, `div:r${w}`, `xchg:r${w},r${w}`, `bswap:r${w}`);
    add(`bt:r${w},r${w}`, `bt:r${w},i8`, `cbw${w === 64 ? ';o64' : ''}`, `bsf:r${w},r${w}`, `bsr:r${w},r${w}`);
    for (const c of CONDITIONS) add(`cmov${c}:r${w},r${w}`);
  }
  add('movsxd:r64,r32', 'push:r64', 'push:i64', 'pop:r64', 'leave;o64', 'nop', 'nopE:m32', 'nopE:m16', 'nopE:m64');
  add('jmp;o64', 'jmpE:r64;o64', 'call;o64', 'callE:r64;o64', 'ret;o64', 'retI:i16;o64', 'loop;o64');
  for (const c of CONDITIONS) add(`j${c};o64`, `set${c}:r8`);
  return [...new Set(keys)];
}
