/** The memory of one CPU: the system's, or, while it is in system management mode, the system's with SMRAM laid over it. */
import { AddressSpace, type AddressSpaceListener, type PageBacking } from '../memory/address-space.ts';
import { type AccessSize, FULL_SIZE, MemoryRegion } from '../memory/region.ts';
import { objectNewAs, type QomObject } from '../qom/object.ts';
import type { AddressSpace as CpuAddressSpace } from '../target/x86/system-ops.ts';

export class CpuMemory implements Required<Omit<CpuAddressSpace, 'readString'>> {
  /** `cpu-memory-0`: sees what the system sees. */
  readonly normal: AddressSpace;
  /** `cpu-smm-0`; null where the machine has no SMRAM. */
  readonly smm: AddressSpace | null = null;
  private current: AddressSpace;
  private readonly listeners = new Set<AddressSpaceListener>();

  constructor(cpu: QomObject, index: number, system: AddressSpace, smram: MemoryRegion | null) {
    this.normal = new AddressSpace(`cpu-memory-${index}`, system.root, system.arena);
    this.current = this.normal;
    if (smram) {
      const region = () => objectNewAs(MemoryRegion, 'memory-region');
      const container = region().initContainer(cpu, 'memory', FULL_SIZE);
      container.addSubregion(0, region().initAlias(cpu, 'memory', system.root, 0, FULL_SIZE), 0);
      container.addSubregion(0, region().initAlias(cpu, 'smram', smram, 0, 2 ** 32), 1);
      this.smm = new AddressSpace(`cpu-smm-${index}`, container, system.arena);
    }
    for (const space of [this.normal, this.smm])
      space?.subscribe({
        flatViewChanged: () => {
          if (space === this.current) this.tell((l) => l.flatViewChanged?.());
        },
      });
    // Writes by devices and cleared dirty bits concern pages of the arena, whichever space they are seen through.
    system.subscribe({
      dirtyCleared: (offset, length) => this.tell((l) => l.dirtyCleared?.(offset, length)),
      // The CPU knows of its own writes; everybody else's count, whichever bus master they come from.
      ramWritten: (offset, length, by) => {
        if (by !== this.normal && by !== this.smm) this.tell((l) => l.ramWritten?.(offset, length, by));
      },
    });
  }

  private tell(what: (listener: AddressSpaceListener) => void): void {
    for (const listener of this.listeners) what(listener);
  }

  setSmm(isOn: boolean): void {
    const next = isOn && this.smm ? this.smm : this.normal;
    if (next === this.current) return;
    this.current = next;
    this.tell((l) => l.flatViewChanged?.());
  }

  read(address: number, size: AccessSize): number {
    return this.current.read(address, size);
  }
  write(address: number, size: AccessSize, value: number): void {
    this.current.write(address, size, value);
  }
  fill(address: number, size: 1 | 2 | 4, value: number, count: number): boolean {
    return this.current.fill(address, size, value, count);
  }
  lookupPage(address: number): PageBacking | null {
    return this.current.lookupPage(address);
  }
  markDirty(arenaOffset: number, length: number): void {
    this.current.markDirty(arenaOffset, length);
  }
  subscribe(listener: AddressSpaceListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
