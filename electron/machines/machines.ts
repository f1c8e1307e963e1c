/** All machines of a library: which of them run, what may be done with each now, what became of those that ran. */
import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../api/app-error.ts';
import type {
  ChannelKind,
  HostLimits,
  LogEntry,
  MachineActivity,
  MachineDefinition,
  MachineDetails,
  MachineId,
  MachineState,
  MachineSummary,
} from '../api/contract.ts';
import type { Library } from '../library/library.ts';
import type { ChannelInput, ChannelPeer } from './byte-channel.ts';
import { checkDefinition } from './check-definition.ts';
import { commandLine } from './command-line.ts';
import type { Engine } from './engine.ts';
import { MachineLog } from './machine-log.ts';
import { MachineSession } from './machine-session.ts';
import { isAlive, signalProcess } from './process-identity.ts';
import { RunDirectory } from './run-directory.ts';
import type { VmLauncher } from './vm-launcher.ts';

const THUMBNAIL_EVERY_MS = 10_000;
const FIRST_THUMBNAIL_MS = 2000;
const MEASURE_EVERY_MS = 1000;
/** So long is measured after the last request: a window that has gone need not say so. */
const WATCH_MS = 5000;

export interface MachinesSetup {
  library: Library;
  dataDir: string;
  launcher: VmLauncher;
  findEngine: () => Engine;
  limits: () => Promise<HostLimits>;
  onChanged: (summary: MachineSummary, detailsChanged: boolean) => void;
  onLog: (id: MachineId, entry: LogEntry) => void;
  onActivity: (id: MachineId, activity: MachineActivity) => void;
}

interface Entry {
  session: MachineSession | undefined;
  log: MachineLog;
  thumbnailVersion: number;
  /** Set from a start's first check to its session: a second start must not slip in between. */
  isStarting: boolean;
  timer: NodeJS.Timeout | undefined;
  watchedUntil: number;
  isMeasured: boolean;
}

export class Machines {
  private readonly setup: MachinesSetup;
  private readonly entries = new Map<MachineId, Entry>();

  /** The library may be closed from now on: whoever ends later has nobody to tell. */
  private isClosed = false;

  constructor(setup: MachinesSetup) {
    this.setup = setup;
  }

  /** Finds what an earlier manager left running: takes over what answers, ends what does not. Strangers that have got
   *  one of our old process numbers are recognised by their start time and left alone. */
  async recover(): Promise<void> {
    for (const { definition } of this.setup.library.machines()) {
      const directory = new RunDirectory(this.setup.dataDir, definition.id);
      const note = directory.readNote();
      if (!note || note.machineId !== definition.id || !isAlive(note)) {
        directory.remove();
        continue;
      }
      const running = { ...definition, ...(note.definition as Partial<MachineDefinition>) };
      const session = await MachineSession.adopt(this.sessionSetup(running, directory), note);
      if (session) {
        this.take(definition.id, session);
      } else {
        await endProcess(note);
        directory.remove();
        this.entry(definition.id).log.add('manager', 'warning', `Ended the process ${note.pid} of an earlier run.`);
      }
    }
  }

  summary(id: MachineId): MachineSummary {
    const record = this.setup.library.machine(id);
    const { definition } = record;
    const entry = this.entry(id);
    const status = this.statusOf(id, record.failure?.kind === 'crashed');
    return {
      id,
      name: definition.name,
      guest: definition.guest,
      machineType: definition.machineType,
      memoryMiB: definition.memoryMiB,
      cpuCount: definition.cpu.count,
      ...status,
      failure: record.failure,
      thumbnailVersion: entry.thumbnailVersion,
      createdAt: record.createdAt,
      updatedAt: record.updatedAt,
      lastStartedAt: record.lastStartedAt,
    };
  }

  summaries(): MachineSummary[] {
    return this.setup.library.machines().map(({ definition }) => this.summary(definition.id));
  }

  async details(id: MachineId): Promise<MachineDetails> {
    const { definition } = this.setup.library.machine(id);
    const session = this.entry(id).session;
    const endpoints = new RunDirectory(this.setup.dataDir, id).endpoints;
    const isUp = session !== undefined && session.status.state !== 'starting';
    return {
      summary: this.summary(id),
      definition,
      commandLine: commandLine(definition, { endpoints }),
      runtime: session
        ? {
            pid: session.pid,
            startedAt: session.startedAt,
            commandLine: session.commandLine,
            drives: session.drives,
            channels: { console: isUp, serial: session.serialPorts, monitor: isUp },
            pendingChanges: differences(session.definition, definition),
          }
        : null,
      issues: session ? [] : await checkDefinition(definition, await this.setup.limits()),
    };
  }

  /** Told after the library's copy has changed. */
  changed(id: MachineId): void {
    this.setup.onChanged(this.summary(id), true);
  }

  async start(id: MachineId, paused: boolean): Promise<void> {
    const { definition } = this.setup.library.machine(id);
    const entry = this.entry(id);
    if (entry.session || entry.isStarting) throw wrongState(definition, 'is running already');
    entry.isStarting = true;
    try {
      this.setup.onChanged(this.summary(id), true);
      const engine = this.setup.findEngine();
      if (engine.problem) throw new AppError('engine', engine.problem, { machineId: id });
      const issues = (await checkDefinition(definition, await this.setup.limits())).filter(
        (i) => i.severity === 'error',
      );
      if (issues.length > 0) {
        const reasons = issues.map((issue) => issue.message).join(' ');
        throw new AppError('invalid', `"${definition.name}" cannot be started. ${reasons}`, { issues, machineId: id });
      }
      const directory = new RunDirectory(this.setup.dataDir, id);
      const session = MachineSession.create({ ...this.sessionSetup(definition, directory), engine });
      this.take(id, session);
      this.setup.library.recordStart(id, Date.now());
      await session.start(paused);
    } catch (error) {
      if (error instanceof AppError && !this.session(id)?.failure) entry.log.add('manager', 'error', error.message);
      throw error;
    } finally {
      entry.isStarting = false;
      this.setup.onChanged(this.summary(id), true);
    }
  }

  /** The session of a machine that is up, or an error that says that it is not. */
  running(id: MachineId): MachineSession {
    const session = this.entry(id).session;
    const { definition } = this.setup.library.machine(id);
    if (!session) throw wrongState(definition, 'is not running');
    if (session.status.state === 'starting') throw wrongState(definition, 'is still starting');
    return session;
  }

  /** The session if there is one, in whatever state. */
  session(id: MachineId): MachineSession | undefined {
    return this.entry(id).session;
  }

  async powerOff(id: MachineId): Promise<void> {
    const session = this.entry(id).session;
    if (!session) throw wrongState(this.setup.library.machine(id).definition, 'is not running');
    await session.powerOff();
  }

  log(id: MachineId): MachineLog {
    return this.entry(id).log;
  }

  folder(id: MachineId): string {
    return join(this.setup.dataDir, 'machines', id);
  }

  thumbnail(id: MachineId): { png: Buffer; version: number } | undefined {
    const { thumbnailVersion } = this.entry(id);
    if (thumbnailVersion === 0) return undefined;
    try {
      return { png: readFileSync(this.thumbnailPath(id)), version: thumbnailVersion };
    } catch {
      return undefined; // removed by hand
    }
  }

  /** Measures the machine every second until `WATCH_MS` after the last call. Answers with that time. */
  watchActivity(id: MachineId): number {
    const session = this.running(id);
    const entry = this.entry(id);
    entry.watchedUntil = performance.now() + WATCH_MS;
    if (!entry.isMeasured) void this.measure(id, entry, session);
    return WATCH_MS;
  }

  openChannel(kind: ChannelKind, id: MachineId, port: number, peer: ChannelPeer): ChannelInput {
    const session = this.running(id);
    if (kind === 'console') return session.openConsole(peer);
    const terminal = session.terminal(kind === 'serial' ? `serial${port}` : 'monitor');
    if (!terminal)
      throw new AppError('not-found', `"${session.definition.name}" has no such terminal.`, { machineId: id });
    return terminal.attach(peer);
  }

  /** Forgets a machine that has been deleted from the library, with its log and thumbnail. */
  async forget(id: MachineId): Promise<void> {
    this.entries.delete(id);
    for (const name of ['machine.log', 'machine.log.1', 'machine.log.2', 'thumbnail.png']) {
      await rm(join(this.folder(id), name), { force: true });
    }
  }

  get runningIds(): MachineId[] {
    return [...this.entries].filter(([, entry]) => entry.session).map(([id]) => id);
  }

  /** Ends or leaves what runs. Resolves when nothing of it is ours any more. */
  async close(policy: 'powerOff' | 'shutdown' | 'keep', shutdownLimitMs = 20_000): Promise<void> {
    const sessions = [...this.entries.values()].flatMap((entry) => entry.session ?? []);
    await Promise.all(
      sessions.map(async (session) => {
        if (policy === 'keep' && this.setup.launcher.canOutliveManager) return session.leave();
        if (policy === 'shutdown') {
          await session.pressPowerButton().catch(() => {}); // powered off below
          await Promise.race([session.ended, new Promise((resolve) => setTimeout(resolve, shutdownLimitMs).unref())]);
        }
        await session.powerOff().catch(() => {}); // the log has told
      }),
    );
    this.isClosed = true;
    for (const entry of this.entries.values()) clearTimeout(entry.timer);
  }

  private statusOf(id: MachineId, hasCrashed: boolean): Pick<MachineSummary, 'state' | 'pauseReason'> {
    const entry = this.entry(id);
    if (entry.session) return entry.session.status;
    const state: MachineState = entry.isStarting ? 'starting' : hasCrashed ? 'crashed' : 'off';
    return { state, pauseReason: null };
  }

  private sessionSetup(definition: MachineDefinition, runDirectory: RunDirectory) {
    const { log } = this.entry(definition.id);
    const onChange = () => {
      if (!this.isClosed) this.setup.onChanged(this.summary(definition.id), true);
    };
    const { launcher, findEngine } = this.setup;
    return { definition, runDirectory, log, onChange, launcher, engine: findEngine() };
  }

  private take(id: MachineId, session: MachineSession): void {
    const entry = this.entry(id);
    entry.session = session;
    void session.ended.then(() => {
      clearTimeout(entry.timer);
      if (this.isClosed) return;
      if (session.failure) this.setup.library.recordFailure(id, session.failure);
      entry.session = undefined;
      this.setup.onChanged(this.summary(id), true);
    });
    this.scheduleThumbnail(id, FIRST_THUMBNAIL_MS);
  }

  private scheduleThumbnail(id: MachineId, afterMs: number): void {
    const entry = this.entry(id);
    entry.timer = setTimeout(() => {
      void this.takeThumbnail(id).finally(() => {
        if (entry.session) this.scheduleThumbnail(id, THUMBNAIL_EVERY_MS);
      });
    }, afterMs);
    entry.timer.unref();
  }

  private async takeThumbnail(id: MachineId): Promise<void> {
    const entry = this.entry(id);
    const session = entry.session;
    if (session?.status.state !== 'running' || session.definition.display.vga === 'none') return;
    if (!this.setup.library.settings().thumbnails) return;
    try {
      const picture = await session.screenshot();
      if (this.thumbnail(id)?.png.equals(picture)) return;
      const path = this.thumbnailPath(id);
      await mkdir(this.folder(id), { recursive: true, mode: 0o700 });
      await writeFile(`${path}.part`, picture, { mode: 0o600 });
      await rename(`${path}.part`, path);
      entry.thumbnailVersion = Date.now();
      this.setup.onChanged(this.summary(id), false);
    } catch {
      // No picture this time: the engine is busy or ending. The next one is tried anyway.
    }
  }

  private async measure(id: MachineId, entry: Entry, session: MachineSession): Promise<void> {
    entry.isMeasured = true;
    try {
      while (entry.session === session && performance.now() < entry.watchedUntil) {
        this.setup.onActivity(id, await session.activity());
        await new Promise((resolve) => setTimeout(resolve, MEASURE_EVERY_MS).unref());
      }
    } catch {
      // The engine is ending, or has stopped answering: whoever still watches asks again.
    } finally {
      entry.isMeasured = false;
    }
  }

  private thumbnailPath(id: MachineId): string {
    return join(this.folder(id), 'thumbnail.png');
  }

  private entry(id: MachineId): Entry {
    let entry = this.entries.get(id);
    if (!entry) {
      const log = new MachineLog(join(this.folder(id), 'machine.log'), (logged) => this.setup.onLog(id, logged));
      entry = {
        session: undefined,
        log,
        thumbnailVersion: 0,
        isStarting: false,
        timer: undefined,
        watchedUntil: 0,
        isMeasured: false,
      };
      this.entries.set(id, entry);
      const known = entry;
      void stat(this.thumbnailPath(id)).then(
        (info) => {
          known.thumbnailVersion ||= Math.round(info.mtimeMs);
        },
        () => {}, // never had one
      );
    }
    return entry;
  }
}

function wrongState(definition: MachineDefinition, what: string): AppError {
  return new AppError('wrong-state', `"${definition.name}" ${what}.`, { machineId: definition.id });
}

async function endProcess(identity: { pid: number; startTime: string }): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!signalProcess(identity, signal)) return;
    for (let tries = 0; tries < 30 && isAlive(identity); tries++)
      await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Dotted paths of what differs; a list that differs is named as a whole. */
function differences(running: MachineDefinition, saved: MachineDefinition): string[] {
  const result: string[] = [];
  const compare = (path: string, a: unknown, b: unknown) => {
    if (JSON.stringify(a) === JSON.stringify(b)) return;
    const bothObjects = [a, b].every((value) => typeof value === 'object' && value !== null && !Array.isArray(value));
    if (!bothObjects) {
      result.push(path);
      return;
    }
    for (const key of new Set([...Object.keys(a as object), ...Object.keys(b as object)])) {
      const [left, right] = [a, b].map((value) => (value as Record<string, unknown>)[key]);
      compare(path ? `${path}.${key}` : key, left, right);
    }
  };
  compare('', { ...running, notes: '' }, { ...saved, notes: '' });
  return result;
}
