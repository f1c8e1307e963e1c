/** One run of one machine, from the launch of its VM process to that process's end.
 *  States come from QMP (run state and events); the process's end alone is judged by what was asked for before. */
import { readFile, rm } from 'node:fs/promises';
import { AppError } from '../api/app-error.ts';
import type {
  CommandLine,
  DriveStatus,
  MachineActivity,
  MachineDefinition,
  MachineFailure,
  MachineState,
  PauseReason,
} from '../api/contract.ts';
import { ActivityMeter } from './activity-meter.ts';
import { bridgeToSocket, type ChannelInput, type ChannelPeer, SharedTerminal } from './byte-channel.ts';
import { argumentsOf, commandLine, driveId } from './command-line.ts';
import type { Engine } from './engine.ts';
import { EngineOutput } from './engine-output.ts';
import { keysForCharacter } from './key-names.ts';
import { EngineLog, eventWords, withoutFeatureWarnings } from './log-words.ts';
import type { MachineLog } from './machine-log.ts';
import { processUsage } from './process-usage.ts';
import { QmpClient, QmpError, type QmpEvent } from './qmp-client.ts';
import type { ProcessNote, RunDirectory } from './run-directory.ts';
import { adoptProcess, type ProcessEnd, type VmLauncher, type VmProcess } from './vm-launcher.ts';

const CONNECT_LIMIT_MS = 30_000;
const CONNECT_EVERY_MS = 20;
const ADOPT_LIMIT_MS = 3000;
const QUIT_LIMIT_MS = 5000;
const LAST_WORDS_LIMIT_MS = 1000;
const LARGEST_SCREENSHOT = 64 * 1024 * 1024;
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const KEY_HOLD_MS = 20;

export interface SessionStatus {
  state: MachineState;
  pauseReason: PauseReason | null;
}

export interface SessionSetup {
  definition: MachineDefinition;
  engine: Engine;
  launcher: VmLauncher;
  runDirectory: RunDirectory;
  log: MachineLog;
  /** State, drives or anything else that is shown has changed. */
  onChange: () => void;
}

/** What `query-block` says of a drive; everything else in it is left alone. */
interface BlockInfo {
  device?: unknown;
  locked?: unknown;
  tray_open?: unknown;
  inserted?: { file?: unknown };
}

export class MachineSession {
  status: SessionStatus = { state: 'starting', pauseReason: null };
  drives: DriveStatus[] = [];
  /** Set when the run ended badly. */
  failure: MachineFailure | null = null;
  commandLine: CommandLine;
  startedAt = Date.now();
  pid = 0;
  /** Resolves when the process has gone and everything about it is known. */
  readonly ended: Promise<void>;
  /** What the machine was started with; discs that are changed while it runs are kept up to date here. */
  definition: MachineDefinition;

  private readonly setup: SessionSetup;
  private process: VmProcess | undefined;
  private qmp: QmpClient | undefined;
  private qmpClosed: Promise<void> = Promise.resolve();
  private output: EngineOutput | undefined;
  private readonly terminals = new Map<string, SharedTerminal>();
  private wasReady = false;
  private endIsExpected = false;
  private hasBeenLeft = false;
  private announceEnd: () => void = () => {};
  private readonly meter: ActivityMeter;
  private readonly engineLog: EngineLog;
  private queue: Promise<unknown> = Promise.resolve();

  private constructor(setup: SessionSetup, paused: boolean) {
    this.setup = setup;
    this.definition = setup.definition;
    const { endpoints } = setup.runDirectory;
    this.commandLine = commandLine(setup.definition, { endpoints, paused });
    this.engineLog = new EngineLog(({ level, text }) => setup.log.add('engine', level, text));
    this.meter = new ActivityMeter({
      definition: setup.definition,
      execute: (command) => this.execute(command),
      usage: () => processUsage(this.pid),
      now: () => performance.now(),
    });
    this.ended = new Promise((resolve) => {
      this.announceEnd = resolve;
    });
  }

  /** A session whose process has yet to be started: call `start`. */
  static create(setup: SessionSetup): MachineSession {
    return new MachineSession(setup, true);
  }

  /** Takes over a process that an earlier manager has left running. Undefined when it does not answer as it should. */
  static async adopt(setup: SessionSetup, note: ProcessNote): Promise<MachineSession | undefined> {
    const session = new MachineSession(setup, true);
    const process = adoptProcess({ pid: note.pid, startTime: note.startTime });
    session.watch(process, note.startedAt);
    try {
      await session.connect(ADOPT_LIMIT_MS);
      await session.attachTerminals();
      await session.refresh();
      setup.log.add('manager', 'info', `Found the machine running (process ${note.pid}).`);
      return session;
    } catch (error) {
      session.endIsExpected = true;
      session.qmp?.close();
      setup.log.add(
        'manager',
        'warning',
        `The process ${note.pid} of an earlier run does not answer: ${messageOf(error)}.`,
      );
      return undefined;
    }
  }

  /** Launches the process and waits until the machine runs (or stands, when `paused`). */
  async start(paused: boolean): Promise<void> {
    const { runDirectory, launcher, engine, definition, log } = this.setup;
    try {
      runDirectory.prepare();
      log.add('manager', 'info', `Starting: ${this.commandLine.text}`);
      const args = argumentsOf(this.commandLine);
      const { outputPath, path } = runDirectory;
      const process = await launcher.launch({ engine, args, outputPath, workingDirectory: path });
      const { identity } = process;
      runDirectory.writeNote(identity, { machineId: definition.id, startedAt: this.startedAt, definition });
      this.watch(process, this.startedAt);
      await this.connect(CONNECT_LIMIT_MS);
      await this.attachTerminals();
      if (!paused) await this.execute('cont');
      await this.refresh();
      log.add('manager', 'info', paused ? 'The machine stands at its first instruction.' : 'The machine runs.');
    } catch (error) {
      await this.abandon(error);
      throw this.startError(error);
    }
  }

  async pause(): Promise<void> {
    await this.execute('stop');
    await this.refresh();
  }

  async resume(): Promise<void> {
    await this.execute('cont');
    await this.refresh();
  }

  async reset(): Promise<void> {
    const wasShutDown = this.status.pauseReason === 'shutdown';
    await this.execute('system_reset');
    if (wasShutDown) await this.execute('cont');
    await this.refresh();
  }

  /** The power button. What follows is the guest's decision. */
  async pressPowerButton(): Promise<void> {
    await this.execute('system_powerdown');
  }

  /** Ends the process: by QMP, failing that by signals. Resolves when it has gone. */
  async powerOff(): Promise<void> {
    this.endIsExpected = true;
    if (!this.process) return;
    this.setStatus({ state: 'stopping', pauseReason: null });
    if (this.qmp) {
      await this.qmp.execute('quit', undefined, QUIT_LIMIT_MS).catch(() => {}); // the answer may be lost in the end
      if (await this.endsWithin(QUIT_LIMIT_MS)) return;
    }
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      this.setup.log.add('manager', 'warning', `The process does not end: sending ${signal}.`);
      this.process.kill(signal);
      if (await this.endsWithin(QUIT_LIMIT_MS)) return;
    }
    throw new AppError('engine', `The process ${this.pid} of "${this.definition.name}" cannot be ended.`);
  }

  /** Puts a disc into a drive, or takes it out. */
  async changeMedium(deviceId: string, path: string | null, force: boolean): Promise<void> {
    try {
      if (path === null) await this.execute('eject', { id: deviceId, ...(force && { force }) });
      else {
        const options = { id: deviceId, filename: path, format: 'raw', 'read-only-mode': 'read-only' };
        await this.execute('blockdev-change-medium', { ...options, ...(force && { force }) });
      }
    } catch (error) {
      // Often because the guest has locked the tray, of which no event tells: whoever asked can see it now.
      await this.refreshDrives().catch(() => {});
      throw error;
    }
    const storage = this.definition.storage.map((drive) =>
      drive.kind === 'cdrom' && drive.id === deviceId ? { ...drive, path } : drive,
    );
    this.definition = { ...this.definition, storage };
    this.setup.runDirectory.writeNote(this.process!.identity, {
      machineId: this.definition.id,
      startedAt: this.startedAt,
      definition: this.definition,
    });
    await this.refreshDrives();
  }

  async sendKeys(keys: string[], holdMs = 100): Promise<void> {
    const list = keys.map((data) => ({ type: 'qcode', data }));
    await this.execute('send-key', { keys: list, 'hold-time': holdMs });
  }

  /** One key after the other, at a pace that the guest's keyboard buffer (16 bytes) bears. Answers with what is left out. */
  async typeText(text: string): Promise<string[]> {
    const notTyped = new Set<string>();
    for (const character of text.replace(/\r\n/g, '\n')) {
      const keys = keysForCharacter(character);
      if (!keys) {
        notTyped.add(character);
        continue;
      }
      await this.sendKeys(keys, KEY_HOLD_MS);
      await delay(KEY_HOLD_MS * 2);
    }
    return [...notTyped];
  }

  /** The screen as PNG. */
  async screenshot(): Promise<Buffer> {
    return this.oneAtATime(async () => {
      const path = this.setup.runDirectory.screenshotPath;
      try {
        await this.execute('screendump', { filename: path, format: 'png' });
        const picture = await readFile(path);
        const isPng = picture.length < LARGEST_SCREENSHOT && picture.subarray(0, 8).equals(PNG_SIGNATURE);
        if (!isPng) throw new AppError('engine', 'The engine wrote a screenshot that is not a PNG picture.');
        return picture;
      } finally {
        await rm(path, { force: true });
      }
    });
  }

  /** What the machine has done since the last call. */
  activity(): Promise<MachineActivity> {
    return this.meter.measure();
  }

  openConsole(peer: ChannelPeer): ChannelInput {
    return bridgeToSocket(this.setup.runDirectory.endpoints.vnc, peer);
  }

  /** `serial0` … `serial3`, `monitor`; undefined when the machine has no such terminal. */
  terminal(name: string): SharedTerminal | undefined {
    return this.terminals.get(name);
  }

  /** Numbers of the serial ports that have a terminal. */
  get serialPorts(): number[] {
    return [0, 1, 2, 3].filter((port) => this.terminals.has(`serial${port}`));
  }

  /** Lets go of a process that is to run on without us. */
  leave(): void {
    this.hasBeenLeft = true;
    this.qmp?.removeAllListeners();
    this.qmp?.close();
    for (const terminal of this.terminals.values()) terminal.close();
    this.output?.close();
    this.engineLog.flush();
  }

  /** A QMP command; the engine's refusal becomes an `AppError` that quotes it. */
  async execute<T = unknown>(command: string, args?: Record<string, unknown>): Promise<T> {
    const { name, id } = this.definition;
    if (!this.qmp) throw new AppError('wrong-state', `"${name}" is not running.`, { machineId: id });
    try {
      return await this.qmp.execute<T>(command, args);
    } catch (error) {
      if (!(error instanceof QmpError)) throw engineTrouble(name, id, error);
      const message = `The engine of "${name}" refused ${command}: ${error.message}`;
      throw new AppError('engine', message, { engineOutput: error.message, machineId: id, cause: error });
    }
  }

  private watch(process: VmProcess, startedAt: number): void {
    this.process = process;
    this.pid = process.identity.pid;
    this.startedAt = startedAt;
    this.output = new EngineOutput(this.setup.runDirectory.outputPath, (line) => this.engineLog.line(line));
    void process.ended.then((end) => this.onEnd(end));
  }

  private async connect(limitMs: number): Promise<void> {
    const deadline = Date.now() + limitMs;
    let hasEnded = false;
    void this.process!.ended.then(() => {
      hasEnded = true;
    });
    for (;;) {
      try {
        const qmp = await QmpClient.connect(this.setup.runDirectory.endpoints.qmp, limitMs, (client) => {
          client.on('event', (event) => this.onEvent(event));
        });
        this.qmp = qmp;
        this.qmpClosed = new Promise((resolve) => {
          qmp.once('close', (error) => {
            if (error)
              this.setup.log.add('manager', 'warning', `The connection to the engine was lost: ${error.message}.`);
            resolve();
          });
        });
        return;
      } catch (error) {
        if (hasEnded) throw new Error('the process ended before it was ready');
        if (Date.now() > deadline) throw error;
      }
      await delay(CONNECT_EVERY_MS);
    }
  }

  private async attachTerminals(): Promise<void> {
    const { endpoints } = this.setup.runDirectory;
    const sockets = new Map([['monitor', endpoints.monitor]]);
    for (const [port, serial] of this.definition.serialPorts.entries()) {
      if (serial.kind === 'terminal') sockets.set(`serial${port}`, endpoints.serial[port]!);
    }
    for (const [name, path] of sockets) {
      const terminal = new SharedTerminal(path);
      await terminal.ready();
      this.terminals.set(name, terminal);
    }
  }

  private onEvent({ event, data }: QmpEvent): void {
    const { log } = this.setup;
    const words = eventWords(event, data);
    if (words) log.add('event', words.level, words.text);
    switch (event) {
      case 'SHUTDOWN':
        if (this.definition.power.onGuestShutdown === 'pause' && data.guest === true) {
          this.refreshSoon();
        } else {
          this.endIsExpected = true;
          this.setStatus({ state: 'stopping', pauseReason: null });
        }
        break;
      case 'STOP':
      case 'RESUME':
      case 'RESET':
      case 'GUEST_PANICKED':
      case 'WATCHDOG':
        this.refreshSoon();
        break;
      case 'DEVICE_TRAY_MOVED':
        void this.refreshDrives().catch(() => {}); // the end of the process is told elsewhere
        break;
    }
  }

  private refreshSoon(): void {
    void this.refresh().catch(() => {}); // the end of the process is told elsewhere
  }

  private async refresh(): Promise<void> {
    const { status } = await this.execute<{ status: string }>('query-status');
    this.wasReady = true;
    if (this.status.state !== 'stopping') this.setStatus(statusOf(status));
    await this.refreshDrives();
  }

  private async refreshDrives(): Promise<void> {
    const blocks = await this.execute<unknown>('query-block');
    const list = Array.isArray(blocks) ? (blocks as BlockInfo[]) : [];
    const drives = this.definition.storage.flatMap((device) => {
      const block = list.find((candidate) => candidate.device === driveId(device));
      if (!block) return [];
      const file = block.inserted?.file;
      return {
        deviceId: device.id,
        path: typeof file === 'string' && file !== '' ? file : null,
        trayOpen: block.tray_open === true,
        locked: block.locked === true,
      };
    });
    if (JSON.stringify(drives) === JSON.stringify(this.drives)) return;
    this.drives = drives;
    this.setup.onChange();
  }

  private setStatus(status: SessionStatus): void {
    const changed = status.state !== this.status.state || status.pauseReason !== this.status.pauseReason;
    this.status = status;
    if (changed) this.setup.onChange();
  }

  private async onEnd(end: ProcessEnd): Promise<void> {
    if (this.hasBeenLeft) return;
    // What it said last is still in the sockets and the output file.
    await Promise.race([this.qmpClosed, delay(LAST_WORDS_LIMIT_MS)]);
    this.output?.close();
    this.engineLog.flush();
    this.qmp?.close();
    for (const terminal of this.terminals.values()) terminal.close();
    const { log, runDirectory, definition } = this.setup;
    if (!this.wasReady && !this.endIsExpected) {
      this.fail('start-failed', `"${definition.name}" could not be started: ${describeEnd(end)}.`, end);
    } else if (!this.endIsExpected) {
      const message =
        `"${definition.name}" ended unexpectedly: ${describeEnd(end)}. ` +
        'Its definition and its disks are as they were at that moment; other machines are not affected.';
      this.fail('crashed', message, end);
    } else {
      log.add('manager', 'info', 'The machine is off.');
      this.setStatus({ state: 'off', pauseReason: null });
    }
    runDirectory.remove();
    this.announceEnd();
  }

  private fail(kind: MachineFailure['kind'], message: string, end: ProcessEnd): void {
    const engineOutput = withoutFeatureWarnings(this.output?.text ?? '').trimEnd();
    this.failure = { kind, message, engineOutput, exitCode: end.exitCode, signal: end.signal, at: Date.now() };
    this.setup.log.add('manager', 'error', message);
    this.setStatus({ state: kind === 'crashed' ? 'crashed' : 'off', pauseReason: null });
  }

  /** After a start that went wrong on our side: no process is left behind. */
  private async abandon(error: unknown): Promise<void> {
    if (!this.process) {
      this.failure = {
        kind: 'start-failed',
        message: messageOf(error),
        engineOutput: '',
        exitCode: null,
        signal: null,
        at: Date.now(),
      };
      this.setup.log.add('manager', 'error', messageOf(error));
      this.setup.runDirectory.remove();
      this.setStatus({ state: 'off', pauseReason: null });
      this.announceEnd();
    } else if (!(await this.endsWithin(LAST_WORDS_LIMIT_MS))) {
      this.setup.log.add('manager', 'error', `The start failed: ${messageOf(error)}.`);
      this.process.kill('SIGKILL');
      await this.ended;
    }
  }

  private startError(error: unknown): AppError {
    const machineId = this.definition.id;
    if (!this.failure) {
      const { name } = this.definition;
      return error instanceof AppError
        ? error
        : new AppError('engine', `"${name}" could not be started: ${messageOf(error)}.`, { machineId });
    }
    return new AppError('engine', this.failure.message, { engineOutput: this.failure.engineOutput, machineId });
  }

  private async endsWithin(limitMs: number): Promise<boolean> {
    return Promise.race([this.ended.then(() => true), delay(limitMs).then(() => false)]);
  }

  private oneAtATime<T>(task: () => Promise<T>): Promise<T> {
    const result = this.queue.then(task, task);
    this.queue = result.catch(() => {});
    return result;
  }
}

const PAUSE_REASONS: Record<string, PauseReason> = {
  paused: 'user',
  prelaunch: 'user',
  debug: 'user',
  shutdown: 'shutdown',
  'guest-panicked': 'guest-panicked',
  'io-error': 'io-error',
  'internal-error': 'internal-error',
  watchdog: 'watchdog',
};

/** QEMU's run state as ours. */
function statusOf(runState: string): SessionStatus {
  if (runState === 'running') return { state: 'running', pauseReason: null };
  return { state: 'paused', pauseReason: PAUSE_REASONS[runState] ?? 'other' };
}

function describeEnd({ exitCode, signal }: ProcessEnd): string {
  if (signal) return `its process was ended by the signal ${signal}`;
  if (exitCode !== null) return `its process ended with exit code ${exitCode}`;
  return 'its process has gone';
}

function engineTrouble(name: string, machineId: string, error: unknown): AppError {
  return new AppError('engine', `"${name}" does not answer: ${messageOf(error)}.`, { machineId, cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
