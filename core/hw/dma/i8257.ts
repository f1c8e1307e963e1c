/**
 * Intel 8237A DMA controller (data sheet 231466) as the AT has it, with page registers; QEMU calls the type i8257.
 * A device with data registers a handler for its channel; while it holds DREQ the controller lets it transfer at each breath of
 * the machine. Not modelled: memory-to-memory, compressed timing, DMA priority rotation, the request register's software requests.
 */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { guestError, unimplemented } from '../../util/log.ts';
import {
  array,
  i32 as i32Field,
  since,
  struct,
  u8 as u8Field,
  u16 as u16Field,
  vmstate,
} from '../../vmstate/fields.ts';
import { deviceType } from '../core/device.ts';
import { i32, properties } from '../core/properties.ts';
import { IsaDevice, mapPortList } from '../isa/isa-bus.ts';

/** Control registers, by index. */
const CONTROL = {
  command: 0,
  request: 1,
  singleMask: 2,
  mode: 3,
  clearFlipFlop: 4,
  masterClear: 5,
  clearMask: 6,
  allMask: 7,
} as const;
const COMMAND = { memoryToMemory: 0x01, disabled: 0x04, compressed: 0x08, rotating: 0x10 } as const;
const MODE = { channel: 0x03, transfer: 0x0c, autoInit: 0x10, decrement: 0x20 } as const;
/** Kinds of transfer, in the mode register's bits 2 and 3. */
export const DMA_TRANSFER = { verify: 0, write: 1, read: 2, illegal: 3 } as const;
const ALL_MASKED = 0xff;
const MASK_BITS = 0x0f;
/** Which channel a page register belongs to, by offset from the first one (81h or 89h is offset 1). */
const PAGE_CHANNEL: Readonly<Record<number, number>> = { 1: 2, 2: 3, 3: 1, 7: 0 };

const PROPS = properties({ base: i32(0), 'page-base': i32(0x80), 'pageh-base': i32(0x480), dshift: i32(0) });
const CHANNEL = vmstate('dma_regs', 1, {
  now: array(2, i32Field()),
  base: array(2, u16Field()),
  mode: u8Field(),
  page: u8Field(),
  pageh: u8Field(),
  dack: u8Field(),
  eop: u8Field(),
});
const STATE = vmstate('dma', 1, {
  command: u8Field(),
  mask: u8Field(ALL_MASKED),
  flip_flop: u8Field(),
  dshift: i32Field(),
  regs: since(1, array(4, struct(CHANNEL))),
});
const ADDRESS = 0;
const COUNT = 1;

/** Transfers between a device and memory: given the position within the block and its length in bytes, returns the new position. */
export type DmaHandler = (channel: number, position: number, length: number) => number;

export class I8257 extends IsaDevice<typeof PROPS, typeof STATE.fields> {
  private readonly handlers: (DmaHandler | null)[] = [null, null, null, null];
  /** DREQ lines and terminal counts, as the status register shows them. */
  private requests = 0;
  private reached = 0;
  private isRunning = false;
  private readonly breath = this.env.clocks.virtual.newTimer(() => this.run());

  override realize(): void {
    const { base, dshift, 'page-base': page, 'pageh-base': pageHigh } = this.props;
    this.state.dshift = dshift;
    this.mapPorts(base, 8 << dshift, CHANNEL_PORTS, 'dma-chan');
    const pages = [
      [1, 3],
      [7, 1],
    ] as const;
    mapPortList(this, page, pages, PAGE_PORTS, 'dma-page');
    if (pageHigh >= 0) mapPortList(this, pageHigh, pages, PAGE_HIGH_PORTS, 'dma-pageh');
    this.mapPorts(base + (8 << dshift), 8 << dshift, CONTROL_PORTS, 'dma-cont');
  }
  override reset(): void {
    super.reset();
    this.state.dshift = this.props.dshift;
    this.requests = 0;
    this.masterClear();
  }
  private masterClear(): void {
    const { state } = this;
    state.command = 0;
    state.mask = ALL_MASKED;
    state.flip_flop = 0;
    this.reached = 0;
  }

  // ---- for devices

  /** Which transfers a channel makes; see DMA_TRANSFER. */
  transferKind(channel: number): number {
    return (this.state.regs[channel & 3]!.mode & MODE.transfer) >> 2;
  }
  hasAutoInit(channel: number): boolean {
    return (this.state.regs[channel & 3]!.mode & MODE.autoInit) !== 0;
  }
  registerChannel(channel: number, handler: DmaHandler): void {
    this.handlers[channel & 3] = handler;
  }
  holdDreq(channel: number): void {
    this.requests |= 1 << (channel & 3);
    this.schedule();
  }
  releaseDreq(channel: number): void {
    this.requests &= ~(1 << (channel & 3));
  }
  /** From memory to the device; `position` counts from the block's start. Returns how many bytes there were. */
  readMemory(channel: number, bytes: Uint8Array, position: number): number {
    return this.transfer(channel, bytes, position, false);
  }
  /** From the device to memory. */
  writeMemory(channel: number, bytes: Uint8Array, position: number): number {
    return this.transfer(channel, bytes, position, true);
  }
  private transfer(channel: number, bytes: Uint8Array, position: number, isWrite: boolean): number {
    const r = this.state.regs[channel & 3]!;
    const { dshift } = this.state;
    const page = (((r.pageh & 0x7f) << 24) | (r.page << 16)) >>> 0;
    const isDown = (r.mode & MODE.decrement) !== 0;
    const start = page + (r.now[ADDRESS]! & 0xffff) * (1 << dshift);
    const at = isDown ? start - position - bytes.length + 1 : start + position;
    if (at < 0) return 0;
    if (isWrite) this.dma.writeBytes(at, isDown ? bytes.toReversed() : bytes);
    else {
      this.dma.readBytes(at, bytes);
      if (isDown) bytes.reverse(); // the device sees the block's last byte first
    }
    return bytes.length;
  }

  private schedule(): void {
    if (!this.isRunning && this.requests & ~this.state.mask && !(this.state.command & COMMAND.disabled))
      this.breath.modify(this.env.clocks.virtual.now());
  }
  /** Lets every channel that asks transfer once. */
  private run(): void {
    const { state } = this;
    this.isRunning = true;
    let isProgress = false;
    for (let channel = 0; channel < 4; channel++) {
      const bit = 1 << channel;
      if (state.command & COMMAND.disabled || !(this.requests & ~state.mask & bit)) continue;
      const r = state.regs[channel]!;
      const handler = this.handlers[channel];
      if (!handler) continue;
      const length = (r.base[COUNT]! + 1) << state.dshift;
      const before = r.now[COUNT]!;
      r.dack = 1;
      r.now[COUNT] = handler(channel + (state.dshift ? 4 : 0), before, length);
      r.dack = 0;
      isProgress ||= r.now[COUNT] !== before;
      if (r.now[COUNT]! >= length) this.terminalCount(channel);
    }
    this.isRunning = false;
    // A device that cannot go on asks again when it can.
    if (isProgress) this.schedule();
  }
  private terminalCount(channel: number): void {
    const { state } = this;
    const r = state.regs[channel]!;
    this.reached |= 1 << channel;
    if (r.mode & MODE.autoInit) this.loadFromBase(channel);
    else state.mask |= 1 << channel;
  }
  private loadFromBase(channel: number): void {
    const r = this.state.regs[channel]!;
    r.now[ADDRESS] = r.base[ADDRESS]!;
    r.now[COUNT] = 0;
  }

  // ---- ports

  private nextIsHigh(): boolean {
    const isHigh = this.state.flip_flop !== 0;
    this.state.flip_flop ^= 1;
    return isHigh;
  }
  readChannel(port: number): number {
    const index = port >> this.state.dshift;
    const r = this.state.regs[index >> 1]!;
    const isHigh = this.nextIsHigh();
    const done = r.now[COUNT]! >> this.state.dshift;
    const isDown = (r.mode & MODE.decrement) !== 0;
    const value = index & 1 ? r.base[COUNT]! - done : r.now[ADDRESS]! + (isDown ? -done : done);
    return (value >> (isHigh ? 8 : 0)) & 0xff;
  }
  writeChannel(port: number, value: number): void {
    const index = port >> this.state.dshift;
    const r = this.state.regs[index >> 1]!;
    const which = index & 1;
    const old = r.base[which]!;
    const isHigh = this.nextIsHigh();
    r.base[which] = isHigh ? (old & 0x00ff) | (value << 8) : (old & 0xff00) | value;
    if (isHigh) this.loadFromBase(index >> 1);
  }

  writeControl(port: number, value: number): void {
    const { state } = this;
    switch (port >> state.dshift) {
      case CONTROL.command:
        if (value & (COMMAND.memoryToMemory | COMMAND.compressed | COMMAND.rotating))
          unimplemented(this.typeName, `command 0x${value.toString(16)}`);
        state.command = value;
        this.schedule();
        break;
      case CONTROL.request: {
        const bit = 1 << (value & 3);
        if (value & 4) this.requests |= bit;
        else this.requests &= ~bit;
        this.reached &= ~bit;
        this.schedule();
        break;
      }
      case CONTROL.singleMask: {
        const bit = 1 << (value & 3);
        if (value & 4) state.mask |= bit;
        else state.mask &= ~bit;
        this.schedule();
        break;
      }
      case CONTROL.mode:
        state.regs[value & MODE.channel]!.mode = value;
        break;
      case CONTROL.clearFlipFlop:
        state.flip_flop = 0;
        break;
      case CONTROL.masterClear:
        this.masterClear();
        break;
      case CONTROL.clearMask:
        state.mask = 0;
        this.schedule();
        break;
      case CONTROL.allMask:
        state.mask = value & MASK_BITS;
        this.schedule();
        break;
    }
  }
  readControl(port: number): number {
    const { state } = this;
    switch (port >> state.dshift) {
      case CONTROL.command: {
        const status = (this.requests << 4) | this.reached;
        this.reached = 0;
        return status;
      }
      case CONTROL.request:
        return state.mask; // where QEMU shows it
      default:
        guestError(this.typeName, `read of write-only register ${port}`);
        return 0;
    }
  }

  readPage(offset: number, isHigh: boolean): number {
    const channel = PAGE_CHANNEL[offset];
    if (channel === undefined) return 0;
    const r = this.state.regs[channel]!;
    return isHigh ? r.pageh : r.page;
  }
  writePage(offset: number, value: number, isHigh: boolean): void {
    const channel = PAGE_CHANNEL[offset];
    if (channel === undefined) return;
    const r = this.state.regs[channel]!;
    if (isHigh) r.pageh = value;
    else r.page = value;
  }

  postLoad(): void {
    this.state.dshift = this.props.dshift;
    this.schedule();
  }
}

const BYTES = { min: 1, max: 1 } as const;
const CHANNEL_PORTS: MemoryRegionOps<I8257> = {
  impl: BYTES,
  read: (dma, port) => dma.readChannel(port),
  write: (dma, port, value) => dma.writeChannel(port, value),
};
const CONTROL_PORTS: MemoryRegionOps<I8257> = {
  impl: BYTES,
  read: (dma, port) => dma.readControl(port),
  write: (dma, port, value) => dma.writeControl(port, value),
};
const PAGE_PORTS: MemoryRegionOps<I8257> = {
  impl: BYTES,
  read: (dma, offset) => dma.readPage(offset, false),
  write: (dma, offset, value) => dma.writePage(offset, value, false),
};
const PAGE_HIGH_PORTS: MemoryRegionOps<I8257> = {
  impl: BYTES,
  read: (dma, offset) => dma.readPage(offset, true),
  write: (dma, offset, value) => dma.writePage(offset, value, true),
};

export const i8257Type = deviceType({
  name: 'i8257',
  parent: 'isa-device',
  category: 'misc',
  class: I8257,
  properties: PROPS,
  vmstate: STATE,
  userCreatable: false,
});
