/** Disassembly in lines as QEMU prints it: address, up to eight bytes, text; the bytes of a long instruction go on below. */
import { MAX_LENGTH } from '../decode/decoder.ts';
import { disassemble } from './disassembler.ts';

export type CodeSize = 16 | 32 | 64;
const BYTES_PER_LINE = 8;

const addressText = (address: bigint) => `0x${BigInt.asUintN(64, address).toString(16).padStart(8, '0')}:`;

function instructionLines(address: bigint, bytes: Uint8Array, text: string): string {
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, '0'));
  const first = digits.slice(0, BYTES_PER_LINE).join(' ');
  let lines = `${addressText(address)}  ${first.padEnd(BYTES_PER_LINE * 3 - 1)}  ${text}\n`;
  for (let at = BYTES_PER_LINE; at < digits.length; at += BYTES_PER_LINE)
    lines += `${addressText(address + BigInt(at))}  ${digits.slice(at, at + BYTES_PER_LINE).join(' ')}\n`;
  return lines;
}

/** `count` instructions from `address` on, as the monitor's `x /i` shows them. `read` gives the bytes, or null where there is no
 *  memory: the listing ends there. */
export function listInstructions(
  address: bigint,
  count: number,
  bits: CodeSize,
  read: (address: bigint, length: number) => Uint8Array | null,
): string {
  let text = '';
  let at = address;
  for (let i = 0; i < count; i++) {
    const bytes = readUpTo(at, read);
    if (bytes.length === 0) return `${text}${addressText(at)} unable to read memory\n`;
    const line = disassemble(bytes, 0, at, bits);
    text += instructionLines(at, bytes.subarray(0, line.length), line.text);
    at += BigInt(line.length);
  }
  return text;
}
/** As many bytes of an instruction as there are. */
function readUpTo(address: bigint, read: (address: bigint, length: number) => Uint8Array | null): Uint8Array {
  const all = read(address, MAX_LENGTH);
  if (all) return all;
  const some: number[] = [];
  while (some.length < MAX_LENGTH) {
    const byte = read(address + BigInt(some.length), 1);
    if (!byte) break;
    some.push(byte[0]!);
  }
  return Uint8Array.from(some);
}

/** A block of code as `-d in_asm` logs it; ends with an empty line. */
export function inAsmText(bytes: Uint8Array, offset: number, length: number, address: bigint, bits: CodeSize): string {
  let text = '----------------\nIN: \n';
  for (let at = 0; at < length; ) {
    const line = disassemble(bytes, offset + at, address + BigInt(at), bits);
    const { length: size } = line;
    text += instructionLines(address + BigInt(at), bytes.subarray(offset + at, offset + at + size), line.text);
    at += size;
  }
  return `${text}\n`;
}
