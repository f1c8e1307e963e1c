/**
 * QEMU's firmware configuration device on I/O ports (specification: QEMU docs/specs/fw_cfg): numbered items and named files that
 * firmware reads byte by byte or by DMA. Not modelled: writes through the data port, which the specification dropped.
 */
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { assert, UserError } from '../../util/errors.ts';
import { guestError } from '../../util/log.ts';
import type { AnyBytes, StoredBytes } from '../../util/stored-bytes.ts';
import { big64, named, u16 as u16Field, u32 as u32Field, u64, vmstate } from '../../vmstate/fields.ts';
import { Device, deviceType } from '../core/device.ts';
import { bool, properties, u16 } from '../core/properties.ts';

/** Selector keys with fixed meanings. */
export const FW_CFG = {
  signature: 0x00,
  id: 0x01,
  uuid: 0x02,
  ramSize: 0x03,
  noGraphic: 0x04,
  cpuCount: 0x05,
  machineId: 0x06,
  kernelAddress: 0x07,
  kernelSize: 0x08,
  kernelCommandLine: 0x09,
  initrdAddress: 0x0a,
  initrdSize: 0x0b,
  bootDevice: 0x0c,
  numa: 0x0d,
  bootMenu: 0x0e,
  maxCpus: 0x0f,
  kernelEntry: 0x10,
  kernelData: 0x11,
  initrdData: 0x12,
  commandLineAddress: 0x13,
  commandLineSize: 0x14,
  commandLineData: 0x15,
  setupAddress: 0x16,
  setupSize: 0x17,
  setupData: 0x18,
  fileDirectory: 0x19,
  firstFile: 0x20,
  /** Keys of one architecture have this bit. */
  arch: 0x8000,
} as const;
const KEY_MASK = 0x3fff | FW_CFG.arch;
const WRITE_CHANNEL = 0x4000;
const NO_ENTRY = 0xffff;

const PORT = { base: 0x510, count: 2, dma: 0x514, dmaCount: 8 } as const;
const DMA = { error: 0x01, read: 0x02, skip: 0x04, select: 0x08, write: 0x10 } as const;
const DMA_STRUCTURE_BYTES = 16;
/** What reading the DMA register gives: "QEMU CFG". */
const DMA_SIGNATURE = [0x51, 0x45, 0x4d, 0x55, 0x20, 0x43, 0x46, 0x47];
const ID_VERSION = 1;
const ID_DMA = 2;
const FILE_NAME_BYTES = 56;
const FILE_ENTRY_BYTES = 64;
/** Items that are stored elsewhere reach the guest in pieces. */
const PIECE_BYTES = 1 << 18;

interface Entry {
  bytes: AnyBytes;
  /** Called when the guest selects the item, to bring it up to date. */
  onSelect?: (() => void) | undefined;
  /** Present for files that the guest may write (by DMA). */
  onWrite?: ((offset: number, length: number) => void) | undefined;
}

export interface FileOptions {
  onSelect?(): void;
  onWrite?(offset: number, length: number): void;
}

/** The optional parts' view of the device: its own class would make the types circular. */
interface Parts {
  readonly props: { readonly dma_enabled: boolean; readonly 'acpi-mr-restore': boolean };
  readonly dmaState: Record<string, unknown>;
  readonly acpiState: Record<string, unknown>;
}
const PROPS = properties({ dma_enabled: bool(true), 'x-file-slots': u16(0x20), 'acpi-mr-restore': bool(true) });
const DMA_STATE = vmstate('fw_cfg/dma', 0, { dma_addr: big64() });
const ACPI_STATE = vmstate('fw_cfg/acpi_mr', 1, { table_mr_size: u64(), linker_mr_size: u64(), rsdp_mr_size: u64() });
const STATE = vmstate(
  'fw_cfg',
  2,
  { cur_entry: u16Field(NO_ENTRY), cur_offset: named('cur_offset', u32Field()) },
  {
    minimumVersion: 1,
    subsections: [
      {
        description: DMA_STATE,
        needed: (owner) => (owner as Parts).props.dma_enabled,
        state: (owner) => (owner as Parts).dmaState,
      },
      {
        description: ACPI_STATE,
        needed: (owner) => (owner as Parts).props['acpi-mr-restore'],
        state: (owner) => (owner as Parts).acpiState,
      },
    ],
  },
);

export class FwCfg extends Device<typeof PROPS, typeof STATE.fields> {
  readonly dmaState = DMA_STATE.create();
  readonly acpiState = ACPI_STATE.create();
  private readonly entries = new Map<number, Entry>();
  /** In the order of their names, which is that of their keys. */
  private readonly files: { readonly name: string; readonly entry: Entry }[] = [];

  override realize(): void {
    const region = (ops: MemoryRegionOps<FwCfg>, name: string, size: number) =>
      objectNewAs(MemoryRegion, 'memory-region').initIo(this, ops, this, name, size);
    this.env.systemIo.addSubregion(PORT.base, region(PORT_OPS, 'fwcfg', PORT.count));
    if (this.props.dma_enabled) this.env.systemIo.addSubregion(PORT.dma, region(DMA_OPS, 'fwcfg.dma', PORT.dmaCount));
    this.addBytes(FW_CFG.signature, Uint8Array.from([0x51, 0x45, 0x4d, 0x55]));
    this.addU32(FW_CFG.id, ID_VERSION | (this.props.dma_enabled ? ID_DMA : 0));
    this.updateDirectory();
  }

  override reset(): void {
    super.reset();
    DMA_STATE.reset(this.dmaState);
    this.select(0);
  }

  addBytes(key: number, bytes: Uint8Array): void {
    assert(!this.entries.has(key & KEY_MASK), `fw_cfg key 0x${key.toString(16)} twice`);
    this.entries.set(key & KEY_MASK, { bytes });
  }
  /** Replaces or adds an item. */
  setBytes(key: number, bytes: AnyBytes): void {
    this.entries.set(key & KEY_MASK, { bytes });
  }
  addU16(key: number, value: number): void {
    this.setBytes(key, littleEndian(value, 2));
  }
  addU32(key: number, value: number): void {
    this.setBytes(key, littleEndian(value, 4));
  }
  addU64(key: number, value: number): void {
    this.setBytes(key, littleEndian(value, 8));
  }

  /** Adds a named file. @throws UserError when the name is taken, too long, or all slots are */
  addFile(name: string, bytes: Uint8Array, options: FileOptions = {}): void {
    if (name.length >= FILE_NAME_BYTES)
      throw new UserError(`fw_cfg file name too long (max ${FILE_NAME_BYTES - 1} char)`);
    if (this.files.some((file) => file.name === name)) throw new UserError(`duplicate fw_cfg file name: ${name}`);
    if (this.files.length >= this.props['x-file-slots']) throw new UserError('fw_cfg: no more file slots');
    const entry: Entry = { bytes, onSelect: options.onSelect, onWrite: options.onWrite };
    const at = this.files.findIndex((file) => file.name > name);
    this.files.splice(at < 0 ? this.files.length : at, 0, { name, entry });
    this.renumber();
  }
  /** Replaces a file's contents, adding the file if need be. */
  setFile(name: string, bytes: Uint8Array): void {
    const file = this.files.find((f) => f.name === name);
    if (!file) {
      this.addFile(name, bytes);
      return;
    }
    file.entry.bytes = bytes;
    this.updateDirectory();
  }
  /** A file's bytes; what the guest has written shows. */
  fileBytes(name: string): Uint8Array | null {
    const bytes = this.files.find((f) => f.name === name)?.entry.bytes;
    return bytes instanceof Uint8Array ? bytes : null;
  }

  private renumber(): void {
    this.files.forEach(({ entry }, i) => {
      this.entries.set(FW_CFG.firstFile + i, entry);
    });
    this.updateDirectory();
  }
  /** Count and entries, big-endian: size, key, reserved, name. */
  private updateDirectory(): void {
    const bytes = new Uint8Array(4 + this.files.length * FILE_ENTRY_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, this.files.length);
    this.files.forEach(({ name, entry }, i) => {
      const at = 4 + i * FILE_ENTRY_BYTES;
      view.setUint32(at, entry.bytes.length);
      view.setUint16(at + 4, FW_CFG.firstFile + i);
      for (let c = 0; c < name.length; c++) bytes[at + 8 + c] = name.charCodeAt(c);
    });
    this.setBytes(FW_CFG.fileDirectory, bytes);
  }

  /** The guest chooses an item. */
  select(key: number): void {
    this.state.cur_offset = 0;
    const entry = this.entries.get(key & KEY_MASK);
    if (!entry && (key & 0x3fff) >= FW_CFG.firstFile + this.props['x-file-slots']) {
      this.state.cur_entry = NO_ENTRY;
      return;
    }
    this.state.cur_entry = key & 0xffff;
    entry?.onSelect?.();
  }
  private get current(): Entry | undefined {
    return this.state.cur_entry === NO_ENTRY ? undefined : this.entries.get(this.state.cur_entry & KEY_MASK);
  }
  /** The next byte of the chosen item; zero behind its end. */
  readByte(): number {
    const bytes = this.current?.bytes;
    if (!bytes || this.state.cur_offset >= bytes.length) return 0;
    const at = this.state.cur_offset++;
    return bytes instanceof Uint8Array ? bytes[at]! : this.storedByte(bytes, at);
  }
  /** What was read last of an item that is stored elsewhere. */
  private readonly window = { of: null as StoredBytes | null, at: 0, bytes: new Uint8Array(0) };
  private storedByte(stored: StoredBytes, at: number): number {
    const { window } = this;
    if (window.of !== stored || at < window.at || at >= window.at + window.bytes.length) {
      window.of = stored;
      window.at = at;
      window.bytes = new Uint8Array(Math.min(4096, stored.length - at));
      stored.read(at, window.bytes);
    }
    return window.bytes[at - window.at]!;
  }
  /** Copies a part of an item to the guest. */
  private send(address: number, bytes: AnyBytes, from: number, count: number): void {
    if (bytes instanceof Uint8Array) {
      this.dma.writeBytes(address, bytes.subarray(from, from + count));
      return;
    }
    const piece = new Uint8Array(Math.min(count, PIECE_BYTES));
    for (let done = 0; done < count; done += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, count - done));
      bytes.read(from + done, part);
      this.dma.writeBytes(address + done, part);
    }
  }

  /** The guest has given the address of a control structure: control, length (32-bit), address (64-bit), big-endian. */
  runDma(address: number): void {
    const structure = new Uint8Array(DMA_STRUCTURE_BYTES);
    this.dma.readBytes(address, structure);
    const view = new DataView(structure.buffer);
    const control = view.getUint32(0);
    let length = view.getUint32(4);
    let at = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
    if (control & DMA.select) this.select(control >>> 16);
    let result = 0;
    const isTransfer = (control & (DMA.read | DMA.write | DMA.skip)) !== 0;
    const entry = this.current;
    while (isTransfer && length > 0) {
      const left = (entry?.bytes.length ?? 0) - this.state.cur_offset;
      if (!entry || left <= 0) {
        if (control & DMA.read) this.zeroFill(at, length);
        if (control & DMA.write) result |= DMA.error;
        break;
      }
      const count = Math.min(length, left);
      const from = this.state.cur_offset;
      if (control & DMA.read) this.send(at, entry.bytes, from, count);
      else if (control & DMA.write) {
        if (!(entry.onWrite && entry.bytes instanceof Uint8Array) || count !== length) {
          result |= DMA.error;
          break;
        }
        this.dma.readBytes(at, entry.bytes.subarray(from, from + count));
        entry.onWrite(from, count);
      }
      this.state.cur_offset += count;
      at += count;
      length -= count;
    }
    this.dma.write(address, 4, swap32(result));
  }
  /** What lies behind an item's end reads as zeroes; a hostile length is written in pieces and only as far as memory reaches. */
  private zeroFill(at: number, length: number): void {
    const zeroes = new Uint8Array(Math.min(length, 65536));
    let done = 0;
    while (done < length && this.env.memory.find(at + done)?.region.ram) {
      const count = Math.min(zeroes.length, length - done);
      this.dma.writeBytes(at + done, zeroes.subarray(0, count));
      done += count;
    }
  }
}

function littleEndian(value: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}
function swap32(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/** Port 0x510 selects (16 bits), 0x511 gives data (8 bits). */
const PORT_OPS: MemoryRegionOps<FwCfg> = {
  valid: { accepts: (_, offset, size, isWrite) => size === 1 || (isWrite && offset === 0 && size === 2) },
  read: (device) => device.readByte(),
  write(device, offset, value, size) {
    if (size === 2) {
      if (value & WRITE_CHANNEL) guestError('fw_cfg', 'the write channel is gone');
      device.select(value);
    }
    // A byte written to the data port has no effect: writing goes by DMA.
    void offset;
  },
};

/** Big-endian 64-bit register: writing its low half starts the transfer; reading gives a signature. */
const DMA_OPS: MemoryRegionOps<FwCfg> = {
  valid: { max: 8 },
  impl: { max: 4 },
  read(_, offset, size) {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + DMA_SIGNATURE[offset + i]!;
    return value;
  },
  write(device, offset, value, size) {
    if (size !== 4) {
      guestError('fw_cfg', `DMA register written with ${size} bytes`);
      return;
    }
    const half = swap32(value);
    if (offset === 0) device.dmaState.dma_addr = BigInt(half) << 32n;
    else {
      const address = Number(device.dmaState.dma_addr) + half;
      device.dmaState.dma_addr = 0n;
      device.runDma(address);
    }
  },
};

export const fwCfgType = deviceType({
  name: 'fw_cfg',
  parent: 'sys-bus-device',
  abstract: true,
});
export const fwCfgIoType = deviceType({
  name: 'fw_cfg_io',
  parent: 'fw_cfg',
  userCreatable: false,
  class: FwCfg as new () => Device,
  properties: PROPS,
  vmstate: STATE,
});
