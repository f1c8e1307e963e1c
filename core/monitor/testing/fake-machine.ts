/** A machine for the monitors' tests: one CD-ROM drive, a little memory, a console, a mouse; everything else is remembered. */

import { DisplayRegistry } from '../../backends/display/console.ts';
import { InputCore, type InputEvent } from '../../backends/input/input-core.ts';
import { UserError } from '../../util/errors.ts';
import type { JsonObject } from '../../util/json.ts';
import type {
  BlockBackendInfo,
  BlockControl,
  BlockNodeInfo,
  DriveName,
  GuestAccess,
  InfoText,
  JitStatistics,
  MediumChange,
  MonitorContext,
  PciBusInfo,
  RunControl,
  VncServerInfo,
} from '../context.ts';
import { deviceNotFound } from '../errors.ts';

const DRIVE = 'ide1-cd0';
const FILES = ['ISO', 'OTHER'];

export class FakeMachine implements MonitorContext {
  readonly identity = {
    packageName: 'Terrarium 0',
    version: { major: 7, minor: 2, micro: 22 },
    name: undefined,
    uuid: undefined,
    target: 'x86_64',
  };
  readonly displays = new DisplayRegistry();
  readonly input = new InputCore({ after: (_, callback) => callback() });
  readonly sent: InputEvent[] = [];
  readonly files = new Map<string, Uint8Array>();
  readonly memory = new Uint8Array(64 << 10);
  readonly ports = new Map<number, number>();
  readonly asked: string[] = [];
  readonly timers: { callback: () => void; isCancelled: boolean }[] = [];
  readonly infoTexts: ReadonlyMap<InfoText, (argument: string) => string> = new Map([['roms', () => 'no roms\n']]);
  jit: JitStatistics | null = null;
  jitStatistics(): JitStatistics | null {
    return this.jit;
  }
  readonly compression = {
    deflateAll: (bytes: Uint8Array) => Uint8Array.from(bytes),
    createDeflater: () => ({ deflate: (bytes: Uint8Array) => Uint8Array.from(bytes) }),
  };
  time = 1_700_000_000_123.456;
  state = 'prelaunch';
  suspended = false;
  vncServers: VncServerInfo[] = [];
  pci: PciBusInfo[] = [];
  medium: BlockNodeInfo | undefined = medium('ISO', 1);
  trayOpen = false;
  locked = false;
  private mediaCount = 1;
  private readonly listeners = new Set<(event: string, data: JsonObject) => void>();

  constructor() {
    this.displays.createGraphicConsole(null, 0, { graphicUpdate() {}, invalidate() {} });
    const record = (event: InputEvent): void => void this.sent.push(event);
    // Index 1 is the keyboard, as on the machine of the transcripts.
    this.input.register({ name: 'QEMU PS/2 Keyboard', mask: ['key'], event: record });
    this.input.register({ name: 'QEMU PS/2 Mouse', mask: ['rel', 'btn'], event: record });
  }

  emit(event: string, data: JsonObject = {}): void {
    for (const listener of [...this.listeners]) listener(event, data);
  }
  onEvent(listener: (event: string, data: JsonObject) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  readonly run: RunControl = (() => {
    const machine = this;
    return {
      get state() {
        return machine.state;
      },
      get isRunning() {
        return machine.state === 'running';
      },
      stop: () => {
        if (machine.state !== 'running') return;
        machine.state = 'paused';
        machine.emit('STOP');
      },
      cont: () => {
        machine.state = 'running';
        machine.emit('RESUME');
      },
      reset: () => machine.emit('RESET', { guest: false, reason: 'host-qmp-system-reset' }),
      powerdown: () => machine.emit('POWERDOWN'),
      quit: () => machine.emit('SHUTDOWN', { guest: false, reason: 'host-qmp-quit' }),
      wakeup: () => {
        if (!machine.suspended) throw new UserError('Unable to wake up: guest is not in suspended state');
      },
      canWakeUp: true,
      injectNmi: () => machine.asked.push('nmi'),
      setActions: (actions) => machine.asked.push(`actions ${JSON.stringify(actions)}`),
      setBootOrder: (order) => machine.asked.push(`boot ${order}`),
    };
  })();

  readonly guest: GuestAccess = (() => {
    const machine = this;
    const read = (address: bigint, length: number): Uint8Array | null => {
      // The firmware's last paragraph is seen at the top of memory, too.
      const at = address >= 0xffff0000n ? Number(address - 0xffff0000n) : Number(address - 0xf0000n);
      if (address < 0x1000n) return new Uint8Array(length);
      if (address >= 1n << 32n || at < 0 || at + length > machine.memory.length) return null;
      return machine.memory.slice(at, at + length);
    };
    const cpu = {
      index: 0,
      qomPath: '/machine/unattached/device[0]',
      socketId: 0,
      coreId: 0,
      threadId: 0,
      hostThread: 42,
      typeName: 'qemu64-x86_64-cpu',
    };
    return {
      cpus: [cpu],
      memoryBytes: 64 << 20,
      readPhysical: read,
      readVirtual: (_: number, address: bigint, length: number) => read(address, length),
      translate: (_: number, address: bigint) => (address < 1n << 32n ? address : null),
      registersText: () => 'EAX=00000000\n',
      readRegister: (_: number, name: string) => (name === 'eip' ? 0xfff0n : null),
      readPort: (port: number, size: number) => {
        const value = machine.ports.get(port) ?? 0;
        return port === 0x71 && size === 4 ? value | 0xffffff00 : value;
      },
      writePort: (port: number, value: number) => {
        machine.ports.set(port, value);
        if (port === 0x70) machine.ports.set(0x71, 0);
      },
      get pci() {
        return machine.pci;
      },
    };
  })();

  readonly machines = {
    machines: () => [
      {
        name: 'pc-i440fx-7.2',
        alias: 'pc',
        isDefault: true,
        maxCpus: 255,
        defaultCpuType: 'qemu64-x86_64-cpu',
        defaultRamId: 'pc.ram',
        isDeprecated: false,
      },
    ],
    cpuDefinitions: () => [],
  };

  readonly block: BlockControl = {
    backends: () => [this.backend()],
    statistics: () => [],
    nodes: () => (this.medium ? [this.medium] : []),
    eject: async (drive, force) => {
      await this.block.openTray(drive, force);
      this.medium = undefined;
    },
    openTray: async (drive, force) => {
      this.find(drive);
      if (this.locked && !force) throw new UserError(`Device '${DRIVE}' is locked and force was not specified`);
      this.moveTray(true);
    },
    closeTray: async (drive) => {
      this.find(drive);
      this.moveTray(false);
    },
    removeMedium: async (drive) => {
      this.find(drive);
      this.medium = undefined;
    },
    changeMedium: async (drive, change: MediumChange) => {
      this.find(drive);
      if (!FILES.includes(change.filename)) {
        throw new UserError(`Could not open '${change.filename}': No such file or directory`);
      }
      this.moveTray(true);
      this.medium = medium(change.filename, ++this.mediaCount);
      this.moveTray(false);
    },
  };

  readonly characters = {
    list: () => [{ label: 'compat_monitor0', filename: 'unix:QMP-SOCKET,server=on', isFrontendOpen: true }],
    sendBreak: (id: string) => {
      throw new UserError(`Chardev '${id}' not found`);
    },
  };

  readonly vnc = {
    servers: () => this.vncServers,
    setPassword: (_: string | undefined, password: string | null) => {
      if (this.vncServers.length === 0) return false;
      this.asked.push(`password ${password}`);
      return true;
    },
    expirePassword: (_: string | undefined, at: number | null) => {
      this.asked.push(`expire ${at}`);
      return this.vncServers.length > 0;
    },
  };

  readonly host = {
    now: () => this.time,
    after: (_: number, callback: () => void) => {
      const timer = { callback, isCancelled: false };
      this.timers.push(timer);
      return () => {
        timer.isCancelled = true;
      };
    },
    writeFile: async (path: string, bytes: Uint8Array) => {
      if (path.startsWith('NODIR/')) throw new UserError('No such file or directory');
      this.files.set(path, bytes);
    },
    setLogFile: (path: string) => {
      if (path.startsWith('NODIR/')) throw new UserError('No such file or directory');
    },
  };

  /** Runs what waits for its time, once. */
  runTimers(): void {
    for (const timer of this.timers.splice(0)) if (!timer.isCancelled) timer.callback();
  }

  private backend(): BlockBackendInfo {
    return {
      device: DRIVE,
      qdev: '/machine/unattached/device[24]',
      isRemovable: true,
      isLocked: this.locked,
      isTrayOpen: this.trayOpen,
      ioStatus: 'ok',
      inserted: this.medium,
    };
  }
  private find(drive: DriveName): void {
    const name = 'device' in drive ? drive.device : drive.id;
    if (name !== DRIVE) throw deviceNotFound(name);
  }
  private moveTray(isOpen: boolean): void {
    if (this.trayOpen === isOpen) return;
    this.trayOpen = isOpen;
    this.emit('DEVICE_TRAY_MOVED', { device: DRIVE, 'tray-open': isOpen, id: '/machine/unattached/device[23]' });
  }
}

function medium(file: string, number: number): BlockNodeInfo {
  return {
    nodeName: `#block${number}`,
    file,
    driver: 'raw',
    isReadOnly: true,
    virtualSize: 5081088,
    actualSize: 5083136,
    cache: { writeback: true, direct: false, noFlush: false },
    detectZeroes: 'off',
  };
}
