/** What the CPU remembers of translations to devices: as a TLB, until it is told to forget them (Intel SDM volume 3A section 4.10.2). */
import { describe, expect, it } from 'vitest';
import { GUEST_FAULT } from '../../target/x86/fault.ts';
import { CR0, CR4, EFLAGS, FIELDS } from '../../target/x86/state.ts';
import { bareMachine, enterLong, LONG_TABLES } from './testing.ts';

const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const LARGE = 0x80;
const ALL = PRESENT | WRITABLE | USER;
/** Linear addresses of 2 MiB each; RAM ends at 4 MiB. */
const MEGABYTES = (count: number) => count << 20;
const WINDOW = MEGABYTES(6);
const DEVICE = MEGABYTES(64);
const OTHER = MEGABYTES(128);

function machine() {
  const m = bareMachine(MEGABYTES(4));
  enterLong(m, 0x1000);
  const { memory, state } = m.cpu;
  const map = (linear: number, phys: number, rights: number) =>
    m.view.setUint32(LONG_TABLES + 0x2000 + (linear >>> 21) * 8, phys | rights | LARGE, true);
  map(WINDOW, DEVICE, ALL);
  const write = (linear: number, value = 1) => {
    m.mmio.length = 0;
    memory.write(linear, 4, value);
    return m.mmio.map(({ addr }) => addr);
  };
  const faults = (access: () => unknown) => {
    expect(access).toThrow(GUEST_FAULT as never);
    return [state.low(FIELDS.exceptionVector), state.low(FIELDS.exceptionErrorCode)];
  };
  return { ...m, memory, state, map, write, faults };
}

describe('translations to devices', () => {
  const forgetting: [string, (m: ReturnType<typeof machine>) => void][] = [
    ['INVLPG', (m) => m.cpu.memory.flushPage(WINDOW)],
    ['INVLPG of the same large page elsewhere', (m) => m.cpu.memory.flushPage(WINDOW + 0x10_0000)],
    ['a write to CR3', (m) => m.cpu.ops.writeCr(3, LONG_TABLES)],
    ['a flush of everything', (m) => m.cpu.flushTlb()],
  ];
  it.each(forgetting)('stay until %s', (_name, forget) => {
    const m = machine();
    expect(m.write(WINDOW + 0x10)).toEqual([DEVICE + 0x10]);
    m.map(WINDOW, OTHER, ALL);
    expect(m.write(WINDOW + 0x14)).toEqual([DEVICE + 0x14]);
    forget(m);
    expect(m.write(WINDOW + 0x18)).toEqual([OTHER + 0x18]);
  });
  it('lead to RAM that is mapped there later', () => {
    const m = machine();
    m.write(WINDOW);
    m.map(WINDOW, 0, ALL);
    m.cpu.memory.flushPage(WINDOW);
    expect(m.write(WINDOW + 0x2000, 77)).toEqual([]);
    expect(m.view.getUint32(0x2000, true)).toBe(77);
  });
  it('are for one privilege: a user faults where the kernel was', () => {
    const m = machine();
    m.map(WINDOW, DEVICE, PRESENT | WRITABLE);
    m.write(WINDOW);
    m.state.cpl = 3;
    expect(m.faults(() => m.memory.write(WINDOW, 4, 1))).toEqual([14, 7]);
    m.memory.write(WINDOW, 4, 1, true); // the processor's own access, as to a descriptor table
  });
  it('are for one kind of access: what was read may not be written', () => {
    const m = machine();
    m.state.cr0 |= CR0.WP;
    m.map(WINDOW, DEVICE, PRESENT | USER);
    expect(m.memory.read(WINDOW, 4)).toBe(0x5a5a_5a5a);
    expect(m.faults(() => m.memory.write(WINDOW, 4, 1))).toEqual([14, 3]);
  });
  it('of a user are not kept for a kernel that SMAP holds back', () => {
    const m = machine();
    m.state.cr4 |= CR4.SMAP;
    m.cpu.ops.writeCr(3, LONG_TABLES);
    m.state.setEflags(m.state.getEflags() | EFLAGS.AC);
    expect(m.write(WINDOW)).toEqual([DEVICE]);
    m.state.setEflags(m.state.getEflags() & ~EFLAGS.AC);
    expect(m.faults(() => m.memory.write(WINDOW, 4, 1))).toEqual([14, 3]);
  });
  it('set the dirty bit at the first write, though the page was read before', () => {
    const m = machine();
    const entry = () => m.view.getUint32(LONG_TABLES + 0x2000 + (WINDOW >>> 21) * 8, true) & 0x60;
    m.memory.read(WINDOW, 4);
    expect(entry()).toBe(0x20);
    m.write(WINDOW);
    expect(entry()).toBe(0x60);
  });
  it('are told apart where they share a place', () => {
    const m = machine();
    m.map(MEGABYTES(8), OTHER, ALL);
    const addresses = [WINDOW, MEGABYTES(8), WINDOW + 0x4_0000, WINDOW].map((linear) => m.write(linear + 4)[0]);
    expect(addresses).toEqual([DEVICE + 4, OTHER + 4, DEVICE + 0x4_0004, DEVICE + 4]);
  });
});
