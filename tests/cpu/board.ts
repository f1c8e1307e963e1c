/** The smallest board that a test guest runs on: RAM, a 64 KiB BIOS at 0xf0000 and below 4 GiB, output on port 0xe9, exit on
 *  0xf4. The same image starts on real QEMU with `isa-debugcon` and `isa-debug-exit`. */
import { X86Cpu } from '../../core/accel/tcg/cpu.ts';
import { JIT_DEFAULTS, type JitMode } from '../../core/accel/tcg/jit/jit.ts';
import { defineCpu, parseCpuOption } from '../../core/target/x86/cpu-definition.ts';
import { infoRegisters } from '../../core/target/x86/registers-text.ts';
import type { AddressSpace, CpuBus, RamArena } from '../../core/target/x86/system-ops.ts';

const BIOS_BYTES = 65536;
const BIOS_LOW = 0xf0000;
const BIOS_HIGH = 0xffff_0000;
const RAM_BYTES = 8 << 20;

/** How a guest ended and what it wrote. */
export interface GuestRun {
  readonly output: string;
  readonly end: 'exit' | 'halted' | 'shutdown' | 'budget';
  /** `info registers` at the end. */
  readonly registers: string;
}

export interface GuestOptions {
  readonly cpu?: string;
  readonly jit?: JitMode;
  /** Instructions after which the run is given up. */
  readonly budget?: number;
  /** Extra I/O ports. */
  readonly readPort?: (port: number, size: number) => number;
  readonly log?: (mask: string, text: string) => void;
  /** Items of `-d` that are on, besides what is always told. */
  readonly logged?: readonly string[];
}

/** Runs a 64 KiB BIOS image on our CPU. */
export function runGuest(image: Uint8Array, options: GuestOptions = {}): GuestRun {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true });
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
      if (next > bytes.length) {
        memory.grow(Math.ceil((next - bytes.length) / 65536));
        bytes = new Uint8Array(memory.buffer);
      }
      return { offset, bytes: size };
    },
  };
  const ram = arena.allocate('ram', RAM_BYTES).offset;
  const bios = arena.allocate('bios', BIOS_BYTES).offset;
  bytes.set(image, bios);

  /** Arena offset of a physical address, or -1. */
  const place = (addr: number): number => {
    if (addr >= BIOS_HIGH) return bios + (addr - BIOS_HIGH);
    if (addr >= BIOS_LOW && addr < BIOS_LOW + BIOS_BYTES) return bios + (addr - BIOS_LOW);
    return addr < RAM_BYTES ? ram + addr : -1;
  };
  const isRom = (at: number) => at >= bios;
  let listener: Parameters<AddressSpace['subscribe']>[0] | undefined;
  const space: AddressSpace = {
    read(addr, size) {
      let value = 0;
      for (let i = size - 1; i >= 0; i--) {
        const at = place(addr + i);
        value = value * 256 + (at < 0 ? 0 : bytes[at]!);
      }
      return value;
    },
    write(addr, size, value) {
      for (let i = 0; i < size; i++) {
        const at = place(addr + i);
        if (at < 0 || isRom(at)) continue;
        bytes[at] = Math.floor(value / 256 ** i) & 0xff;
        if (arena.codePages[at >>> 12]) listener?.ramWritten(at, 1);
      }
    },
    lookupPage(addr) {
      const at = place(addr - (addr % 4096));
      return at < 0 ? null : { offset: at, writable: !isRom(at), dirtyLogged: false };
    },
    markDirty: () => {},
    subscribe(l) {
      listener = l;
      return () => {};
    },
  };

  let output = '';
  let end: GuestRun['end'] = 'budget';
  const io: AddressSpace = {
    ...space,
    read: (port, size) => options.readPort?.(port, size) ?? 2 ** (8 * size) - 1,
    write(port, size, value) {
      if (port === 0xe9) output += String.fromCharCode(value & 0xff);
      if (port !== 0xf4) return;
      end = 'exit';
      cpu.requestExit();
      void size;
    },
    lookupPage: () => null,
  };
  const isLogged = (mask: string) => !options.logged || options.logged.includes(mask);
  let now = 0;
  const bus: CpuBus = {
    arena,
    memory: space,
    io,
    acknowledgeInterrupt: () => 0xff,
    tscNow: () => {
      now += 100;
      return now;
    },
    tripleFault() {
      end = 'shutdown';
      cpu.requestExit();
    },
    log: (mask, text) => {
      if (isLogged(mask)) options.log?.(mask, text());
    },
    ...(options.logged ? { logs: isLogged } : {}),
  };
  const { definition } = defineCpu(parseCpuOption(options.cpu ?? 'qemu64'));
  const cpu: X86Cpu = new X86Cpu(bus, { definition, jit: { ...JIT_DEFAULTS, mode: options.jit ?? JIT_DEFAULTS.mode } });
  const result = cpu.run(options.budget ?? 50_000_000);
  if (result === 'halted') end = 'halted';
  return { output, end, registers: infoRegisters(cpu.state) };
}
