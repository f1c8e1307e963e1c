import { describe, expect, it } from 'vitest';
import { bareBoard } from '../hw/core/environment.ts';
import { AddressSpace } from '../memory/address-space.ts';
import { FULL_SIZE, MemoryRegion } from '../memory/region.ts';
import { objectNewAs } from '../qom/object.ts';
import { CpuMemory } from './cpu-memory.ts';

const region = () => objectNewAs(MemoryRegion, 'memory-region');

/** RAM, the video window over A0000h, and SMRAM: the RAM that the window hides. */
function board({ hasSmram = true } = {}) {
  const env = bareBoard();
  const ram = region().initRam(null, env.arena, 'pc.ram', 0x20_0000);
  env.systemMemory.addSubregion(0, ram);
  const video = region().initIo(null, { read: () => 0x55, write() {} }, null, 'vga-lowmem', 0x2_0000);
  env.systemMemory.addSubregion(0xa_0000, video, 1);
  const smram = region().initContainer(null, 'smram', 2 ** 32);
  const window = region().initAlias(null, 'smram-low', ram, 0xa_0000, 0x2_0000);
  smram.addSubregion(0xa_0000, window);
  const cpu = region();
  const memory = new CpuMemory(cpu, 0, env.memory, hasSmram ? smram : null);
  const heard: string[] = [];
  memory.subscribe({
    flatViewChanged: () => heard.push('view'),
    dirtyCleared: (offset, length) => heard.push(`clean ${offset.toString(16)}+${length}`),
    ramWritten: (offset, length) => heard.push(`written ${offset.toString(16)}+${length}`),
  });
  return { env, ram, window, memory, heard };
}

describe('the memory of a CPU', () => {
  it('shows SMRAM in system management mode alone', () => {
    const { ram, memory, heard } = board();
    ram.bytes[0xa_0000] = 0x77;
    expect([memory.read(0xa_0000, 1), memory.lookupPage(0xa_0000)]).toEqual([0x55, null]);
    memory.setSmm(true);
    memory.setSmm(true);
    expect(memory.read(0xa_0000, 1)).toBe(0x77);
    expect(memory.lookupPage(0xa_0000)!.offset).toBe(ram.ram!.offset + 0xa_0000);
    memory.write(0xa_0001, 1, 9);
    memory.write(0x1000, 1, 8); // the rest is as ever
    memory.setSmm(false);
    expect([memory.read(0xa_0001, 1), ram.bytes[0xa_0001], memory.read(0x1000, 1)]).toEqual([0x55, 9, 8]);
    expect(heard).toEqual(['view', 'view']);
  });

  it('lets a device that is in view be filled, and nothing else', () => {
    const { env, memory } = board();
    const fills: unknown[][] = [];
    const ops = { read: () => 0, write() {}, fill: (...call: unknown[]) => void fills.push(call.slice(1)) };
    env.systemMemory.addSubregion(0xb_8000, region().initIo(null, ops, null, 'text', 0x8000), 2);
    expect(memory.fill(0xb_8010, 2, 0x720, 100)).toBe(true);
    expect(fills).toEqual([[0x10, 0x720, 2, 100]]);
    expect(memory.fill(0xb_fffe, 2, 0, 2)).toBe(false); // beyond its end
    expect(memory.fill(0xa_0000, 2, 0, 2)).toBe(false); // has no fill
    expect(memory.fill(0x1000, 2, 0, 2)).toBe(false); // RAM
    memory.setSmm(true);
    expect(memory.fill(0xb_8010, 2, 0, 2)).toBe(false); // hidden by SMRAM
    expect(fills.length).toBe(1);
  });

  it('stays the system’s on a machine without SMRAM', () => {
    const { memory, heard } = board({ hasSmram: false });
    memory.setSmm(true);
    expect([memory.read(0xa_0000, 1), memory.smm, heard]).toEqual([0x55, null, []]);
  });

  it('tells of changes to the view that is in use', () => {
    const { env, window, memory, heard } = board();
    window.setEnabled(false); // hidden: the CPU does not see it now
    expect(heard).toEqual([]);
    memory.setSmm(true);
    window.setEnabled(true);
    expect(heard).toEqual(['view', 'view']);
    env.systemMemory.addSubregion(
      0xfee0_0000,
      region().initIo(null, { read: () => 0, write() {} }, null, 'apic', 4096),
    );
    expect(heard).toHaveLength(3); // seen through the alias, too
  });

  it('tells of others’ writes to decoded code, whichever bus they master, and not of the CPU’s own', () => {
    const { env, ram, memory, heard } = board();
    const at = ram.ram!.offset + 0x3000;
    env.arena.codePages[at >>> 12] = 1;
    const container = region().initContainer(null, 'bus master container', FULL_SIZE);
    container.addSubregion(0, region().initAlias(null, 'bus master', env.systemMemory, 0, FULL_SIZE));
    const master = new AddressSpace('piix3-ide', container, env.arena);
    const code = at.toString(16);
    master.writeBytes(0x3000, Uint8Array.of(1, 2, 3));
    expect(heard.splice(0)).toEqual([`written ${code}+3`]);
    env.memory.write(0x3000, 4, 5);
    expect(heard.splice(0)).toEqual([`written ${code}+4`]);
    master.writeBytes(0x4000, Uint8Array.of(1)); // no code there
    memory.write(0x3000, 4, 6);
    memory.setSmm(true);
    memory.write(0x3000, 4, 7);
    expect(heard).toEqual(['view']);
  });

  it('tells of pages whose writes are news again', () => {
    const { ram, memory, heard } = board();
    ram.setLog('migration', true);
    const { offset } = ram.ram!;
    expect(memory.lookupPage(0x5000)!.dirtyLogged).toBe(true);
    memory.markDirty(offset + 0x5000, 1);
    expect(memory.lookupPage(0x5000)!.dirtyLogged).toBe(false);
    ram.clearDirty(0x5000, 0x1000, 'migration');
    expect(heard).toEqual([`clean ${(offset + 0x5000).toString(16)}+4096`]);
  });
});
