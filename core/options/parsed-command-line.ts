/** What a command line asks for, as types: the result of `parseCommandLine`. */

import type { JsonObject } from '../util/json.ts';
import type { LogItem } from '../util/log.ts';
import type { ChardevOptions } from './chardev-options.ts';
import type { ProgramIdentity } from './help-text.ts';
import type { KeyvalDict } from './keyval.ts';
import type { Location } from './location.ts';
import type { GroupName } from './option-groups.ts';
import type { QemuOpts, QemuOptsList } from './qemu-opts.ts';
import type { RtcOptions } from './rtc-options.ts';
import type { SmbiosOptions } from './smbios-options.ts';
import type { VncOptions } from './vnc-options.ts';

/** What parsing needs of its surroundings. */
export interface CommandLineHost extends ProgramIdentity {
  /** What is in a file that an option names, or why it cannot be read (`No such file or directory`). */
  readFile(path: string): { readonly bytes: Uint8Array } | { readonly error: string };
  /** A line for stderr, complete but for the newline. */
  warn(line: string): void;
  /** Config files read first unless -no-user-config is given; missing ones are no error. */
  readonly userConfigFiles?: readonly string[];
}

/** A setting and where it was made. */
export interface Placed<T> {
  readonly value: T;
  readonly location: Location;
}

export interface DeviceOption {
  readonly location: Location;
  /** Undefined when it is missing: an error of device creation. */
  readonly driver: string | undefined;
  readonly id: string | undefined;
  /** The bus path of `bus=`. */
  readonly bus: string | undefined;
  /** All other settings, in order. */
  readonly properties: readonly (readonly [string, string])[];
  /** The whole object when JSON was given; its values keep their types. */
  readonly json: JsonObject | undefined;
}

export interface GlobalOption {
  readonly driver: string;
  readonly property: string;
  readonly value: string;
  readonly location: Location;
}

export interface AccelOption {
  readonly name: string;
  readonly properties: readonly (readonly [string, string])[];
  readonly location: Location;
}

export interface MonitorOption {
  readonly id: string | undefined;
  readonly chardev: string;
  readonly mode: 'readline' | 'control';
  readonly pretty: boolean;
  readonly location: Location;
}

/** A serial port's character device; `id` is among `chardevs` or the user promised it. */
export interface SerialOption {
  readonly chardev: string;
  /** As written, for messages. */
  readonly text: string;
  readonly location: Location;
}

export interface TraceOption {
  readonly enable: string | undefined;
  readonly events: string | undefined;
  readonly file: string | undefined;
  readonly location: Location;
}

export interface Actions {
  readonly reboot: 'reset' | 'shutdown';
  readonly shutdown: 'poweroff' | 'pause';
  readonly panic: 'none' | 'pause' | 'shutdown' | 'exit-failure';
  readonly watchdog: 'reset' | 'shutdown' | 'poweroff' | 'pause' | 'debug' | 'none' | 'inject-nmi';
}

/** Devices that a board adds unless told otherwise; false where -nodefaults or an option of their kind was given. */
export type Defaults = Record<
  'serial' | 'parallel' | 'monitor' | 'floppy' | 'cdrom' | 'sdcard' | 'vga' | 'net',
  boolean
>;

/** Everything that a command line asks for. */
export interface ParsedCommandLine {
  readonly kind: 'run';
  readonly machine: {
    /** Undefined: the default machine. */
    readonly type: string | undefined;
    /** `accel=` of -machine, a colon-separated list. */
    readonly accel: string | undefined;
    /** Properties for the machine object, in order. */
    readonly properties: readonly (readonly [string, string])[];
  };
  readonly accels: readonly AccelOption[];
  /** `model[,feature...]` as written; undefined: the machine's default. */
  readonly cpu: string | undefined;
  /** Undefined: the machine's default. */
  readonly memoryBytes: number | undefined;
  /** For parseSmp, once the board's limits are known. */
  readonly smp: KeyvalDict;
  /** For parseBoot. */
  readonly boot: KeyvalDict;
  readonly name: string | undefined;
  readonly processName: string | undefined;
  readonly uuid: string | undefined;
  readonly smbios: SmbiosOptions;
  /** For a DriveTable, in order. */
  readonly drives: readonly QemuOpts[];
  readonly devices: readonly DeviceOption[];
  readonly chardevs: readonly Placed<ChardevOptions>[];
  readonly monitors: readonly MonitorOption[];
  readonly serials: readonly SerialOption[];
  readonly vnc: readonly Placed<VncOptions>[];
  readonly display: 'default' | 'none';
  readonly nographic: boolean;
  /** Undefined: the machine's default. */
  readonly vga: 'std' | 'none' | undefined;
  readonly globals: readonly GlobalOption[];
  readonly rtc: RtcOptions;
  readonly actions: Actions;
  readonly defaults: Readonly<Defaults>;
  /** -L directories, in order. */
  readonly dataDirs: readonly string[];
  readonly bios: string | undefined;
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly append: string | undefined;
  readonly traces: readonly TraceOption[];
  readonly logItems: readonly LogItem[];
  /** `trace:PATTERN` among the -d items. */
  readonly logTracePatterns: readonly string[];
  readonly logFile: string | undefined;
  readonly pidFile: string | undefined;
  readonly daemonize: boolean;
  /** False with -S. */
  readonly autostart: boolean;
  readonly dumpVmstate: string | undefined;
  /** Groups as given, for query-command-line-options and `-set`. */
  readonly groups: ReadonlyMap<GroupName, QemuOptsList>;
}

/** Help that needs the type registry or the host. Prints to stdout, exit code 0. */
export interface HelpRequest {
  readonly kind: 'help';
  readonly topic:
    | 'machine'
    | 'machine-properties'
    | 'cpu'
    | 'device'
    | 'device-properties'
    | 'accel'
    | 'trace'
    | 'data-dirs';
  /** The type whose properties are wanted. */
  readonly subject: string | undefined;
  readonly location: Location;
}

/** A text that answers the command line; the program prints it and ends. */
export interface Answer {
  readonly kind: 'answer';
  readonly stdout: string;
  readonly exitCode: number;
}

export type CommandLineResult = ParsedCommandLine | HelpRequest | Answer;
