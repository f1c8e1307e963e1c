import { describe, expect, it } from 'vitest';
import { VECTOR } from '../fault.ts';
import { CR0, CR4, EFER, EFLAGS, FIELDS } from '../state.ts';
import { ACCESS, type Access } from '../system-ops.ts';
import { FakeMachine } from '../testing/fake-machine.ts';

const DIRECTORY = 0x10_0000;
const TABLE = 0x10_1000;

function paged(flags = 7): FakeMachine {
  const m = new FakeMachine('max').enterProtected();
  m.enablePaging(flags);
  return m;
}

function walk(m: FakeMachine, linear: number, access: Access, user: boolean) {
  let result: { phys: number; writable: boolean; executable: boolean; global: boolean; pageBytes: number } | null =
    null;
  const fault = m.fault(() => {
    result = { ...m.ops.translate(linear, access, user) };
  });
  return fault ? fault.errorCode! : result!;
}

describe('without paging', () => {
  it('linear is physical, A20 applies', () => {
    const m = new FakeMachine();
    expect(walk(m, 0xffff_fff0, ACCESS.read, false)).toMatchObject({ phys: 0xffff_fff0, writable: true });
    m.state.a20Mask = 0xffef_ffff;
    expect(walk(m, 0x10_0010, ACCESS.read, false)).toMatchObject({ phys: 0x10 });
    expect(m.ops.translateDebug(0x10_0010)).toBe(0x10);
  });
});

describe('legacy paging', () => {
  it('translates and sets A at both levels, D on writes only', () => {
    const m = paged();
    m.ram.setUint32(TABLE + 5 * 4, 0x2_3000 | 7, true);
    expect(m.ops.translateDebug(0x5678)).toBe(0x2_3678);
    expect(m.ram.getUint32(DIRECTORY, true) & 0x20).toBe(0);
    expect(walk(m, 0x5678, ACCESS.read, true)).toMatchObject({ phys: 0x2_3678, writable: false, pageBytes: 4096 });
    expect(m.ram.getUint32(DIRECTORY, true) & 0x60).toBe(0x20);
    expect(m.ram.getUint32(TABLE + 5 * 4, true) & 0x60).toBe(0x20);
    expect(walk(m, 0x5678, ACCESS.write, true)).toMatchObject({ writable: true });
    expect(m.ram.getUint32(TABLE + 5 * 4, true) & 0x60).toBe(0x60);
    expect(walk(m, 0x5678, ACCESS.read, true)).toMatchObject({ writable: true });
  });

  it('gives error codes P, W, U and sets CR2', () => {
    const m = paged();
    m.ram.setUint32(TABLE + 5 * 4, 0, true);
    expect(walk(m, 0x5678, ACCESS.read, false)).toBe(0);
    expect(m.state.cr2).toBe(0x5678);
    expect(m.state.low(FIELDS.exceptionVector)).toBe(VECTOR.PF);
    expect(walk(m, 0x5678, ACCESS.write, false)).toBe(2);
    expect(walk(m, 0x5678, ACCESS.write, true)).toBe(6);
    expect(walk(m, 0x40_0000, ACCESS.read, true)).toBe(4);
    m.ram.setUint32(TABLE + 5 * 4, 0x5003, true); // supervisor
    expect(walk(m, 0x5678, ACCESS.read, true)).toBe(5);
    expect(walk(m, 0x5678, ACCESS.write, true)).toBe(7);
    expect(m.ram.getUint32(TABLE + 5 * 4, true)).toBe(0x5003);
    expect(m.ops.translateDebug(0x40_0000)).toBeNull();
  });

  it('combines the rights of both levels', () => {
    const m = paged();
    m.ram.setUint32(DIRECTORY, TABLE | 5, true);
    expect(walk(m, 0x5000, ACCESS.write, true)).toBe(7);
    m.ram.setUint32(DIRECTORY, TABLE | 3, true);
    expect(walk(m, 0x5000, ACCESS.read, true)).toBe(5);
  });

  it('lets supervisors write read-only pages unless WP', () => {
    const m = paged(5);
    expect(walk(m, 0x5000, ACCESS.write, false)).toMatchObject({ writable: true });
    m.state.cr0 = (m.state.cr0 | CR0.WP) >>> 0;
    expect(walk(m, 0x5000, ACCESS.write, false)).toBe(3);
    expect(walk(m, 0x5000, ACCESS.read, false)).toMatchObject({ writable: false });
  });

  it('knows 4 MiB pages, PSE-36 and their reserved bit', () => {
    const m = paged();
    m.ram.setUint32(DIRECTORY + 4, 0x0080_0000 | 0x87, true);
    expect(walk(m, 0x41_2345, ACCESS.read, true)).toBe(4); // a page table at 8 MiB without PSE: nothing there
    m.ops.writeCr(4, CR4.PSE | CR4.PGE);
    expect(walk(m, 0x41_2345, ACCESS.write, true)).toMatchObject({
      phys: 0x81_2345,
      pageBytes: 0x40_0000,
      global: false,
    });
    expect(m.ram.getUint32(DIRECTORY + 4, true)).toBe(0x0080_00e7);
    m.ram.setUint32(DIRECTORY + 4, 0x0080_0000 | 0x187 | (3 << 13), true);
    expect(walk(m, 0x41_2345, ACCESS.read, true)).toMatchObject({ phys: 0x3_0081_2345, global: true });
    m.ram.setUint32(DIRECTORY + 4, 0x0080_0000 | 0x87 | (1 << 21), true);
    expect(walk(m, 0x41_2345, ACCESS.read, true)).toBe(4 | 8 | 1);
  });

  it('A20 masks page table addresses and results', () => {
    const m = paged();
    m.ram.setUint32(0, 0x1000 | 7, true);
    m.ram.setUint32(0x1000 + 4 * 4, 0x10_4000 | 7, true);
    m.state.a20Mask = 0xffef_ffff;
    expect(walk(m, 0x4abc, ACCESS.read, false)).toMatchObject({ phys: 0x4abc });
  });

  it('SMEP stops fetches, SMAP stops data unless AC', () => {
    const m = paged();
    expect(walk(m, 0x5000, ACCESS.execute, false)).toMatchObject({ executable: true });
    m.ops.writeCr(4, CR4.SMEP);
    expect(walk(m, 0x5000, ACCESS.execute, false)).toBe(0x11);
    expect(walk(m, 0x5000, ACCESS.execute, true)).toMatchObject({ executable: true });
    m.state.cr4 = CR4.SMAP;
    expect(walk(m, 0x5000, ACCESS.read, false)).toBe(1);
    expect(walk(m, 0x5000, ACCESS.execute, false)).toMatchObject({ writable: false });
    m.state.setEflags(EFLAGS.AC | 2);
    expect(walk(m, 0x5000, ACCESS.write, false)).toMatchObject({ writable: true });
    m.state.cpl = 3; // implicit accesses
    expect(walk(m, 0x5000, ACCESS.read, false)).toBe(1);
  });
});

describe('PAE', () => {
  const PDPT = 0x20_0020;
  const PD = 0x20_1000;
  const PT = 0x20_2000;

  function pae(): FakeMachine {
    const m = new FakeMachine('max').enterProtected();
    m.ram.setUint32(PDPT + 8, PD | 1, true); // 1 GiB ..
    m.ram.setUint32(PD, PT | 7, true);
    m.ram.setUint32(PT + 3 * 8, 0x5000 | 7, true);
    m.ram.setUint32(PD + 8, 0x60_0000 | 0x87, true);
    m.state.cr3 = PDPT;
    m.ops.writeCr(4, CR4.PAE);
    m.state.cr0 = (m.state.cr0 | CR0.PG) >>> 0;
    return m;
  }

  it('walks three levels and 2 MiB pages, with addresses above 4 GiB', () => {
    const m = pae();
    expect(walk(m, 0x4000_3123, ACCESS.read, true)).toMatchObject({ phys: 0x5123, pageBytes: 4096 });
    expect(m.ram.getUint32(PDPT + 8, true)).toBe(PD | 1);
    expect(m.ram.getUint32(PD, true)).toBe(PT | 0x27);
    expect(walk(m, 0x4020_1234, ACCESS.write, true)).toMatchObject({ phys: 0x60_1234, pageBytes: 0x20_0000 });
    m.ram.setUint32(PT + 3 * 8 + 4, 0xf, true);
    expect(walk(m, 0x4000_3123, ACCESS.read, true)).toMatchObject({ phys: 0xf_0000_5123 });
    expect(walk(m, 0x3fff_ffff, ACCESS.read, true)).toBe(4);
    expect(m.ops.translateDebug(0x4020_1234)).toBe(0x60_1234);
  });

  it('NX works only with EFER.NXE and is reserved without', () => {
    const m = pae();
    m.ram.setUint32(PT + 3 * 8 + 4, 0x8000_0000, true);
    expect(walk(m, 0x4000_3000, ACCESS.read, true)).toBe(0xd);
    m.state.efer = EFER.NXE;
    expect(walk(m, 0x4000_3000, ACCESS.read, true)).toMatchObject({ executable: false });
    expect(walk(m, 0x4000_3000, ACCESS.execute, true)).toBe(0x15);
    m.ram.setUint32(PT + 3 * 8 + 4, 0, true);
    m.ram.setUint32(PD + 4, 0x8000_0000, true); // one level up counts too
    expect(walk(m, 0x4000_3000, ACCESS.execute, true)).toBe(0x15);
  });

  it.each([
    ['an address wider than the CPU', PT + 3 * 8 + 4, 0x100],
    ['bit 52', PT + 3 * 8 + 4, 1 << 20],
    ['a misaligned 2 MiB page', PD, 0x60_2087],
    ['reserved bits in the PDPTE', PDPT + 8, PD | 3],
  ] as const)('%s is a reserved-bit fault', (_name, at, value) => {
    const m = pae();
    m.ram.setUint32(at, value, true);
    expect(walk(m, 0x4000_3000, ACCESS.read, false)).toBe(9);
  });
});

describe('four levels', () => {
  it('translate canonical halves', () => {
    const m = new FakeMachine('max').enterProtected();
    m.ram.setUint32(0x10_0000 + 511 * 8, 0x10_1000 | 7, true);
    m.ram.setUint32(0x10_1000 + 510 * 8, 0x10_2000 | 7, true);
    m.ram.setUint32(0x10_2000, 0x10_3000 | 7, true);
    m.ram.setUint32(0x10_3000 + 8, 0x7000 | 3, true);
    m.state.cr3 = 0x10_0000;
    m.state.cr4 = CR4.PAE;
    m.state.efer = EFER.LMA | EFER.LME;
    m.state.cr0 = (m.state.cr0 | CR0.PG) >>> 0;
    const linear = 511 * 2 ** 39 + 510 * 2 ** 30 + 4096 + 0x42 - 2 ** 48;
    expect(walk(m, linear, ACCESS.read, false)).toMatchObject({ phys: 0x7042 });
    expect(walk(m, linear, ACCESS.read, true)).toBe(5);
    expect(m.ram.getUint32(0x10_0000 + 511 * 8, true)).toBe(0x10_1027);
  });
});
