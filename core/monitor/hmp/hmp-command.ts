/** An HMP command as data. Commands stand in `run-commands.ts`, `info-commands.ts` and so on, one file per subject. */

import type { MonitorContext } from '../context.ts';
import type { HmpArguments, HmpParameter } from './arguments.ts';

/** What a body may use. */
export interface HmpScope {
  readonly context: MonitorContext;
  readonly args: HmpArguments;
  /** The CPU that this monitor looks at. */
  readonly cpu: number;
  print(text: string): void;
  /** Switches this monitor to another CPU. */
  selectCpu(index: number): void;
  /** Lines typed so far, newest last. */
  readonly history: readonly string[];
  /** Remembered for mouse_button. */
  readonly pointer: { buttons: number };
  helpOn(name: string | undefined): string;
}

export interface HmpCommand {
  /** Name and aliases: `print|p`. */
  readonly name: string;
  readonly parameters: readonly HmpParameter[];
  readonly help: string;
  /** False where this machine has no such thing: then the command does not exist. */
  isAvailable?(context: MonitorContext): boolean;
  run(scope: HmpScope): void | Promise<void>;
}

export function hasName(command: HmpCommand, name: string): boolean {
  return command.name.split('|').includes(name);
}
