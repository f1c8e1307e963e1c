/** Bytes to a line of AT&T assembly, as QEMU's monitor prints it (`x /i`, `-d in_asm`): the text of capstone 4 for every
 *  instruction that is decoded here. Bytes that are no instruction of ours are `.byte`s. */
import { type DecodedOperand, decodeWithMaps, type LongDecoded } from '../decode/decoder.ts';
import type { OperandCode } from '../decode/encoding.ts';
import { namedMaps } from './known-only.ts';
import { avxPredicate, mnemonicOf } from './mnemonics.ts';
import { generalRegister, memoryText, number, registerName, segmentRegister } from './operands.ts';
import { COUNT_OF_128, decodeVex, placeOfThird, type VexInstruction } from './vex.ts';

/** One line. `mnemonic` has its prefixes. */
export interface Disassembled {
  readonly length: number;
  readonly mnemonic: string;
  readonly operands: string;
  /** Both, in columns. */
  readonly text: string;
}
const SUFFIX: Readonly<Record<number, string>> = { 8: 'b', 16: 'w', 32: 'l', 64: 'q' };
const STRINGS = new Set(['movs', 'cmps', 'stos', 'lods', 'scas', 'ins', 'outs']);
/** x87 instructions that are there twice; this is how the second one is told from the first. */
const SECOND_COPIES = new Set(['dc /2', 'dc /3', 'de /2', 'dd /1', 'df /1']);
/** Their 16-bit register source is written as the whole register. */
const WIDER = new Set(['lar', 'lsl', 'movToSeg', 'pinsrw', 'pinsrwMmx']);
/** XMM0 is an operand that the encoding does not name. */
const MASKED = new Set(['pblendvb', 'blendvps', 'blendvpd', 'sha256rnds2']);
/** F2 before these is the BND prefix. */
const BRANCH = /^(jmpE?|callE?|retf?I?|jn?[obzsplbe]+)$/;
/** Immediates of these are shown without sign. */
const LOGIC = new Set(['and', 'or', 'xor']);
const INDIRECT = new Set(['jmpE', 'callE', 'jmpFarE', 'callFarE']);
/** The second operand tells the size. */
const SECOND = new Set(['outI', 'outDx', 'movToSeg', 'movToCr', 'movToDr', 'crc32']);
const COMPARING = new Set(['cmps', 'scas']);

/** What the bytes before the opcode say. */
interface Prefixes {
  readonly lock: boolean;
  readonly rep: number;
  readonly segment: number;
  readonly rex: number;
}
function prefixesOf(bytes: Uint8Array, at: number, bits: number): Prefixes {
  let lock = false;
  let rep = 0;
  let segment = -1;
  for (let p = at; ; p++) {
    const byte = bytes[p]!;
    if (byte === 0xf0) lock = true;
    else if (byte === 0xf2 || byte === 0xf3) rep = byte;
    else if (byte === 0x64 || byte === 0x65) segment = byte - 0x60;
    else if ((byte & 0xe7) === 0x26) segment = (byte >> 3) & 3;
    else if (byte !== 0x66 && byte !== 0x67) {
      if (bits === 64 && (byte & 0xf0) === 0x40) {
        if ((bytes[p + 1]! & 0xf0) !== 0x40 && !isPrefix(bytes[p + 1]!)) return { lock, rep, segment, rex: byte };
        continue;
      }
      return { lock, rep, segment, rex: 0 };
    }
  }
}
const isPrefix = (byte: number) =>
  byte === 0x66 ||
  byte === 0x67 ||
  byte === 0xf0 ||
  byte === 0xf2 ||
  byte === 0xf3 ||
  byte === 0x64 ||
  byte === 0x65 ||
  (byte & 0xe7) === 0x26;

/** Disassembles the instruction at `offset`, which the guest has at `address`. `bytes` should hold 15 more bytes. */
export function disassemble(bytes: Uint8Array, offset: number, address: bigint, bits: 16 | 32 | 64): Disassembled {
  const d = decodeWithMaps(namedMaps(bits), bytes, offset, bits);
  if (!d?.encoding) {
    const v = decodeVex(bytes, offset, bits);
    if (v) return vexLine(v, bytes, offset, address, bits);
  }
  if (!d?.encoding) return line(1, '.byte', `0x${(bytes[offset] ?? 0).toString(16).padStart(2, '0')}`);
  const prefixes = prefixesOf(bytes, offset, bits);
  const { name } = d.instruction;
  const immediate = d.operands.at(-1)?.kind === 'i' ? d.operands.at(-1)!.value : 0;
  const mnemonic = withSuffix(mnemonicOf(d.encoding, d.modrm, immediate), d, bits);
  // The r/m field of a fence means nothing.
  const texts = /^[lms]fence$/.test(name) ? [] : operandTexts(d, prefixes, address, bits);
  return line(d.length, prefixText(d, prefixes, name) + mnemonic, texts.join(', '));
}
function line(length: number, mnemonic: string, operands: string): Disassembled {
  return { length, mnemonic, operands, text: `${mnemonic.padEnd(8)} ${operands}` };
}

/** An instruction with a VEX prefix: registers of 128 or 256 bits, and one more operand. */
function vexLine(
  v: VexInstruction,
  bytes: Uint8Array,
  offset: number,
  address: bigint,
  bits: 16 | 32 | 64,
): Disassembled {
  const { decoded: d } = v;
  const { name } = d.instruction;
  const codes = d.encoding!.operands;
  const predicate = avxPredicate(name, d.operands.at(-1)?.value ?? 0);
  const isGeneral = codes[0] !== undefined && 'GE'.includes(codes[0].letter) && v.isOwn;
  const prefixes = { ...prefixesOf(bytes, offset, 16), rex: 0 };
  const texts = (predicate === null ? codes : codes.slice(0, 2)).map((code, i) => {
    const text = operandText(d, code, d.operands[i], prefixes, address, bits);
    const isWhole = code.width === 'x' || name === 'movddup';
    return v.is256 && isWhole && !isHalf(name, i) ? text.replace('%x', '%y') : text;
  });
  if (v.hasThird) {
    const isWhole = v.is256 && codes.some((o) => o.width === 'x');
    const third = isGeneral
      ? generalRegister(v.third, v.isWide && bits === 64 ? 64 : 32)
      : `${isWhole ? 'y' : 'x'}mm${v.third}`;
    texts.splice(placeOfThird(v), 0, `%${third}`);
  }
  // The last operand of a blend by mask is a register.
  if (/^vp?blendv/.test(name)) texts[3] = `%${v.is256 ? 'y' : 'x'}mm${(d.operands.at(-1)!.value >> 4) & 15}`;
  return line(
    v.length,
    vexMnemonic(v, predicate, bits),
    texts
      .filter((t) => t !== '')
      .reverse()
      .join(', '),
  );
}
/** A vector of 128 bits in an instruction on 256: the count of a shift, the result of a narrowing. */
function isHalf(name: string, operand: number): boolean {
  return operand === 0 ? /^cvtt?pd2(ps|dq)$/.test(name) : COUNT_OF_128.test(name);
}
function vexMnemonic(v: VexInstruction, predicate: string | null, bits: number): string {
  const { decoded: d, isWide } = v;
  const { name } = d.instruction;
  if (name === 'vzeroupper') return v.is256 ? 'vzeroall' : name;
  if (name.startsWith('vpmaskmov') || name.startsWith('vps')) return name.replace('.', isWide ? 'q' : 'd');
  if (v.isOwn) {
    const isGeneral = !name.startsWith('v');
    return isGeneral
      ? `${name}${isWide && bits === 64 ? 'q' : 'l'}`
      : name.replace('.store', '').replace(/\.$/, isWide ? 'd' : 's');
  }
  if (predicate !== null) return `v${predicate}`;
  const plain = withSuffix(mnemonicOf(d.encoding!, d.modrm, 0xff), d, 64);
  if (plain === 'movd' && isWideVector(d)) return 'vmovq';
  // A conversion from memory tells how much is read.
  return `v${plain}${/^cvtt?pd2(ps|dq)$/.test(plain) ? (v.is256 ? 'y' : d.memory ? 'x' : '') : ''}`;
}

function prefixText(d: LongDecoded, { lock, rep }: Prefixes, name: string): string {
  let text = lock ? 'lock ' : '';
  const isMandatory = d.encoding!.prefix === rep;
  if (rep && !isMandatory && STRINGS.has(name))
    text += rep === 0xf2 ? 'repne ' : COMPARING.has(name) ? 'repe ' : 'rep ';
  if (rep === 0xf2 && d.encoding!.map === 0 && BRANCH.test(name)) text += 'bnd ';
  return text;
}

/** MOV with an address or an immediate of 64 bits. */
function isAbsolute64(d: LongDecoded): boolean {
  const last = d.encoding!.operands.at(-1)!;
  if (last.text === 'Iv') return d.opSize === 64;
  return d.addrSize === 64 && d.encoding!.operands.some((o) => o.letter === 'O');
}
/** F3 0F 1E FA and FB: a NOP to CPUs without CET. */
function isEndBranch(d: LongDecoded): boolean {
  return d.instruction.name === 'nopE' && d.rep === 0xf3 && d.encoding!.opcode === 0x1e && (d.modrm & 0xfe) === 0xfa;
}
function isWideVector(d: LongDecoded): boolean {
  const { operands } = d.encoding!;
  return operands.some((o, i) => o.text.endsWith('y') && d.operands[i]!.width === 64);
}
function withSuffix(pattern: string, d: LongDecoded, bits: number): string {
  const { name } = d.instruction;
  const width = (SECOND.has(name) ? d.operands[1] : d.operands[0])?.width ?? d.opSize;
  if (name === 'cbw') return { 16: 'cbtw', 32: 'cwtl', 64: 'cltq' }[d.opSize];
  if (name === 'cwd') return { 16: 'cwtd', 32: 'cltd', 64: 'cqto' }[d.opSize];
  if (name === 'jcxz') return { 16: 'jcxz', 32: 'jecxz', 64: 'jrcxz' }[d.addrSize];
  if (name === 'movToSeg' && !d.memory) return `mov${SUFFIX[d.opSize]}`;
  if (name === 'rol' && d.encoding!.opcode === 0xd1 && !d.memory) return 'rol';
  if (isEndBranch(d)) return d.modrm === 0xfa ? 'endbr64' : 'endbr32';
  if (name === 'bsf' && d.rep === 0xf3) return `tzcnt${SUFFIX[width]}`; // what CPUs with BMI make of it
  if (name === 'lgs' && d.opSize === 64) return name;
  if (/^(fxsave|fxrstor|xsave.*|xrstors?)$/.test(name) && d.opSize === 64) return `${name}64`;
  // PINSRD and PEXTRD of 64 bits; MOVD keeps its name.
  if (/^(pinsr|pextr)d$/.test(pattern) && isWideVector(d)) return `${pattern.slice(0, -1)}q`;
  if (/^cvtsi2s[sd]$/.test(name)) return `${name}${SUFFIX[d.operands[1]!.width]}`;
  if (name === 'mov' && isAbsolute64(d)) return `movabs${SUFFIX[width]}`;
  if (/^[sl][gi]dt$/.test(name) && bits === 64) return `${name}q`;
  if (name === 'sysret') return d.opSize === 64 ? 'sysretq' : 'sysretl';
  if (name === 'sysexit') return d.opSize === 64 ? 'sysexitq' : 'sysexit';
  if (name === 'bswap') return d.opSize === 64 ? 'bswapq' : 'bswapl';
  if (pattern === 'movz' || pattern === 'movs') {
    const from = d.operands[1]!.width;
    return `${pattern}${SUFFIX[from]}${SUFFIX[from === 16 && width === 16 ? 32 : width]}`;
  }
  if (name === 'shl' && d.encoding!.digit === 6) return `sal${SUFFIX[width]}`;
  return pattern.replace('?', SUFFIX[d.opSize]!).replace('!', SUFFIX[width] ?? '');
}

function operandTexts(d: LongDecoded, prefixes: Prefixes, address: bigint, bits: 16 | 32 | 64): string[] {
  const { encoding, instruction } = d;
  const { name } = instruction;
  if (STRINGS.has(name)) return stringOperands(d, prefixes.segment, bits);
  if (name === 'jmpFar' || name === 'callFar') {
    const [offset, selector] = d.operands.map((o) => BigInt.asUintN(o.width, BigInt(o.value)).toString(16));
    return [`$0x${selector}:$0x${offset}`];
  }
  if (name === 'xchg' && encoding!.opcode === 0x91) return d.operands.map(registerName);
  if (name === 'ud0' || isEndBranch(d)) return [];
  if (name === 'fnstswAx') return ['%ax'];
  if (/^(push|pop)Seg/.test(name)) return [`%${segmentRegister(Number(name.at(-1)))}`];
  const texts: string[] = [];
  const isNamed = /^cmp[ps][sd]$/.test(name) && d.operands[2]!.value < 8;
  const codes = isNamed ? encoding!.operands.slice(0, 2) : encoding!.operands;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    const text = operandText(d, code, d.operands[i], prefixes, address, bits);
    if (text !== '') texts.push(text);
  }
  if (name === 'enter') return texts;
  // Ten is what AAM and AAD are for.
  if ((name === 'aam' || name === 'aad') && d.operands[0]!.value === 10) return [];
  if (INDIRECT.has(name)) return [`*${texts[0]}`];
  if (MASKED.has(name)) texts.push('%xmm0');
  return texts.reverse();
}

function operandText(
  d: LongDecoded,
  code: OperandCode,
  o: DecodedOperand | undefined,
  prefixes: Prefixes,
  address: bigint,
  bits: 16 | 32 | 64,
): string {
  const { name } = d.instruction;
  switch (code.letter) {
    case 'X':
    case 'L':
      return '';
    case 'H': {
      const register = `%st(${d.modrm & 7})`;
      if (name.startsWith('fcmov')) return `${register}, %st(0)`;
      if (name.startsWith('fstp') && d.encoding!.opcode !== 0xdd) return `%st(0), ${register}`;
      if (SECOND_COPIES.has(d.encoding!.text.slice(0, 5))) return `${register}, %st(0)`;
      return name.endsWith('To') ? `%st(0), ${register}` : register;
    }
    case 'S':
      return `%${segmentRegister(o!.value)}`;
    case 'C':
      return `%cr${o!.value}`;
    case 'D':
      return `%dr${o!.value}`;
    case 'J': {
      const target = address + BigInt(d.length) + BigInt(d.distance);
      const mask = bits === 64 ? 64 : d.opSize === 16 ? 16 : 32;
      return number(BigInt.asUintN(mask, target));
    }
    case '1':
      return '$1';
    case 'I':
    case 'sI':
      return `$${immediateText(d, o!, code)}`;
    default:
      if (o!.kind === 'm') {
        const adjusted = name === 'pop' && d.memory!.base === 4 && d.memory!.addrSize !== 16 ? d.opSize / 8 : 0;
        return memoryText(d, d.memory!, prefixes.segment, d.memory!.displacement - adjusted, bits);
      }
      return registerName(WIDER.has(name) && code.width === 'w' ? wordAsOperand(d, o!) : o!);
  }
}
/** A 16-bit source that is written with the name of the operand size. */
function wordAsOperand(d: LongDecoded, o: DecodedOperand): DecodedOperand {
  return { ...o, width: widthOfWord(d) };
}
function widthOfWord(d: LongDecoded): 16 | 32 | 64 {
  const { name } = d.instruction;
  if (name.startsWith('pinsrw')) return 32;
  return name === 'movToSeg' || d.opSize === 16 ? d.opSize : 32;
}
function immediateText(d: LongDecoded, o: DecodedOperand, code: OperandCode): string {
  if (code.text === 'Iv' && o.width === 64) return number((BigInt(d.high >>> 0) << 32n) | BigInt(o.value >>> 0));
  if (o.width === 64 && !LOGIC.has(d.instruction.name)) return number(BigInt(o.value));
  if (code.letter === 'sI' && !LOGIC.has(d.instruction.name)) return number(BigInt(o.value));
  if (d.instruction.name === 'enter') return number(BigInt.asIntN(o.width, BigInt(o.value)));
  return number(BigInt.asUintN(o.width, BigInt(o.value)));
}

function stringOperands(d: LongDecoded, override: number, bits: number): string[] {
  const { name } = d.instruction;
  const { width } = d.operands[0]!;
  const source = `${override < 0 ? '' : `%${segmentRegister(override)}:`}(%${generalRegister(6, d.addrSize)})`;
  const destination = `${bits === 64 ? '' : '%es:'}(%${generalRegister(7, d.addrSize)})`;
  const accumulator = `%${generalRegister(0, width)}`;
  switch (name) {
    case 'movs':
      return [source, destination];
    case 'cmps':
      return [destination, source];
    case 'stos':
      return [accumulator, destination];
    case 'lods':
      return [source, accumulator];
    case 'scas':
      return [destination, accumulator];
    case 'ins':
      return ['%dx', destination];
    default:
      return [source, '%dx'];
  }
}
