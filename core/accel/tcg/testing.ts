/** A bare machine for tests and benchmarks: flat RAM, nothing else. */
import type { CpuDefinition } from '../../target/x86/cpu-definition.ts';
import { CR0, CR4, CS, DESC, EFER } from '../../target/x86/state.ts';
import type { AddressSpace, CpuBus, RamArena } from '../../target/x86/system-ops.ts';
import { X86Cpu } from './cpu.ts';
import type { Instantiate } from './interpreter/machine.ts';
import { JIT_DEFAULTS, JIT_MODES, type JitHost, type JitMode } from './jit/jit.ts';

const FLAT = DESC.present | DESC.s | DESC.writable | DESC.accessed | DESC.big | DESC.granularity;

export interface BareMachine {
  readonly cpu: X86Cpu;
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly bus: CpuBus;
  readonly writes: { port: number; value: number }[];
  readonly mmio: { addr: number; size: number; value: number }[];
  /** As a device would: write RAM behind the CPU's back. */
  dma(addr: number, bytes: Uint8Array): void;
  shutdowns: number;
  portValue: number;
  vector: number;
}

/** TCG_JIT=off|on|always: the tier that tests run in that do not say. */
function testedMode(): JitMode {
  const said = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env.TCG_JIT;
  return JIT_MODES.find((mode) => mode === said) ?? JIT_DEFAULTS.mode;
}
/** `ramBytes` of RAM at 0; what lies above is a device that records writes and reads as 0x5a bytes. `ramAt`: where RAM lies in linear
 *  memory, otherwise in front of the tables. */
export function bareMachine(
  ramBytes = 1 << 20,
  options: {
    jit?: JitMode;
    codeBytes?: number;
    definition?: CpuDefinition;
    ramAt?: number;
    startCompiler?: JitHost['startCompiler'];
    kept?: JitHost['kept'];
    instantiate?: Instantiate;
    now?: () => number;
  } = {},
): BareMachine {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  let bytes = new Uint8Array(memory.buffer);
  let next = 4096;
  const arena: RamArena = {
    memory,
    get bytes() {
      return bytes;
    },
    codePages: new Uint8Array(1 << 20),
    allocate(_name, size) {
      const offset = next;
      next += Math.ceil(size / 4096) * 4096;
      const missing = next - bytes.length;
      if (missing > 0) {
        memory.grow(Math.ceil(missing / 65536));
        bytes = new Uint8Array(memory.buffer);
      }
      return { offset, bytes: size };
    },
  };
  const base = options.ramAt ?? arena.allocate('ram', ramBytes).offset;
  if (options.ramAt !== undefined) {
    memory.grow(Math.ceil((base + ramBytes - bytes.length) / 65536));
    bytes = new Uint8Array(memory.buffer);
  }
  let listener: Parameters<AddressSpace['subscribe']>[0] | null = null;
  const machine = { shutdowns: 0, portValue: 0, vector: 0x20 } as BareMachine;
  const mmio: BareMachine['mmio'] = [];
  const writes: BareMachine['writes'] = [];
  const ramWritten = (at: number, length: number) => {
    if (arena.codePages[at >>> 12]) listener?.ramWritten(at, length);
  };
  const space: AddressSpace = {
    read(addr, size) {
      let value = 0;
      for (let i = 0; i < size; i++) value += (addr + i < ramBytes ? bytes[base + addr + i]! : 0x5a) * 2 ** (8 * i);
      return value;
    },
    write(addr, size, value) {
      if (addr >= ramBytes) {
        if (mmio.length < 1000) mmio.push({ addr, size, value });
        return;
      }
      for (let i = 0; i < size; i++) bytes[base + addr + i] = Math.floor(value / 2 ** (8 * i)) & 0xff;
      ramWritten(base + addr, size);
    },
    lookupPage: (addr) =>
      addr < ramBytes ? { offset: base + addr - (addr % 4096), writable: true, dirtyLogged: false } : null,
    markDirty: () => {},
    subscribe(l) {
      listener = l;
      return () => {};
    },
  };
  const io: AddressSpace = {
    ...space,
    read: () => machine.portValue,
    write: (port, _size, value) => {
      if (writes.length < 1000) writes.push({ port, value });
    },
    lookupPage: () => null,
  };
  const bus: CpuBus = {
    arena,
    memory: space,
    io,
    acknowledgeInterrupt: () => machine.vector,
    tscNow: () => 0x1_2345_6789,
    tripleFault: () => {
      machine.shutdowns++;
    },
    log: () => {},
    logs: () => false,
  };
  const cpu = new X86Cpu(bus, {
    ...(options.definition ? { definition: options.definition } : {}),
    ...(options.now ? { now: options.now } : {}),
    ...(options.startCompiler ? { startCompiler: options.startCompiler } : {}),
    ...(options.kept ? { kept: options.kept } : {}),
    ...(options.instantiate ? { instantiate: options.instantiate } : {}),
    jit: { ...JIT_DEFAULTS, mode: options.jit ?? testedMode(), codeBytes: options.codeBytes ?? JIT_DEFAULTS.codeBytes },
  });
  return Object.assign(machine, {
    cpu,
    bus,
    writes,
    mmio,
    ram: bytes.subarray(base, base + ramBytes),
    view: new DataView(bytes.buffer, base, ramBytes),
    dma(addr: number, data: Uint8Array) {
      bytes.set(data, base + addr);
      ramWritten(base + addr, data.length);
    },
  });
}

/** Code as benchmarks write it: digits in pairs, spaces anywhere between. */
export const hexBytes = (hex: string) =>
  Uint8Array.from(
    hex
      .replaceAll(' ', '')
      .match(/../g)!
      .map((b) => Number.parseInt(b, 16)),
  );

/** Natives of a test that has no page tables: what the TLB does not know, nobody knows. */
export const NO_FILLS = {
  fill: () => 0,
  fillRead: () => 1,
  fillWrite: () => 1,
  fillReadLong: () => 1,
  fillWriteLong: () => 1,
};

/** Flat 32-bit protected mode without paging, CPL 0, EIP at `eip`. */
export function enterFlat32(machine: BareMachine, eip: number): void {
  const { state } = machine.cpu;
  state.cr0 = CR0.PE | CR0.ET;
  for (let i = 0; i < 6; i++) {
    const isCode = i === CS;
    state.segments[i]!.set(isCode ? 8 : 16, 0, 0xffff_ffff, FLAT | (isCode ? DESC.code : 0));
  }
  state.cpl = 0;
  state.a20Mask = 0xffff_ffff;
  state.eip = eip;
  state.setEflags(2);
  state.setReg32(4, 0x8000);
}

/** Where `enterLong` puts the page tables. */
export const LONG_TABLES = 0x30_0000;
/** 64-bit mode, CPL 0, RIP at `rip`; the first 4 MiB are mapped to themselves in pages of 2 MiB. */
export function enterLong(machine: BareMachine, rip: number): void {
  enterFlat32(machine, rip);
  const { view, cpu } = machine;
  const { state } = cpu;
  view.setUint32(LONG_TABLES, (LONG_TABLES + 0x1000) | 7, true);
  view.setUint32(LONG_TABLES + 0x1000, (LONG_TABLES + 0x2000) | 7, true);
  for (let i = 0; i < 2; i++) view.setUint32(LONG_TABLES + 0x2000 + i * 8, (i << 21) | 0x87, true);
  state.cr3 = LONG_TABLES;
  state.cr4 = CR4.PAE | CR4.OSFXSR;
  state.efer = EFER.LME | EFER.LMA;
  state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
  state.segments[CS]!.set(8, 0, 0xffff_ffff, (FLAT & ~DESC.big) | DESC.code | DESC.long);
  cpu.flushTlb();
}
/** Drops everything decoded, as when the pool of blocks is full. */
export function dropAllCode({ cpu }: BareMachine): void {
  const { blocks, jumpCache } = cpu as unknown as { blocks: { clear(): void }; jumpCache: Uint32Array };
  blocks.clear();
  jumpCache.fill(0xffff_ffff);
}
