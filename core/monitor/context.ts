/** What monitors need of the machine, as interfaces: `system/` implements them, tests fake them. A method that cannot do
 *  what is asked throws UserError (QMP class GenericError) or MonitorError; nothing has changed then. */

import type { DisplayRegistry } from '../backends/display/console.ts';
import type { InputCore } from '../backends/input/input-core.ts';
import type { Unsubscribe } from '../util/byte-stream.ts';
import type { CompressionService } from '../util/compression.ts';
import type { JsonObject, JsonValue } from '../util/json.ts';

export interface MonitorContext {
  readonly identity: MonitorIdentity;
  readonly run: RunControl;
  readonly guest: GuestAccess;
  readonly machines: MachineCatalog;
  readonly block: BlockControl;
  readonly characters: CharacterControl;
  readonly vnc: VncControl;
  readonly displays: DisplayRegistry;
  readonly input: InputCore;
  readonly compression: CompressionService;
  readonly host: MonitorHost;
  /** QMP events as the machine raises them (STOP, RESET, DEVICE_TRAY_MOVED ...). */
  onEvent(listener: (event: string, data: JsonObject) => void): Unsubscribe;
  /** Texts of `info NAME` that a part of the machine knows best. */
  readonly infoTexts: ReadonlyMap<InfoText, (argument: string) => string>;
  /** Null where nothing executes guest code. */
  jitStatistics(): JitStatistics | null;
}

/** How guest code is being executed. Counters are since power-on. */
export interface JitStatistics {
  readonly guestInstructions: number;
  /** Million guest instructions per second while the vCPU runs, since the last look. */
  readonly mips: number;
  /** The same since power-on. */
  readonly averageMips: number;
  /** Part of the time that the vCPU ran, 0 to 1. */
  readonly busy: number;
  readonly blocksDecoded: number;
  readonly modeSwitches: number;
  readonly portReads: number;
  readonly portWrites: number;
  readonly mmioAccesses: number;
  /** Times that a guest that only polls was let rest. */
  readonly idlePollRests: number;
  readonly compiler: CompilerStatistics;
}

/** The second tier. A region is a stretch of guest code, with its loops, that is one function; a module holds several. */
export interface CompilerStatistics {
  readonly mode: 'off' | 'on' | 'always' | 'lockstep';
  readonly regions: number;
  readonly modules: number;
  readonly wasmBytes: number;
  /** Estimated room of machine code, and how much there may be. */
  readonly codeBytes: number;
  readonly codeLimit: number;
  /** Since power-on, all that follows. */
  readonly compiledRegions: number;
  readonly compiledInstructions: number;
  /** Of those compiled: whose code was kept from an earlier run. */
  readonly reused: number;
  /** Modules of those whose machine code was kept too. */
  readonly ready: number;
  /** Blocks that were hot and not worth or not possible to compile. */
  readonly refused: number;
  /** Regions gone, and those of them whose code the guest changed. */
  readonly released: number;
  readonly invalidated: number;
  /** Modules dropped because all together took too much room. */
  readonly evictedModules: number;
  readonly flushes: number;
  readonly compileMilliseconds: number;
  /** How often compiled code was left: for an instruction that the interpreter does, for code that is not compiled, because time was up. */
  readonly exits: { readonly resumed: number; readonly interpreted: number; readonly budget: number };
}

/** `info` commands whose text comes from the machine; one that is not there yet is not listed. */
export type InfoText =
  | 'qtree'
  | 'pic'
  | 'irq'
  | 'lapic'
  | 'roms'
  | 'ramblock'
  | 'tlb'
  | 'mem'
  | 'network'
  | 'usb'
  | 'numa';

export interface MonitorIdentity {
  /** The QMP `package` string: what calls itself by the version. */
  readonly packageName: string;
  /** QEMU's version that this monitor speaks like. */
  readonly version: { readonly major: number; readonly minor: number; readonly micro: number };
  /** -name */
  readonly name: string | undefined;
  /** -uuid */
  readonly uuid: string | undefined;
  /** `x86_64` */
  readonly target: string;
}

export type RebootAction = 'reset' | 'shutdown';
export type ShutdownAction = 'poweroff' | 'pause';

export interface RunControl {
  /** QAPI RunState: `running`, `paused`, `prelaunch` ... */
  readonly state: string;
  readonly isRunning: boolean;
  /** Pauses the guest; has happened on return. Also stops a machine that was about to start. */
  stop(): void;
  /** @throws UserError when the machine must be reset first */
  cont(): void;
  /** These three have happened, and raised their event (RESET, POWERDOWN, SHUTDOWN), when they return: it precedes the reply,
   *  and a command that waits finds the machine reset. After `quit`, or a reset under -no-reboot, what is queued for clients still
   *  goes out. */
  reset(): void;
  powerdown(): void;
  quit(): void;
  /** Raises WAKEUP as those do theirs. @throws UserError unless the guest is suspended */
  wakeup(): void;
  readonly canWakeUp: boolean;
  injectNmi(): void;
  setActions(actions: Readonly<Partial<Record<'reboot' | 'shutdown' | 'panic' | 'watchdog', string>>>): void;
  /** `boot_set`: a new boot order. @throws UserError when the board has none */
  setBootOrder(order: string): void;
}

export interface CpuInfo {
  readonly index: number;
  readonly qomPath: string;
  readonly socketId: number;
  readonly coreId: number;
  readonly threadId: number;
  /** The host's thread. */
  readonly hostThread: number;
  readonly typeName: string;
}

export interface GuestAccess {
  readonly cpus: readonly CpuInfo[];
  readonly memoryBytes: number;
  /** Guest-physical bytes, or null where nothing answers. Without side effects on devices. */
  readPhysical(address: bigint, length: number): Uint8Array | null;
  /** Bytes at a virtual (linear) address as a CPU translates it, or null. */
  readVirtual(cpu: number, address: bigint, length: number): Uint8Array | null;
  /** Guest-physical address, or null. */
  translate(cpu: number, address: bigint): bigint | null;
  /** `info registers` */
  registersText(cpu: number): string;
  /** `$eip`, `$eax`, `$cs` ... in monitor expressions. */
  readRegister(cpu: number, name: string): bigint | null;
  /** Disassembles `count` instructions; undefined where there is no disassembler. */
  disassemble?(cpu: number, address: bigint, count: number, isPhysical: boolean): string;
  readPort(port: number, size: 1 | 2 | 4): number;
  writePort(port: number, value: number, size: 1 | 2 | 4): void;
  readonly pci: readonly PciBusInfo[];
}

export interface PciBusInfo {
  readonly bus: number;
  readonly devices: readonly PciDeviceInfo[];
}
export interface PciDeviceInfo {
  readonly bus: number;
  readonly slot: number;
  readonly function: number;
  readonly classCode: number;
  /** `VGA controller`; undefined for a class without a name. */
  readonly classDescription: string | undefined;
  readonly vendor: number;
  readonly device: number;
  /** Undefined where the header type has none. */
  readonly subsystemVendor: number | undefined;
  readonly subsystem: number | undefined;
  readonly irqPin: number;
  readonly irqLine: number;
  /** The user's id, or ''. */
  readonly qdevId: string;
  readonly regions: readonly PciRegionInfo[];
  /** For bridges. */
  readonly bridge?: {
    readonly bus: { readonly number: number; readonly secondary: number; readonly subordinate: number } & {
      readonly ioBase: number;
      readonly ioLimit: number;
      readonly memoryBase: number;
      readonly memoryLimit: number;
      readonly prefetchBase: number;
      readonly prefetchLimit: number;
    };
    readonly devices: readonly PciDeviceInfo[];
  };
}
export interface PciRegionInfo {
  readonly bar: number;
  readonly type: 'io' | 'memory';
  readonly size: number;
  /** -1 (all ones) when not mapped. */
  readonly address: number;
  readonly isPrefetchable: boolean;
  readonly is64Bit: boolean;
}

export interface MachineInfo {
  readonly name: string;
  readonly alias: string | undefined;
  readonly isDefault: boolean;
  readonly maxCpus: number;
  readonly defaultCpuType: string | undefined;
  readonly defaultRamId: string | undefined;
  readonly isDeprecated: boolean;
}
export interface CpuDefinition {
  /** `qemu64` */
  readonly name: string;
  readonly typeName: string;
  readonly isStatic: boolean;
  readonly isMigrationSafe: boolean;
  readonly unavailableFeatures: readonly string[];
  readonly aliasOf: string | undefined;
  readonly isDeprecated: boolean;
}
export interface MachineCatalog {
  machines(): readonly MachineInfo[];
  cpuDefinitions(): readonly CpuDefinition[];
}

/** A drive: by the name of its block backend, or by the id or QOM path of its device. */
export type DriveName = { readonly device: string } | { readonly id: string };

export interface BlockNodeInfo {
  readonly nodeName: string;
  readonly file: string;
  /** `raw` */
  readonly driver: string;
  readonly isReadOnly: boolean;
  readonly virtualSize: number;
  readonly actualSize: number;
  readonly cache: { readonly writeback: boolean; readonly direct: boolean; readonly noFlush: boolean };
  readonly detectZeroes: 'off' | 'on' | 'unmap';
}
export interface BlockBackendInfo {
  /** Name of the backend, '' for an anonymous one. */
  readonly device: string;
  /** Id or QOM path of the device that uses it. */
  readonly qdev: string | undefined;
  readonly isRemovable: boolean;
  readonly isLocked: boolean;
  /** Undefined for a device without a tray. */
  readonly isTrayOpen: boolean | undefined;
  readonly ioStatus: 'ok' | 'failed' | 'nospace' | undefined;
  /** Undefined: no medium. */
  readonly inserted: BlockNodeInfo | undefined;
}
export interface BlockStatistics {
  readonly device: string;
  readonly qdev: string | undefined;
  readonly nodeName: string | undefined;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly readOperations: number;
  readonly writeOperations: number;
  readonly flushOperations: number;
  readonly readTimeNs: number;
  readonly writeTimeNs: number;
  readonly flushTimeNs: number;
  readonly failedReads: number;
  readonly failedWrites: number;
  readonly failedFlushes: number;
}

/** Every operation on a drive that does not exist throws deviceNotFound(name). */
export interface BlockControl {
  backends(): readonly BlockBackendInfo[];
  statistics(): readonly BlockStatistics[];
  nodes(): readonly BlockNodeInfo[];
  /** Opens the tray if there is one and takes the medium out. `force` overrides the guest's lock. */
  eject(drive: DriveName, force: boolean): Promise<void>;
  openTray(drive: DriveName, force: boolean): Promise<void>;
  closeTray(drive: DriveName): Promise<void>;
  removeMedium(drive: DriveName): Promise<void>;
  /** Opens the image first: nothing changes when that fails. */
  changeMedium(drive: DriveName, medium: MediumChange): Promise<void>;
}
export interface MediumChange {
  readonly filename: string;
  /** Undefined: probe. */
  readonly format: string | undefined;
  readonly readOnlyMode: 'retain' | 'read-only' | 'read-write';
  readonly force: boolean;
}

export interface CharacterControl {
  list(): readonly { readonly label: string; readonly filename: string; readonly isFrontendOpen: boolean }[];
  /** @throws UserError */
  sendBreak(id: string): void;
}

export interface VncClient {
  readonly host: string;
  readonly service: string;
  readonly family: 'ipv4' | 'ipv6' | 'unix' | 'unknown';
  readonly isWebSocket: boolean;
}
export interface VncServerInfo {
  readonly id: string;
  readonly auth: 'none' | 'vnc';
  readonly servers: readonly VncClient[];
  readonly clients: readonly VncClient[];
  /** The device whose screen it shows. */
  readonly display: string | undefined;
}
export interface VncControl {
  servers(): readonly VncServerInfo[];
  /** False when the display does not exist or wants no password. `null` takes the password away. */
  setPassword(display: string | undefined, password: string | null): boolean;
  /** `at`: milliseconds since 1970, or null for never. False when there is no such display. */
  expirePassword(display: string | undefined, at: number | null): boolean;
}

export interface MonitorHost {
  /** Wall clock, milliseconds since 1970 with a fraction. */
  now(): number;
  /** Runs once, later, on the host's time. */
  after(milliseconds: number, callback: () => void): Unsubscribe;
  /** Writes a whole file. The promise fails with a UserError whose message is the reason alone (`No such file or directory`). */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  /** Sends the log to another file. @throws UserError as writeFile does */
  setLogFile(path: string): void;
}

/** An event as it goes over the wire. */
export interface QmpEvent {
  readonly event: string;
  readonly data: JsonObject;
}

/** What a command returns: nothing is `{}`. */
export type CommandResult = JsonValue | undefined;
