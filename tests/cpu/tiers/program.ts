/** Random programs, as lists of items that can be left out one by one: what a failure is reduced to. */
import type { Random } from '../../hostility/random.ts';
import { CODE, CODE_BYTES, PAGE } from './world.ts';

/** How a place is put into the code; those of 16 bits are IPs. */
export type Fix = 'rel8' | 'rel16' | 'rel32' | 'abs16' | 'abs32';
/** One instruction, or a few that belong together. */
export interface Item {
  readonly what: string;
  readonly bytes: readonly number[];
  /** What the bytes refer to: the place of label `label`, plus `add`, put in at index `at`. */
  readonly fix?: {
    readonly at: number;
    readonly kind: Fix;
    /** 'data': nothing in the code; `add` is the address. */
    readonly label: number | 'data';
    /** What a distance counts from is behind the four bytes; `add` makes up for an immediate that follows. */
    readonly add?: number;
  };
  /** The item is where this label is. */
  readonly label?: number;
}

export interface Program {
  readonly seed: number;
  /** 64-bit code. */
  readonly isLong?: boolean;
  /** 16-bit code: the IP of its first byte, which goes round at 64 KiB. */
  readonly ip?: number;
  /** In encoding order; of 64-bit code the halves, lower ones first. */
  readonly regs: readonly number[];
  readonly eflags: number;
  /** Where the first item stands, from CODE. */
  readonly start: number;
  readonly items: readonly Item[];
}

/** A program's bytes from CODE on. */
export interface Image {
  readonly start: number;
  readonly code: Uint8Array;
  /** For each byte from CODE on where a fault there continues; 0xffff: nowhere. */
  readonly next: Uint16Array;
}

/** A short branch whose target has come to be too far away as a long one; LOOP and JECXZ have none. */
function lengthen(item: Item, is16: boolean): Item | null {
  const [opcode = 0] = item.bytes;
  if (item.fix?.kind !== 'rel8') return null;
  const kind = is16 ? 'rel16' : 'rel32';
  const distance = is16 ? [0, 0] : [0, 0, 0, 0];
  if (opcode === 0xeb) return { ...item, bytes: [0xe9, ...distance], fix: { ...item.fix, at: 1, kind } };
  if (opcode >> 4 !== 7) return null;
  return { ...item, bytes: [0x0f, opcode + 0x10, ...distance], fix: { ...item.fix, at: 2, kind } };
}

/** Lays the items out. Labels that are gone stand at the end. The last byte is a HLT, where the program ends. */
export function assemble(program: Program): Image {
  const items = program.items.slice();
  const at: number[] = [];
  const labels = new Map<number, number>();
  let end = 0;
  const place = (label: number | 'data') => (label === 'data' ? -CODE : (labels.get(label) ?? end));
  for (;;) {
    let here = program.start;
    items.forEach((item, i) => {
      at[i] = here;
      if (item.label !== undefined) labels.set(item.label, here);
      here += item.bytes.length;
    });
    end = here;
    let isChanged = false;
    items.forEach((item, i) => {
      if (item.fix?.kind !== 'rel8') return;
      const distance = place(item.fix.label) - (at[i]! + item.fix.at + 1);
      if (distance >= -128 && distance < 128) return;
      items[i] =
        lengthen(item, program.ip !== undefined) ??
        ({ ...item, bytes: item.bytes.map(() => 0x90), fix: undefined } as Item);
      isChanged = true;
    });
    if (!isChanged) break;
  }
  if (end >= CODE_BYTES) throw new RangeError(`a program of ${end - program.start} bytes`);
  const code = new Uint8Array(CODE_BYTES);
  const next = new Uint16Array(CODE_BYTES).fill(0xffff);
  const view = new DataView(code.buffer);
  items.forEach((item, i) => {
    code.set(item.bytes, at[i]!);
    next.fill(at[i]! + item.bytes.length, at[i]!, at[i]! + item.bytes.length);
    const { fix } = item;
    if (!fix) return;
    const from = at[i]! + fix.at;
    const target = place(fix.label) + (fix.add ?? 0);
    if (fix.kind === 'rel8') view.setInt8(from, target - from - 1);
    else if (fix.kind === 'rel16') view.setInt16(from, target - from - 2, true);
    else if (fix.kind === 'rel32') view.setInt32(from, target - from - 4, true);
    else if (fix.kind === 'abs16') view.setUint16(from, (program.ip ?? 0) + target, true);
    else view.setUint32(from, CODE + target, true);
  });
  code[end] = 0xf4;
  return { start: program.start, code, next };
}

/** Mostly near the start of a page's second half; now and then so that instructions cross into the next page. */
export function randomStart(random: Random): number {
  return random.chance(0.6) ? PAGE - random.between(1, 200) : random.below(200);
}

/** The program as text, to be looked at and kept. */
export function listing(program: Program): string {
  const hex = (n: number) => n.toString(16).padStart(2, '0');
  const lines = program.items.map((item) => {
    const label = item.label === undefined ? '' : `L${item.label}: `;
    const target = item.fix?.label === 'data' ? hex(item.fix.add ?? 0) : `L${item.fix?.label}`;
    const fix = item.fix ? ` -> ${target}` : '';
    return `  ${label}${item.bytes.map(hex).join(' ')}  ${item.what}${fix}`;
  });
  return `seed ${program.seed}, start ${hex(program.start)}, regs ${program.regs.map(hex).join(' ')}, eflags ${hex(program.eflags)}\n${lines.join('\n')}`;
}
