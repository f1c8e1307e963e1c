/** Runs of machines that keep their regions in memory instead of files, and guests for them. */
import { CR0, EAX, EBX, ECX, EDI, EDX, ESI } from '../../../target/x86/state.ts';
import { type BareMachine, bareMachine, enterFlat32 } from '../testing.ts';
import type { CompilerSetup } from './batch.ts';
import { linkModule } from './compile.ts';
import type { JitMode } from './jit.ts';
import { JOB_WORDS } from './job.ts';
import { type MachineCode, RegionCatalogue, type RegionStore } from './kept-regions.ts';
import { type Linker, RegionKeeper } from './region-keeper.ts';
import { RegionShelf } from './region-shelf.ts';

export const ROOM = 1 << 20;
const RAM_BYTES = 4 << 20;

export interface BytesStore extends RegionStore {
  readonly bytes: Uint8Array<ArrayBuffer>;
}
/** As if they were a file. */
export function storeIn(bytes: Uint8Array<ArrayBuffer>, catalogue: RegionCatalogue): BytesStore {
  return {
    bytes,
    catalogue,
    read: (at, into) => {
      const there = bytes.subarray(at, at + into.byteLength);
      new Uint8Array(into.buffer, into.byteOffset).set(there);
      return there.length === into.byteLength;
    },
  };
}

const setups = new Map<number, CompilerSetup>();
/** What a bare machine tells who compiles for it. */
export function setupOf(ramBytes = RAM_BYTES): CompilerSetup {
  const known = setups.get(ramBytes);
  if (known) return known;
  bareMachine(ramBytes, {
    jit: 'on',
    startCompiler: (setup) => {
      setups.set(ramBytes, setup);
      return { desk: new Int32Array(JOB_WORDS), post: () => {}, take: () => null };
    },
  });
  return setups.get(ramBytes)!;
}
export const linkerOf =
  (ramBytes = RAM_BYTES): Linker =>
  (bodies, hotCount, isLong) =>
    linkModule(bodies, { ...setupOf(ramBytes).layout, hotCount }, isLong);

/** A run of machines with what those before it left, which keeps its regions for the next. */
export class KeepingRun {
  readonly used: Int32Array;
  readonly shelf: RegionShelf;
  readonly keeper: RegionKeeper;
  /** What of the store is no longer as the run found it lies here. */
  private bytes: Uint8Array<ArrayBuffer>;

  constructor(from: BytesStore | null = null, machine: MachineCode | null = null, ramBytes = RAM_BYTES) {
    this.used = new Int32Array(from?.catalogue.keys.length ?? 0);
    this.shelf = new RegionShelf(from, machine, this.used);
    this.keeper = new RegionKeeper(from, machine, this.used, linkerOf(ramBytes));
    this.bytes = from?.bytes ?? new Uint8Array(0);
  }
  /** Writes what there is; `moved` makes the keeper go on with that. */
  write(room = ROOM): { readonly store: BytesStore; moved(): void; readonly copied: number } {
    const written = new Uint8Array(room);
    let length = 0;
    const append = (piece: Uint8Array) => {
      written.set(piece, length);
      length += piece.length;
    };
    let copied = 0;
    const { catalogue, moved } = this.keeper.save(room, append, (at, size) => {
      copied += size;
      append(this.bytes.subarray(at, at + size));
    });
    const store = storeIn(written.slice(0, length), RegionCatalogue.from(catalogue.words)!);
    return {
      store,
      copied,
      moved: () => {
        this.bytes = store.bytes;
        moved(store);
      },
    };
  }
  /** What the next run finds. */
  save(room = ROOM): BytesStore {
    const { store, moved } = this.write(room);
    moved();
    return store;
  }
  /** Does all that there is to do in the background. */
  finish(): number {
    let pieces = 0;
    while (this.keeper.work()) if (++pieces > 100_000) throw new Error('the keeper finds work for ever');
    return pieces;
  }
}

/** V8 as far as machine code goes. */
export class FakeV8 implements MachineCode {
  /** Functions optimised so far. */
  optimised = 0;
  isRefusing = false;
  readonly taken: WebAssembly.Module[] = [];
  readonly given: Uint8Array[] = [];
  private readonly left = new Map<WebAssembly.Module, number>();

  optimiser(module: WebAssembly.Module): () => boolean {
    this.left.set(module, functionsOf(module));
    return () => {
      const left = this.left.get(module)!;
      if (left === 0) throw new Error('all functions are optimised');
      this.optimised++;
      this.left.set(module, left - 1);
      return left > 1;
    };
  }
  /** Of odd length, and the module's own. */
  take(module: WebAssembly.Module): Uint8Array<ArrayBuffer> {
    if (this.left.get(module) !== 0) throw new Error('a function is not optimised yet');
    this.taken.push(module);
    return Uint8Array.of(0xc0, 0xde, functionsOf(module), functionsOf(module) >> 8, this.taken.length, 1, 2);
  }
  give(code: Uint8Array<ArrayBuffer>, wire: Uint8Array<ArrayBuffer>): WebAssembly.Module | null {
    this.given.push(code);
    if (this.isRefusing) return null;
    const module = new WebAssembly.Module(wire);
    if (code[0] !== 0xc0 || code[2]! + 256 * code[3]! !== functionsOf(module))
      throw new Error('code of another module');
    return module;
  }
}
/** Names of what a module exports. */
export const exportsOf = (module: WebAssembly.Module): string[] =>
  (WebAssembly.Module as unknown as { exports(of: WebAssembly.Module): { name: string }[] })
    .exports(module)
    .map(({ name }) => name);
export const functionsOf = (module: WebAssembly.Module): number => exportsOf(module).length;

// -- guests ------------------------------------------------------------------------------------------------------------

export const START = 0x1000;
export const DATA = 0x8000;
export const ROUNDS = 300;
export const word = (n: number) => [...new Uint8Array(Int32Array.of(n).buffer)];

/** A loop over memory with natives of the x87, a helper and a call: what regions refer to.
 *  1: mov eax,[esi]; inc eax; mov [esi],eax; fld1; fstp st0; xor eax,eax; push ebx; push ecx; push edx; cpuid; pop edx; pop ecx; pop ebx;
 *  call f; inc edx; dec edi; jnz 1b; hlt
 *  f: inc ebx; ret */
export const MIXED = [
  ...[0x8b, 0x06, 0x40, 0x89, 0x06, 0xd9, 0xe8, 0xdd, 0xd8, 0x31, 0xc0, 0x53, 0x51, 0x52, 0x0f, 0xa2, 0x5a, 0x59, 0x5b],
  ...[0xe8, ...word(5), 0x42, 0x4f, 0x75, 0xe4, 0xf4],
  ...[0x43, 0xc3],
];
/** The same in 64-bit code. */
export const MIXED_LONG = [
  ...[0x8b, 0x06, 0x83, 0xc0, 0x01, 0x89, 0x06, 0xd9, 0xe8, 0xdd, 0xd8, 0x31, 0xc0, 0x53, 0x51, 0x52, 0x0f, 0xa2],
  ...[0x5a, 0x59, 0x5b, 0xe8, ...word(7), 0xff, 0xc2, 0xff, 0xcf, 0x75, 0xe0, 0xf4],
  ...[0xff, 0xc3, 0xc3],
];
/** 1: inc ecx; dec edi; jnz 1b; hlt */
export const OTHER = [0x41, 0x4f, 0x75, 0xfc, 0xf4];

/** So many loops behind each other, each with a number of its own, counted from `first`; they do the same in 64-bit code.
 *  mov edi,3; 1: add ecx,number; sub edi,1; jnz 1b; ... hlt */
export const loops = (count: number, first = 1): number[] => [
  ...Array.from({ length: count }, (_, i) => [
    ...[0xbf, ...word(3), 0x81, 0xc1, ...word(first + i), 0x83, 0xef, 0x01, 0x75, 0xf5],
  ]).flat(),
  0xf4,
];
/** What they leave in ECX. */
export const sumOf = (count: number, first = 1): number => 3 * (count * first + (count * (count - 1)) / 2);

export interface Guest {
  readonly at?: number;
  readonly jit?: JitMode;
  readonly run?: Pick<KeepingRun, 'shelf' | 'keeper'> | null;
  /** How the mode is set. */
  readonly enter?: (m: BareMachine, at: number) => void;
}
export function guestOf(
  code: readonly number[],
  { at = START, jit = 'always', run = null, enter = enterFlat32 }: Guest = {},
): BareMachine {
  const m = bareMachine(RAM_BYTES, { jit, ...(run ? { kept: run } : {}) });
  enter(m, at);
  m.ram.set(code, at);
  m.cpu.state.setReg32(ESI, DATA);
  m.cpu.state.setReg32(EDI, ROUNDS);
  return m;
}
/** Runs to the end and gives what came out. */
export function outcome(m: BareMachine): number[] {
  for (let i = 0; i < 1000 && !m.cpu.state.halted; i++) m.cpu.run(200);
  const { state } = m.cpu;
  if (!state.halted) throw new Error(`the guest did not come to its end but to ${state.eip.toString(16)}`);
  return [EAX, EBX, ECX, EDX, ESI, EDI].map((register) => state.reg32(register)).concat(m.view.getUint32(DATA, true));
}
/** Runs it, gives what came out and how much was compiled. */
export function runGuest(code: readonly number[], guest: Guest) {
  const m = guestOf(code, guest);
  return { outcome: outcome(m), ...m.cpu.jit.statistics };
}

const DIRECTORY = 0x10_0000;
/** Lets a machine in 32-bit code run with page tables: 4 MiB are mapped to themselves. */
export function enterPaged(m: BareMachine, at: number): void {
  enterFlat32(m, at);
  m.view.setUint32(DIRECTORY, (DIRECTORY + 4096) | 7, true);
  for (let i = 0; i < 1024; i++) m.view.setUint32(DIRECTORY + 4096 + 4 * i, (i << 12) | 7, true);
  m.cpu.state.cr3 = DIRECTORY;
  m.cpu.state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
  m.cpu.flushTlb();
}
export function map(m: BareMachine, linear: number, physical: number): void {
  m.view.setUint32(DIRECTORY + 4096 + (linear >>> 12) * 4, physical | 7, true);
  m.cpu.flushTlb();
}
