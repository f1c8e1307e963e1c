/** The promise of the seam: every command line that the manager writes starts the real QEMU as well as our own engine. */
import { spawn } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { MachineDefinition } from '../../electron/api/definition.ts';
import { CPU_MODELS, GUEST_FAMILIES } from '../../electron/api/guest-families.ts';
import { argumentsOf, commandLine } from '../../electron/machines/command-line.ts';
import { QmpClient } from '../../electron/machines/qmp-client.ts';
import { qemu, terrarium } from '../support/machine.ts';
import { sampleMachine, scratchFolder } from './sample-machine.ts';

const MIB = 1024 * 1024;

function sparseFile(path: string, bytes: number): string {
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return path;
}

/** Starts an engine with the definition's line and `-S`; answers with what it says of itself. */
async function tryOut(program: string, folder: string, machine: MachineDefinition) {
  const socket = (name: string) => join(folder, name);
  const serial = [0, 1, 2, 3].map((port) => socket(`serial${port}`));
  const endpoints = { qmp: socket('qmp'), monitor: socket('monitor'), vnc: socket('vnc'), serial };
  const line = commandLine(machine, { endpoints, paused: true });
  const child = spawn(program, argumentsOf(line), { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes));
  // Both warn, as QEMU does, of what a CPU model has and the accelerator has not.
  const said = () => output.replace(/^.*: warning: TCG doesn't support requested feature: .*\n/gm, '');
  const ended = new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(null));
    child.on('exit', resolve);
  });
  let hasEnded = false;
  void ended.then(() => (hasEnded = true));
  for (;;) {
    const qmp = await QmpClient.connect(endpoints.qmp).catch(() => undefined);
    if (qmp) {
      const status = await qmp.execute<{ status: string; running: boolean }>('query-status');
      const name = await qmp.execute<{ name: string }>('query-name');
      const uuid = await qmp.execute<{ UUID: string }>('query-uuid');
      const blocks = await qmp.execute<{ device: string; inserted?: { file: string; ro: boolean } }[]>('query-block');
      const chardevs = await qmp.execute<{ label: string }[]>('query-chardev');
      await qmp.execute('quit');
      return { status, name: name.name, uuid: uuid.UUID, blocks, chardevs, exitCode: await ended, output: said() };
    }
    if (hasEnded) throw new Error(`${program} refused the line:\n${line.text}\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const TWO_PROCESSORS: [string, () => Partial<MachineDefinition>] = [
  'with two processors',
  () => ({ cpu: { model: 'qemu64', count: 2 } }),
];

describe.each([
  ['real QEMU', qemu],
  ['our engine', terrarium],
])('%s accepts the line', (_name, program) => {
  const variations: [string, (folder: string) => Partial<MachineDefinition>][] = [
    ['of the simplest machine', () => ({})],
    [
      'of a name with commas, quotes, an equals sign and letters of the world',
      () => ({ name: `a,b=c,,d 'e' "f" 植物` }),
    ],
    ['without a screen and without serial ports', () => ({ display: { vga: 'none' }, serialPorts: [] })],
    [
      'of four serial ports, one of them without a terminal',
      () => ({ serialPorts: [{ kind: 'terminal' }, { kind: 'none' }, { kind: 'terminal' }, { kind: 'terminal' }] }),
    ],
    ['with a boot menu and no boot order', () => ({ boot: { order: [], menu: true } })],
    [
      'with the disk first and a clock in local time',
      () => ({ boot: { order: ['disk'], menu: false }, clock: 'localtime' }),
    ],
    [
      'that stays after a shutdown and ends at a reboot',
      () => ({ power: { onGuestReboot: 'powerOff', onGuestShutdown: 'pause' } }),
    ],
    ['with an empty drive', () => ({ storage: [{ kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: null }] })],
    [
      'with four drives whose files have commas and spaces in their names',
      (folder) => ({
        storage: [
          {
            kind: 'disk',
            id: 'ide0-0',
            bus: 0,
            unit: 0,
            path: sparseFile(join(folder, 'a disk, large.img'), 8 * MIB),
            format: 'raw',
          },
          {
            kind: 'disk',
            id: 'ide0-1',
            bus: 0,
            unit: 1,
            path: sparseFile(join(folder, 'b,,c=d.img'), MIB),
            format: 'raw',
          },
          { kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: sparseFile(join(folder, 'disc:1,2.iso'), MIB) },
          { kind: 'cdrom', id: 'ide1-1', bus: 1, unit: 1, path: null },
        ],
      }),
    ],
    [
      'with extra arguments',
      () => ({ extraArguments: ['-device', 'isa-debug-exit,iobase=0xf4', '-global', 'VGA.vgamem_mb=8'] }),
    ],
    ...CPU_MODELS.map((model): [string, () => Partial<MachineDefinition>] => [
      `with the CPU ${model}`,
      () => ({ cpu: { model, count: 1 } }),
    ]),
    // Our engine has one processor yet.
    ...(program === qemu ? [TWO_PROCESSORS] : []),
  ];
  it.each(variations)('%s', async (_what, vary) => {
    const folder = scratchFolder();
    const machine = sampleMachine(vary(folder));
    const seen = await tryOut(program, folder, machine);
    expect(seen.output).toBe('');
    expect(seen.exitCode).toBe(0);
    expect(seen.status).toMatchObject({ running: false, status: 'prelaunch' });
    expect(seen.name).toBe(machine.name);
    expect(seen.uuid).toBe(machine.id);
    const files = machine.storage.map((drive) => [`drive-${drive.id}`, drive.path]);
    expect(seen.blocks.map((block) => [block.device, block.inserted?.file ?? null])).toEqual(files);
    const terminals = machine.serialPorts.flatMap((port, index) =>
      port.kind === 'terminal' ? [`serial${index}`] : [],
    );
    expect(seen.chardevs.map(({ label }) => label).sort()).toEqual(['monitor', 'qmp', ...terminals].sort());
  });

  it('of every guest family', async () => {
    for (const family of GUEST_FAMILIES) {
      const folder = scratchFolder();
      const machine = sampleMachine({
        guest: family.id,
        cpu: { model: family.cpuModel, count: 1 },
        memoryMiB: family.memoryMiB,
        clock: family.clock,
      });
      expect(await tryOut(program, folder, machine), family.id).toMatchObject({ output: '', exitCode: 0 });
    }
  });

  it('and a line that it refuses is noticed', async () => {
    const machine = sampleMachine({ extraArguments: ['-device', 'no-such-device'] });
    await expect(tryOut(program, scratchFolder(), machine)).rejects.toThrow(
      /'no-such-device' is not a valid device model name/,
    );
  });
});
