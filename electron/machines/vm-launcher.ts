/** Starting a VM process, whatever kind of process the shell can make. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { AppError } from '../api/app-error.ts';
import type { Engine } from './engine.ts';
import { identifyProcess, isAlive, type ProcessIdentity, signalProcess } from './process-identity.ts';

export interface ProcessEnd {
  /** Null for a process of which only the disappearance was seen. */
  exitCode: number | null;
  signal: string | null;
}

export interface VmProcess {
  readonly identity: ProcessIdentity;
  /** Resolves once, never rejects. */
  readonly ended: Promise<ProcessEnd>;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface LaunchRequest {
  engine: Engine;
  args: string[];
  /** Takes stdout and stderr, appended. A file, so that the engine can outlive the manager. */
  outputPath: string;
  workingDirectory: string;
}

export interface VmLauncher {
  /** Whether a VM process may live on after the manager has ended. */
  readonly canOutliveManager: boolean;
  launch(request: LaunchRequest): Promise<VmProcess>;
}

/** VM processes as children in a session of their own: Ctrl-C in the manager's terminal is not for them. */
export class ChildLauncher implements VmLauncher {
  readonly canOutliveManager = true;

  async launch(request: LaunchRequest): Promise<VmProcess> {
    const output = openSync(request.outputPath, 'a', 0o600);
    try {
      const { command, prefix } = request.engine;
      const child = spawn(command, [...prefix, ...request.args], {
        cwd: request.workingDirectory,
        detached: true,
        stdio: ['ignore', output, output],
        windowsHide: true,
      });
      const ended = whenEnded(child);
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', (error) => reject(spawnError(command, error)));
      });
      child.unref();
      const pid = child.pid!;
      const identity = identifyProcess(pid) ?? { pid, startTime: 'ended' };
      return { identity, ended, kill: (signal) => void child.kill(signal) };
    } finally {
      closeSync(output);
    }
  }
}

function whenEnded(child: ChildProcess): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
    child.once('error', () => resolve({ exitCode: null, signal: null }));
  });
}

function spawnError(command: string, error: Error): AppError {
  return new AppError('engine', `The engine ${command} could not be started: ${error.message}.`, { cause: error });
}

const LOOK_EVERY_MS = 500;

/** A process that an earlier manager started: known by its identity, watched by looking. */
export function adoptProcess(identity: ProcessIdentity): VmProcess {
  const ended = new Promise<ProcessEnd>((resolve) => {
    const timer = setInterval(() => {
      if (isAlive(identity)) return;
      clearInterval(timer);
      resolve({ exitCode: null, signal: null });
    }, LOOK_EVERY_MS);
    timer.unref();
  });
  return { identity, ended, kill: (signal) => void signalProcess(identity, signal) };
}
