/** A QMP command as data: schema and body. Commands stand in `commands/`, one file per subject. */

import type { CommandResult, MonitorContext } from './context.ts';
import type { Arguments, Members, Schema } from './schema.ts';

/** What a body may use besides the machine: the monitor that it was given to. */
export interface CommandScope {
  readonly context: MonitorContext;
  /** Runs an HMP command line; the text that it prints. */
  humanMonitor(line: string, cpu: number): Promise<string>;
  /** All commands, for query-commands and query-qmp-schema. */
  readonly commands: readonly QmpCommand[];
}

export interface QmpCommand {
  readonly name: string;
  readonly arguments: Members;
  readonly returns: Schema | undefined;
  run(scope: CommandScope, args: unknown): CommandResult | Promise<CommandResult>;
}

/** Declares a command; the body's arguments are typed by its schema. */
export function command<M extends Members>(definition: {
  readonly name: string;
  readonly arguments: M;
  /** Undefined: an empty object. */
  readonly returns?: Schema;
  run(scope: CommandScope, args: Arguments<M>): CommandResult | undefined | Promise<CommandResult>;
}): QmpCommand {
  const { name, arguments: members, returns, run } = definition;
  return { name, arguments: members, returns, run: run as QmpCommand['run'] };
}
