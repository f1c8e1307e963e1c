/** A machine's definition as QEMU's command line. Pure: the same definition gives the same words, and
 *  `qemu-system-x86_64` takes them as well as our own engine does. */
import type { CommandLine, CommandLinePart, MachineDefinition, StorageDevice } from '../api/contract.ts';

/** Where the running machine is to be found: unix sockets in its run directory. */
export interface Endpoints {
  qmp: string;
  monitor: string;
  vnc: string;
  /** By port number; used for ports that are terminals. */
  serial: string[];
}

export interface CommandLineOptions {
  endpoints?: Endpoints;
  /** `-S`: wait for `cont`. */
  paused?: boolean;
  /** What the line begins with when it is shown. */
  program?: string;
}

const BOOT_LETTERS = { disk: 'c', cdrom: 'd' } as const;

/** The parts in the order in which the engine gets them. */
export function commandLine(machine: MachineDefinition, options: CommandLineOptions = {}): CommandLine {
  const parts: CommandLinePart[] = [
    part('name', '-name', `guest=${escapeValue(machine.name)}`),
    part('id', '-uuid', machine.id),
    part('machineType', '-machine', machine.machineType),
    part('accelerator', '-accel', machine.accelerator),
    part('cpu.model', '-cpu', machine.cpu.model),
    part('cpu.count', '-smp', String(machine.cpu.count)),
    part('memoryMiB', '-m', String(machine.memoryMiB)),
    part('clock', '-rtc', `base=${machine.clock}`),
    part('boot', '-boot', bootValue(machine)),
    part('host', '-nodefaults'),
    part('display.vga', '-vga', machine.display.vga),
    part('host', '-display', 'none'),
    ...machine.storage.map(storagePart),
  ];
  if (options.endpoints) parts.push(...endpointParts(machine, options.endpoints));
  if (machine.power.onGuestReboot === 'powerOff') parts.push(part('power.onGuestReboot', '-no-reboot'));
  if (machine.power.onGuestShutdown === 'pause') parts.push(part('power.onGuestShutdown', '-no-shutdown'));
  if (options.paused) parts.push(part('host', '-S'));
  if (machine.extraArguments.length > 0) parts.push(part('extraArguments', ...machine.extraArguments));
  const program = options.program ?? 'terrarium-x86_64';
  return { program, parts, text: [program, ...parts.flatMap((each) => each.words)].map(quoteForShell).join(' ') };
}

/** The words after the program's name. */
export function argumentsOf(line: CommandLine): string[] {
  return line.parts.flatMap((each) => each.words);
}

/** The name of the `-drive` behind a storage device. */
export function driveId(device: Pick<StorageDevice, 'id'>): string {
  return `drive-${device.id}`;
}

/** In QEMU's option syntax a comma ends a value unless it is doubled. */
export function escapeValue(value: string): string {
  return value.replaceAll(',', ',,');
}

function part(origin: string, ...words: string[]): CommandLinePart {
  return { origin, words };
}

function bootValue(machine: MachineDefinition): string {
  const order = machine.boot.order.map((device) => BOOT_LETTERS[device]).join('');
  return [...(order ? [`order=${order}`] : []), `menu=${machine.boot.menu ? 'on' : 'off'}`].join(',');
}

function storagePart(device: StorageDevice, index: number): CommandLinePart {
  const file = device.path === null ? [] : [`file=${escapeValue(device.path)}`];
  const drive =
    device.kind === 'cdrom'
      ? [
          ...file,
          'if=none',
          'media=cdrom',
          `id=${driveId(device)}`,
          'readonly=on',
          ...(file.length ? ['format=raw'] : []),
        ]
      : [...file, 'if=none', `id=${driveId(device)}`, `format=${device.format}`];
  const type = device.kind === 'cdrom' ? 'ide-cd' : 'ide-hd';
  const front = [type, `bus=ide.${device.bus}`, `unit=${device.unit}`, `drive=${driveId(device)}`, `id=${device.id}`];
  return part(`storage.${index}`, '-drive', drive.join(','), '-device', front.join(','));
}

function endpointParts(machine: MachineDefinition, endpoints: Endpoints): CommandLinePart[] {
  const chardev = (id: string, path: string) => [
    '-chardev',
    `socket,id=${id},path=${escapeValue(path)},server=on,wait=off`,
  ];
  const parts = [
    part('host', ...chardev('qmp', endpoints.qmp), '-mon', 'chardev=qmp,mode=control'),
    part('host', ...chardev('monitor', endpoints.monitor), '-mon', 'chardev=monitor,mode=readline'),
    part('host', '-vnc', `unix:${escapeValue(endpoints.vnc)}`),
  ];
  for (const [port, serial] of machine.serialPorts.entries()) {
    const origin = `serialPorts.${port}`;
    if (serial.kind === 'none') parts.push(part(origin, '-serial', 'none'));
    else {
      const id = `serial${port}`;
      parts.push(part(origin, ...chardev(id, endpoints.serial[port] ?? ''), '-serial', `chardev:${id}`));
    }
  }
  return parts;
}

function quoteForShell(word: string): string {
  return /^[A-Za-z0-9_./:=,+@%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
