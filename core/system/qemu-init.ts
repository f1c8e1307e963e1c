/** Start-up in QEMU's order and phases: from a parsed command line to a machine that is ready to run. */

import { X86Cpu } from '../accel/tcg/cpu.ts';
import { JIT_DEFAULTS, JIT_MODES, type JitOptions } from '../accel/tcg/jit/jit.ts';
import { DisplayRegistry } from '../backends/display/console.ts';
import { InputCore } from '../backends/input/input-core.ts';
import { Clocks } from '../clock/clock.ts';
import { registerDeviceCatalog } from '../hw/catalog.ts';
import { type Device, deviceNew, deviceRealize, forgetAutomaticIds } from '../hw/core/device.ts';
import { type MachineEnvironment, setEnvironment } from '../hw/core/environment.ts';
import { Sleep } from '../hw/core/sleep.ts';
import { kernelKind, loadKernel } from '../machines/kernel-loader.ts';
import { findMachineClass, type Machine, machineNew, registerMachineBase } from '../machines/machine.ts';
import { PcMachine, type PcSettings, pcMachineType } from '../machines/pc.ts';
import { AddressSpace } from '../memory/address-space.ts';
import { RamArena } from '../memory/arena.ts';
import { FULL_SIZE, MemoryRegion } from '../memory/region.ts';
import type { DeviceOption, ParsedCommandLine } from '../options/command-line.ts';
import { type Location, NO_LOCATION, reportText, withLocation } from '../options/location.ts';
import { parseBoot } from '../options/machine-boot.ts';
import { parseSmp } from '../options/machine-smp.ts';
import { containerGet, objectAddChild, objectNewAs, objectRoot, objectSet, objectUnref } from '../qom/object.ts';
import { moduleCallInit, moduleInit, typeRegister } from '../qom/type.ts';
import { type CpuDefinition, cpuSignature, defineCpu, parseCpuOption } from '../target/x86/cpu-definition.ts';
import { cpuTypeName } from '../target/x86/models.ts';
import { infoRegisters } from '../target/x86/registers-text.ts';
import { UserError } from '../util/errors.ts';
import { isLogged, log } from '../util/log.ts';
import { type AnyBytes, firstBytes } from '../util/stored-bytes.ts';
import { MiB } from '../util/units.ts';
import { BlockSystem } from './block-init.ts';
import { bootOrderFile } from './boot-order.ts';
import { Chardevs } from './chardev-init.ts';
import { CpuDevice, registerCpuTypes } from './cpu-device.ts';
import { CpuMemory } from './cpu-memory.ts';
import { type DeviceRequest, deviceAdd, setFromText } from './device-add.ts';
import { GlobalProperties } from './global-properties.ts';
import type { SystemHost } from './host.ts';
import { Phases } from './phases.ts';
import { Requests } from './requests.ts';
import { RunningMachine } from './running-machine.ts';

/** The CPU's tables and the guest's RAM share one memory; its first page stays unused so that no offset is zero. */
const RESERVED_BYTES = 65536;
/** Room for the accelerator's tables. */
const TABLE_BYTES = 40 * 2 ** 20;
const BIOS_GRANULE = 65536;

/** A machine, and what steers it. */
export interface System {
  readonly command: ParsedCommandLine;
  readonly host: SystemHost;
  readonly env: MachineEnvironment;
  readonly machine: Machine;
  /** Null for the machine `none`. */
  readonly pc: PcMachine | null;
  readonly cpu: X86Cpu | null;
  readonly cpuDevice: CpuDevice | null;
  readonly running: RunningMachine;
  readonly chardevs: Chardevs;
  readonly block: BlockSystem;
  readonly phases: Phases;
  /** Hears QMP events. */
  onEvent(listener: (event: string, data: Readonly<Record<string, unknown>>) => void): () => void;
}

moduleInit('qom', () => {
  registerDeviceCatalog();
  registerCpuTypes();
  registerMachineBase();
  typeRegister(pcMachineType);
});

/** Every type that exists, for `-device help` and for making machines. */
export function registerAllTypes(): void {
  moduleCallInit('qom');
}

/** Makes the machine. The promise fails with a UserError (located where QEMU locates it); nothing runs then. */
export async function qemuInit(command: ParsedCommandLine, host: SystemHost): Promise<System> {
  registerAllTypes();
  const warn = (text: string, location: Location = NO_LOCATION) =>
    host.stderr(`${reportText(host.program, location, `warning: ${text}`)}\n`);
  const phases = new Phases();
  forgetAutomaticIds();

  const klass = findMachineClass(command.machine.type ?? null);
  const topology = parseSmp(
    command.smp,
    {
      machine: klass.machineName ?? '',
      minCpus: 1,
      maxCpus: klass.maxCpus ?? 1,
      diesSupported: true,
      clustersSupported: false,
    },
    warn,
  );
  if (topology.cpus > 1)
    throw new UserError(`-smp: ${topology.cpus} processors are not supported yet: this machine has one`);
  const jit = checkAccelerator(command, host);
  const cpuRequest = parseCpuOption(command.cpu ?? klass.defaultCpuType ?? 'qemu64');
  const boot = parseBoot(command.boot);
  if (boot.splash !== undefined) throw new UserError("Parameter 'boot.splash' is not supported yet");
  const ramBytes = roundRam(command.memoryBytes ?? klass.defaultRamBytes ?? 0);

  const requests = new Requests();
  const listeners = new Set<(event: string, data: Readonly<Record<string, unknown>>) => void>();
  const emit = (event: string, data: Readonly<Record<string, unknown>>) => {
    for (const listener of [...listeners]) listener(event, data);
  };
  const clocks = new Clocks(host.time);
  const machine = machineNew(klass);
  objectAddChild(objectRoot(), 'machine', machine);
  objectUnref(machine);
  for (const name of ['peripheral', 'peripheral-anon', 'unattached']) containerGet(`/machine/${name}`);
  const chardevs = new Chardevs(host);
  const block = new BlockSystem(host, emit, () => requests.requestStop());
  const globals = new GlobalProperties(command.globals, setFromText);
  const folders = host.firmwareFolders(command.dataDirs);
  const env = createEnvironment(
    host,
    clocks,
    requests,
    emit,
    (kind, id) => (kind === 'drive' ? block.find(id) : kind === 'chardev' ? chardevs.find(id) : null),
    (name) => host.findFirmware(name, folders),
    (media) => block.newEmptyDrive(media),
    (device) => globals.apply(device as Device),
  );
  setEnvironment(env);
  phases.advance('machine-created');

  for (const [name, text] of command.machine.properties) setMachineProperty(machine, name, text);
  if (machine instanceof PcMachine) refuseMissingParts(machine, command.machine.properties);
  phases.advance('accel-created');

  await chardevs.create(command.chardevs);
  block.openDrives(command.drives);
  if (command.defaults.cdrom && machine instanceof PcMachine) block.addDefaultCdrom();

  const { definition, warnings, refusal } = defineCpu(cpuRequest, {
    apicId: 0,
    coresPerPackage: topology.cores,
    threadsPerCore: topology.threads,
  });
  // The default model's gaps are this program's and not the user's: only a model that was asked for is worth a warning.
  if (command.cpu !== undefined) for (const text of warnings) host.stderr(`${host.program}: ${text}\n`);
  if (refusal) throw refusal;

  let cpuDevice: CpuDevice | null = null;
  const pc = machine instanceof PcMachine ? machine : null;
  if (pc) {
    const bios = loadBios(command, host, folders);
    const settings: PcSettings = {
      ramBytes,
      cpus: topology.cpus,
      maxCpus: topology.maxCpus,
      createCpu: (index) => {
        cpuDevice = createCpuDevice(cpuRequest.name, definition, index);
        return cpuDevice;
      },
      bios,
      biosName: command.bios ?? 'bios-256k.bin',
      vga: command.vga ?? (command.defaults.vga ? 'std' : 'none'),
      bootOrder: boot.once ?? boot.order ?? 'cad',
      bootMenu: boot.menu ?? false,
      bootMenuTimeoutMs: boot.splashTimeMs ?? -1,
      rebootTimeoutMs: boot.rebootTimeoutMs ?? -1,
      bootStrict: boot.strict,
      uuid: uuidBytes(command.uuid),
      graphics: !command.nographic && machine.values.graphics !== false,
      serials: command.serials.map((serial) => serial.chardev),
      rtcClock: ({ host: 'host', rt: 'realtime', vm: 'virtual' } as const)[command.rtc.clock],
      rtcStartSeconds: rtcStart(command, host),
      rtcProperties: rtcProperties(command),
      kernel: command.kernel === undefined ? null : loadKernelFiles(command, host, pc.ramBelow4g(ramBytes)),
      apicFeatures: {
        apic: definition.features.has('apic'),
        x2apic: definition.features.has('x2apic'),
        deadline: definition.features.has('tsc-deadline'),
      },
      smbios: {
        sockets: topology.sockets,
        coresPerSocket: topology.cores,
        threadsPerCore: topology.threads,
        cpuSignature: cpuSignature(definition),
        cpuFeatures: definition.features.word('1.edx'),
        options: command.smbios,
      },
      isAmdCpu: definition.vendor === 'AuthenticAMD',
      attachIdeDrives: (buses) => block.attachIdeDrives(buses),
      diskGeometries: () => block.diskGeometries(),
      bootOrderFile: () =>
        bootOrderFile({
          isStrict: boot.strict,
          kernelRom: command.kernel === undefined ? null : settings.kernel!.romName,
        }),
    };
    for (const text of pc.memoryWarnings(ramBytes)) warn(text);
    machine.init(settings);
  } else machine.init({ ramBytes, cpus: 0, maxCpus: 1 });
  phases.advance('machine-initialized');

  for (const device of command.devices) withLocation(device.location, () => deviceAdd(toDeviceRequest(device)));
  block.checkOrphans();
  for (const text of globals.warnings()) warn(text);
  pc?.ready();

  const cpu = pc ? joinCpu(pc, env, definition, cpuDevice!, requests, host, jit) : null;
  const running = new RunningMachine(
    {
      env,
      clocks,
      machine,
      mainBus: pc?.mainBus ?? null,
      looseDevices: pc?.looseDevices ?? [],
      cpu: cpu ? loopCpu(cpu) : IDLE_CPU,
      requests,
      loop: host.loop,
      emit,
    },
    command.actions,
  );
  block.requestsChanged = (pending) => running.mainLoop.setPendingIo(pending);
  running.runState.onChange((_, isRunning) => {
    if (isRunning) block.resume();
  });
  if (pc) {
    pc.cpuWires.set('intr', {
      set: (level) => {
        cpu!.setIrqLine(level > 0);
        if (level) running.mainLoop.kick();
      },
    });
    running.onPowerdown(() => pc.pressPowerButton());
    if (boot.once !== undefined) restoreBootOrderAfterFirstReset(running, pc, boot.order ?? 'cad', boot.strict);
  }
  running.resetAll();
  phases.advance('machine-ready');
  return {
    command,
    host,
    env,
    machine,
    pc,
    cpu,
    cpuDevice,
    running,
    chardevs,
    block,
    phases,
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Accelerators that QEMU knows and this program does not have. */
/** Larger code caches are of no use below 4 GiB of address space. */
const MAX_TB_SIZE = 1024;
const ACCELERATORS_NOT_YET = ['kvm', 'xen', 'hax', 'hvf', 'whpx', 'nvmm', 'qtest'];

/** The first accelerator of the list that there is, as QEMU falls back from one to the next; how it is to work.
 *  @throws UserError */
function checkAccelerator(command: ParsedCommandLine, host: SystemHost): JitOptions {
  const jit = { ...JIT_DEFAULTS };
  if (command.machine.accel !== undefined) {
    const names = command.machine.accel.split(':');
    for (const name of names) {
      if (name === 'tcg') return jit;
      const why = ACCELERATORS_NOT_YET.includes(name)
        ? `accelerator '${name}' is not supported yet`
        : `invalid accelerator ${name}`;
      if (name === names.at(-1)) throw new UserError(why);
      host.stderr(`${host.program}: ${why}\n`);
      if (names[names.indexOf(name) + 1] === 'tcg') host.stderr(`${host.program}: falling back to tcg\n`);
    }
  }
  for (const { name, properties, location } of command.accels)
    withLocation(location, () => {
      if (name !== 'tcg')
        throw new UserError(
          ACCELERATORS_NOT_YET.includes(name)
            ? `accelerator '${name}' is not supported yet`
            : `invalid accelerator ${name}`,
        );
      for (const [key, value] of properties) setTcgProperty(jit, key, value);
    });
  return jit;
}

/** @throws UserError in QEMU's words; what would mean something other than what there is, is refused by name */
function setTcgProperty(jit: { -readonly [K in keyof JitOptions]: JitOptions[K] }, key: string, value: string): void {
  if (key === 'thread') {
    if (value !== 'single' && value !== 'multi') throw new UserError(`Invalid 'thread' setting ${value}`);
    if (value === 'multi') throw new UserError("'thread=multi' is not supported yet: there is one processor");
  } else if (key === 'tb-size') {
    // In MiB; 0 is the default.
    if (!/^(0x[0-9a-f]+|[0-9]+)$/i.test(value)) throw new UserError("Parameter 'tb-size' expects uint64");
    const mebibytes = Number(value);
    if (mebibytes > MAX_TB_SIZE) throw new UserError(`tb-size must be at most ${MAX_TB_SIZE} (MiB), not ${value}`);
    if (mebibytes !== 0) jit.codeBytes = mebibytes * 2 ** 20;
  } else if (key === 'split-wx') {
    if (value !== 'on' && value !== 'off') throw new UserError("Parameter 'split-wx' expects 'on' or 'off'");
    if (value === 'on') throw new UserError("'split-wx=on' is not supported yet");
  } else if (key === 'x-jit') {
    const mode = JIT_MODES.find((known) => known === value);
    if (!mode) throw new UserError(`Invalid 'x-jit' setting ${value}: it is one of ${JIT_MODES.join(', ')}`);
    jit.mode = mode;
  } else if (key === 'x-keep') {
    if (value !== 'on' && value !== 'off') throw new UserError("Parameter 'x-keep' expects 'on' or 'off'");
    jit.keeps = value === 'on';
  } else throw new UserError(`Property 'tcg-accel.${key}' not found`);
}

function roundRam(bytes: number): number {
  return Math.ceil(bytes / 8192) * 8192;
}

/** Settings of QEMU's board that ask for parts which this one has not, or without parts which it cannot do without. */
const MISSING_PARTS: Readonly<Record<string, readonly unknown[]>> = {
  usb: [true],
  vmport: ['on'],
  pit: ['off'],
  pic: ['off'],
};

/** @throws UserError for a setting that was given and would be without effect */
function refuseMissingParts(machine: Machine, given: readonly (readonly [string, string])[]): void {
  for (const [name, text] of given)
    if (MISSING_PARTS[name]?.includes(machine.values[name]))
      throw new UserError(`-machine ${name}=${text}: not supported yet`);
}

function setMachineProperty(machine: Machine, name: string, text: string): void {
  objectSet(machine, name, text);
}

function createEnvironment(
  host: SystemHost,
  clocks: Clocks,
  requests: Requests,
  emit: MachineEnvironment['emit'],
  findBackend: MachineEnvironment['findBackend'],
  findFirmware: MachineEnvironment['findFirmware'],
  newEmptyDrive: NonNullable<MachineEnvironment['newEmptyDrive']>,
  deviceCreated: NonNullable<MachineEnvironment['deviceCreated']>,
): MachineEnvironment {
  const arena = new RamArena(host.newMemory(), RESERVED_BYTES, TABLE_BYTES);
  const unattached = containerGet('/machine/unattached');
  const container = (name: string, size: number) =>
    objectNewAs(MemoryRegion, 'memory-region').initContainer(unattached, name, size);
  const systemMemory = container('system', FULL_SIZE);
  const systemIo = objectNewAs(MemoryRegion, 'memory-region').initIo(unattached, UNASSIGNED_PORTS, null, 'io', 65536);
  return {
    clocks,
    arena,
    systemMemory,
    systemIo,
    memory: new AddressSpace('memory', systemMemory, arena),
    io: new AddressSpace('I/O', systemIo, arena, 'io'),
    requestReset: (cause) => requests.requestReset(cause),
    requestShutdown: (cause) => requests.requestShutdown(cause),
    requestSuspend: () => requests.requestSuspend(),
    requestWakeup: (reason) => requests.requestWakeup(reason),
    sleep: new Sleep(),
    requestExit: (code) => requests.requestExit(code),
    emit,
    findFirmware,
    findBackend,
    deviceCreated,
    newEmptyDrive,
    displays: new DisplayRegistry(),
    input: new InputCore({
      after: (ms, task) => clocks.virtual.newTimer(task).modify(clocks.virtual.now() + ms * 1e6),
    }),
    unattached,
  };
}

/** Ports that nothing answers read as ones. */
const UNASSIGNED_PORTS = {
  valid: { max: 4 },
  impl: { max: 4 },
  read: (_: null, _offset: number, size: number) => (size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff),
  write() {},
};

function loadBios(command: ParsedCommandLine, host: SystemHost, folders: readonly string[]): Uint8Array {
  const name = command.bios ?? 'bios-256k.bin';
  const bios = host.findFirmware(name, folders);
  if (!bios && command.bios === undefined)
    throw new UserError(
      `could not find the firmware '${name}'`,
      `Searched in: ${folders.join(', ')}\nInstall SeaBIOS (Debian and Ubuntu: apt-get install seabios), or name its folder with -L.\n`,
    );
  if (!bios || bios.length === 0 || bios.length % BIOS_GRANULE !== 0 || bios.length > 16 * MiB)
    throw new UserError(`could not load PC BIOS '${name}'`);
  return bios;
}

function loadKernelFiles(command: ParsedCommandLine, host: SystemHost, below4g: number): PcSettings['kernel'] {
  const open = (path: string, what: string): AnyBytes => {
    try {
      return host.openFile(path);
    } catch (error) {
      if (error instanceof UserError) throw new UserError(`could not open ${what} '${path}': ${error.message}`);
      throw error;
    }
  };
  const kernel = open(command.kernel!, 'kernel file');
  // A Multiboot kernel takes several modules, separated by commas, each followed by its arguments.
  const modules = (command.initrd ?? '')
    .split(',')
    .filter((part) => part !== '')
    .map((part) => ({ path: part.split(' ')[0]!, commandLine: part }));
  const kind = kernelKind(kernel);
  const initrd = (path: string) => (kind === 'linux' ? open(path, 'initrd') : new Uint8Array(0));
  return loadKernel(
    {
      kernel,
      kernelName: command.kernel!,
      append: command.append ?? '',
      initrd: command.initrd === undefined || kind === 'multiboot' ? null : initrd(command.initrd),
      modules:
        kind === 'multiboot'
          ? modules.map(({ path, commandLine }) => ({ bytes: firstBytes(open(path, 'initrd')), commandLine }))
          : [],
    },
    below4g,
  );
}

function uuidBytes(uuid: string | undefined): Uint8Array {
  const digits = (uuid ?? '').replaceAll('-', '');
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2) || '0', 16));
}

/** Seconds since 1970 that the guest's clock shows at the start. */
function rtcStart({ rtc }: ParsedCommandLine, host: SystemHost): number {
  if (rtc.base.kind === 'datetime') return Math.floor(rtc.base.epochMs / 1000);
  const now = Math.floor(host.time.wallNs() / 1e9);
  return rtc.base.kind === 'utc' ? now : now - new Date(now * 1000).getTimezoneOffset() * 60;
}

function rtcProperties(command: ParsedCommandLine): Readonly<Record<string, unknown>> {
  return command.rtc.driftfixSlew ? { lost_tick_policy: 'slew' } : {};
}

function createCpuDevice(model: string, definition: CpuDefinition, index: number): CpuDevice {
  const device = deviceNew(CpuDevice, cpuTypeName(model));
  device.definition = definition;
  device.index = index;
  deviceRealize(device);
  return device;
}

function toDeviceRequest(option: DeviceOption): DeviceRequest {
  if (option.driver === undefined) throw new UserError("Parameter 'driver' is missing");
  const json = option.json;
  return {
    driver: option.driver,
    id: option.id ?? null,
    bus: option.bus ?? null,
    properties: json
      ? Object.entries(json).filter(([key]) => key !== 'driver' && key !== 'id' && key !== 'bus')
      : option.properties,
    fromJson: json !== undefined,
  };
}

/** Puts the accelerator's CPU into the board's socket. */
function joinCpu(
  pc: PcMachine,
  env: MachineEnvironment,
  definition: CpuDefinition,
  device: CpuDevice,
  requests: Requests,
  host: SystemHost,
  jit: JitOptions,
): X86Cpu {
  const memory = new CpuMemory(device, device.index, env.memory, pc.smram);
  const cpu = new X86Cpu(
    {
      arena: env.arena.forTables() as never,
      memory,
      io: env.io,
      acknowledgeInterrupt: () => pc.interrupts.acknowledge(),
      apic: pc.interrupts.apicPort(),
      tscNow: () => env.clocks.virtual.now(),
      ferr: (isNew) => pc.coprocessorError(isNew),
      smiAcknowledged: (isInSmm) => memory.setSmm(isInSmm),
      random: () => new DataView(host.randomBytes(4).slice().buffer).getUint32(0),
      tripleFault: () => {
        log('cpu_reset', 'Triple fault');
        requests.requestReset('guest-reset');
      },
      log: (mask, text) => log(mask, text),
      logs: isLogged,
    },
    {
      definition,
      jit,
      now: () => host.time.monotonicNs() / 1e6,
      startCompiler: host.startCompiler && ((setup) => host.startCompiler!(setup)),
      instantiate: jit.keeps ? host.instantiate : undefined,
    },
  );
  pc.cpuWires.set('smi', {
    set: (level) => {
      if (level) cpu.raiseSmi();
    },
  });
  pc.cpuWires.set('nmi', {
    set: (level) => {
      if (level) cpu.raiseNmi();
    },
  });
  pc.cpuWires.set('init', {
    set: (level) => {
      if (level) cpu.setInit();
    },
  });
  pc.cpuWires.set('a20', { set: (level) => cpu.setA20(level > 0) });
  return cpu;
}

/** Ports that a waiting guest reads over and over: keyboard status, refresh and timer, clock, PM timer. */
function loopCpu(cpu: X86Cpu) {
  const { activity } = cpu;
  return {
    run: (budget: number) => cpu.run(budget),
    requestExit: () => cpu.requestExit(),
    reset() {
      log('cpu_reset', () => `CPU Reset (CPU 0)\n${infoRegisters(cpu.state)}`);
      cpu.reset();
    },
    get executed() {
      return cpu.executed;
    },
    get halted() {
      return cpu.halted;
    },
    activity: {
      get pauses() {
        return activity.pauses;
      },
      get keyboardCalls() {
        return activity.softInts[0x16]!;
      },
      get pollingReads() {
        return activity.portReads;
      },
      get otherPortAccesses() {
        return activity.portWrites;
      },
      get mmioWrites() {
        return activity.mmioAccesses;
      },
      get blocksDecoded() {
        return activity.blocksDecoded;
      },
    },
  };
}

const IDLE_CPU = {
  run: () => 'halted' as const,
  requestExit() {},
  reset() {},
  executed: 0,
  halted: true,
  activity: { pauses: 0, keyboardCalls: 0, pollingReads: 0, otherPortAccesses: 0, mmioWrites: 0, blocksDecoded: 0 },
};

/** `-boot once=`: the order holds for one start only. */
function restoreBootOrderAfterFirstReset(
  running: RunningMachine,
  pc: PcMachine,
  order: string,
  isStrict: boolean,
): void {
  const end = running.onReset(() => {
    if (!running.hasStarted) return;
    pc.setBootOrder(order, isStrict);
    end();
  });
}
