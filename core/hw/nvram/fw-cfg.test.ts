import { beforeAll, describe, expect, it } from 'vitest';
import { MemoryRegion } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { FW_CFG, FwCfg, fwCfgIoType, fwCfgType } from './fw-cfg.ts';

beforeAll(() => registerDeviceTypes([fwCfgType, fwCfgIoType]));

function board() {
  const b = bareBoard();
  b.systemMemory.addSubregion(0, objectNewAs(MemoryRegion, 'memory-region').initRam(null, b.arena, 'ram', 1 << 20));
  const fw = deviceNew(FwCfg, 'fw_cfg_io');
  deviceRealize(fw);
  resetTree(fw);
  const read = (key: number, count: number) => {
    b.io.write(0x510, 2, key);
    return Array.from({ length: count }, () => b.io.read(0x511, 1));
  };
  const dma = (control: number, length: number, address: number) => {
    const s = new DataView(new ArrayBuffer(16));
    s.setUint32(0, control);
    s.setUint32(4, length);
    s.setUint32(12, address);
    b.memory.writeBytes(0x8000, new Uint8Array(s.buffer));
    b.io.write(0x514, 4, 0);
    b.io.write(0x518, 4, 0x0080_0000);
    const out = new Uint8Array(4);
    b.memory.readBytes(0x8000, out);
    return new DataView(out.buffer).getUint32(0);
  };
  return { b, fw, read, dma };
}

describe('fw_cfg', () => {
  it('shows its signature, items, and zeroes behind their end', () => {
    const { fw, read, b } = board();
    fw.addU16(FW_CFG.cpuCount, 4);
    expect(String.fromCharCode(...read(0, 4))).toBe('QEMU');
    expect(read(1, 4)).toEqual([3, 0, 0, 0]);
    expect(read(FW_CFG.cpuCount, 4)).toEqual([4, 0, 0, 0]);
    expect(read(0x1f, 2)).toEqual([0, 0]);
    expect([0x514, 0x518].map((p) => b.io.read(p, 4))).toEqual([0x554d4551, 0x47464320]);
  });
  it('lists files in the order of their names, keys following', () => {
    const { fw, read } = board();
    fw.addFile('etc/e820', Uint8Array.from([1, 2, 3]));
    fw.addFile('bootorder', Uint8Array.from([9]));
    const bytes = read(FW_CFG.fileDirectory, 4 + 128);
    expect(bytes.slice(0, 4)).toEqual([0, 0, 0, 2]);
    expect(bytes.slice(4, 12)).toEqual([0, 0, 0, 1, 0, 0x20, 0, 0]);
    expect(String.fromCharCode(...bytes.slice(12, 21))).toBe('bootorder');
    expect(read(0x21, 3)).toEqual([1, 2, 3]);
    expect(() => fw.addFile('bootorder', new Uint8Array())).toThrow('duplicate');
  });
  it('transfers by DMA: select and read, skip, zero-fill, refused write, writable file', () => {
    const { fw, dma, b } = board();
    fw.addFile('blob', Uint8Array.from([10, 11, 12, 13]));
    b.memory.writeBytes(0x9000, new Uint8Array(8).fill(0xee));
    expect(dma((0x20 << 16) | 8 | 4, 1, 0)).toBe(0);
    expect(dma(2, 6, 0x9000)).toBe(0);
    const out = new Uint8Array(8);
    b.memory.readBytes(0x9000, out);
    expect([...out]).toEqual([11, 12, 13, 0, 0, 0, 0xee, 0xee]);
    expect(dma((0x20 << 16) | 8 | 16, 2, 0x9000)).toBe(1);
    const written: number[] = [];
    fw.addFile('w', new Uint8Array(4), { onWrite: (o, l) => void written.push(o, l) });
    expect(dma((0x21 << 16) | 8 | 16, 2, 0x9000)).toBe(0);
    expect(written).toEqual([0, 2]);
    expect([...fw.fileBytes('w')!]).toEqual([11, 12, 0, 0]);
    expect(dma((0x21 << 16) | 8 | 16, 5, 0x9000)).toBe(1);
  });
  it('reads an item that is stored elsewhere as it is asked for, byte by byte or by DMA in pieces', () => {
    const { fw, read, dma, b } = board();
    const all = Uint8Array.from({ length: 600_000 }, (_, i) => (i * 7) ^ (i >> 9));
    let most = 0;
    fw.setBytes(FW_CFG.kernelData, {
      length: all.length,
      read: (at, into) => {
        most = Math.max(most, into.length);
        into.set(all.subarray(at, at + into.length));
      },
    });
    expect(read(FW_CFG.kernelData, 9000)).toEqual([...all.subarray(0, 9000)]);
    expect(most).toBeLessThan(9000);
    expect(dma((FW_CFG.kernelData << 16) | 8 | 4, 599_990, 0)).toBe(0);
    expect(Array.from({ length: 12 }, () => b.io.read(0x511, 1))).toEqual([...all.subarray(599_990), 0, 0]);
    expect(dma((FW_CFG.kernelData << 16) | 8 | 2, 600_010, 0x1_0000)).toBe(0);
    const out = new Uint8Array(600_010);
    b.memory.readBytes(0x1_0000, out);
    expect(Buffer.compare(out, new Uint8Array([...all, ...new Uint8Array(10)]))).toBe(0);
    expect(most).toBe(1 << 18);
    expect(dma((FW_CFG.kernelData << 16) | 8 | 16, 4, 0x1_0000)).toBe(1); // not to be written
  });
  it('survives a hostile DMA length and address', () => {
    const { dma } = board();
    expect(dma((0x1f << 16) | 8 | 2, 0xffff_ffff, 0xf_0000)).toBe(0);
    expect(dma((0x00 << 16) | 8 | 2, 0xffff_ffff, 0xffff_fff0)).toBe(0);
  });
});
