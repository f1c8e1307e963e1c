/** All that the renderer may ask of the manager, said once, for every transport.
 *
 *  Web shell: one WebSocket `/api` carries `ApiRequest` up, `ApiReply` and `ApiEventMessage` down, as JSON text; each
 *  byte channel is a binary WebSocket of its own, `channelPath()`; a file dropped on the window is sent with
 *  `POST /upload?name=…`, body = the file, answer = `UploadReply` as JSON. The page's cookie authenticates all of them.
 *  Desktop shell: `window.terrarium` is a `DesktopBridge`; byte channels are MessagePorts.
 */
import { z } from 'zod';
import type { MachineDefinition, MachineId } from './definition.ts';
import { hostPathSchema, machineDefinitionSchema, machineNameSchema } from './definition.ts';
import type { GuestFamily } from './guest-families.ts';

export type * from './definition.ts';
export type { GuestFamily } from './guest-families.ts';

// --- Data -----------------------------------------------------------------------------------------------------------

/** `crashed`: the VM process ended although nobody had asked it to; `failure` says what is known. */
export type MachineState = 'off' | 'starting' | 'running' | 'paused' | 'stopping' | 'crashed';

/** Why a paused machine stands still: the user's wish, or QEMU's run state of that name. */
export type PauseReason = 'user' | 'shutdown' | 'guest-panicked' | 'io-error' | 'internal-error' | 'watchdog' | 'other';

export interface MachineFailure {
  kind: 'start-failed' | 'crashed';
  /** One sentence for the banner. */
  message: string;
  /** What the engine wrote to stderr, but for what the processor lacks (the log has that); may be empty. */
  engineOutput: string;
  exitCode: number | null;
  signal: string | null;
  /** Milliseconds since 1970, as every `…At` here. */
  at: number;
}

export interface MachineSummary {
  id: MachineId;
  name: string;
  guest: string;
  machineType: MachineDefinition['machineType'];
  memoryMiB: number;
  cpuCount: number;
  state: MachineState;
  pauseReason: PauseReason | null;
  failure: MachineFailure | null;
  /** Changes whenever `machines.thumbnail` would give another picture; 0: there is none. */
  thumbnailVersion: number;
  createdAt: number;
  updatedAt: number;
  lastStartedAt: number | null;
}

/** What is in a running drive, from the engine itself; differs from the definition until that is saved. */
export interface DriveStatus {
  deviceId: string;
  path: string | null;
  trayOpen: boolean;
  /** The guest holds the tray: ejecting needs `force`. */
  locked: boolean;
}

export interface MachineRuntime {
  pid: number;
  startedAt: number;
  commandLine: CommandLine;
  drives: DriveStatus[];
  /** Channels that can be opened now. */
  channels: { console: boolean; serial: number[]; monitor: boolean };
  /** Fields of the saved definition (dotted paths) that the running machine has not got yet. */
  pendingChanges: string[];
}

export interface MachineDetails {
  summary: MachineSummary;
  definition: MachineDefinition;
  commandLine: CommandLine;
  /** `null` unless a VM process lives. */
  runtime: MachineRuntime | null;
  /** Problems that a start would meet now (a file that is gone). Empty: none known. */
  issues: Issue[];
}

/** `path`: dotted path into the definition (`storage.0.path`), empty for the whole. */
export interface Issue {
  path: string;
  severity: 'error' | 'warning';
  message: string;
}

/** One option with its value, and what in the definition it comes from. */
export interface CommandLinePart {
  /** Dotted path into the definition, e.g. `memoryMiB`, `storage.0`; `host`: sockets and the like, added at start. */
  origin: string;
  words: string[];
}

export interface CommandLine {
  program: string;
  parts: CommandLinePart[];
  /** The whole, quoted for a POSIX shell. */
  text: string;
}

export interface Medium {
  path: string;
  kind: 'iso' | 'disk';
  fileName: string;
  /** `null`: the file is not there now. */
  sizeBytes: number | null;
  /** Space that it takes on the host's disk. */
  allocatedBytes: number | null;
  /** Lies in Terrarium's own folders. */
  owned: boolean;
  /** Machines with it in a drive. */
  usedBy: { id: MachineId; name: string }[];
  addedAt: number;
  lastUsedAt: number;
}

export interface MediumInspection {
  path: string;
  kind: 'iso' | 'disk' | 'unknown';
  sizeBytes: number;
  /** Volume name of an ISO. */
  label: string | null;
  bootable: { bios: boolean; efi: boolean };
  /** Id of a `GuestFamily`; `other` when nothing is recognised. */
  guest: string;
  /** What the guess rests on, e.g. `volume name "Debian 12.5.0 amd64 n"`. */
  evidence: string[];
  bits: 16 | 32 | 64 | null;
  /** E.g. "Debian 12.5.0 amd64": proposed as the machine's name. */
  suggestedName: string;
  warnings: string[];
}

export interface DirectoryListing {
  path: string;
  parent: string | null;
  /** Home, media folder, last used folders. */
  places: { label: 'home' | 'media' | 'machines' | 'downloads' | 'root' | 'mounted'; path: string }[];
  entries: { name: string; path: string; kind: 'folder' | 'file'; sizeBytes: number; modifiedAt: number }[];
  /** The folder holds more than is listed. */
  truncated: boolean;
}

export interface LogEntry {
  /** Rises by one; never used twice for a machine. */
  sequence: number;
  at: number;
  /** `engine`: a line of the VM process's stderr or stdout. */
  source: 'manager' | 'engine' | 'event';
  level: 'info' | 'warning' | 'error';
  text: string;
}

/** Stretches of guest code that are WebAssembly now, and what became of earlier ones. */
export interface CompiledCode {
  regions: number;
  /** Estimated room of their machine code. */
  codeBytes: number;
  /** Regions dropped since power-on because the guest changed their code. */
  invalidated: number;
}

/** What a running machine does, measured over about a second. */
export interface MachineActivity {
  drives: { deviceId: string; readBytesPerSecond: number; writtenBytesPerSecond: number }[];
  /** Million guest instructions per second. `null`: not known yet, or the engine does not count them. */
  guestMips: number | null;
  /** What the engine has compiled of the guest's code. `null`: not known, or the engine compiles nothing. */
  compiled: CompiledCode | null;
  /** Of one of the host's CPUs: several busy threads come to more than 100. `null`: not known (yet). */
  hostCpuPercent: number | null;
  /** What the VM process has in the host's memory now. `null`: not known here. */
  hostMemoryBytes: number | null;
}

export interface DeletionPlan {
  files: {
    path: string;
    sizeBytes: number;
    allocatedBytes: number;
    /** In the machine's own folder: deleted unless the user keeps it. */
    owned: boolean;
    usedBy: { id: MachineId; name: string }[];
  }[];
  /** The engine's log and thumbnail go in any case. */
  folder: string;
}

export interface HostLimits {
  memoryMiB: number;
  freeMemoryMiB: number;
  /** The most that a machine may get here. */
  maximumMachineMemoryMiB: number;
  cpuCount: number;
  maximumMachineCpus: number;
  /** Free space where new disks go. */
  freeDiskBytes: number;
  largestDiskBytes: number;
}

export interface AppInfo {
  name: 'Terrarium';
  version: string;
  shell: 'web' | 'desktop';
  platform: string;
  dataDir: string;
  mediaDir: string;
  engine: { path: string; found: boolean; problem: string | null };
  limits: HostLimits;
  guestFamilies: GuestFamily[];
  cpuModels: string[];
  capabilities: {
    /** `files.pick` opens the host's own dialog. Otherwise use `files.browse`. */
    nativeFileDialog: boolean;
    /** A dropped file has to be uploaded (web); otherwise its path is known (desktop). */
    upload: boolean;
  };
}

/** One object with a default for every key: a settings file of an older version is complete after parsing. */
export const settingsSchema = z.strictObject({
  language: z.enum(['system', 'en', 'zh-CN']).default('system'),
  theme: z.enum(['system', 'light', 'dark']).default('system'),
  expertMode: z.boolean().default(false),
  /** What happens to running machines when the app ends. `keep`: they run on and are found again at the next start. */
  onQuit: z.enum(['powerOff', 'shutdown', 'keep']).default('powerOff'),
  consoleScaling: z.enum(['fit', 'one', 'remote']).default('fit'),
  /** `KeyboardEvent.code` of the key that releases the pointer. */
  hostKey: z.string().min(1).max(32).default('ControlRight'),
  thumbnails: z.boolean().default(true),
  lastFolder: z.string().max(4096).nullable().default(null),
});
export type Settings = z.infer<typeof settingsSchema>;

// --- Errors ---------------------------------------------------------------------------------------------------------

export type ApiErrorCode =
  | 'invalid' // a value is refused; `issues` says which
  | 'not-found' // no such machine, file, drive
  | 'wrong-state' // e.g. pausing a machine that is off
  | 'conflict' // a name or a file that is already there
  | 'no-space'
  | 'io' // the host's file system said no
  | 'engine' // the VM process said no; `engineOutput` quotes it
  | 'unsupported'
  | 'internal'; // our fault

export interface ApiErrorData {
  code: ApiErrorCode;
  /** English sentence: what happened, on what, what to do. */
  message: string;
  issues?: Issue[];
  engineOutput?: string;
  machineId?: MachineId;
}

// --- Methods --------------------------------------------------------------------------------------------------------

const byId = z.strictObject({ id: z.uuid() });
const nothing = z.strictObject({}).optional();
const diskSize = z.int().min(512).max(Number.MAX_SAFE_INTEGER);

/** What a new disk's `path` in the definition is when `newDisks` asks for it to be made. */
export const NEW_DISK_PATH = '/new-disk';

/** The parameters of each method. Results are in `ApiResults`. */
export const apiParams = {
  'app.info': nothing,
  'settings.get': nothing,
  /** Only the keys that change. */
  'settings.update': z.strictObject({ settings: z.record(z.string(), z.unknown()) }),

  'machines.list': nothing,
  'machines.get': byId,
  /** A complete definition for a guest family, with a fresh id and a name that is free; nothing is saved. */
  'machines.propose': z.strictObject({
    guest: z.string(),
    name: z.string().optional(),
    iso: hostPathSchema.optional(),
  }),
  /** Makes the disks of `newDisks` (their `path` in the definition is `NEW_DISK_PATH`) and the machine, or nothing. */
  'machines.create': z.strictObject({
    definition: machineDefinitionSchema,
    newDisks: z.array(z.strictObject({ deviceId: z.string(), sizeBytes: diskSize })).max(4),
  }),
  'machines.update': z.strictObject({ definition: machineDefinitionSchema }),
  'machines.rename': z.strictObject({ id: z.uuid(), name: machineNameSchema }),
  'machines.deletionPlan': byId,
  'machines.delete': z.strictObject({ id: z.uuid(), deleteFiles: z.array(hostPathSchema) }),
  /** Takes anything, also what is not valid yet; answers with what is wrong. For forms. */
  'machines.validate': z.strictObject({ definition: z.unknown() }),
  /** The command line of a definition that is being edited. `commandLine` is null while it is not valid. */
  'machines.preview': z.strictObject({ definition: z.unknown() }),

  'machines.start': z.strictObject({ id: z.uuid(), paused: z.boolean().optional() }),
  'machines.pause': byId,
  'machines.resume': byId,
  'machines.reset': byId,
  /** The ACPI power button: the guest decides. */
  'machines.shutdown': byId,
  'machines.powerOff': byId,
  'machines.dismissFailure': byId,

  /** Puts a disc into a drive (`null` ejects), in the definition and, when it runs, in the machine. */
  'machines.changeMedium': z.strictObject({
    id: z.uuid(),
    deviceId: z.string(),
    path: hostPathSchema.nullable(),
    /** Opens the tray although the guest has locked it. */
    force: z.boolean().optional(),
  }),
  /** QEMU's key names, pressed together: `["ctrl","alt","delete"]`. */
  'machines.sendKeys': z.strictObject({
    id: z.uuid(),
    keys: z
      .array(z.string().regex(/^[a-z0-9_]{1,20}$/))
      .min(1)
      .max(8),
    holdMs: z.int().min(1).max(10_000).optional(),
  }),
  /** Typed on a US keyboard. Answers with the characters that such a keyboard has not got; those are left out. */
  'machines.typeText': z.strictObject({ id: z.uuid(), text: z.string().max(10_000) }),
  'machines.screenshot': byId,
  /** Has `machines.activity` sent every second for the next few; whoever shows it asks again and again. */
  'machines.watchActivity': byId,
  'machines.thumbnail': byId,
  /** The newest entries, oldest first; `before`: only those with a smaller sequence. */
  'machines.log': z.strictObject({
    id: z.uuid(),
    before: z.int().optional(),
    limit: z.int().min(1).max(2000).optional(),
  }),

  'media.list': nothing,
  'media.inspect': z.strictObject({ path: hostPathSchema }),
  /** An empty raw disk, in `folder` or where the library keeps disks. */
  'media.createDisk': z.strictObject({
    fileName: z.string().min(1).max(200),
    folder: hostPathSchema.optional(),
    sizeBytes: diskSize,
  }),
  /** Takes it off the list; the file stays. */
  'media.forget': z.strictObject({ path: hostPathSchema }),

  'files.browse': z.strictObject({
    path: hostPathSchema.optional(),
    filter: z.enum(['iso', 'disk', 'folders', 'all']).optional(),
  }),
  /** Desktop only (`capabilities.nativeFileDialog`). `null`: the user thought better of it. */
  'files.pick': z.strictObject({ filter: z.enum(['iso', 'disk', 'all']), title: z.string().max(200).optional() }),
} as const;

export interface ApiResults {
  'app.info': AppInfo;
  'settings.get': Settings;
  'settings.update': Settings;
  'machines.list': MachineSummary[];
  'machines.get': MachineDetails;
  'machines.propose': { definition: MachineDefinition; diskBytes: number };
  'machines.create': MachineDetails;
  'machines.update': MachineDetails;
  'machines.rename': MachineDetails;
  'machines.deletionPlan': DeletionPlan;
  'machines.delete': { deleted: string[] };
  'machines.validate': { issues: Issue[] };
  'machines.preview': { commandLine: CommandLine | null; issues: Issue[] };
  'machines.start': MachineDetails;
  'machines.pause': MachineSummary;
  'machines.resume': MachineSummary;
  'machines.reset': MachineSummary;
  'machines.shutdown': MachineSummary;
  'machines.powerOff': MachineSummary;
  'machines.dismissFailure': MachineSummary;
  'machines.changeMedium': MachineDetails;
  'machines.sendKeys': null;
  'machines.typeText': { notTyped: string[] };
  'machines.watchActivity': { forMs: number };
  'machines.screenshot': { pngBase64: string; width: number; height: number };
  'machines.thumbnail': { pngBase64: string; version: number } | null;
  'machines.log': { entries: LogEntry[]; hasOlder: boolean };
  'media.list': Medium[];
  'media.inspect': MediumInspection;
  'media.createDisk': Medium;
  'media.forget': null;
  'files.browse': DirectoryListing;
  'files.pick': { path: string | null };
}

export type ApiMethod = keyof typeof apiParams;
/** What a caller passes (defaults may be left out). */
export type ApiParams<M extends ApiMethod> = z.input<(typeof apiParams)[M]>;
/** What a handler gets, checked. */
export type ApiCheckedParams<M extends ApiMethod> = z.output<(typeof apiParams)[M]>;
export type ApiResult<M extends ApiMethod> = ApiResults[M];

export type ApiHandlers = { [M in ApiMethod]: (params: ApiCheckedParams<M>) => Promise<ApiResult<M>> | ApiResult<M> };

// --- Events ---------------------------------------------------------------------------------------------------------

export interface ApiEvents {
  /** Also sent for a new machine. Whoever shows details asks `machines.get` again when `detailsChanged`. */
  'machines.changed': { summary: MachineSummary; detailsChanged: boolean };
  'machines.removed': { id: MachineId };
  /** Only while somebody watches: `machines.watchActivity`. */
  'machines.activity': { id: MachineId; activity: MachineActivity };
  'machines.log': { id: MachineId; entries: LogEntry[] };
  'media.changed': null;
  'settings.changed': Settings;
}
export type ApiEventName = keyof ApiEvents;

// --- Wire -----------------------------------------------------------------------------------------------------------

export interface ApiRequest {
  id: number;
  method: string;
  params?: unknown;
}
export type ApiReply = { id: number; result: unknown } | { id: number; error: ApiErrorData };
export type ApiEventMessage = { [E in ApiEventName]: { event: E; data: ApiEvents[E] } }[ApiEventName];
export type ServerMessage = ApiReply | ApiEventMessage;
export type UploadReply = { medium: Medium } | { error: ApiErrorData };

/** `console`: RFB. `serial`: the bytes of COM1 + `port`. `monitor`: HMP with line editing, for a terminal. */
export type ChannelKind = 'console' | 'serial' | 'monitor';

/** The address of a byte channel on the web shell's origin (`ws:`). */
export function channelPath(kind: ChannelKind, id: MachineId, port = 0): string {
  return kind === 'serial' ? `/channel/serial/${id}/${port}` : `/channel/${kind}/${id}`;
}

/** The part of a WebSocket that noVNC and the terminals use: `new RFB(element, channel)` takes it on both shells. */
export interface ByteChannel {
  binaryType: string;
  readonly readyState: number;
  readonly protocol: string;
  send(data: ArrayBuffer | ArrayBufferView<ArrayBuffer>): void;
  close(): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
}

/** What the renderer's code is written against; renderer/api has one implementation per transport. */
export interface ApiClient {
  /** Rejects with an Error that carries `data: ApiErrorData`. */
  call<M extends ApiMethod>(method: M, ...params: ApiCallArguments<M>): Promise<ApiResult<M>>;
  /** Answers with the function that ends the subscription. */
  on<E extends ApiEventName>(event: E, listener: (data: ApiEvents[E]) => void): () => void;
  /** `false` while the connection is lost; everything shown may be stale then. */
  onConnection(listener: (connected: boolean) => void): () => void;
  openChannel(kind: ChannelKind, id: MachineId, port?: number): ByteChannel;
}
export type ApiCallArguments<M extends ApiMethod> = undefined extends ApiParams<M> ? [] : [ApiParams<M>];

/** What preload.cts of the desktop shell exposes as `window.terrarium`. */
export interface DesktopBridge {
  call(method: string, params: unknown): Promise<{ result: unknown } | { error: ApiErrorData }>;
  onEvent(listener: (message: ApiEventMessage) => void): void;
  /** A `message` event on `window` with data `{ terrariumChannel: ticket }` brings the MessagePort; it carries
   *  ArrayBuffers both ways, and `null` for the end. */
  openChannel(kind: ChannelKind, id: MachineId, port: number, ticket: string): void;
  /** Path of a file dropped on the window. The argument is a DOM `File`. */
  pathForFile(file: unknown): string;
}
