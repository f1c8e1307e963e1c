/** Random programs on the host CPU, and whether ours comes to the same. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FIELDS } from '../../../core/target/x86/state.ts';
import { Mismatch, shrink } from './compare.ts';
import { generate } from './generate.ts';
import { generateLong } from './generate-long.ts';
import { DATA_SEEDS, dataPage, type Guest, type LogRecord, type World } from './guest.ts';
import { assemble, listing, type Program } from './program.ts';
import { CODE, CODE_BYTES, DATA, DATA_PAGES, KERNEL_STACK, PAGE, PORTABLE } from './world.ts';

/** The guest's world when it is compared with the host. */
export const HOST_WORLD: World = { mode: 'user', pae: true, portable: true };
export const LONG_HOST_WORLD: World = { ...HOST_WORLD, long: 0 };
const PAGES = DATA_PAGES.flatMap((kind, index) => (PORTABLE.has(kind) ? [{ kind, index }] : []));
const MAX_PAGES = 16;
/** Of struct output and struct record in native.c: how many registers, of how many bytes, and where what follows them is. */
const LAYOUT = {
  32: { registers: 8, word: 4, vector: 16, output: 340 },
  64: { registers: 16, word: 8, vector: 32, output: 832 },
} as const;
/** Bytes of x87 registers and units' words behind RFLAGS. */
const UNITS = 16;
const X87 = 80;
/** O S Z A C P and DF. */
const FLAGS = 0xcd5;

export interface HostOutcome {
  readonly isOver: boolean;
  readonly regs: readonly bigint[];
  readonly eip: bigint;
  readonly eflags: bigint;
  readonly fpu: readonly [control: number, status: number, empty: number];
  readonly mxcsr: number;
  readonly st: Uint8Array;
  /** XMM registers; of 64-bit code YMM. */
  readonly vectors: Uint8Array;
  readonly pages: readonly number[];
  readonly code: number;
  readonly log: readonly LogRecord[];
}

/** The host as one more CPU. `null` from `open` where such programs cannot be built or run. */
export class Host {
  readonly bits: 32 | 64;
  private readonly folder: string;
  private readonly program: string;
  private readonly preamble: Uint8Array;

  private constructor(folder: string, program: string, bits: 32 | 64) {
    this.bits = bits;
    this.folder = folder;
    this.program = program;
    const head = Uint32Array.from([
      PAGES.length,
      DATA_SEEDS,
      ...PAGES.flatMap((p) => [p.index, p.kind === 'readOnly' ? 0 : 1]),
    ]);
    const fillings = Array.from({ length: DATA_SEEDS }, (_, seed) =>
      PAGES.map((p) => dataPage(seed, p.kind === 'swapped' ? p.index ^ 1 : p.index)),
    ).flat();
    this.preamble = Buffer.concat([Buffer.from(head.buffer), ...fillings]);
  }

  static open(bits: 32 | 64): Host | null {
    const folder = mkdtempSync(join(tmpdir(), 'tiers-'));
    const program = join(folder, 'native');
    const source = join(import.meta.dirname, 'native.c');
    const flags = bits === 32 ? ['-m32', '-mno-sse'] : ['-m64'];
    const built = spawnSync('gcc', [...flags, '-static', '-O1', '-w', '-o', program, source]);
    const host = new Host(folder, program, bits);
    if (built.status === 0 && spawnSync(program, { input: host.preamble }).status === 0) return host;
    host.close();
    return null;
  }
  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  run(programs: readonly Program[]): HostOutcome[] {
    const parts: Uint8Array[] = [this.preamble];
    for (const program of programs) {
      const { start, code, next } = assemble(program);
      let end = CODE_BYTES;
      while (end > start && code[end - 1] === 0) end--;
      const head = [...program.regs, program.eflags, program.seed % DATA_SEEDS, start, end - start];
      parts.push(
        Buffer.from(Uint32Array.from(head).buffer),
        code.subarray(start, end),
        Buffer.from(next.slice(start, end).buffer),
      );
    }
    const { status, signal, stdout } = spawnSync(this.program, { input: Buffer.concat(parts), maxBuffer: 1 << 30 });
    if (status !== 0) throw new Error(`the program on the host ended with ${status} ${signal}`);
    const view = new DataView(stdout.buffer, stdout.byteOffset, stdout.length);
    const layout = LAYOUT[this.bits];
    const isLong = this.bits === 64;
    const word = (place: number) => (isLong ? view.getBigUint64(place, true) : BigInt(view.getUint32(place, true)));
    const signed = (place: number) => (isLong ? Number(view.getBigInt64(place, true)) : view.getUint32(place, true));
    let at = 0;
    return programs.map(() => {
      const records = view.getUint32(at + 4, true);
      const general = at + 8;
      const ip = general + layout.registers * layout.word;
      const units = ip + 2 * layout.word;
      const unit = (i: number) => view.getUint32(units + i * 4, true);
      let empty = isLong ? ~unit(2) & 0xff : 0;
      if (!isLong) for (let r = 0; r < 8; r++) if (((unit(2) >> (2 * r)) & 3) === 3) empty |= 1 << r;
      const st = units + UNITS;
      const vectors = st + X87;
      const pages = vectors + layout.registers * layout.vector;
      const outcome: HostOutcome = {
        isOver: view.getUint32(at, true) === 0,
        regs: Array.from({ length: layout.registers }, (_, i) => word(general + i * layout.word)),
        eip: word(ip),
        eflags: word(ip + layout.word),
        fpu: [unit(0), unit(1), empty],
        mxcsr: unit(3),
        st: stdout.subarray(st, st + X87),
        vectors: stdout.subarray(vectors, pages),
        pages: PAGES.map((_, i) => view.getUint32(pages + i * 4, true)),
        code: view.getUint32(pages + MAX_PAGES * 4, true),
        log: Array.from({ length: records }, (_, i) => {
          const record = at + layout.output + i * 5 * layout.word;
          const field = (k: number) => signed(record + k * layout.word);
          return { vector: field(0), error: field(1), eip: field(2), eflags: field(3), cr2: field(4) };
        }),
      };
      at += layout.output + records * 5 * layout.word;
      return outcome;
    });
  }
}

function hash(bytes: Uint8Array): number {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let h = 1;
  for (const word of words) h = (Math.imul(h, 31) + word) | 0;
  return h >>> 0;
}

const hex = (n: number | bigint) => n.toString(16);
function show({ vector, error, eip, eflags, cr2 }: LogRecord): string {
  // Low memory is the kernel's here, and nobody's on the host: both refuse it, for different reasons.
  const shown = vector === 14 && cr2 < DATA ? error & ~1 : error;
  const code = vector === 14 || vector === 13 ? ` code ${hex(shown)}` : '';
  return `${vector}${code} at ${hex(eip)} flags ${hex(eflags & FLAGS)}${vector === 14 ? ` address ${hex(cr2)}` : ''}`;
}

/** What our CPU made of the program and the host did not, or null. `passes`: as in `Way`. */
export function differsFromHost(program: Program, host: HostOutcome, guest: Guest, passes = 1): string | null {
  if (!host.isOver) return null;
  for (let pass = 0; pass < passes; pass++) {
    guest.load(program, program.isLong ? LONG_HOST_WORLD : HOST_WORLD);
    if (guest.run(() => 1000).how !== 'halted') return null;
  }
  const { machine } = guest;
  const { state } = machine.cpu;
  const { ram, view } = machine;
  const found: string[] = [];
  const expectSame = (what: string, theirs: string, ours: string) => {
    if (theirs !== ours) found.push(`${what}: ${theirs} on the host, here ${ours}`);
  };
  const log = guest.log();
  const at = host.log.findIndex((r, i) => !log[i] || show(r) !== show(log[i]));
  if (at >= 0) expectSame(`fault ${at}`, show(host.log[at]!), log[at] ? show(log[at]) : 'none');
  else expectSame('faults', String(host.log.length), String(log.length));
  const isLong = program.isLong === true;
  const { registers, word, vector } = LAYOUT[isLong ? 64 : 32];
  // What the last fault pushed: IP, CS, FLAGS, SP and SS.
  const pushed = (i: number) => {
    const place = KERNEL_STACK - (5 - i) * word;
    return isLong ? view.getBigUint64(place, true) : BigInt(view.getUint32(place, true));
  };
  const general = (i: number) =>
    (BigInt(isLong ? state.high(FIELDS.gpr, i) : 0) << 32n) | BigInt(state.low(FIELDS.gpr, i));
  for (let i = 0; i < registers; i++)
    expectSame(`register ${i}`, hex(host.regs[i]!), hex(i === 4 ? pushed(3) : general(i)));
  expectSame('ip', hex(host.eip), hex(pushed(0)));
  expectSame('flags', hex(host.eflags & BigInt(FLAGS)), hex(pushed(2) & BigInt(FLAGS)));
  const top = state.low(FIELDS.fpuTop) & 7;
  const status = (state.low(FIELDS.fpuStatus) & 0xc7ff) | (top << 11);
  const fpu = [state.low(FIELDS.fpuControl), status, state.low(FIELDS.fpuEmpty)] as const;
  // FLD of an empty register on to a full one: C1 tells which of the two errors came first, and makers differ.
  const units = ([control, word, empty]: HostOutcome['fpu']) =>
    [control, word & 0x40 ? word & ~0x200 : word, empty].map(hex).join(' ');
  expectSame('x87 control, status, empty', units(host.fpu), units(fpu));
  expectSame('mxcsr', hex(host.mxcsr), hex(state.low(FIELDS.mxcsr)));
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  for (let i = 0; i < 8; i++) {
    const physical = FIELDS.fpr.offset + ((top + i) & 7) * 16;
    expectSame(`st${i}`, text(host.st.subarray(i * 10, i * 10 + 10)), text(state.u8.subarray(physical, physical + 10)));
  }
  for (let i = 0; i < registers; i++) {
    const xmm = FIELDS.xmm.offset + i * 64;
    const theirs = host.vectors.subarray(i * vector, i * vector + vector);
    expectSame(`vector ${i}`, text(theirs), text(state.u8.subarray(xmm, xmm + vector)));
  }
  PAGES.forEach((p, i) => {
    const physical = DATA + (p.kind === 'swapped' ? p.index ^ 1 : p.index) * PAGE;
    expectSame(`page ${p.index}`, hex(host.pages[i]!), hex(hash(ram.subarray(physical, physical + PAGE))));
  });
  expectSame('code', hex(host.code), hex(hash(ram.subarray(CODE, CODE + CODE_BYTES))));
  return found.length > 0 ? found.join('\n  ') : null;
}

/** Runs `count` programs from seed `first` on both. @throws Mismatch, reduced */
export function tryOnHost(
  host: Host,
  guest: Guest,
  first: number,
  count: number,
  passes = 1,
): { readonly faults: number; readonly over: number } {
  const make = host.bits === 64 ? generateLong : generate;
  const programs = Array.from({ length: count }, (_, i) => make(first + i, { portable: true }));
  const outcomes = host.run(programs);
  let faults = 0;
  let over = 0;
  programs.forEach((program, i) => {
    const outcome = outcomes[i]!;
    faults += outcome.log.length;
    if (outcome.isOver) over++;
    const difference = differsFromHost(program, outcome, guest, passes);
    if (difference === null) return;
    const fails = (p: Program) => differsFromHost(p, host.run([p])[0]!, guest, passes) !== null;
    if (!fails(program)) throw new Error(`seed ${program.seed} failed once, and not again:\n  ${difference}`);
    const small = shrink(program, fails);
    const what = differsFromHost(small, host.run([small])[0]!, guest, passes);
    throw new Mismatch(
      small,
      host.bits === 64 ? LONG_HOST_WORLD : HOST_WORLD,
      `the host and ours differ\n${listing(small)}\n  ${what}`,
    );
  });
  return { faults, over };
}
