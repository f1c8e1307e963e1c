/** Memory and values as x, xp and print show them. */

import type { DumpFormat } from './arguments.ts';

/** Bytes read at a time; more is asked for piece by piece. */
const MAX_DUMP_BYTES = 1 << 20;

/** `read` gives the bytes of one line, or null where there is no memory. */
export function dumpMemory(
  start: bigint,
  dump: DumpFormat,
  read: (address: bigint, length: number) => Uint8Array | null,
): string {
  // Characters are single bytes, but as many of them as the size in force says.
  const size = dump.format === 'c' ? 1 : dump.size;
  const lineSize = dump.size === 1 ? 8 : 16;
  let left = Math.min(dump.count * dump.size, MAX_DUMP_BYTES);
  const lines: string[] = [];
  for (let address = start; left > 0; address += BigInt(lineSize)) {
    const length = Math.min(lineSize, left);
    left -= length;
    const place = BigInt.asUintN(64, address);
    const bytes = read(place, length);
    const prefix = `${place.toString(16).padStart(16, '0')}:`;
    if (!bytes) {
      lines.push(`${prefix} Cannot access memory\n`);
      break;
    }
    let line = prefix;
    for (let at = 0; at < length; at += size)
      line += ` ${formatCell(littleEndian(bytes, at, size), dump.format, size)}`;
    lines.push(`${line}\n`);
  }
  return lines.join('');
}

function littleEndian(bytes: Uint8Array, at: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
}

function formatCell(value: bigint, format: string, size: number): string {
  switch (format) {
    case 'o':
      return `0${value.toString(8).padStart(Math.floor((size * 8 + 2) / 3), '0')}`;
    case 'u':
      return value.toString().padStart(decimalDigits(size));
    case 'd':
      return BigInt.asIntN(size * 8, value)
        .toString()
        .padStart(decimalDigits(size));
    case 'c':
      return characterText(Number(value));
    default:
      return `0x${value.toString(16).padStart(size * 2, '0')}`;
  }
}

function decimalDigits(size: number): number {
  return Math.floor((size * 8 * 10 + 32) / 33);
}

/** One value as `print` shows it. */
export function formatValue(value: bigint, format: string): string {
  const unsigned = BigInt.asUintN(64, value);
  switch (format) {
    case 'o':
      return unsigned === 0n ? '0' : `0${unsigned.toString(8)}`;
    case 'u':
      return unsigned.toString();
    case 'd':
      return BigInt.asIntN(64, value).toString();
    case 'c':
      return characterText(Number(unsigned & 0xffn));
    default:
      return unsigned === 0n ? '0' : `0x${unsigned.toString(16)}`;
  }
}

function characterText(code: number): string {
  const character = String.fromCharCode(code);
  if (character === "'" || character === '\\') return `'\\${character}'`;
  if (character === '\n') return "'\\n'";
  if (character === '\r') return "'\\r'";
  return code >= 32 && code <= 126 ? `'${character}'` : `'\\x${code.toString(16).padStart(2, '0')}'`;
}
