/** A bare board with an IDE controller, for this folder's tests. */
import { type BackendOptions, BlockBackend } from '../../backends/block/block-backend.ts';
import { type BlockHost, MemorySource } from '../../backends/block/byte-source.ts';
import { openNode } from '../../backends/block/node.ts';
import { MemoryRegion } from '../../memory/region.ts';
import { objectNewAs, objectSet } from '../../qom/object.ts';
import { typeIsRegistered } from '../../qom/type.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { pciBusNew, pciBusType } from '../pci/pci-bus.ts';
import { pciDeviceTypeInfo } from '../pci/pci-device.ts';
import { IdeCd, IdeDisk } from './ide-devices.ts';
import { ideTypes } from './ide-types.ts';
import { Piix3Ide } from './piix3-ide.ts';

export const RAM_BYTES = 4 * 1024 ** 2;
const BUS_MASTER = 0xc000;

export function testbed() {
  if (!typeIsRegistered('piix3-ide')) registerDeviceTypes([pciBusType, pciDeviceTypeInfo, ...ideTypes]);
  const drives = new Map<string, BlockBackend>();
  const board = bareBoard({ findBackend: (kind, id) => (kind === 'drive' ? (drives.get(id) ?? null) : null) });
  const region = () => objectNewAs(MemoryRegion, 'memory-region');
  const ram = region().initRam(null, board.arena, 'pc.ram', RAM_BYTES);
  board.systemMemory.addSubregion(0, ram);
  const bus = pciBusNew(null, region().initContainer(null, 'pci', 2 ** 64), board.systemIo, 'pci.0');
  const controller = deviceNew(Piix3Ide, 'piix3-ide');
  deviceRealize(controller, bus);
  const interrupts: number[] = [];
  const levels = [0, 0];
  for (const channel of [0, 1])
    controller.connectIrq(channel, {
      set(level) {
        if (level) interrupts.push(channel);
        levels[channel] = level;
      },
    });
  const events: { event: string; data: Readonly<Record<string, unknown>> }[] = [];
  let stops = 0;
  const host: BlockHost = {
    open: (filename) => new MemorySource(new Uint8Array(0), filename),
    emit: (event, data) => void events.push({ event, data }),
    warn() {},
    requestStop: () => void stops++,
    monotonicNs: () => 0,
  };
  const reset = () => {
    resetTree(controller);
    controller.writeConfig(0x20, BUS_MASTER | 1, 4);
    controller.writeConfig(4, 5, 2);
  };

  /** Makes a drive on bytes. */
  const drive = (id: string, bytes: Uint8Array | null, options: BackendOptions = {}) => {
    const source = bytes ? new MemorySource(bytes, `${id}.img`, options.isReadonly ?? false) : null;
    const node = source
      ? openNode(
          { ...host, open: () => source },
          {
            filename: `${id}.img`,
            format: 'raw',
            isReadonly: options.isReadonly ?? false,
            cache: { writeback: true, direct: false, noFlush: false },
            detectZeroes: 'off',
            rest: new Map(),
          },
        )
      : null;
    const backend = new BlockBackend(id, host, node, options);
    drives.set(id, backend);
    return { backend, source: source! };
  };
  const plug = <T extends IdeCd | IdeDisk>(
    type: 'ide-hd' | 'ide-cd',
    channel: number,
    settings: Record<string, unknown>,
  ): T => {
    const device = type === 'ide-cd' ? deviceNew(IdeCd, type) : deviceNew(IdeDisk, type);
    for (const [name, value] of Object.entries(settings)) objectSet(device, name, value);
    deviceRealize(device, controller.channels[channel]!);
    reset();
    return device as T;
  };

  /** Lets answers of the host arrive. */
  const settle = async () => {
    for (let i = 0; i < 40; i++) await Promise.resolve();
  };
  const ports = (channel: number) => {
    const base = channel ? 0x170 : 0x1f0;
    const io = board.io;
    const port = {
      out: (register: number, value: number) => io.write(base + register, 1, value),
      in: (register: number) => io.read(base + register, 1),
      control: (value: number) => io.write(base + 0x206, 1, value),
      alternate: () => io.read(base + 0x206, 1),
      readWords(count: number) {
        return Array.from({ length: count }, () => io.read(base, 2));
      },
      readBytes(count: number) {
        const bytes = new Uint8Array(count);
        for (let i = 0; i < count; i += 2) {
          const word = io.read(base, 2);
          bytes[i] = word & 0xff;
          bytes[i + 1] = word >> 8;
        }
        return bytes;
      },
      writeBytes(bytes: ArrayLike<number>) {
        for (let i = 0; i < bytes.length; i += 2) io.write(base, 2, bytes[i]! | (bytes[i + 1]! << 8));
      },
      /** A command with its registers: features, count, sector, low, high, device. */
      async command(code: number, registers: Partial<Record<1 | 2 | 3 | 4 | 5 | 6, number>> = {}) {
        for (const [register, value] of Object.entries(registers)) port.out(Number(register), value);
        port.out(7, code);
        await settle();
        return port.alternate();
      },
      /** A packet whose reply comes through the data port, in blocks of `limit` bytes at most. */
      async packet(bytes: readonly number[], limit = 0xfffe) {
        await port.command(0xa0, { 1: 0, 4: limit & 0xff, 5: limit >> 8, 6: port.device });
        port.writeBytes([...bytes, ...new Array<number>(12 - bytes.length).fill(0)]);
        await settle();
        const reply: number[] = [];
        const blocks: number[] = [];
        while (port.alternate() & 8) {
          const length = port.in(4) | (port.in(5) << 8);
          blocks.push(length);
          reply.push(...port.readBytes(length + (length % 2)).subarray(0, length));
          await settle();
        }
        return { status: port.in(7), error: port.in(1), reply: Uint8Array.from(reply), blocks };
      },
      async sense() {
        const { reply } = await port.packet([3, 0, 0, 0, 18]);
        return { key: reply[2]! & 15, code: reply[12]! };
      },
      device: 0xa0,
    };
    return port;
  };
  /** A table of physical regions at `at`, and the bus master pointed at it. */
  const regions = (
    channel: number,
    at: number,
    list: readonly (readonly [address: number, length: number])[],
    isEnded = true,
  ) => {
    list.forEach(([address, length], i) => {
      board.memory.write(at + i * 8, 4, address);
      board.memory.write(at + i * 8 + 4, 4, (length & 0xffff) + (isEnded && i === list.length - 1 ? 0x8000_0000 : 0));
    });
    board.io.write(BUS_MASTER + channel * 8 + 4, 4, at);
  };
  const master = (channel: number) => ({
    start: (isRead: boolean) => board.io.write(BUS_MASTER + channel * 8, 1, isRead ? 9 : 1),
    stop: () => board.io.write(BUS_MASTER + channel * 8, 1, 0),
    status: () => board.io.read(BUS_MASTER + channel * 8 + 2, 1),
    clear: () => board.io.write(BUS_MASTER + channel * 8 + 2, 1, 6),
  });
  reset();
  return {
    ...{ board, controller, drive, plug, ports, regions, master, settle, reset, interrupts, levels, events },
    stops: () => stops,
  };
}

/** Bytes that tell where they come from. */
export function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 7 + (i >> 9) * 13 + (i >> 17)) & 0xff;
  return bytes;
}
