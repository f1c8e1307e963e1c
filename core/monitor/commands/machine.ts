/** Commands about the machine as a whole: identity, run state, processors, catalogue. */

import { DRIVE_DESC, GROUPS } from '../../options/option-groups.ts';
import type { OptsGroup } from '../../options/qemu-opts.ts';
import { UserError } from '../../util/errors.ts';
import type { JsonObject } from '../../util/json.ts';
import { command, type QmpCommand } from '../command.ts';
import type { CpuInfo } from '../context.ts';
import { EVENTS } from '../events.ts';
import { versionOf } from '../qmp-session.ts';
import { any, bool, choice, int, list, NO_MEMBERS, object, optional, required, SchemaCatalog, str } from '../schema.ts';

const RUN_STATE = choice(
  'debug',
  'inmigrate',
  'internal-error',
  'io-error',
  'paused',
  'postmigrate',
  'prelaunch',
  'finish-migrate',
  'restore-vm',
  'running',
  'save-vm',
  'shutdown',
  'suspended',
  'watchdog',
  'guest-panicked',
  'colo',
);
const CPU_PROPS = object({
  'node-id': optional(int),
  'socket-id': optional(int),
  'die-id': optional(int),
  'core-id': optional(int),
  'thread-id': optional(int),
});
const STATUS = object({ running: required(bool), singlestep: required(bool), status: required(RUN_STATE) });
const VERSION = object({
  qemu: required(object({ major: required(int), minor: required(int), micro: required(int) })),
  package: required(str),
});
const NAMED = object({ name: required(str) });

function cpuProps(cpu: CpuInfo): JsonObject {
  return { 'core-id': cpu.coreId, 'thread-id': cpu.threadId, 'socket-id': cpu.socketId };
}

export const MACHINE_COMMANDS: readonly QmpCommand[] = [
  command({
    name: 'query-version',
    arguments: NO_MEMBERS,
    returns: VERSION,
    run: ({ context }) => versionOf(context.identity),
  }),
  command({
    name: 'query-commands',
    arguments: NO_MEMBERS,
    returns: list(NAMED),
    run: ({ commands }) => commands.map(({ name }) => ({ name })),
  }),
  command({
    name: 'query-qmp-schema',
    arguments: NO_MEMBERS,
    returns: list(any),
    run: ({ commands }) => schemaEntries(commands),
  }),
  command({
    name: 'query-status',
    arguments: NO_MEMBERS,
    returns: STATUS,
    run: ({ context: { run } }) => ({ status: run.state, singlestep: false, running: run.isRunning }),
  }),
  command({
    name: 'query-name',
    arguments: NO_MEMBERS,
    returns: object({ name: optional(str) }),
    run: ({ context: { identity } }) => ({ ...(identity.name !== undefined && { name: identity.name }) }),
  }),
  command({
    name: 'query-uuid',
    arguments: NO_MEMBERS,
    returns: object({ UUID: required(str) }),
    run: ({ context: { identity } }) => ({ UUID: identity.uuid ?? '00000000-0000-0000-0000-000000000000' }),
  }),
  command({
    name: 'query-kvm',
    arguments: NO_MEMBERS,
    returns: object({ enabled: required(bool), present: required(bool) }),
    run: () => ({ enabled: false, present: false }),
  }),
  command({
    name: 'query-target',
    arguments: NO_MEMBERS,
    returns: object({ arch: required(choice('i386', 'x86_64')) }),
    run: ({ context }) => ({ arch: context.identity.target }),
  }),
  command({
    name: 'query-cpus-fast',
    arguments: NO_MEMBERS,
    returns: list(
      object({
        'cpu-index': required(int),
        'qom-path': required(str),
        'thread-id': required(int),
        props: optional(CPU_PROPS),
        target: required(str),
      }),
    ),
    run: ({ context: { guest, identity } }) =>
      guest.cpus.map((cpu) => ({
        'thread-id': cpu.hostThread,
        props: cpuProps(cpu),
        'qom-path': cpu.qomPath,
        'cpu-index': cpu.index,
        target: identity.target,
      })),
  }),
  command({
    name: 'query-hotpluggable-cpus',
    arguments: NO_MEMBERS,
    returns: list(
      object({
        type: required(str),
        'vcpus-count': required(int),
        props: required(CPU_PROPS),
        'qom-path': optional(str),
      }),
    ),
    run: ({ context: { guest } }) =>
      guest.cpus.map((cpu) => ({
        props: cpuProps(cpu),
        'vcpus-count': 1,
        'qom-path': cpu.qomPath,
        type: cpu.typeName,
      })),
  }),
  command({
    name: 'query-current-machine',
    arguments: NO_MEMBERS,
    returns: object({ 'wakeup-suspend-support': required(bool) }),
    run: ({ context }) => ({ 'wakeup-suspend-support': context.run.canWakeUp }),
  }),
  command({
    name: 'query-machines',
    arguments: NO_MEMBERS,
    returns: list(
      object({
        name: required(str),
        alias: optional(str),
        'is-default': optional(bool),
        'cpu-max': required(int),
        'hotpluggable-cpus': required(bool),
        'numa-mem-supported': required(bool),
        deprecated: required(bool),
        'default-cpu-type': optional(str),
        'default-ram-id': optional(str),
      }),
    ),
    run: ({ context }) =>
      context.machines.machines().map((machine) => ({
        'hotpluggable-cpus': false,
        name: machine.name,
        'numa-mem-supported': false,
        ...(machine.defaultCpuType !== undefined && { 'default-cpu-type': machine.defaultCpuType }),
        ...(machine.isDefault && { 'is-default': true }),
        'cpu-max': machine.maxCpus,
        deprecated: machine.isDeprecated,
        ...(machine.defaultRamId !== undefined && { 'default-ram-id': machine.defaultRamId }),
        ...(machine.alias !== undefined && { alias: machine.alias }),
      })),
  }),
  command({
    name: 'query-cpu-definitions',
    arguments: NO_MEMBERS,
    returns: list(
      object({
        name: required(str),
        'migration-safe': optional(bool),
        static: required(bool),
        'unavailable-features': optional(list(str)),
        typename: required(str),
        'alias-of': optional(str),
        deprecated: required(bool),
      }),
    ),
    run: ({ context }) =>
      context.machines.cpuDefinitions().map((cpu) => ({
        name: cpu.name,
        typename: cpu.typeName,
        'unavailable-features': [...cpu.unavailableFeatures],
        static: cpu.isStatic,
        'migration-safe': cpu.isMigrationSafe,
        deprecated: cpu.isDeprecated,
        ...(cpu.aliasOf !== undefined && { 'alias-of': cpu.aliasOf }),
      })),
  }),
  command({
    name: 'query-memory-size-summary',
    arguments: NO_MEMBERS,
    returns: object({ 'base-memory': required(int), 'plugged-memory': optional(int) }),
    run: ({ context }) => ({ 'base-memory': context.guest.memoryBytes, 'plugged-memory': 0 }),
  }),
  command({
    name: 'query-iothreads',
    arguments: NO_MEMBERS,
    returns: list(any),
    run: () => [],
  }),
  command({
    name: 'query-memory-devices',
    arguments: NO_MEMBERS,
    returns: list(any),
    run: () => [],
  }),
  command({
    name: 'query-command-line-options',
    arguments: { option: optional(str) },
    returns: list(
      object({
        option: required(str),
        parameters: required(
          list(
            object({
              name: required(str),
              type: required(choice('string', 'boolean', 'number', 'size')),
              help: optional(str),
              default: optional(str),
            }),
          ),
        ),
      }),
    ),
    run: (_, { option }) => commandLineOptions(option),
  }),
  command({
    name: 'stop',
    arguments: NO_MEMBERS,
    run: ({ context }) => {
      context.run.stop();
    },
  }),
  command({
    name: 'cont',
    arguments: NO_MEMBERS,
    run: ({ context }) => {
      context.run.cont();
    },
  }),
  command({
    name: 'quit',
    arguments: NO_MEMBERS,
    run: ({ context }) => {
      context.run.quit();
    },
  }),
  command({
    name: 'system_reset',
    arguments: NO_MEMBERS,
    run: ({ context }) => {
      context.run.reset();
    },
  }),
  command({
    name: 'system_powerdown',
    arguments: NO_MEMBERS,
    run: ({ context }) => {
      context.run.powerdown();
    },
  }),
  command({
    name: 'system_wakeup',
    arguments: NO_MEMBERS,
    run: ({ context }) => {
      context.run.wakeup();
    },
  }),
  command({
    name: 'inject-nmi',
    arguments: NO_MEMBERS,
    run: ({ context }) => {
      context.run.injectNmi();
    },
  }),
  command({
    name: 'set-action',
    arguments: {
      reboot: optional(choice('reset', 'shutdown')),
      shutdown: optional(choice('poweroff', 'pause')),
      panic: optional(choice('pause', 'shutdown', 'exit-failure', 'none')),
      watchdog: optional(choice('reset', 'shutdown', 'poweroff', 'pause', 'debug', 'none', 'inject-nmi')),
    },
    run: ({ context }, actions) => {
      context.run.setActions(actions);
    },
  }),
  command({
    name: 'human-monitor-command',
    arguments: { 'command-line': required(str), 'cpu-index': optional(int) },
    returns: str,
    run: async (scope, { 'command-line': line, 'cpu-index': cpu = 0 }) => {
      requireCpu(scope.context.guest.cpus, cpu);
      return scope.humanMonitor(line, cpu);
    },
  }),
];

/** @throws UserError unless a CPU of this index exists */
export function requireCpu(cpus: readonly CpuInfo[], index: number): void {
  if (!cpus.some((cpu) => cpu.index === index)) throw new UserError("Parameter 'cpu-index' expects a CPU number");
}

function schemaEntries(commands: readonly QmpCommand[]): JsonObject[] {
  const catalog = new SchemaCatalog();
  const empty = catalog.objectName(NO_MEMBERS);
  const declared = commands.map((each) => ({
    name: each.name,
    'meta-type': 'command',
    'arg-type': catalog.objectName(each.arguments),
    'ret-type': each.returns ? catalog.nameOf(each.returns) : empty,
    ...(each.name.startsWith('x-') && { features: ['unstable'] }),
  }));
  const events = Object.entries(EVENTS).map(([name, members]) => ({
    name,
    'meta-type': 'event',
    'arg-type': catalog.objectName(members),
  }));
  return [...declared, ...events, ...catalog.entries];
}

const JSON_TYPES = { string: 'string', bool: 'boolean', number: 'number', size: 'size' } as const;

function commandLineOptions(wanted: string | undefined): JsonObject[] {
  const groups: readonly OptsGroup[] = Object.values(GROUPS);
  // Last described first: the order in which the real program lists them.
  const options = groups.map((group) => ({
    option: group.name,
    parameters: [...(group.name === 'drive' ? DRIVE_DESC : group.desc)].reverse().map((desc) => ({
      name: desc.name,
      type: JSON_TYPES[desc.type],
      ...(desc.help !== undefined && { help: desc.help }),
      ...(desc.default !== undefined && { default: desc.default }),
    })),
  }));
  if (wanted === undefined) return options;
  const found = options.filter(({ option }) => option === wanted);
  if (found.length === 0) throw new UserError(`invalid option name: ${wanted}`);
  return found;
}
