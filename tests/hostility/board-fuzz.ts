/** A hostile guest against the whole board: ports, configuration space, registers in memory, DMA with addresses that point
 *  anywhere, timers, resets, and a host whose images fail. Nothing of it may throw, hang, or leave state that cannot be saved. */
import { BlockError } from '../../core/backends/block/block-backend.ts';
import { Device } from '../../core/hw/core/device.ts';
import type { FlatRange } from '../../core/memory/flat-view.ts';
import type { AccessSize } from '../../core/memory/region.ts';
import { encodePpm } from '../../core/monitor/screenshot.ts';
import { objectChildren, objectRoot, type QomObject } from '../../core/qom/object.ts';
import { UserError } from '../../core/util/errors.ts';
import { type StateDescription, saveState } from '../../core/vmstate/fields.ts';
import { StateWriter } from '../../core/vmstate/stream.ts';
import { Finding, Random } from './random.ts';
import { type WholeBoard, wholeBoard } from './whole-board.ts';

const RAM_MIB = 16;
const ARGUMENTS = [
  ...['-m', String(RAM_MIB), '-S'],
  ...['-drive', 'file=disk0,format=raw,if=ide,index=0', '-drive', 'file=disk1,format=raw,if=ide,index=3'],
  ...['-drive', 'file=cd,format=raw,media=cdrom,index=2,id=cd0'],
  ...['-serial', 'null', '-serial', 'null'],
  ...['-device', 'isa-debug-exit', '-chardev', 'null,id=dbg', '-device', 'isa-debugcon,chardev=dbg'],
];
/** Longest that one step may take: more is a hang that a guest can cause. */
const STEP_MS = 4000;

const PORTS = {
  ide: [
    0x1f0, 0x1f1, 0x1f2, 0x1f3, 0x1f4, 0x1f5, 0x1f6, 0x1f7, 0x3f6, 0x170, 0x171, 0x172, 0x173, 0x174, 0x175, 0x176,
    0x177, 0x376,
  ],
  dma: [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x81, 0x82, 0x83, 0x87, 0xc0, 0xc4, 0xd0, 0xd4, 0xd6,
    0xda,
  ],
} as const;
const VGA_WINDOWS = [0xa0000, 0xa8000, 0xb0000, 0xb8000, 0xbfffc] as const;
const SIZES = [1, 2, 4] as const;
const MMIO_SIZES = [1, 2, 4, 8] as const;

class BoardFuzz {
  readonly board: WholeBoard;
  readonly random: Random;
  readonly steps: string[] = [];
  private readonly decoded: FlatRange[];

  constructor(board: WholeBoard, random: Random) {
    this.board = board;
    this.random = random;
    this.decoded = board.system.env.io.flatView.filter((range) => range.size < 4096);
  }
  private get io() {
    return this.board.system.env.io;
  }
  private get memory() {
    return this.board.system.env.memory;
  }
  private note(text: string): void {
    this.steps.push(text);
  }
  private out(port: number, size: AccessSize, value: number): void {
    this.note(`out ${port.toString(16)} ${size} ${value.toString(16)}`);
    this.io.write(port, size, value);
  }
  private in(port: number, size: AccessSize): number {
    this.note(`in ${port.toString(16)} ${size}`);
    const value = this.io.read(port, size);
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size))
      throw new Error(`port ${port.toString(16)} of ${size} bytes reads as ${value}`);
    return value;
  }
  private poke(address: number, size: AccessSize, value: number): void {
    this.note(`poke ${address.toString(16)} ${size} ${value.toString(16)}`);
    this.memory.write(address, size, value);
  }
  private peek(address: number, size: AccessSize): void {
    this.note(`peek ${address.toString(16)} ${size}`);
    const value = this.memory.read(address, size);
    if (!Number.isInteger(value) || value < 0 || value > 2 ** (8 * size))
      throw new Error(`address ${address.toString(16)} of ${size} bytes reads as ${value}`);
  }

  /** Where a guest may point a bus master: RAM, its end, holes, ROM, registers, beyond everything. */
  private address(): number {
    const { random } = this;
    switch (random.below(7)) {
      case 0:
        return random.pick(VGA_WINDOWS) + random.below(16);
      case 1:
        return random.pick([0xffff_ffff, 0xffff_fff0, 0xfffe_0000, 0xf0000, 0xc0000, RAM_MIB << 20, 0x8000_0000]);
      case 2:
        return (RAM_MIB << 20) - random.below(64);
      case 3: {
        const range = random.pick(this.memory.flatView);
        return Math.min(0xffff_ffff, range.start + random.below(Math.min(range.size, 65536)));
      }
      default:
        return random.below(RAM_MIB << 20);
    }
  }

  private ports(): void {
    const { random } = this;
    const range = random.pick(this.decoded);
    const port = random.chance(0.05) ? random.below(65536) : range.start + random.below(range.size);
    if (random.chance(0.4)) this.in(port, random.pick(SIZES));
    else this.out(port, random.pick(SIZES), random.value());
  }

  private config(): void {
    const { random } = this;
    const devfn = random.chance(0.9) ? random.pick([0, 8, 9, 11, 16]) : random.below(256);
    const register = random.pick([
      4, 0x10, 0x14, 0x18, 0x20, 0x30, 0x3c, 0x40, 0x58, 0x5c, 0x60, 0x70, 0x80, 0x90, 0xd2,
    ]);
    const at = random.chance(0.7) ? register : random.below(256);
    this.out(0xcf8, 4, (0x8000_0000 | (devfn << 8) | (at & 0xfc)) >>> 0);
    if (random.chance(0.3)) this.in(0xcfc + (at & 3), random.pick(SIZES));
    else this.out(0xcfc + (at & 3), random.pick(SIZES), at === 4 && random.chance(0.7) ? 7 : random.value());
  }

  private mmio(): void {
    const { random } = this;
    const devices = this.memory.flatView.filter((range) => range.region.kind === 'io' || range.start >= 0xa0000);
    const range = random.pick(devices);
    const near = random.chance(0.1)
      ? Math.max(0, range.size - random.below(8))
      : random.below(Math.min(range.size, 2 ** 32));
    const address = random.chance(0.4) ? random.pick(VGA_WINDOWS) + random.below(0x8000) : range.start + near;
    if (random.chance(0.4)) this.peek(address, random.pick(MMIO_SIZES));
    else {
      const size = random.pick(MMIO_SIZES);
      this.poke(address, size, size === 8 ? random.value() * 2 ** 21 : random.value());
    }
  }

  /** Registers of the display: modes that no monitor has. */
  private vga(): void {
    const { random } = this;
    const count = random.between(1, 12);
    for (let i = 0; i < count; i++) {
      const index = random.pick([0x3c4, 0x3ce, 0x3d4, 0x1ce]);
      if (index === 0x1ce) {
        this.out(0x1ce, 2, random.below(12));
        const value = random.pick([
          0,
          1,
          4,
          8,
          15,
          16,
          24,
          32,
          0x41,
          0xc1,
          640,
          1024,
          1600,
          16000,
          0xffff,
          random.value() & 0xffff,
        ]);
        this.out(0x1cf, 2, value);
      } else {
        this.out(index, 1, random.below(0x20));
        this.out(index + 1, 1, random.below(256));
      }
    }
    if (random.chance(0.3)) this.out(0x3c0, 1, random.below(64));
    if (random.chance(0.3)) this.out(0x3c2, 1, random.below(256));
  }
  private look(): void {
    const { random } = this;
    for (const head of this.board.system.env.displays.consoles) {
      this.note(`render ${head.width}x${head.height}`);
      if (random.chance(0.2)) head.invalidate();
      head.refresh();
      if (random.chance(0.5)) head.readText();
      if (random.chance(0.05)) encodePpm(head.surface);
      if (head.surface.pixels.length > 32 * 1024 * 1024) throw new Error('the surface has no bound');
    }
  }

  private ide(): void {
    const { random } = this;
    const base = random.pick([0x1f0, 0x170]);
    this.freeChannel(base);
    const commands = [
      0x08, 0x20, 0x24, 0x25, 0x29, 0x30, 0x35, 0x39, 0x40, 0x90, 0x91, 0xa0, 0xa0, 0xa1, 0xb0, 0xc4, 0xc5, 0xc6, 0xc8,
      0xca, 0xe7, 0xec, 0xef, 0xf8,
    ];
    const command = random.chance(0.9) ? random.pick(commands) : random.below(256);
    this.out(base + 6, 1, random.pick([0xa0, 0xa0, 0xb0, 0xe0, 0xf0, random.below(256)]));
    for (let register = 1; register <= 5; register++)
      for (let twice = random.below(3); twice >= 0; twice--)
        this.out(base + register, 1, random.pick([0, 0, 0, 1, 2, 0xff, random.below(256)]));
    if (command === 0xb0 && random.chance(0.9)) this.smart(base);
    this.out(base + 7, 1, command);
    if (command === 0xa0) this.packet(base);
    else if (random.chance(0.7)) this.move(base);
  }
  /** A channel that waits for data takes no command; a soft reset ends the waiting. */
  private freeChannel(base: number): void {
    if (!this.random.chance(0.8)) return;
    this.out(base + 0x206, 1, 4);
    this.out(base + 0x206, 1, this.random.pick([0, 2, 0x80]));
  }
  private smart(base: number): void {
    const { random } = this;
    this.out(base + 1, 1, random.between(0xd0, 0xda));
    if (random.chance(0.9)) {
      this.out(base + 4, 1, 0x4f);
      this.out(base + 5, 1, 0xc2);
    }
    this.out(base + 3, 1, random.pick([0, 1, 2, 6, 0x7f, random.below(256)]));
  }
  private move(base: number): void {
    const { random } = this;
    if (random.chance(0.3)) {
      const size = random.pick(SIZES);
      const target = new Uint8Array(random.pick([1, 8, 512, 3000]) * size);
      this.note(`ins ${base.toString(16)} ${size}, ${target.length} bytes`);
      const done = this.io.readString(base, size, target);
      if (!(done >= 0 && done <= target.length / size)) throw new Error(`INS gives ${done}`);
      return;
    }
    for (let i = random.pick([1, 3, 128, 256, 300]); i > 0; i--)
      if (random.chance(0.8)) this.in(base, random.pick(SIZES));
      else this.out(base, random.pick(SIZES), random.value());
  }
  private packet(base: number): void {
    const { random } = this;
    const codes = [
      0, 3, 0x12, 0x1b, 0x1e, 0x23, 0x25, 0x28, 0x2b, 0x42, 0x43, 0x44, 0x46, 0x4a, 0x51, 0x52, 0x55, 0x5a, 0xa8, 0xad,
      0xbd, 0xbe,
    ];
    const bytes = Array.from({ length: 12 }, () => random.pick([0, 0, 1, 2, 0xff, random.below(256)]));
    bytes[0] = random.chance(0.9) ? random.pick(codes) : random.below(256);
    // An address that is there, now and then, and a length that fits.
    if (random.chance(0.5)) bytes.fill(0, 2, 8);
    if (random.chance(0.2)) bytes[8] = 4;
    if (random.chance(0.3)) bytes[0] = random.pick([0x28, 0xa8, 0xbe]);
    if (random.chance(0.3)) this.insert();
    if (random.chance(0.6)) this.out(base + 6, 1, 0xa0);
    for (let i = 0; i < 12; i += 2) this.out(base, 2, bytes[i]! | (bytes[i + 1]! << 8));
    if (random.chance(0.8)) this.move(base);
  }
  /** A table of regions that no driver would make, and a start. */
  private busMaster(): void {
    const { random } = this;
    const base = 0xc000;
    const master = base + random.pick([0, 8]);
    this.out(0xcf8, 4, 0x8000_0920);
    this.out(0xcfc, 4, base);
    this.out(0xcf8, 4, 0x8000_0904);
    this.out(0xcfc, 2, random.chance(0.9) ? 5 : random.below(8));
    const table = random.chance(0.8) ? random.below(RAM_MIB << 20) & ~3 : this.address();
    for (let i = 0; i < random.between(1, 10); i++) {
      this.poke(table + i * 8, 4, this.address());
      this.poke(table + i * 8 + 4, 4, random.pick([0, 1, 2, 512, 0x8000_0000, 0x8000_0200, 0xffff_ffff, random.u32()]));
    }
    this.out(master, 1, random.pick([0, 8]));
    this.out(master + 4, 4, table);
    this.out(master + 2, 1, 6);
    if (random.chance(0.5)) this.ide();
    this.out(master, 1, random.pick([1, 9]));
    if (random.chance(0.5)) this.ide();
    if (random.chance(0.3)) this.out(master, 1, 0);
  }
  private fwCfg(): void {
    const { random } = this;
    const at = this.address();
    const put = (offset: number, value: number) => {
      const bytes = [value >>> 24, value >>> 16, value >>> 8, value].map((byte) => byte & 0xff);
      this.memory.writeBytes(at + offset, Uint8Array.from(bytes));
    };
    const key = random.pick([0, 0x19, 0x20, 0x21, 0x22, 0x8000, 0x8002, 5, random.below(65536)]);
    put(0, ((key << 16) | random.below(32)) >>> 0);
    put(4, random.pick([0, 1, 64, 65536, 0xffff_ffff, random.u32()]));
    put(8, random.pick([0, 0, 0, 1, 0xffff_ffff]));
    put(12, this.address());
    this.note(`fw_cfg dma at ${at.toString(16)}`);
    const swap = (v: number) => (((v & 0xff) << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24)) >>> 0;
    if (random.chance(0.2)) this.out(0x514, 4, random.value());
    this.out(0x518, 4, swap(at));
  }
  private dma(): void {
    const { random } = this;
    for (let i = random.between(1, 8); i > 0; i--) this.out(random.pick(PORTS.dma), 1, random.below(256));
  }

  /** Keyboard controller and mouse, and someone at them. */
  private keyboard(): void {
    const { random } = this;
    const { input } = this.board.system.env;
    for (let i = random.between(1, 12); i > 0; i--)
      switch (random.below(6)) {
        case 0:
          this.out(
            0x64,
            1,
            random.pick([
              0x20,
              0x60,
              0xa7,
              0xa8,
              0xaa,
              0xad,
              0xae,
              0xd1,
              0xd2,
              0xd3,
              0xd4,
              0xd4,
              0xfe,
              random.below(256),
            ]),
          );
          break;
        case 1:
          this.out(0x60, 1, random.chance(0.5) ? random.between(0xe0, 0xff) : random.below(256));
          break;
        case 2:
          this.in(random.pick([0x60, 0x64]), 1);
          break;
        case 3:
          this.note('keys');
          input.sendKeys(
            random.chance(0.5) ? ['ctrl', 'alt', 'delete'] : ['pause', 'a', 'print'],
            random.pick([0, 1, 1000]),
          );
          break;
        case 4:
          this.note('mouse');
          input.sendRel(random.pick(['x', 'y']), random.value() | 0);
          input.sendButton(random.pick(['left', 'wheel-up', 'side']), random.chance(0.5));
          input.sync();
          break;
        default:
          this.out(0x92, 1, random.below(256));
      }
  }
  /** The power management function's SMBus, at wherever it is. */
  private smbus(): void {
    const { random } = this;
    const base = 0xb100;
    for (const offset of [0, 3, 4, 5, 6, 7, 0xd])
      if (random.chance(0.5)) this.out(base + offset, 1, random.pick([0xa0, 0xa1, 0xff, random.below(256)]));
    this.out(base + 2, 1, 0x40 | random.below(64));
    this.in(base + random.below(16), 1);
  }

  private async host(): Promise<void> {
    const { random, board } = this;
    const source = random.pick([...board.images.values()]);
    switch (random.below(6)) {
      case 0:
        this.note(`${source.filename} fails`);
        source.failWith = random.pick(['EIO', 'ENOSPC', 'EPERM', 'EACCES', 'EBADF']);
        break;
      case 1:
        this.note(`${source.filename} is truncated`);
        source.truncatedTo = random.below(source.bytes.length + 1);
        break;
      case 2:
        this.note('images are well again');
        for (const image of board.images.values()) {
          image.failWith = null;
          image.truncatedTo = Number.POSITIVE_INFINITY;
        }
        board.system.block.resume();
        break;
      default:
        await this.changeMedium();
    }
  }
  /** A medium in a closed tray that the guest has noticed. */
  private insert(): void {
    const { board } = this;
    const backend = board.system.block.find('cd0')!;
    if (!backend.node && backend.pendingRequests === 0)
      backend.setNode(board.system.block.openMedium(backend, this.random.pick(['cd', 'cd', 'odd']), 'raw', true));
    if (backend.isTrayOpen) backend.changeMedium(true);
  }
  private async changeMedium(): Promise<void> {
    const { random, board } = this;
    const name = { device: 'cd0' };
    const force = random.chance(0.5);
    this.note(`medium ${force ? 'by force' : ''}`);
    const order = random.pick([
      () => board.control.eject(name, force),
      () => board.control.openTray(name, force),
      () => board.control.closeTray(name),
      () => board.control.removeMedium(name),
      () =>
        board.control.changeMedium(name, {
          filename: random.pick(['cd', 'odd', 'tiny', 'empty', 'missing']),
          format: random.pick(['raw', undefined]),
          force,
          readOnlyMode: 'retain',
        } as never),
    ]);
    await Promise.race([order(), board.settle()]).catch((error: unknown) => {
      if (!(error instanceof UserError) && !(error instanceof BlockError) && (error as Error).name !== 'MonitorError')
        throw error;
    });
  }

  private reset(): void {
    const { board, random } = this;
    const { running } = board.system;
    const { requests } = running.parts;
    requests.reset = requests.shutdown = requests.exitCode = requests.wakeup = null;
    requests.suspend = requests.ioError = false;
    if (random.chance(0.5)) {
      this.note('reset');
      running.resetAll();
    } else {
      this.note('power button');
      board.system.pc!.pressPowerButton();
    }
  }

  async step(): Promise<void> {
    const { random, board } = this;
    const kind = random.below(100);
    if (kind < 35) for (let i = random.between(1, 10); i > 0; i--) this.ports();
    else if (kind < 45) this.config();
    else if (kind < 57) for (let i = random.between(1, 10); i > 0; i--) this.mmio();
    else if (kind < 65) this.vga();
    else if (kind < 69) this.look();
    else if (kind < 83) {
      if (kind < 77) this.ide();
      else this.busMaster();
      // The host's answer, and the guest that fetches it.
      for (let i = random.below(4); i > 0; i--) {
        await board.settle();
        this.move(random.pick([0x1f0, 0x170]));
      }
    } else if (kind < 86) this.fwCfg();
    else if (kind < 87) this.dma();
    else if (kind < 89) this.keyboard();
    else if (kind < 90) this.smbus();
    else if (kind < 94) {
      const ns = random.pick([1000, 1e5, 1e6, 1e7, 3e8]);
      this.note(`advance ${ns}`);
      board.advance(ns);
    } else if (kind < 96) await board.settle();
    else if (kind < 98) await this.host();
    else if (kind < 99) this.reset();
    else {
      this.note('interrupt acknowledge');
      board.system.pc!.interrupts.acknowledge();
    }
  }

  /** Every device's state in QEMU's form; values that do not fit their field count as broken too. */
  save(): void {
    this.note('save');
    const visit = (object: QomObject): void => {
      if (object instanceof Device && object.deviceClass.vmstate) {
        const { vmstate } = object.deviceClass;
        saveState(new StateWriter(), vmstate, object.state as Record<string, unknown>, object);
        checkFields(vmstate, object.state as Record<string, unknown>, object.typeName);
      }
      for (const child of objectChildren(object)) visit(child);
    };
    visit(objectRoot());
  }
}

const LIMITS: Readonly<Record<string, readonly [low: number, high: number]>> = {
  uint8: [0, 0xff],
  uint16: [0, 0xffff],
  uint32: [0, 0xffff_ffff],
  int32: [-0x8000_0000, 0x7fff_ffff],
};
function checkFields(description: StateDescription, state: Record<string, unknown>, path: string): void {
  for (const [key, field] of Object.entries(description.fields)) {
    const values = field.count === undefined ? [state[key]] : (state[key] as unknown[]);
    values.forEach((value, i) => {
      const where = `${path}.${key}[${i}]`;
      if (field.nested) checkFields(field.nested, value as Record<string, unknown>, where);
      const limit = LIMITS[field.kind];
      if (!limit || typeof value !== 'number') return;
      if (!Number.isInteger(value) || value < limit[0] || value > limit[1])
        throw new Error(`${where} is ${value}, which is no ${field.kind}`);
    });
  }
}

/** One machine under `steps` steps of one seed. Gives the number of single accesses and events. @throws Finding */
export async function fuzzBoard(seed: number, steps: number): Promise<number> {
  const random = new Random(seed);
  const board = await wholeBoard(ARGUMENTS, {
    disk0: new Uint8Array(random.pick([0, 1, 512, 1 << 20, (3 << 20) + 512])),
    disk1: new Uint8Array(random.pick([513, 700_000])),
    cd: new Uint8Array(random.pick([2048, 1 << 20])),
    odd: new Uint8Array(5001),
    tiny: new Uint8Array(1),
    empty: new Uint8Array(0),
  });
  const fuzz = new BoardFuzz(board, random);
  let rejected: unknown;
  const onRejection = (error: unknown) => {
    rejected ??= error;
  };
  process.on('unhandledRejection', onRejection);
  try {
    for (let i = 0; i < steps; i++) {
      const start = performance.now();
      await fuzz.step();
      if (rejected !== undefined) throw rejected;
      if (performance.now() - start > STEP_MS) throw new Error(`a step took ${performance.now() - start} ms`);
      if (i % 100 === 99) fuzz.save();
    }
    for (const image of board.images.values()) image.failWith = null;
    board.system.block.resume();
    await board.settle();
    if (rejected !== undefined) throw rejected;
    fuzz.save();
    return fuzz.steps.length;
  } catch (error) {
    throw new Finding(seed, fuzz.steps, error);
  } finally {
    process.off('unhandledRejection', onRejection);
    board.dispose();
  }
}
