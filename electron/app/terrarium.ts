/** The app without a window: library, machines, contract. Both shells are fronts of this. */
import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { ZodError } from 'zod';
import { AppError } from '../api/app-error.ts';
import {
  type ApiErrorData,
  type ApiEventMessage,
  type ApiEventName,
  type ApiEvents,
  type ApiHandlers,
  type ApiMethod,
  apiParams,
  type ChannelKind,
  type DirectoryListing,
  type LogEntry,
  type MachineId,
  type Medium,
} from '../api/contract.ts';
import { Library } from '../library/library.ts';
import type { ChannelInput, ChannelPeer } from '../machines/byte-channel.ts';
import { type Engine, findEngine } from '../machines/engine.ts';
import { Machines } from '../machines/machines.ts';
import type { VmLauncher } from '../machines/vm-launcher.ts';
import { takeDataDir } from './data-lock.ts';
import { describeMedium, makeHandlers, type ShellAbilities, standardPlaces } from './handlers.ts';
import { hostLimits, packageVersion } from './host.ts';

const LOG_BATCH_MS = 100;

export interface TerrariumSetup {
  /** The package's folder: dist/ and node_modules/ are in it. */
  root: string;
  dataDir: string;
  launcher: VmLauncher;
  shell: ShellAbilities;
  /** Our own faults, for the terminal. */
  onInternalError?: (error: unknown) => void;
}

export class Terrarium {
  readonly dataDir: string;
  readonly mediaDir: string;
  readonly version: string;
  readonly library: Library;
  readonly machines: Machines;
  private readonly setup: TerrariumSetup;
  private readonly handlers: ApiHandlers;
  private readonly unlock: () => void;
  private readonly listeners = new EventEmitter<{ event: [ApiEventMessage] }>();
  private readonly logged = new Map<MachineId, LogEntry[]>();
  private closing: Promise<void> | undefined;

  private constructor(setup: TerrariumSetup) {
    this.setup = setup;
    this.dataDir = setup.dataDir;
    this.mediaDir = join(setup.dataDir, 'media');
    this.version = packageVersion(setup.root);
    this.unlock = takeDataDir(setup.dataDir, this.mediaDir);
    try {
      this.library = new Library(join(setup.dataDir, 'library.db'));
    } catch (error) {
      this.unlock();
      throw error;
    }
    this.machines = new Machines({
      library: this.library,
      dataDir: setup.dataDir,
      launcher: setup.launcher,
      findEngine: () => this.findEngine(),
      limits: () => hostLimits(setup.dataDir),
      onChanged: (summary, detailsChanged) => this.emit('machines.changed', { summary, detailsChanged }),
      onLog: (id, entry) => this.collectLog(id, entry),
      onActivity: (id, activity) => this.emit('machines.activity', { id, activity }),
    });
    this.handlers = makeHandlers(this, setup.shell);
    this.listeners.setMaxListeners(0);
  }

  /** Throws an `AppError` (folder in use, library refused) whose message is for the user. */
  static async open(setup: TerrariumSetup): Promise<Terrarium> {
    const app = new Terrarium(setup);
    await app.machines.recover();
    return app;
  }

  findEngine(): Engine {
    return findEngine(this.setup.root);
  }

  /** Carries out one call of the contract from a window that is not trusted to send what the types say. */
  async call(method: string, params: unknown): Promise<{ result: unknown } | { error: ApiErrorData }> {
    try {
      if (!Object.hasOwn(apiParams, method)) throw new AppError('unsupported', `There is no method ${method}.`);
      if (this.closing) throw new AppError('wrong-state', 'Terrarium is ending.');
      return { result: await this.callChecked(method as ApiMethod, params) };
    } catch (error) {
      return { error: this.describeError(error) };
    }
  }

  /** Answers with the function that ends the subscription. */
  onEvent(listener: (message: ApiEventMessage) => void): () => void {
    this.listeners.on('event', listener);
    return () => this.listeners.off('event', listener);
  }

  emit<E extends ApiEventName>(event: E, data: ApiEvents[E]): void {
    this.listeners.emit('event', { event, data } as ApiEventMessage);
  }

  openChannel(kind: ChannelKind, id: MachineId, port: number, peer: ChannelPeer): ChannelInput {
    return this.machines.openChannel(kind, id, port, peer);
  }

  async addMedium(path: string, kind: Medium['kind']): Promise<Medium> {
    this.library.addMedium(path, kind);
    this.emit('media.changed', null);
    return describeMedium(this, this.library.media().find((record) => record.path === path)!);
  }

  /** Whether a file lies in the folders that Terrarium keeps itself. A path that takes detours (`..`) is nobody's. */
  owns(path: string): boolean {
    if (resolve(path) !== path) return false;
    return [this.mediaDir, join(this.dataDir, 'machines')].some((folder) => path.startsWith(folder + sep));
  }

  async places(): Promise<DirectoryListing['places']> {
    return standardPlaces(this.mediaDir).filter((place) => existsSync(place.path));
  }

  describeError(error: unknown): ApiErrorData {
    if (error instanceof AppError) return error.toData();
    if (error instanceof ZodError) {
      const issues = error.issues.map(({ path, message }) => ({
        path: path.join('.').replace(/^definition\./, ''),
        severity: 'error' as const,
        message,
      }));
      return { code: 'invalid', message: issues.map(({ message }) => message).join(' '), issues };
    }
    this.setup.onInternalError?.(error);
    const reason = error instanceof Error ? error.message : String(error);
    return { code: 'internal', message: `Something went wrong inside Terrarium: ${reason}` };
  }

  /** Deals with running machines as the settings say, then lets go of everything. Safe to call twice. */
  close(policy = this.library.settings().onQuit): Promise<void> {
    this.closing ??= this.machines.close(policy).finally(() => {
      this.listeners.removeAllListeners();
      this.library.close();
      this.unlock();
    });
    return this.closing;
  }

  private async callChecked<M extends ApiMethod>(method: M, params: unknown): Promise<unknown> {
    const checked = apiParams[method].parse(params) as Parameters<ApiHandlers[M]>[0];
    return this.handlers[method](checked as never);
  }

  /** Many lines at once are one event. */
  private collectLog(id: MachineId, entry: LogEntry): void {
    const waiting = this.logged.get(id);
    if (waiting) {
      waiting.push(entry);
      return;
    }
    const entries = [entry];
    this.logged.set(id, entries);
    setTimeout(() => {
      this.logged.delete(id);
      this.emit('machines.log', { id, entries });
    }, LOG_BATCH_MS).unref();
  }
}
