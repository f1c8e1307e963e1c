/** Commands about PCI, character devices, guest memory and tracing. */

import { CHARDEV_TYPES } from '../../options/chardev-options.ts';
import { UserError } from '../../util/errors.ts';
import type { JsonObject } from '../../util/json.ts';
import { setTraceState, traceEvents } from '../../util/trace.ts';
import { command, type QmpCommand } from '../command.ts';
import type { CompilerStatistics, MonitorContext, PciDeviceInfo, PciRegionInfo } from '../context.ts';
import { jitText, NO_JIT } from '../jit-text.ts';
import {
  any,
  bool,
  choice,
  int,
  list,
  NO_MEMBERS,
  number,
  object,
  optional,
  required,
  str,
  uint64,
} from '../schema.ts';
import { requireCpu } from './machine.ts';

/** Bytes read and written at a time, so that a large dump needs no large buffer for the guest's side. */
const DUMP_STEP = 64 << 10;
const MAX_DUMP = 4 * 2 ** 30;

export const MISC_COMMANDS: readonly QmpCommand[] = [
  /** QEMU gives the text alone; the other members are for who wants numbers. */
  command({
    name: 'x-query-jit',
    arguments: NO_MEMBERS,
    returns: object({
      'human-readable-text': required(str),
      'guest-instructions': required(uint64),
      mips: required(number),
      'average-mips': required(number),
      busy: required(number),
      'blocks-decoded': required(uint64),
      'mode-switches': required(uint64),
      'port-reads': required(uint64),
      'port-writes': required(uint64),
      'mmio-accesses': required(uint64),
      'idle-poll-rests': required(uint64),
      compiler: required(
        object({
          mode: required(choice('off', 'on', 'always', 'lockstep')),
          regions: required(uint64),
          modules: required(uint64),
          'wasm-bytes': required(uint64),
          'code-bytes': required(uint64),
          'code-limit': required(uint64),
          'compiled-regions': required(uint64),
          'compiled-instructions': required(uint64),
          reused: required(uint64),
          ready: required(uint64),
          refused: required(uint64),
          released: required(uint64),
          invalidated: required(uint64),
          'evicted-modules': required(uint64),
          flushes: required(uint64),
          'compile-milliseconds': required(number),
          exits: required(
            object({ resumed: required(uint64), interpreted: required(uint64), budget: required(uint64) }),
          ),
        }),
      ),
    }),
    run: ({ context }) => {
      const statistics = context.jitStatistics();
      if (!statistics) throw new UserError(NO_JIT);
      return {
        'human-readable-text': jitText(statistics),
        'guest-instructions': statistics.guestInstructions,
        mips: statistics.mips,
        'average-mips': statistics.averageMips,
        busy: statistics.busy,
        'blocks-decoded': statistics.blocksDecoded,
        'mode-switches': statistics.modeSwitches,
        'port-reads': statistics.portReads,
        'port-writes': statistics.portWrites,
        'mmio-accesses': statistics.mmioAccesses,
        'idle-poll-rests': statistics.idlePollRests,
        compiler: describeCompiler(statistics.compiler),
      };
    },
  }),
  command({
    name: 'query-pci',
    arguments: NO_MEMBERS,
    returns: list(object({ bus: required(int), devices: required(list(any)) })),
    run: ({ context }) =>
      context.guest.pci.map(({ bus, devices }) => ({ bus, devices: devices.map(describePciDevice) })),
  }),
  command({
    name: 'query-chardev',
    arguments: NO_MEMBERS,
    returns: list(object({ label: required(str), filename: required(str), 'frontend-open': required(bool) })),
    run: ({ context }) =>
      context.characters
        .list()
        .map(({ label, filename, isFrontendOpen }) => ({ 'frontend-open': isFrontendOpen, filename, label })),
  }),
  command({
    name: 'query-chardev-backends',
    arguments: NO_MEMBERS,
    returns: list(object({ name: required(str) })),
    run: () => CHARDEV_TYPES.map((name) => ({ name })),
  }),
  command({
    name: 'chardev-send-break',
    arguments: { id: required(str) },
    run: ({ context }, { id }) => {
      context.characters.sendBreak(id);
      return undefined;
    },
  }),
  command({
    name: 'memsave',
    arguments: { val: required(int), size: required(int), filename: required(str), 'cpu-index': optional(int) },
    run: async ({ context }, { val, size, filename, 'cpu-index': cpu = 0 }) => {
      requireCpu(context.guest.cpus, cpu);
      await saveMemory(context, filename, val, size, (address, length) => {
        const bytes = context.guest.readVirtual(cpu, address, length);
        if (!bytes) throw new UserError(`Invalid addr 0x${hex16(address)}/size ${size} specified`);
        return bytes;
      });
      return undefined;
    },
  }),
  command({
    name: 'pmemsave',
    arguments: { val: required(int), size: required(int), filename: required(str) },
    run: async ({ context }, { val, size, filename }) => {
      await saveMemory(context, filename, val, size, (address, length) => {
        return context.guest.readPhysical(address, length) ?? new Uint8Array(length);
      });
      return undefined;
    },
  }),
  command({
    name: 'trace-event-get-state',
    arguments: { name: required(str), vcpu: optional(int) },
    returns: list(
      object({
        name: required(str),
        state: required(choice('unavailable', 'disabled', 'enabled')),
        vcpu: required(bool),
      }),
    ),
    run: (_, { name }) => {
      const found = traceEvents().filter((event) => matchesPattern(event.name, name));
      if (found.length === 0 && !isPattern(name)) throw unknownEvent(name);
      return found.map((event) => ({ name: event.name, vcpu: false, state: event.isEnabled ? 'enabled' : 'disabled' }));
    },
  }),
  command({
    name: 'trace-event-set-state',
    arguments: {
      name: required(str),
      enable: required(bool),
      'ignore-unavailable': optional(bool),
      vcpu: optional(int),
    },
    run: (_, { name, enable }) => {
      selectTraceEvents(name, enable);
      return undefined;
    },
  }),
];

function isPattern(name: string): boolean {
  return /[*?]/.test(name);
}

/** Globs without backtracking: a pattern comes from outside. */
export function matchesPattern(name: string, pattern: string): boolean {
  let at = 0;
  let in_ = 0;
  let star = -1;
  let mark = 0;
  while (at < name.length) {
    if (pattern[in_] === '*') {
      star = in_++;
      mark = at;
    } else if (pattern[in_] === '?' || pattern[in_] === name[at]) {
      in_++;
      at++;
    } else if (star >= 0) {
      in_ = star + 1;
      at = ++mark;
    } else return false;
  }
  while (pattern[in_] === '*') in_++;
  return in_ === pattern.length;
}

function unknownEvent(name: string): UserError {
  return new UserError(`unknown event "${name}"`);
}

/** Switches events on or off. @throws UserError for a name that is no event */
export function selectTraceEvents(name: string, enable: boolean): void {
  const known = traceEvents().filter((event) => matchesPattern(event.name, name));
  if (known.length === 0 && !isPattern(name)) throw unknownEvent(name);
  for (const event of known) setTraceState(event.name, enable);
}

function hex16(value: bigint): string {
  return BigInt.asUintN(64, value).toString(16).padStart(16, '0');
}

/** Writes guest memory to a file, whole or not at all. */
export async function saveMemory(
  context: MonitorContext,
  filename: string,
  start: number,
  size: number,
  read: (address: bigint, length: number) => Uint8Array,
): Promise<void> {
  if (size < 0 || size > MAX_DUMP) throw new UserError("Parameter 'size' expects a size below 4 GiB");
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += DUMP_STEP) {
    bytes.set(read(BigInt(start) + BigInt(at), Math.min(DUMP_STEP, size - at)), at);
  }
  try {
    await context.host.writeFile(filename, bytes);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`Could not open '${filename}': ${error.message}`);
  }
}

function describeCompiler(compiler: CompilerStatistics) {
  return {
    mode: compiler.mode,
    regions: compiler.regions,
    modules: compiler.modules,
    'wasm-bytes': compiler.wasmBytes,
    'code-bytes': compiler.codeBytes,
    'code-limit': compiler.codeLimit,
    'compiled-regions': compiler.compiledRegions,
    'compiled-instructions': compiler.compiledInstructions,
    reused: compiler.reused,
    ready: compiler.ready,
    refused: compiler.refused,
    released: compiler.released,
    invalidated: compiler.invalidated,
    'evicted-modules': compiler.evictedModules,
    flushes: compiler.flushes,
    'compile-milliseconds': compiler.compileMilliseconds,
    exits: { ...compiler.exits },
  };
}

function describePciDevice(device: PciDeviceInfo): JsonObject {
  const hasSubsystem = device.subsystem !== undefined && device.subsystemVendor !== undefined;
  return {
    bus: device.bus,
    slot: device.slot,
    function: device.function,
    class_info: {
      class: device.classCode,
      ...(device.classDescription !== undefined && { desc: device.classDescription }),
    },
    id: {
      device: device.device,
      vendor: device.vendor,
      ...(hasSubsystem && { subsystem: device.subsystem!, 'subsystem-vendor': device.subsystemVendor! }),
    },
    irq_pin: device.irqPin,
    ...(device.irqPin !== 0 && { irq: device.irqLine }),
    qdev_id: device.qdevId,
    regions: device.regions.map(describeRegion),
    ...(device.bridge && { pci_bridge: describeBridge(device.bridge) }),
  };
}

function describeBridge(bridge: NonNullable<PciDeviceInfo['bridge']>): JsonObject {
  const { bus } = bridge;
  return {
    bus: {
      number: bus.number,
      secondary: bus.secondary,
      subordinate: bus.subordinate,
      io_range: { base: bus.ioBase, limit: bus.ioLimit },
      memory_range: { base: bus.memoryBase, limit: bus.memoryLimit },
      prefetchable_range: { base: bus.prefetchBase, limit: bus.prefetchLimit },
    },
    devices: bridge.devices.map(describePciDevice),
  };
}

function describeRegion(region: PciRegionInfo): JsonObject {
  const { bar, size, address } = region;
  if (region.type === 'io') return { bar, size, address, type: 'io' };
  return { bar, prefetch: region.isPrefetchable, mem_type_64: region.is64Bit, size, address, type: 'memory' };
}
