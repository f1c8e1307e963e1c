/** A CPU without an engine for unit tests: state, 4 MiB of flat RAM, the system operations, and builders for descriptors,
 *  gates, TSS and page tables. */
import { type CpuDefinition, defineCpu, parseCpuOption } from '../cpu-definition.ts';
import { GUEST_FAULT } from '../fault.ts';
import { CpuState, CS, FIELDS, SS, STATE_BYTES } from '../state.ts';
import { createSystemOps } from '../system.ts';
import { ACCESS, type CpuContext, type LinearMemory, type SystemOps } from '../system-ops.ts';

/** A guest fault as the engine would see it. */
export interface Fault {
  readonly vector: number;
  readonly errorCode: number | undefined;
}

export const GDT = 0x1000;
export const IDT = 0x2000;
export const LDT = 0x2800;
export const TSS = 0x3000;
export const FAKE_RAM_BYTES = 4 << 20;

export interface SegmentSpec {
  readonly base?: number;
  readonly limit?: number;
  /** Type and S bits: 0x9a without P and DPL is 0x1a. */
  readonly type: number;
  readonly dpl?: number;
  readonly present?: boolean;
  /** Bit 0 AVL, 1 L, 2 D/B, 3 G. */
  readonly granularity?: number;
}

export class FakeMachine implements LinearMemory {
  readonly ram: DataView;
  readonly state: CpuState;
  readonly ctx: CpuContext;
  readonly ops: SystemOps;
  readonly cpu: CpuDefinition;
  flushes = 0;
  /** What was dropped from the TLB, in order. */
  readonly invalidations: string[] = [];
  shutdowns = 0;
  smram: boolean[] = [];
  tsc = 0;

  /** `ram`: one that an earlier machine had, all zero again; new memory costs more than what most tests do with it. */
  constructor(cpuOption = 'qemu64', ram = new ArrayBuffer(FAKE_RAM_BYTES)) {
    this.ram = new DataView(ram);
    this.state = new CpuState(new ArrayBuffer(STATE_BYTES), 0);
    this.cpu = defineCpu(parseCpuOption(cpuOption)).definition;
    this.ctx = {
      state: this.state,
      memory: this,
      bus: {
        tscNow: () => this.tsc,
        tripleFault: () => {
          this.shutdowns++;
        },
        smiAcknowledged: (inSmm: boolean) => {
          this.smram.push(inSmm);
        },
        log: () => {},
      } as unknown as CpuContext['bus'],
      flushTlb: (keepGlobal) => {
        this.flushes++;
        this.invalidations.push(keepGlobal ? 'all but global' : 'all');
      },
      flushPage: (linear) => {
        this.invalidations.push(`page ${linear.toString(16)}`);
      },
      selectPcid: (pcid, keeps) => {
        this.invalidations.push(`select ${pcid}${keeps ? ' kept' : ''}`);
      },
      flushPcid: (pcid, linear) => {
        this.invalidations.push(`pcid ${pcid}${linear === undefined ? '' : ` page ${linear.toString(16)}`}`);
      },
      activity: { softInts: new Uint32Array(256), modeSwitches: 0 } as unknown as CpuContext['activity'],
      requestExit: () => {},
    };
    this.ops = createSystemOps(this.ctx, this.cpu);
    this.ops.reset();
  }

  read(linear: number, size: 1 | 2 | 4, supervisor = false): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--)
      value = value * 256 + this.ram.getUint8(this.map(linear + i, 'read', supervisor));
    return value;
  }
  write(linear: number, size: 1 | 2 | 4, value: number, supervisor = false): void {
    this.probeWrite(linear, size, supervisor);
    for (let i = 0; i < size; i++)
      this.ram.setUint8(this.map(linear + i, 'write', supervisor), Math.floor(value / 256 ** i) & 0xff);
  }
  probeWrite(linear: number, bytes: number, supervisor = false): void {
    for (let i = 0; i < bytes; i++) this.map(linear + i, 'write', supervisor);
  }
  probeRead(linear: number, bytes: number, supervisor = false): void {
    for (let i = 0; i < bytes; i++) this.map(linear + i, 'read', supervisor);
  }
  readPhysical(addr: number, size: 1 | 2 | 4): number {
    if (addr + size > this.ram.byteLength) return 0;
    return size === 1
      ? this.ram.getUint8(addr)
      : size === 2
        ? this.ram.getUint16(addr, true)
        : this.ram.getUint32(addr, true);
  }
  writePhysical(addr: number, size: 1 | 2 | 4, value: number): void {
    if (addr + size > this.ram.byteLength) return;
    if (size === 1) this.ram.setUint8(addr, value);
    else if (size === 2) this.ram.setUint16(addr, value, true);
    else this.ram.setUint32(addr, value, true);
  }
  private map(linear: number, access: 'read' | 'write', supervisor: boolean): number {
    const isUser = !supervisor && this.state.cpl === 3;
    return (
      this.ops.translate(this.state.longMode ? linear : linear >>> 0, ACCESS[access], isUser).phys % this.ram.byteLength
    );
  }

  /** Runs something that may raise; null when it did not. */
  fault(action: () => void): Fault | null {
    try {
      action();
    } catch (error) {
      if (error !== GUEST_FAULT) throw error;
      const { state } = this;
      return {
        vector: state.low(FIELDS.exceptionVector),
        errorCode: state.low(FIELDS.exceptionHasErrorCode) ? state.low(FIELDS.exceptionErrorCode) : undefined,
      };
    }
    return null;
  }

  setDescriptor(selector: number, spec: SegmentSpec): void {
    const { base = 0, limit = 0xfffff, type, dpl = 0, present = true, granularity = 0xc } = spec;
    const at = (selector & 4 ? LDT : GDT) + (selector & 0xfff8);
    this.ram.setUint32(at, (((base & 0xffff) << 16) | (limit & 0xffff)) >>> 0, true);
    const high =
      ((base >>> 16) & 0xff) |
      (type << 8) |
      (dpl << 13) |
      (present ? 0x8000 : 0) |
      (limit & 0xf0000) |
      (granularity << 20) |
      (base & 0xff00_0000);
    this.ram.setUint32(at + 4, high >>> 0, true);
  }

  setGate(at: number, selector: number, offset: number, type: number, dpl = 0, present = true, parameters = 0): void {
    this.ram.setUint32(at, ((selector << 16) | (offset & 0xffff)) >>> 0, true);
    const high = (offset & 0xffff_0000) | (present ? 0x8000 : 0) | (dpl << 13) | (type << 8) | parameters;
    this.ram.setUint32(at + 4, high >>> 0, true);
  }

  /** Flat protected mode at a privilege level with the usual GDT:
   *  08 code0, 10 data0, 1b code3, 23 data3, 28 TSS32, 30 LDT, 39 code1, 41 data1; IDT full of 32-bit interrupt gates to 08:n*16. */
  enterProtected(cpl = 0): this {
    const { state } = this;
    this.setDescriptor(0x08, { type: 0x1b });
    this.setDescriptor(0x10, { type: 0x13 });
    this.setDescriptor(0x18, { type: 0x1b, dpl: 3 });
    this.setDescriptor(0x20, { type: 0x13, dpl: 3 });
    this.setDescriptor(0x28, { type: 9, base: TSS, limit: 0x2067, granularity: 0 });
    this.setDescriptor(0x30, { type: 2, base: LDT, limit: 0xff, granularity: 0 });
    this.setDescriptor(0x38, { type: 0x1b, dpl: 1 });
    this.setDescriptor(0x40, { type: 0x13, dpl: 1 });
    state.setGdt(GDT, 0x1ff);
    state.setIdt(IDT, 0x7ff);
    for (let vector = 0; vector < 256; vector++) this.setGate(IDT + vector * 8, 0x08, vector * 16, 14);
    state.cr0 = (state.cr0 | 1) >>> 0;
    this.ops.ltr(0x28);
    for (let level = 0; level < 3; level++) {
      this.ram.setUint32(TSS + 4 + level * 8, 0x8000 + level * 0x1000, true);
      this.ram.setUint32(TSS + 8 + level * 8, [0x10, 0x41, 0][level]!, true);
    }
    this.setLevel(cpl);
    state.setReg32(4, 0x6000);
    state.eip = 0x1234;
    return this;
  }

  setLevel(cpl: number): void {
    const { state } = this;
    const [code, data] = cpl === 0 ? [0x08, 0x10] : cpl === 1 ? [0x39, 0x41] : [0x1b, 0x23];
    const flags = (type: number) => 0x00c0_8000 | (type << 8) | (cpl << 13);
    state.segments[CS]!.set(code, 0, 0xffff_ffff, flags(0x1b));
    for (const index of [0, SS, 3, 4, 5]) state.segments[index]!.set(data, 0, 0xffff_ffff, flags(0x13));
    state.cpl = cpl;
  }

  /** Words on the current stack from the stack pointer up. */
  stack(count: number, size: 2 | 4 = 4): number[] {
    const { state } = this;
    const ss = state.segments[SS]!;
    const sp = ss.flags & 0x40_0000 ? state.reg32(4) : state.reg16(4);
    return Array.from({ length: count }, (_, i) => this.read(ss.base + sp + i * size, size, true));
  }

  /** Identity map of the first 4 MiB in legacy paging; returns the address of the page table. */
  enablePaging(flags = 7): number {
    const directory = 0x10_0000;
    const table = 0x10_1000;
    this.ram.setUint32(directory, table | 7, true);
    for (let i = 0; i < 1024; i++) this.ram.setUint32(table + i * 4, (i * 4096) | flags, true);
    this.state.cr3 = directory;
    this.state.cr0 = (this.state.cr0 | 0x8000_0000) >>> 0;
    return table;
  }
}
