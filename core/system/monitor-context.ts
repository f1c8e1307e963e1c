/** The machine as its monitors see it. */
import type { X86Cpu } from '../accel/tcg/cpu.ts';
import { qtreeText } from '../hw/core/qtree.ts';
import { machineClasses } from '../machines/machine.ts';
import type {
  BlockControl,
  CompilerStatistics,
  CpuInfo,
  GuestAccess,
  InfoText,
  JitStatistics,
  MonitorContext,
  PciBusInfo,
  RunControl,
  VncControl,
} from '../monitor/context.ts';
import { checkBootOrder } from '../options/machine-boot.ts';
import { objectCanonicalPath } from '../qom/object.ts';
import { defineCpu, parseCpuOption } from '../target/x86/cpu-definition.ts';
import { listInstructions } from '../target/x86/disassemble/listing.ts';
import { CPU_MODEL_ALIASES, CPU_MODELS, cpuTypeName } from '../target/x86/models.ts';
import { infoRegisters } from '../target/x86/registers-text.ts';
import { CR0, CS, DESC, EFER, FIELDS } from '../target/x86/state.ts';
import { UserError } from '../util/errors.ts';
import type { JsonObject } from '../util/json.ts';
import { setLogSink } from '../util/log.ts';
import { setTraceSink } from '../util/trace.ts';
import { hex } from '../util/units.ts';
import type { System } from './qemu-init.ts';
import type { Requests } from './requests.ts';

/** The monitor speaks like this version of QEMU; the package string says who really answers. */
const QEMU_VERSION = { major: 7, minor: 2, micro: 0 } as const;
/** Registers of monitor expressions, in the CPU's numbering. */
const REGISTER_NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
/** A dump never needs more at once; a hostile length must not allocate gigabytes. */
const LARGEST_READ = 64 << 20;

export function createMonitorContext(system: System, block: BlockControl, vnc: VncControl): MonitorContext {
  const { command, host, env, running, chardevs, pc } = system;
  return {
    identity: {
      packageName: `Terrarium ${host.version}`,
      version: QEMU_VERSION,
      name: command.name,
      uuid: command.uuid,
      target: 'x86_64',
    },
    run: runControl(system),
    guest: guestAccess(system),
    machines: {
      machines: () =>
        machineClasses().map((c) => ({
          name: c.machineName ?? '',
          alias: c.alias,
          isDefault: c.isDefault ?? false,
          maxCpus: c.maxCpus ?? 1,
          defaultCpuType: c.defaultCpuType === undefined ? undefined : cpuTypeName(c.defaultCpuType),
          defaultRamId: c.defaultCpuType === undefined ? undefined : 'pc.ram',
          isDeprecated: false,
        })),
      cpuDefinitions: () =>
        [...CPU_MODELS.keys(), ...Object.keys(CPU_MODEL_ALIASES)].map((name) => ({
          name,
          typeName: cpuTypeName(name),
          isStatic: name === 'base',
          isMigrationSafe: name !== 'max',
          unavailableFeatures: [...defineCpu(parseCpuOption(name)).definition.filtered.names()],
          aliasOf: CPU_MODEL_ALIASES[name],
          isDeprecated: false,
        })),
    },
    block,
    characters: {
      list: () => chardevs.all.map((c) => ({ label: c.id, filename: c.filename, isFrontendOpen: c.frontend !== null })),
      sendBreak(id) {
        const chardev = chardevs.find(id);
        if (!chardev) throw new UserError(`Chardev '${id}' not found`);
        chardev.sendBreak();
      },
    },
    vnc,
    displays: env.displays,
    input: env.input,
    compression: host.compression,
    host: {
      now: () => host.time.wallNs() / 1e6,
      after: (ms, callback) => host.after(ms, callback),
      writeFile: (path, bytes) => host.writeFile(path, bytes),
      setLogFile(path) {
        const write = host.openLog(path);
        setLogSink(write);
        setTraceSink((line) => write(`${line}\n`));
      },
    },
    onEvent: (listener) => system.onEvent((event, data) => listener(event, data as JsonObject)),
    infoTexts: new Map<InfoText, (argument: string) => string>([
      ['qtree', () => (pc ? qtreeText(pc.mainBus) : '')],
      ['pic', () => pc?.interrupts.picText() ?? ''],
      ['irq', () => pc?.interrupts.irqText() ?? ''],
      ['lapic', () => pc?.interrupts.lapicText() ?? ''],
      ['ramblock', () => ramBlocks(system)],
      ['roms', () => romText(system)],
      ['network', () => ''],
    ]),
    jitStatistics: () => jitStatistics(system),
  };

  function runControl({ cpu }: System): RunControl {
    const granted = (ask: (requests: Requests) => void) => {
      ask(running.parts.requests);
      running.mainLoop.grant();
    };
    return {
      get state() {
        return running.runState.state;
      },
      get isRunning() {
        return running.runState.isRunning;
      },
      stop: () => running.stop(),
      cont: () => running.resume(),
      reset: () => granted((requests) => requests.requestReset('host-qmp-system-reset')),
      powerdown: () => granted((requests) => requests.requestPowerdown()),
      quit: () => granted((requests) => requests.requestShutdown('host-qmp-quit')),
      wakeup() {
        if (!env.sleep.isSupported) throw new UserError('wake-up from suspend is not supported by this guest');
        if (running.runState.state !== 'suspended')
          throw new UserError('Unable to wake up: guest is not in suspended state');
        granted((requests) => requests.requestWakeup('other'));
      },
      get canWakeUp() {
        return env.sleep.isSupported;
      },
      injectNmi() {
        if (!cpu) throw new UserError('machine does not provide NMIs');
        if (!pc?.interrupts.injectNmi()) cpu.raiseNmi();
        running.mainLoop.kick();
      },
      setActions(actions) {
        running.actions = { ...running.actions, ...(actions as Partial<typeof running.actions>) };
      },
      setBootOrder(order) {
        if (!pc) throw new UserError('no function defined to set boot device list for this architecture');
        checkBootOrder(order);
        pc.setBootOrder(order, false);
      },
    };
  }
}

function guestAccess(system: System): GuestAccess {
  const { cpu, cpuDevice, env, pc, host } = system;
  const cpus: CpuInfo[] = cpuDevice
    ? [
        {
          index: 0,
          qomPath: objectCanonicalPath(cpuDevice),
          socketId: 0,
          coreId: 0,
          threadId: 0,
          hostThread: host.processId,
          typeName: cpuDevice.typeName,
        },
      ]
    : [];
  const readPhysical = (address: bigint, length: number): Uint8Array | null => {
    const at = Number(address);
    if (length > LARGEST_READ || address < 0n || address >= 2n ** 52n) return null;
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const range = env.memory.find(at + done);
      const region = range?.region;
      if (!range || !region) return null;
      const count = Math.min(length - done, range.start + range.size - (at + done));
      // A look must not change anything: registers of devices read as zeroes.
      if (region.ram) env.memory.readBytes(at + done, bytes.subarray(done, done + count));
      else if (region.regionName === 'vga-lowmem') env.memory.readBytes(at + done, bytes.subarray(done, done + count));
      done += count;
    }
    return bytes;
  };
  /** A linear address as the CPU has it. */
  const linearOf = (address: bigint): number =>
    Number(cpu?.state.longMode ? BigInt.asIntN(64, address) : BigInt.asUintN(32, address));
  const whole = (field: (typeof FIELDS)['gpr'], index = 0): bigint =>
    (BigInt(cpu!.state.high(field, index)) << 32n) | BigInt(cpu!.state.low(field, index));
  const readVirtual = (address: bigint, length: number): Uint8Array | null => {
    if (!cpu || length > LARGEST_READ) return null;
    // Page tables have no place for the upper half of an address; without them it is an address where nothing is.
    const isPaged = (cpu.state.low(FIELDS.cr0) & CR0.PG) !== 0;
    if (!isPaged && address + BigInt(length) > 1n << 32n) return null;
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const linear = linearOf(address + BigInt(done));
      const physical = cpu.translateDebug(linear);
      if (physical === null) return null;
      const count = Math.min(length - done, 4096 - (linear & 0xfff));
      const part = readPhysical(BigInt(physical), count);
      if (!part) return null;
      bytes.set(part, done);
      done += count;
    }
    return bytes;
  };
  return {
    cpus,
    memoryBytes: env.arena.blocks.find((b) => b.name === 'pc.ram')?.bytes ?? 0,
    readPhysical,
    readVirtual: (_, address, length) => readVirtual(address, length),
    disassemble(_, address, count, isPhysical) {
      const code = cpu?.state.segments[CS];
      const isLong = cpu && cpu.state.efer & EFER.LMA && code!.flags & DESC.long;
      const bits = isLong ? 64 : code && code.flags & DESC.big ? 32 : 16;
      return listInstructions(address, count, bits, isPhysical ? readPhysical : readVirtual);
    },
    translate(_, address) {
      const physical = cpu?.translateDebug(linearOf(address));
      return physical === null || physical === undefined ? null : BigInt(physical);
    },
    registersText: () => (cpu ? infoRegisters(cpu.state) : ''),
    readRegister(_, name) {
      if (!cpu) return null;
      const { state } = cpu;
      const lower = name.toLowerCase();
      if (lower === 'eip' || lower === 'pc' || lower === 'rip')
        return state.code64
          ? whole(FIELDS.rip)
          : BigInt((state.eip + (lower === 'pc' ? state.segments[CS]!.base : 0)) >>> 0);
      const upper = /^r(8|9|1[0-5])$/.exec(lower)?.[1];
      if (upper !== undefined) return whole(FIELDS.gpr, Number(upper));
      if (lower === 'eflags') return BigInt(state.getEflags() >>> 0);
      const segment = SEGMENT_NAMES.indexOf(lower);
      if (segment >= 0) return BigInt(state.segments[segment]!.selector);
      const general = REGISTER_NAMES.indexOf(lower.replace(/^[er]/, ''));
      if (general >= 0 && /^[er]?..$/.test(lower)) return whole(FIELDS.gpr, general);
      const control = /^cr([0234])$/.exec(lower)?.[1];
      if (control === '2' || control === '3') return whole(FIELDS[`cr${control}`]);
      if (control !== undefined) return BigInt(state.low(FIELDS[`cr${control}` as 'cr0']) >>> 0);
      return null;
    },
    readPort: (port, size) => env.io.read(port & 0xffff, size),
    writePort: (port, value, size) => env.io.write(port & 0xffff, size, value),
    get pci(): readonly PciBusInfo[] {
      if (!pc) return [];
      return pc.pciInfo().map(({ bus, devices }) => ({
        bus,
        devices: devices.map((d) => ({
          bus: d.bus,
          slot: d.slot,
          function: d.function,
          classCode: d.class_info.class,
          classDescription: d.class_info.desc,
          vendor: d.id.vendor,
          device: d.id.device,
          subsystemVendor: d.id['subsystem-vendor'],
          subsystem: d.id.subsystem,
          irqPin: d.irq_pin,
          irqLine: d.irq ?? 0,
          qdevId: d.qdev_id,
          regions: d.regions.map((r) => ({
            bar: r.bar,
            type: r.type,
            size: r.size,
            address: r.address,
            isPrefetchable: r.prefetch ?? false,
            is64Bit: r.mem_type_64 ?? false,
          })),
        })),
      }));
    },
  };
}

function ramBlocks({ env }: System): string {
  const lines = ['              Block Name    PSize              Offset               Used              Total'];
  for (const b of env.arena.blocks)
    lines.push(`${b.name.padStart(24)}    4 KiB  0x${hex(b.offset, 16)} 0x${hex(b.bytes, 16)} 0x${hex(b.bytes, 16)}`);
  return `${lines.join('\n')}\n`;
}

function romText({ pc }: System): string {
  if (!pc) return '';
  const { bytes, name } = pc.bios;
  return `addr=${hex(2 ** 32 - bytes, 16)} size=0x${hex(bytes, 6)} mem=rom name="${name}"\n`;
}

/** Null where nothing executes guest code. `mips` and `busy` are about the time since the last look, whoever looked. */
function jitStatistics({ cpu, running }: System): JitStatistics | null {
  if (!cpu) return null;
  const { mips, averageMips, busy } = running.mainLoop.statistics();
  const { blocksDecoded, modeSwitches, portReads, portWrites, mmioAccesses } = cpu.activity;
  const idlePollRests = running.mainLoop.idlePoll.rests;
  const guestInstructions = cpu.executed;
  return {
    guestInstructions,
    mips,
    averageMips,
    busy,
    blocksDecoded,
    modeSwitches,
    portReads,
    portWrites,
    mmioAccesses,
    idlePollRests,
    compiler: compilerStatistics(cpu),
  };
}

function compilerStatistics({ jit }: X86Cpu): CompilerStatistics {
  const { compiled, ...statistics } = jit.statistics;
  const { mode, codeBytes: codeLimit } = jit.options;
  return { ...statistics, mode, codeLimit, compiledRegions: compiled, exits: jit.exits };
}
