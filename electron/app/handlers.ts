/** The contract's methods, one body each. Parameters have been checked against the contract's schemas. */

import { randomUUID } from 'node:crypto';
import { lstat, rm, rmdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { AppError, fileError } from '../api/app-error.ts';
import {
  type ApiHandlers,
  type DeletionPlan,
  type MachineDefinition,
  type MachineId,
  type Medium,
  NEW_DISK_PATH,
  settingsSchema,
} from '../api/contract.ts';
import { DEFINITION_VERSION, LIMITS, machineNameSchema } from '../api/definition.ts';
import { CPU_MODELS, GUEST_FAMILIES, guestFamily } from '../api/guest-families.ts';
import { createRawDisk, freeFileName } from '../library/disk-image.ts';
import { inspectMedium } from '../library/inspect-medium.ts';
import type { MediumRecord } from '../library/library.ts';
import { checkDefinition, parseDefinition } from '../machines/check-definition.ts';
import { commandLine } from '../machines/command-line.ts';
import { RunDirectory } from '../machines/run-directory.ts';
import { browseFiles } from './browse-files.ts';
import { hostLimits } from './host.ts';
import type { Terrarium } from './terrarium.ts';

const MIB = 1024 * 1024;
const DEFAULT_LOG_ENTRIES = 500;

/** What only a shell can do. */
export interface ShellAbilities {
  kind: 'web' | 'desktop';
  pickFile?: (filter: 'iso' | 'disk' | 'all', title: string | undefined) => Promise<string | null>;
}

export function makeHandlers(app: Terrarium, shell: ShellAbilities): ApiHandlers {
  const { library, machines } = app;
  const summaryAfter = async (id: MachineId, action: Promise<void>) => {
    await action;
    return machines.summary(id);
  };
  return {
    'app.info': async () => {
      const engine = app.findEngine();
      return {
        name: 'Terrarium',
        version: app.version,
        shell: shell.kind,
        platform: process.platform,
        dataDir: app.dataDir,
        mediaDir: app.mediaDir,
        engine: { path: engine.path, found: engine.problem === null, problem: engine.problem },
        limits: await hostLimits(app.dataDir),
        guestFamilies: [...GUEST_FAMILIES],
        cpuModels: [...CPU_MODELS],
        capabilities: { nativeFileDialog: shell.pickFile !== undefined, upload: shell.kind === 'web' },
      };
    },

    'settings.get': () => library.settings(),
    'settings.update': ({ settings }) => {
      const changes: Record<string, unknown> = {};
      for (const [key, value] of Object.entries(settings)) {
        const field = settingsSchema.shape[key as keyof typeof settingsSchema.shape];
        const parsed = field?.safeParse(value);
        if (!parsed?.success) {
          const message = field ? `The setting ${key} cannot have that value.` : `There is no setting called ${key}.`;
          throw new AppError('invalid', message, { issues: [{ path: key, severity: 'error', message }] });
        }
        changes[key] = parsed.data;
      }
      const result = library.updateSettings(changes);
      app.emit('settings.changed', result);
      return result;
    },

    'machines.list': () => machines.summaries(),
    'machines.get': ({ id }) => machines.details(id),
    'machines.propose': async ({ guest, name, iso }) => proposal(app, guest, name, iso),
    'machines.create': async ({ definition, newDisks }) => {
      const made: string[] = [];
      try {
        const storage = [...definition.storage];
        for (const { deviceId, sizeBytes } of newDisks) {
          const index = storage.findIndex((drive) => drive.id === deviceId && drive.kind === 'disk');
          const drive = storage[index];
          if (drive?.kind !== 'disk' || drive.path !== NEW_DISK_PATH) {
            throw new AppError('invalid', `There is no drive ${deviceId} that waits for a new disk.`);
          }
          const path = await newDiskPath(app, definition);
          await createRawDisk(path, sizeBytes);
          made.push(path);
          storage[index] = { ...drive, path };
        }
        const complete = { ...definition, storage };
        await refuseErrors(app, complete);
        library.addMachine(complete);
      } catch (error) {
        for (const path of made) await rm(path, { force: true });
        await rmdir(machines.folder(definition.id)).catch(() => {}); // others' files, or none made
        throw error;
      }
      machines.changed(definition.id);
      app.emit('media.changed', null);
      return machines.details(definition.id);
    },
    'machines.update': async ({ definition }) => {
      library.machine(definition.id);
      await refuseErrors(app, definition);
      library.updateMachine(definition);
      machines.changed(definition.id);
      app.emit('media.changed', null);
      return machines.details(definition.id);
    },
    'machines.rename': async ({ id, name }) => {
      library.updateMachine({ ...library.machine(id).definition, name });
      machines.changed(id);
      return machines.details(id);
    },
    'machines.deletionPlan': ({ id }) => deletionPlan(app, id),
    'machines.delete': async ({ id, deleteFiles }) => {
      const { definition } = library.machine(id);
      if (machines.session(id)) {
        throw new AppError('wrong-state', `"${definition.name}" is running: power it off first.`, { machineId: id });
      }
      const plan = await deletionPlan(app, id);
      for (const path of deleteFiles) {
        const file = plan.files.find((candidate) => candidate.path === path);
        if (!file?.owned || file.usedBy.length > 0) {
          throw new AppError('invalid', `${path} does not belong to "${definition.name}" alone and is not deleted.`);
        }
      }
      library.removeMachine(id);
      const deleted: string[] = [];
      for (const path of deleteFiles) {
        await rm(path, { force: true }).catch((error) => {
          throw fileError('Deleting', path, error);
        });
        library.forgetMedium(path);
        deleted.push(path);
      }
      await machines.forget(id);
      await rmdir(machines.folder(id)).catch(() => {}); // kept disks are still in it
      app.emit('machines.removed', { id });
      app.emit('media.changed', null);
      return { deleted };
    },
    'machines.validate': async ({ definition }) => {
      const parsed = parseDefinition(definition);
      const limits = await hostLimits(app.dataDir);
      return { issues: parsed.definition ? await checkDefinition(parsed.definition, limits) : parsed.issues };
    },
    'machines.preview': async ({ definition }) => {
      const parsed = parseDefinition(definition);
      if (!parsed.definition) return { commandLine: null, issues: parsed.issues };
      const { endpoints } = new RunDirectory(app.dataDir, parsed.definition.id);
      const issues = await checkDefinition(parsed.definition, await hostLimits(app.dataDir));
      // As it will be once its new disk is made.
      const path = await newDiskPath(app, parsed.definition);
      const storage = parsed.definition.storage.map((drive) =>
        drive.path === NEW_DISK_PATH ? { ...drive, path } : drive,
      );
      return { commandLine: commandLine({ ...parsed.definition, storage }, { endpoints }), issues };
    },

    'machines.start': async ({ id, paused }) => {
      await machines.start(id, paused ?? false);
      return machines.details(id);
    },
    'machines.pause': ({ id }) => summaryAfter(id, machines.running(id).pause()),
    'machines.resume': ({ id }) => summaryAfter(id, machines.running(id).resume()),
    'machines.reset': ({ id }) => summaryAfter(id, machines.running(id).reset()),
    'machines.shutdown': ({ id }) => summaryAfter(id, machines.running(id).pressPowerButton()),
    'machines.powerOff': ({ id }) => summaryAfter(id, machines.powerOff(id)),
    'machines.dismissFailure': ({ id }) => {
      library.recordFailure(id, null);
      machines.changed(id);
      return machines.summary(id);
    },

    'machines.changeMedium': async ({ id, deviceId, path, force }) => {
      const { definition } = library.machine(id);
      const drive = definition.storage.find((device) => device.id === deviceId && device.kind === 'cdrom');
      if (!drive) {
        throw new AppError('not-found', `"${definition.name}" has no optical drive ${deviceId}.`, { machineId: id });
      }
      if (path !== null) await inspectMedium(path); // missing, unreadable and empty files are refused here
      if (machines.session(id)) await machines.running(id).changeMedium(deviceId, path, force ?? false);
      const storage = definition.storage.map((device) =>
        device.kind === 'cdrom' && device.id === deviceId ? { ...device, path } : device,
      );
      library.updateMachine({ ...definition, storage });
      machines.changed(id);
      app.emit('media.changed', null);
      return machines.details(id);
    },
    'machines.sendKeys': async ({ id, keys, holdMs }) => {
      await machines.running(id).sendKeys(keys, holdMs);
      return null;
    },
    'machines.typeText': async ({ id, text }) => ({ notTyped: await machines.running(id).typeText(text) }),
    'machines.screenshot': async ({ id }) => {
      const png = await machines.running(id).screenshot();
      return { pngBase64: png.toString('base64'), width: png.readUInt32BE(16), height: png.readUInt32BE(20) };
    },
    'machines.watchActivity': ({ id }) => ({ forMs: machines.watchActivity(id) }),
    'machines.thumbnail': ({ id }) => {
      const thumbnail = machines.thumbnail(id);
      return thumbnail ? { pngBase64: thumbnail.png.toString('base64'), version: thumbnail.version } : null;
    },
    'machines.log': ({ id, before, limit }) => {
      library.machine(id);
      return machines.log(id).read(limit ?? DEFAULT_LOG_ENTRIES, before);
    },

    'media.list': () => Promise.all(library.media().map((record) => describeMedium(app, record))),
    'media.inspect': ({ path }) => inspectMedium(path),
    'media.createDisk': async ({ fileName, folder, sizeBytes }) => {
      const name = basename(fileName);
      if (name !== fileName || name.startsWith('.') || /\p{Cc}/u.test(name)) {
        throw new AppError('invalid', `"${fileName}" cannot be the name of a file.`);
      }
      const path = join(folder ?? app.mediaDir, name);
      await createRawDisk(path, sizeBytes);
      return app.addMedium(path, 'disk');
    },
    'media.forget': ({ path }) => {
      library.forgetMedium(path);
      app.emit('media.changed', null);
      return null;
    },

    'files.browse': async ({ path, filter }) => browseFiles(path, filter ?? 'all', await app.places()),
    'files.pick': async ({ filter, title }) => {
      if (!shell.pickFile) throw new AppError('unsupported', 'This window has no file dialog of the system.');
      return { path: await shell.pickFile(filter, title) };
    },
  };
}

/** What is known about a medium now. */
export async function describeMedium(app: Terrarium, record: MediumRecord): Promise<Medium> {
  const info = await stat(record.path).catch(() => undefined);
  return {
    ...record,
    fileName: basename(record.path),
    sizeBytes: info?.size ?? null,
    allocatedBytes: info ? Math.min(info.blocks * 512, Math.max(info.size, 4096)) : null,
    owned: app.owns(record.path),
  };
}

async function refuseErrors(app: Terrarium, definition: MachineDefinition): Promise<void> {
  const limits = await hostLimits(app.dataDir);
  const issues = (await checkDefinition(definition, limits)).filter((issue) => issue.severity === 'error');
  if (issues.length === 0) return;
  const message = issues.map((issue) => issue.message).join(' ');
  throw new AppError('invalid', message, { issues, machineId: definition.id });
}

async function proposal(app: Terrarium, guest: string, name: string | undefined, iso: string | undefined) {
  const family = guestFamily(guest);
  const { maximumMachineMemoryMiB } = await hostLimits(app.dataDir);
  const wanted = machineNameSchema.safeParse(name);
  const base = wanted.success ? wanted.data : family.id === 'other' ? 'Machine' : family.label;
  const definition: MachineDefinition = {
    version: DEFINITION_VERSION,
    id: randomUUID(),
    name: app.library.freeName(base.slice(0, LIMITS.nameLength - 4)),
    notes: '',
    guest: family.id,
    machineType: 'pc',
    accelerator: 'tcg',
    cpu: { model: family.cpuModel, count: 1 },
    memoryMiB: Math.min(family.memoryMiB, maximumMachineMemoryMiB),
    clock: family.clock,
    boot: { order: ['cdrom', 'disk'], menu: false },
    display: { vga: 'std' },
    storage: [
      ...(family.diskMiB > 0
        ? [
            {
              kind: 'disk' as const,
              id: 'ide0-0',
              bus: 0 as const,
              unit: 0 as const,
              path: NEW_DISK_PATH,
              format: 'raw' as const,
            },
          ]
        : []),
      { kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: iso ?? null },
    ],
    serialPorts: [{ kind: 'terminal' }],
    power: { onGuestReboot: 'reset', onGuestShutdown: 'powerOff' },
    extraArguments: [],
  };
  return { definition, diskBytes: family.diskMiB * MIB };
}

async function deletionPlan(app: Terrarium, id: MachineId): Promise<DeletionPlan> {
  const { definition } = app.library.machine(id);
  const folder = app.machines.folder(id);
  const media = new Map(app.library.media().map((record) => [record.path, record]));
  const files: DeletionPlan['files'] = [];
  for (const drive of definition.storage) {
    if (drive.kind !== 'disk') continue;
    const info = await lstat(drive.path).catch(() => undefined);
    if (!info) continue;
    files.push({
      path: drive.path,
      sizeBytes: info.size,
      allocatedBytes: info.blocks * 512,
      owned: app.owns(drive.path),
      usedBy: (media.get(drive.path)?.usedBy ?? []).filter((user) => user.id !== id),
    });
  }
  return { files, folder };
}

/** Where the new disk of a machine goes. */
function newDiskPath({ machines }: Terrarium, { id, name }: MachineDefinition): Promise<string> {
  return freeFileName(machines.folder(id), `${fileNameFor(name)}.img`);
}

/** A machine's name as a file's: letters, digits and what is harmless on every system. */
function fileNameFor(name: string): string {
  const harmless = name
    .normalize('NFC')
    .replace(/[^\p{L}\p{N} ._+-]/gu, '_')
    .replace(/^[. ]+|[. ]+$/g, '')
    .slice(0, 60);
  return harmless || 'disk';
}

/** Places for the file dialog that are always there. */
export function standardPlaces(mediaDir: string): { label: 'home' | 'media' | 'downloads' | 'root'; path: string }[] {
  return [
    { label: 'home', path: homedir() },
    { label: 'downloads', path: join(homedir(), 'Downloads') },
    { label: 'media', path: mediaDir },
    { label: 'root', path: process.platform === 'win32' ? 'C:\\' : '/' },
  ];
}
