/** The command line, from argv to typed settings, without side effects. Two passes as QEMU makes them: the first finds
 *  options that do not exist or lack their argument (and -no-user-config), the second takes each option in order.
 *  What needs the machine (device types, properties, buses, images) is checked later by those who know. */

import { UserError } from '../util/errors.ts';
import { decodeUtf8, formatJson, parseJson } from '../util/json.ts';
import { LOG_ITEMS, type LogItem } from '../util/log.ts';
import { type ChardevOptions, chardevHelpText, isChardevHelp, legacyChardev, parseChardev } from './chardev-options.ts';
import { parseConfigFile } from './config-file.ts';
import { helpText, versionText } from './help-text.ts';
import { emptyDict, type KeyvalDict, parseKeyval, put } from './keyval.ts';
import { LocatedError, type Location, located, NO_LOCATION, reportText, withLocation } from './location.ts';
import { GROUPS, GROUPS_NOT_YET, type GroupName } from './option-groups.ts';
import { findOption } from './option-table.ts';
import { isHelpWord, parseUuid } from './parse-values.ts';
import type {
  AccelOption,
  Actions,
  Answer,
  CommandLineHost,
  CommandLineResult,
  Defaults,
  DeviceOption,
  GlobalOption,
  HelpRequest,
  MonitorOption,
  ParsedCommandLine,
  Placed,
  SerialOption,
} from './parsed-command-line.ts';
import { groupHelpText, OptsHelpWanted, type ParseSettings, type QemuOpts, QemuOptsList } from './qemu-opts.ts';
import { DEFAULT_RTC, parseRtc } from './rtc-options.ts';
import { SmbiosCollector } from './smbios-options.ts';
import { parseVnc, type VncOptions } from './vnc-options.ts';

export type * from './parsed-command-line.ts';

/** Thrown through the parser when an option asks for help. */
class Answered extends Error {
  readonly result: HelpRequest | Answer;
  constructor(result: HelpRequest | Answer) {
    super(result.kind);
    this.result = result;
  }
}

function answer(stdout: string, exitCode = 0): Answered {
  return new Answered({ kind: 'answer', stdout, exitCode });
}

/** Parses a command line (without the program's own name). Throws UserError (LocatedError) with QEMU's message. */
export function parseCommandLine(argv: readonly string[], host: CommandLineHost): CommandLineResult {
  try {
    return new CommandLineParser(host).parse(argv);
  } catch (error) {
    if (error instanceof Answered) return error.result;
    if (error instanceof OptsHelpWanted) return { kind: 'answer', stdout: groupHelpText(error.group), exitCode: 1 };
    throw error;
  }
}

interface GivenOption {
  readonly name: string;
  readonly argument: string;
  readonly location: Location;
}

/** First pass: what is an option, what its argument, what the disk image without an option. */
function scanArguments(argv: readonly string[]): GivenOption[] {
  const given: GivenOption[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (!word.startsWith('-')) {
      given.push({ name: '', argument: word, location: { kind: 'commandLine', text: word } });
      continue;
    }
    const here: Location = { kind: 'commandLine', text: word };
    const entry = findOption(word.startsWith('--') ? word.slice(2) : word.slice(1));
    if (!entry) throw new LocatedError(here, 'invalid option');
    if (!entry.hasArg) {
      given.push({ name: entry.name, argument: '', location: here });
      continue;
    }
    const argument = argv[++at];
    if (argument === undefined) throw new LocatedError(here, 'requires an argument');
    given.push({ name: entry.name, argument, location: { kind: 'commandLine', text: `${word} ${argument}` } });
  }
  return given;
}

/** Drivers that, when given with -device or -global, replace a default device. */
const REPLACES_DEFAULT: Readonly<Record<string, keyof Defaults>> = {
  'isa-serial': 'serial',
  'isa-parallel': 'parallel',
  'isa-fdc': 'floppy',
  floppy: 'floppy',
  'ide-cd': 'cdrom',
  'ide-hd': 'cdrom',
  'scsi-cd': 'cdrom',
  'scsi-hd': 'cdrom',
  VGA: 'vga',
  'isa-vga': 'vga',
  'cirrus-vga': 'vga',
  'isa-cirrus-vga': 'vga',
  'vmware-svga': 'vga',
  'qxl-vga': 'vga',
  'virtio-vga': 'vga',
  'virtio-vga-gl': 'vga',
  'ati-vga': 'vga',
  'vhost-user-vga': 'vga',
};

const VGA_TYPES: Readonly<Record<string, string>> = {
  none: 'no graphic card',
  std: 'standard VGA',
  cirrus: 'Cirrus VGA',
  vmware: 'VMWare SVGA',
  qxl: 'QXL VGA',
  virtio: 'Virtio VGA',
  xenfb: 'Xen paravirtualized framebuffer',
  tcx: 'TCX framebuffer',
  cg3: 'CG3 framebuffer',
};
const VGA_SUPPORTED = ['none', 'std'];
const DISPLAYS_NOT_YET = new Set('default gtk sdl egl-headless curses cocoa spice-app dbus'.split(' '));
const NO_TCG_OPS = 'instructions become WebAssembly without an intermediate language';
const USER_MODE = 'it belongs to the emulation of single programs, this is a whole machine';
/** Items of QEMU's that are refused, and why. */
const LOG_ITEMS_REFUSED: ReadonlyMap<string, string> = new Map([
  ['out_asm', 'the code for the host is made by the WebAssembly engine, which does not show it'],
  ['op', NO_TCG_OPS],
  ['op_opt', NO_TCG_OPS],
  ['op_ind', NO_TCG_OPS],
  ['pcall', 'QEMU prints nothing for it either'],
  ['page', USER_MODE],
  ['strace', USER_MODE],
  ['plugin', 'there are no plugins'],
  ['tid', 'the processor has one thread'],
]);
const ACTION_VALUES: { readonly [K in keyof Actions]: readonly Actions[K][] } = {
  reboot: ['reset', 'shutdown'],
  shutdown: ['poweroff', 'pause'],
  panic: ['none', 'pause', 'shutdown', 'exit-failure'],
  watchdog: ['reset', 'shutdown', 'poweroff', 'pause', 'debug', 'none', 'inject-nmi'],
};

class CommandLineParser {
  private readonly host: CommandLineHost;
  private readonly groups = new Map<GroupName, QemuOptsList>(
    (Object.keys(GROUPS) as GroupName[]).map((name) => [name, new QemuOptsList(GROUPS[name])]),
  );
  private location: Location = NO_LOCATION;
  private readonly machine = emptyDict();
  private readonly jsonDevices: DeviceOption[] = [];
  private readonly globals: GlobalOption[] = [];
  private readonly serialTexts: Placed<string>[] = [];
  private readonly legacyMonitors = new Set<QemuOpts>();
  private monitorCount = 0;
  private readonly dataDirs: string[] = [];
  private readonly defaults: Defaults = {
    serial: true,
    parallel: true,
    monitor: true,
    floppy: true,
    cdrom: true,
    sdcard: true,
    vga: true,
    net: true,
  };
  private actions: Actions = { reboot: 'reset', shutdown: 'poweroff', panic: 'shutdown', watchdog: 'reset' };
  private cpu: string | undefined;
  private uuid: string | undefined;
  private readonly smbios: SmbiosCollector;
  private display: 'default' | 'none' = 'default';
  private vga: string | undefined;
  private logMask: string | undefined;
  private logFile: string | undefined;
  private pidFile: string | undefined;
  private dumpVmstate: string | undefined;
  private nographic = false;
  private daemonize = false;
  private autostart = true;

  constructor(host: CommandLineHost) {
    this.host = host;
    this.smbios = new SmbiosCollector((path) => host.readFile(path));
  }

  parse(argv: readonly string[]): ParsedCommandLine {
    const given = scanArguments(argv);
    if (!given.some((option) => option.name === 'no-user-config' || option.name === 'nouserconfig')) {
      for (const file of this.host.userConfigFiles ?? []) {
        const found = this.host.readFile(file);
        if ('bytes' in found) this.readConfig(file, found.bytes);
      }
    }
    for (const option of given) {
      this.location = option.location;
      withLocation(option.location, () => this.take(option));
    }
    this.location = NO_LOCATION;
    return this.finish();
  }

  private take({ name, argument, location }: GivenOption): void {
    if (name === '') {
      this.addDrive(argument, 0, 'disk');
      return;
    }
    if (!findOption(name)!.supported) {
      throw new LocatedError({ kind: 'commandLine', text: textOfOption(location) }, 'not supported yet');
    }
    const handler = this.handlers[name];
    if (!handler) throw new UserError('not supported yet');
    handler(argument);
  }

  private readonly handlers: Readonly<Record<string, (argument: string) => void>> = {
    h: () => {
      throw answer(helpText(this.host));
    },
    help: () => this.handlers.h!(''),
    version: () => {
      throw answer(versionText(this.host));
    },
    machine: (text) => this.takeMachine(text),
    M: (text) => this.takeMachine(text),
    cpu: (text) => {
      this.cpu = text;
    },
    accel: (text) => this.takeAccel(text),
    smp: (text) => this.takeKeyval('smp-opts', text, this.machineTree('smp')),
    boot: (text) => this.takeKeyval('boot-opts', text, this.machineTree('boot')),
    set: (text) => this.takeSet(text),
    global: (text) => this.takeGlobal(text),
    m: (text) => void this.parseGroup('memory', text),
    device: (text) => this.takeDevice(text),
    name: (text) => void this.parseGroup('name', text),
    uuid: (text) => {
      this.uuid = parseUuid(text);
      if (this.uuid === undefined) throw new UserError('failed to parse UUID string: wrong format');
    },
    smbios: (text) => {
      this.uuid = this.smbios.add(this.parseGroup('smbios', text, false)) ?? this.uuid;
    },
    hda: (file) => this.addDrive(file, 0, 'disk'),
    hdb: (file) => this.addDrive(file, 1, 'disk'),
    hdc: (file) => this.addDrive(file, 2, 'disk'),
    hdd: (file) => this.addDrive(file, 3, 'disk'),
    cdrom: (file) => this.addDrive(file, 2, 'cdrom'),
    drive: (text) => void this.parseGroup('drive', text, false),
    display: (text) => this.takeDisplay(text),
    nographic: () => {
      this.nographic = true;
      this.display = 'none';
    },
    vga: (text) => {
      this.vga = text;
      this.defaults.vga = false;
    },
    vnc: (text) => {
      if (isHelpWord(text)) throw answer(groupHelpText(GROUPS.vnc), 1);
      this.parseGroup('vnc', text);
    },
    nic: (text) => this.takeNoNetwork(text),
    net: (text) => this.takeNoNetwork(text),
    chardev: (text) => void this.parseGroup('chardev', text),
    'no-acpi': () => put(this.machine, 'acpi', 'off'),
    'no-hpet': () => put(this.machine, 'hpet', 'off'),
    bios: (file) => put(this.machine, 'firmware', file),
    kernel: (file) => put(this.machine, 'kernel', file),
    append: (text) => put(this.machine, 'append', text),
    initrd: (file) => put(this.machine, 'initrd', file),
    serial: (text) => {
      this.defaults.serial = false;
      if (text !== 'none') this.serialTexts.push({ value: text, location: this.location });
    },
    monitor: (text) => {
      this.defaults.monitor = false;
      if (text !== 'none') this.addLegacyMonitor(text, 'readline', false);
    },
    qmp: (text) => this.takeQmp(text, false),
    'qmp-pretty': (text) => this.takeQmp(text, true),
    mon: (text) => {
      this.parseGroup('mon', text);
      this.defaults.monitor = false;
    },
    pidfile: (file) => {
      this.pidFile = file;
    },
    S: () => {
      this.autostart = false;
    },
    d: (items) => {
      this.logMask = items;
    },
    D: (file) => {
      this.logFile = file;
    },
    L: (path) => {
      if (isHelpWord(path)) throw this.help('data-dirs');
      this.dataDirs.push(path);
    },
    'no-reboot': () => {
      this.actions = { ...this.actions, reboot: 'shutdown' };
    },
    'no-shutdown': () => {
      this.actions = { ...this.actions, shutdown: 'pause' };
    },
    action: (text) => this.takeAction(text),
    daemonize: () => {
      this.daemonize = true;
    },
    rtc: (text) => void this.parseGroup('rtc', text, false),
    nodefaults: () => {
      for (const key of Object.keys(this.defaults) as (keyof Defaults)[]) this.defaults[key] = false;
    },
    readconfig: (file) => {
      const found = this.host.readFile(file);
      if ('error' in found) throw new UserError(`Could not open '${file}': ${found.error}`);
      this.readConfig(file, found.bytes);
    },
    'no-user-config': () => {},
    nouserconfig: () => {},
    trace: (text) => {
      if (isHelpWord(text)) throw this.help('trace');
      this.parseGroup('trace', text);
    },
    'dump-vmstate': (file) => {
      this.dumpVmstate = file;
    },
  };

  private help(topic: HelpRequest['topic'], subject?: string, location: Location = this.location): Answered {
    return new Answered({ kind: 'help', topic, subject, location });
  }

  private list(name: GroupName): QemuOptsList {
    return this.groups.get(name)!;
  }

  private settings(allowImplied: boolean): ParseSettings {
    const location = this.location;
    return { allowImplied, location, warn: (text, hint) => this.warn(location, text, hint) };
  }

  private warn(location: Location, text: string, hint?: string): void {
    this.host.warn(reportText(this.host.program, location, `warning: ${text}`));
    if (hint) this.host.warn(hint);
  }

  private parseGroup(name: GroupName, text: string, allowImplied = true): QemuOpts {
    return this.list(name).parse(text, this.settings(allowImplied));
  }

  private takeMachine(text: string): void {
    const { helpWanted } = parseKeyval(text, 'type', this.machine);
    if (!helpWanted) return;
    const type = this.machine.type;
    if (typeof type === 'string') throw this.help('machine-properties', type);
    throw this.help('machine');
  }

  /** What -smp and -boot say, and -machine with `smp.` and `boot.` before it. */
  private machineTree(name: 'smp' | 'boot'): KeyvalDict {
    const existing = this.machine[name];
    if (typeof existing === 'string') throw new UserError(`Parameter '${name}' used inconsistently`);
    const tree = existing ?? emptyDict();
    this.machine[name] = tree;
    return tree;
  }

  private takeKeyval(group: 'smp-opts' | 'boot-opts', text: string, into: KeyvalDict): void {
    if (parseKeyval(text, GROUPS[group].impliedKey, into).helpWanted) throw answer(groupHelpText(GROUPS[group]));
  }

  private takeAccel(text: string): void {
    const accel = this.parseGroup('accel', text).get('accel');
    if (accel === undefined || accel === '' || isHelpWord(accel)) throw this.help('accel');
  }

  private takeSet(text: string): void {
    const match = /^([^.]{1,63})\.([^.]{1,63})\.([^=]{1,63})=(.*)$/s.exec(text);
    if (!match) throw new UserError(`can't parse: "${text}"`);
    const [, group, id, key, value] = match;
    const list = this.findGroup(group!);
    const opts = list.find(id);
    if (!opts) throw new UserError(`there is no ${group} "${id}" defined`);
    opts.set(key!, value!);
  }

  private findGroup(name: string): QemuOptsList {
    // Only the option itself has an effect, in QEMU too, where the group is taken and forgotten.
    if (name === 'smbios') throw new UserError("option group 'smbios': not supported yet, use -smbios");
    const list = this.groups.get(name as GroupName);
    if (list) return list;
    if (GROUPS_NOT_YET.has(name)) throw new UserError(`option group '${name}': not supported yet`);
    throw new UserError(`There is no option group '${name}'`);
  }

  private takeGlobal(text: string): void {
    const location = this.location;
    const short = /^([^.]{1,63})\.([^=]{1,63})=(.*)$/s.exec(text);
    if (short) {
      this.globals.push({ driver: short[1]!, property: short[2]!, value: short[3]!, location });
      return;
    }
    this.addGlobal(this.parseGroup('global', text));
  }

  private addGlobal(opts: QemuOpts): void {
    const [driver, property, value] = ['driver', 'property', 'value'].map((key) => opts.get(key));
    if (driver === undefined || property === undefined || value === undefined) {
      throw new UserError("options 'driver', 'property', and 'value' are required");
    }
    this.globals.push({ driver, property, value, location: opts.location });
  }

  private takeDevice(text: string): void {
    if (!text.startsWith('{')) {
      this.parseGroup('device', text);
      return;
    }
    const parsed = parseJson(text);
    if ('error' in parsed) throw new UserError(parsed.error);
    const json = parsed.value;
    if (json === null || typeof json !== 'object' || Array.isArray(json)) throw new UserError('JSON object expected');
    const entry = (key: string): string | undefined => {
      const value = json[key];
      if (value !== undefined && typeof value !== 'string') {
        throw new UserError(`Invalid parameter type for '${key}', expected: string`);
      }
      return value;
    };
    const properties = Object.entries(json)
      .filter(([key]) => !['driver', 'id', 'bus'].includes(key))
      .map(([key, value]) => [key, typeof value === 'string' ? value : formatJson(value)] as const);
    const { driver } = json;
    if (typeof driver !== 'string') throw new UserError("Parameter 'driver' is missing");
    this.jsonDevices.push({ location: this.location, driver, id: entry('id'), bus: entry('bus'), properties, json });
  }

  /** -hda and its like: a -drive with a place and a medium. */
  private addDrive(file: string, index: number, media: 'disk' | 'cdrom'): void {
    const opts = this.parseGroup('drive', `media=${media}`, false);
    opts.set('index', String(index));
    opts.set('file', file);
  }

  private takeDisplay(text: string): void {
    if (isHelpWord(text)) throw answer('Available display backend types:\nnone\nvnc\n');
    if (text === 'vnc' || text.startsWith('vnc=')) {
      if (text === 'vnc') throw new UserError('VNC requires a display argument vnc=<display>');
      this.display = 'none';
      this.parseGroup('vnc', text.slice('vnc='.length));
      return;
    }
    const { dict } = parseKeyval(text, 'type');
    const type = typeof dict.type === 'string' ? dict.type : '';
    if (type === '') throw new UserError("Parameter 'type' is missing");
    if (DISPLAYS_NOT_YET.has(type)) throw new UserError(`Display '${type}' is not supported yet.`);
    if (type !== 'none') throw new UserError(`Parameter 'type' does not accept value '${type}'`);
    const keys = Object.keys(dict).filter((key) => key !== 'type');
    for (const key of keys) {
      if (!['full-screen', 'window-close', 'show-cursor', 'gl'].includes(key)) {
        throw new UserError(`Parameter '${key}' is unexpected`);
      }
      throw new UserError(`Parameter '${key}' of -display is not supported yet`);
    }
    this.display = 'none';
  }

  private takeNoNetwork(text: string): void {
    if (text !== 'none') throw new UserError('network cards are not supported yet');
    this.defaults.net = false;
  }

  private takeQmp(text: string, pretty: boolean): void {
    this.defaults.monitor = false;
    this.addLegacyMonitor(text, 'control', pretty);
  }

  /** -monitor, -qmp: a character device of its own (unless `chardev:ID`) and a monitor on it. */
  private addLegacyMonitor(text: string, mode: MonitorOption['mode'], pretty: boolean): void {
    let label = text.startsWith('chardev:') ? text.slice('chardev:'.length) : undefined;
    if (label === undefined) {
      label = `compat_monitor${this.monitorCount}`;
      this.addLegacyChardev(label, text, (why) => new UserError(`parse error: ${why}`));
    }
    this.monitorCount++;
    const opts = this.createMonitor(label);
    opts.set('mode', mode);
    opts.set('chardev', label);
    if (mode === 'control') opts.set('pretty', pretty ? 'on' : 'off');
    this.legacyMonitors.add(opts);
  }

  private createMonitor(label: string): QemuOpts {
    try {
      return this.list('mon').create(label, true, this.location);
    } catch (error) {
      // Here the real program leaves out the second line.
      throw error instanceof UserError ? new UserError(error.message) : error;
    }
  }

  /** A chardev group from an older spelling. The two messages of a failure are QEMU's. */
  private addLegacyChardev(label: string, text: string, consequence: (text: string) => UserError): QemuOpts {
    const fail = (first: string): never => {
      if (first) this.host.warn(reportText(this.host.program, this.location, first));
      throw consequence(text);
    };
    const legacy = legacyChardev(text, true);
    if (!legacy) {
      // Spellings that are recognised by their beginning fail without a word of their own.
      const bare = text.replace(/^mon:/, '');
      return fail(/^(tcp|telnet|websocket|tn3270|vc):/.test(bare) ? '' : `'${bare}' is not a valid char driver`);
    }
    const opts = this.list('chardev').create(label, true, this.location);
    try {
      for (const [key, value] of legacy.settings) opts.set(key, value);
      if (legacy.rest) {
        const value = legacy.restKey === undefined ? legacy.rest : `${legacy.restKey}=${legacy.rest}`;
        opts.parse(value, this.settings(false));
      }
    } catch (error) {
      this.list('chardev').remove(opts);
      if (error instanceof UserError) return fail(error.message);
      throw error;
    }
    return opts;
  }

  private takeAction(text: string): void {
    const opts = this.parseGroup('action', text);
    const chosen: Partial<Record<keyof Actions, string>> = {};
    for (const [key, value] of opts.entries()) {
      const name = key as keyof Actions;
      if (!(ACTION_VALUES[name] as readonly string[]).includes(value)) {
        throw new UserError(`Parameter '${name}' does not accept value '${value}'`);
      }
      chosen[name] = value;
    }
    this.actions = { ...this.actions, ...(chosen as Partial<Actions>) };
  }

  private readConfig(file: string, bytes: Uint8Array): void {
    const outer = this.location;
    for (const { group, id, settings, line } of parseConfigFile(file, decodeUtf8(bytes))) {
      this.location = { kind: 'file', file, line };
      withLocation(this.location, () => this.addConfigGroup(group, id, settings));
    }
    this.location = outer;
  }

  private addConfigGroup(
    group: string,
    id: string | undefined,
    settings: readonly (readonly [string, string])[],
  ): void {
    const trees: Readonly<Record<string, () => KeyvalDict>> = {
      machine: () => this.machine,
      'smp-opts': () => this.machineTree('smp'),
      'boot-opts': () => this.machineTree('boot'),
    };
    if (Object.hasOwn(trees, group)) {
      const tree = trees[group]!();
      for (const [key, value] of settings) put(tree, key, value);
      return;
    }
    const opts = this.findGroup(group).create(id, true, this.location);
    for (const [key, value] of settings) opts.set(key, value);
    if (group === 'global') this.addGlobal(opts);
    if (group === 'mon') this.defaults.monitor = false;
  }

  /** After the second pass: what QEMU checks next, in its order, as far as it needs no machine. */
  private finish(): ParsedCommandLine {
    const text = (key: string): string | undefined => {
      const value = this.machine[key];
      return typeof value === 'string' ? value : undefined;
    };
    for (const name of ['smp', 'boot'])
      if (text(name) !== undefined) throw new UserError(`Invalid parameter type for '${name}', expected: object`);
    const kernel = text('kernel');
    if (kernel === undefined && text('append') !== undefined) {
      throw new UserError('-append only allowed with -kernel option');
    }
    if (kernel === undefined && text('initrd') !== undefined) {
      throw new UserError('-initrd only allowed with -kernel option');
    }
    const name = this.parseName();
    const log = this.parseLog();
    if (this.cpu !== undefined && isHelpWord(this.cpu)) throw this.help('cpu');
    const devices = this.collectDevices();
    const rtcOpts = this.list('rtc').find(undefined);
    const rtc = rtcOpts ? parseRtc(rtcOpts) : DEFAULT_RTC;
    const memoryBytes = this.parseMemory();
    this.replaceDefaults(devices);
    const vga = this.parseVga();
    const accels = this.collectAccels();
    if (accels.length > 0 && text('accel') !== undefined) {
      throw new UserError('The -accel and "-machine accel=" options are incompatible');
    }
    if (this.cpu === '') throw new UserError('-cpu option cannot be empty');
    this.addDefaultCharacterDevices();
    const chardevs = this.collectChardevs();
    const monitors = this.collectMonitors(new Set(chardevs.map((each) => each.value.id)));
    const serials = this.collectSerials(chardevs, monitors);
    return {
      kind: 'run',
      machine: {
        type: text('type') || undefined,
        accel: text('accel'),
        properties: flattenMachine(this.machine),
      },
      accels,
      cpu: this.cpu,
      memoryBytes,
      smp: this.machineTree('smp'),
      boot: this.machineTree('boot'),
      ...name,
      uuid: this.uuid,
      smbios: this.smbios,
      drives: this.list('drive').all(),
      devices,
      chardevs,
      monitors,
      serials,
      vnc: this.collectVnc(),
      display: this.display,
      nographic: this.nographic,
      vga,
      globals: this.globals,
      rtc,
      actions: this.actions,
      defaults: this.defaults,
      dataDirs: this.dataDirs,
      bios: text('firmware'),
      kernel,
      initrd: text('initrd'),
      append: text('append'),
      traces: this.list('trace')
        .all()
        .map((opts) => ({
          enable: opts.get('enable'),
          events: opts.get('events'),
          file: opts.get('file'),
          location: opts.location,
        })),
      ...log,
      logFile: this.logFile,
      pidFile: this.pidFile,
      daemonize: this.daemonize,
      autostart: this.autostart,
      dumpVmstate: this.dumpVmstate,
      groups: this.groups,
    };
  }

  private parseName(): Pick<ParsedCommandLine, 'name' | 'processName'> {
    const opts = this.list('name').find(undefined);
    return { name: opts?.get('guest'), processName: opts?.get('process') };
  }

  private parseLog(): Pick<ParsedCommandLine, 'logItems' | 'logTracePatterns'> {
    const logItems: LogItem[] = [];
    const logTracePatterns: string[] = [];
    for (const item of this.logMask?.split(',') ?? []) {
      if (item === 'all') logItems.push(...(Object.keys(LOG_ITEMS) as LogItem[]));
      else if (item.startsWith('trace:') && item.length > 6) logTracePatterns.push(item.slice(6));
      else if (Object.hasOwn(LOG_ITEMS, item)) logItems.push(item as LogItem);
      else if (LOG_ITEMS_REFUSED.has(item)) throw new UserError(`-d ${item}: ${LOG_ITEMS_REFUSED.get(item)}`);
      else throw answer(logHelpText(), 1);
    }
    return { logItems, logTracePatterns };
  }

  private collectDevices(): DeviceOption[] {
    const devices = this.list('device')
      .all()
      .map((opts): DeviceOption => {
        const driver = opts.get('driver');
        if (driver !== undefined && isHelpWord(driver)) throw this.help('device', undefined, opts.location);
        if (driver !== undefined && opts.entries().some(([key]) => isHelpWord(key))) {
          throw this.help('device-properties', driver, opts.location);
        }
        const properties = opts.entries().filter(([key]) => key !== 'driver' && key !== 'bus');
        return { location: opts.location, driver, id: opts.id, bus: opts.get('bus'), properties, json: undefined };
      });
    return [...devices, ...this.jsonDevices];
  }

  private parseMemory(): number | undefined {
    const opts = this.list('memory').find(undefined);
    if (!opts) return undefined;
    return withLocationOfNone(() => {
      const written = opts.get('size') ?? '';
      const size = opts.getSize('size', 0n) << (/[0-9]$/.test(written) ? 20n : 0n);
      if (size >= 1n << 64n) throw new LocatedError(opts.location, "too large 'size' option value");
      const maxmem = opts.get('maxmem') === undefined ? undefined : opts.getSize('maxmem', 0n);
      const slots = opts.getNumber('slots', 0);
      const effective = size || 128n << 20n;
      if (maxmem === undefined && slots > 0) throw new UserError('slots specified but no max-size');
      if (maxmem !== undefined && maxmem < effective) {
        throw new UserError(
          `invalid value of maxmem: maximum memory size (0x${maxmem.toString(16)}) must be at least the initial memory size (0x${effective.toString(16)})`,
        );
      }
      if (maxmem !== undefined && maxmem > effective) {
        throw new LocatedError(opts.location, 'memory hotplug (slots, maxmem) is not supported yet');
      }
      return size === 0n ? undefined : Number(size);
    });
  }

  private replaceDefaults(devices: readonly DeviceOption[]): void {
    const drivers = [...devices.map((device) => device.driver ?? ''), ...this.globals.map((each) => each.driver)];
    for (const driver of drivers) {
      if (Object.hasOwn(REPLACES_DEFAULT, driver)) this.defaults[REPLACES_DEFAULT[driver]!] = false;
    }
  }

  private parseVga(): 'std' | 'none' | undefined {
    if (this.vga === undefined) return undefined;
    if (isHelpWord(this.vga)) {
      const line = (type: string): string =>
        `${type.padEnd(20)} ${VGA_TYPES[type]}${type === 'std' ? ' (default)' : ''}\n`;
      throw answer(VGA_SUPPORTED.map(line).join(''));
    }
    if (this.vga === 'std' || this.vga === 'none') return this.vga;
    if (Object.hasOwn(VGA_TYPES, this.vga)) throw new UserError(`-vga ${this.vga}: not supported yet`);
    throw new UserError(`unknown vga type: ${this.vga}`);
  }

  private collectAccels(): AccelOption[] {
    return this.list('accel')
      .all()
      .map((opts) => ({
        name: opts.get('accel') ?? '',
        properties: opts.entries().filter(([key]) => key !== 'accel'),
        location: opts.location,
      }));
  }

  /** First serial port and monitor of a machine that was told nothing about them. */
  private addDefaultCharacterDevices(): void {
    this.location = NO_LOCATION;
    if (this.nographic) {
      if (this.daemonize) throw new UserError('-nographic cannot be used with -daemonize');
      if (this.defaults.serial && this.defaults.monitor) {
        this.serialTexts.push({ value: 'mon:stdio', location: NO_LOCATION });
        return;
      }
      if (this.defaults.serial) this.serialTexts.push({ value: 'stdio', location: NO_LOCATION });
      if (this.defaults.monitor) this.addLegacyMonitor('stdio', 'readline', false);
      return;
    }
    if (this.defaults.serial) this.serialTexts.push({ value: 'vc:80Cx24C', location: NO_LOCATION });
    if (this.defaults.monitor) this.addLegacyMonitor('vc:80Cx24C', 'readline', false);
  }

  private collectChardevs(): Placed<ChardevOptions>[] {
    return this.list('chardev')
      .all()
      .map((opts) => {
        if (isChardevHelp(opts)) throw answer(chardevHelpText());
        return { value: withLocation(opts.location, () => parseChardev(opts)), location: opts.location };
      });
  }

  private collectMonitors(chardevs: ReadonlySet<string>): MonitorOption[] {
    return this.list('mon')
      .all()
      .map((opts) => withLocation(opts.location, () => parseMonitor(opts, chardevs, this.legacyMonitors.has(opts))));
  }

  private collectSerials(chardevs: Placed<ChardevOptions>[], monitors: MonitorOption[]): SerialOption[] {
    return this.serialTexts.map(({ value: text, location }, index) => {
      this.location = location;
      const failure = (): UserError => new UserError(`could not connect serial device to character backend '${text}'`);
      try {
        const named = text.startsWith('chardev:') ? text.slice('chardev:'.length) : undefined;
        if (named !== undefined) {
          if (!chardevs.some((each) => each.value.id === named)) throw failure();
          return { chardev: named, text, location };
        }
        const label = `serial${index}`;
        const opts = this.addLegacyChardev(label, text, failure);
        chardevs.push({ value: this.parseLegacySerial(opts, failure), location });
        if (text.startsWith('mon:')) {
          monitors.push({ id: undefined, chardev: label, mode: 'readline', pretty: false, location });
        }
        return { chardev: label, text, location };
      } catch (error) {
        throw located(location, error);
      }
    });
  }

  private parseLegacySerial(opts: QemuOpts, failure: () => UserError): ChardevOptions {
    try {
      return parseChardev(opts);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.host.warn(reportText(this.host.program, this.location, error.message));
      throw failure();
    }
  }

  private collectVnc(): Placed<VncOptions>[] {
    const place = (opts: QemuOpts): Placed<VncOptions> => ({
      value: withLocation(opts.location, () => parseVnc(opts)),
      location: opts.location,
    });
    const given = this.list('vnc').all().map(place);
    if (given.length > 0 || this.display === 'none') return given;
    // A program without windows of its own shows the screen on the first free local VNC display.
    return [place(this.parseGroup('vnc', 'localhost:0,to=99,id=default'))];
  }
}

function textOfOption(location: Location): string {
  return location.kind === 'commandLine' ? location.text.split(' ')[0]! : '';
}

function withLocationOfNone<T>(body: () => T): T {
  return withLocation(NO_LOCATION, body);
}

function parseMonitor(opts: QemuOpts, chardevs: ReadonlySet<string>, legacy: boolean): MonitorOption {
  const mode = opts.get('mode') ?? 'readline';
  if (mode !== 'readline' && mode !== 'control')
    throw new UserError(`Parameter 'mode' does not accept value '${mode}'`);
  const chardev = opts.get('chardev');
  if (chardev === undefined) throw new UserError("Parameter 'chardev' is missing");
  if (mode === 'readline' && opts.has('pretty') && !legacy) {
    throw new UserError("'pretty' is not compatible with HMP monitors");
  }
  if (!chardevs.has(chardev)) throw new UserError(`chardev "${chardev}" not found`);
  return { id: opts.id, chardev, mode, pretty: opts.getBool('pretty', false), location: opts.location };
}

/** Settings of -machine that are properties of the machine object (the rest have fields of their own). */
function flattenMachine(machine: KeyvalDict): (readonly [string, string])[] {
  const own = new Set(['type', 'accel', 'smp', 'boot']);
  const flat = (dict: KeyvalDict, prefix: string): (readonly [string, string])[] =>
    Object.entries(dict).flatMap(([key, value]) =>
      typeof value === 'string' ? [[prefix + key, value] as const] : flat(value, `${prefix}${key}.`),
    );
  return Object.entries(machine)
    .filter(([key]) => !own.has(key))
    .flatMap(([key, value]) => flat({ [key]: value }, ''));
}

/** What `-d help` prints. */
export function logHelpText(): string {
  const lines = Object.entries(LOG_ITEMS).map(([item, help]) => `${item.padEnd(15)} ${help}\n`);
  return `Log items (comma separated):\n${lines.join('')}trace:PATTERN   enable trace events\n\nUse "-d trace:help" to get a list of trace events.\n\n`;
}
