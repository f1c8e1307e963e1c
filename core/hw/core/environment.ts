/** What a device may reach besides its pins, bus and regions: the machine's memory, clocks and requests. Set by `system/` before it makes devices, by tests for a bare board. */
import { DisplayRegistry } from '../../backends/display/console.ts';
import { InputCore } from '../../backends/input/input-core.ts';
import { Clocks, ManualTime } from '../../clock/clock.ts';
import { AddressSpace } from '../../memory/address-space.ts';
import { RamArena } from '../../memory/arena.ts';
import { FULL_SIZE, MemoryRegion } from '../../memory/region.ts';
import { objectNewAs, type QomObject } from '../../qom/object.ts';
import { assert } from '../../util/errors.ts';
import { Sleep, type WakeupReason } from './sleep.ts';

/** QEMU's ShutdownCause, for resets and shutdowns alike. */
export type ShutdownCause =
  | 'host-error'
  | 'host-qmp-quit'
  | 'host-qmp-system-reset'
  | 'host-signal'
  | 'host-ui'
  | 'guest-shutdown'
  | 'guest-reset'
  | 'guest-panic'
  | 'subsystem-reset';

export interface MachineEnvironment {
  readonly clocks: Clocks;
  readonly arena: RamArena;
  /** The root regions `system` and `io`, to map things into. */
  readonly systemMemory: MemoryRegion;
  readonly systemIo: MemoryRegion;
  /** The same as the CPU and DMA see them. */
  readonly memory: AddressSpace;
  readonly io: AddressSpace;
  /** A device asks, `system/` decides. */
  requestReset(cause: ShutdownCause): void;
  requestShutdown(cause: ShutdownCause): void;
  requestSuspend(): void;
  /** Wakes the machine if it sleeps and this reason is enabled. */
  requestWakeup(reason: WakeupReason): void;
  readonly sleep: Sleep;
  /** Exit of the whole program with a code, as `isa-debug-exit` wants it. */
  requestExit(code: number): void;
  /** A QMP event. */
  emit(event: string, data: Readonly<Record<string, unknown>>): void;
  /** A firmware or option ROM file by name, from the search path. */
  findFirmware(name: string): Uint8Array | null;
  /** `-drive`, `-chardev`, `-netdev` by id. */
  findBackend(kind: 'drive' | 'chardev' | 'netdev', id: string): object | null;
  /** A drive without a name and without a medium, for a device that was given none; absent on a bare board. */
  newEmptyDrive?(media: 'disk' | 'cdrom'): object;
  /** A device has been made and is not realized yet: `-global` settings come in here, below what the board or the user sets. */
  deviceCreated?(device: object): void;
  /** Where graphic hardware shows its consoles. */
  readonly displays: DisplayRegistry;
  /** Where keyboards and pointers hear of input. */
  readonly input: InputCore;
  /** Where objects without a place of their own go: `/machine/unattached`. */
  readonly unattached: QomObject;
}

let current: MachineEnvironment | null = null;

export function setEnvironment(environment: MachineEnvironment | null): void {
  current = environment;
}
export function environment(): MachineEnvironment {
  assert(current, 'no machine environment: devices are made by a machine');
  return current;
}

/** A bare board with a hand-wound clock, for trying one device: everything real but the host. */
export function bareBoard(overrides: Partial<MachineEnvironment> = {}): MachineEnvironment & {
  readonly time: ManualTime;
  /** Moves time on and fires what falls due on the way, each timer at its own moment. */
  advance(ns: number): void;
  readonly requests: string[];
} {
  const buffer = new SharedArrayBuffer(65536, { maxByteLength: 256 << 20 });
  const memory = {
    get buffer() {
      return buffer;
    },
    grow(pages: number) {
      const old = buffer.byteLength;
      buffer.grow(old + pages * 65536);
      return old / 65536;
    },
  };
  const time = new ManualTime();
  const clocks = new Clocks(time);
  clocks.start();
  const arena = new RamArena(memory);
  const region = (name: string, size: number) =>
    objectNewAs(MemoryRegion, 'memory-region').initContainer(null, name, size);
  const systemMemory = region('system', FULL_SIZE);
  const systemIo = region('io', 65536);
  const requests: string[] = [];
  const sleep = new Sleep();
  const board = {
    time,
    clocks,
    arena,
    systemMemory,
    systemIo,
    memory: new AddressSpace('memory', systemMemory, arena),
    io: new AddressSpace('I/O', systemIo, arena, 'io'),
    requests,
    requestReset: (cause: string) => void requests.push(`reset ${cause}`),
    requestShutdown: (cause: string) => void requests.push(`shutdown ${cause}`),
    requestSuspend: () => void requests.push('suspend'),
    requestWakeup(reason: WakeupReason) {
      if (sleep.isEnabled(reason)) requests.push(`wakeup ${reason}`);
    },
    sleep,
    requestExit: (code: number) => void requests.push(`exit ${code}`),
    emit: (event: string) => void requests.push(`event ${event}`),
    findFirmware: () => null,
    findBackend: () => null,
    displays: new DisplayRegistry(),
    input: new InputCore({
      after: (ms, task) => clocks.virtual.newTimer(task).modify(clocks.virtual.now() + ms * 1e6),
    }),
    unattached: objectNewAs(MemoryRegion, 'memory-region'),
    advance(ns: number) {
      const end = time.ns + ns;
      for (;;) {
        const deadlines = [clocks.virtual, clocks.realtime].map((c) =>
          c.deadlineNs === null ? Number.POSITIVE_INFINITY : time.ns + Math.max(0, c.deadlineNs - c.now()),
        );
        const next = Math.min(...deadlines);
        if (next > end) break;
        time.ns = next;
        clocks.virtual.runTimers();
        clocks.realtime.runTimers();
        clocks.host.runTimers();
      }
      time.ns = end;
      clocks.host.runTimers();
    },
    ...overrides,
  };
  setEnvironment(board);
  return board;
}
