/** Runs HMP command lines: finds the command, reads its arguments, collects what it prints. */

import { UserError } from '../../util/errors.ts';
import { LOG_ITEMS } from '../../util/log.ts';
import type { MonitorContext } from '../context.ts';
import { readArguments, type StickyFormat } from './arguments.ts';
import { HmpSyntaxError, isBlank } from './expression.ts';
import { type HmpCommand, hasName } from './hmp-command.ts';
import { INFO_COMMANDS } from './info-commands.ts';
import { RUN_COMMANDS } from './run-commands.ts';

/** What lasts from one line to the next. */
export interface HmpState {
  readonly sticky: StickyFormat;
  readonly pointer: { buttons: number };
}

export function newHmpState(): HmpState {
  return { sticky: { format: 'x', size: 4 }, pointer: { buttons: 0 } };
}

/** `info` is a command with commands below it. */
const INFO: HmpCommand = {
  name: 'info',
  parameters: [{ kind: 'rest', name: 'name', isOptional: true, text: '[subcommand]' }],
  help: 'show something about the machine',
  run: () => {},
};
const COMMANDS: readonly HmpCommand[] = [...RUN_COMMANDS, INFO].sort(byName);
const INFOS: readonly HmpCommand[] = [...INFO_COMMANDS].sort(byName);

function byName(a: HmpCommand, b: HmpCommand): number {
  return a.name < b.name ? -1 : 1;
}

export class HmpInterpreter {
  private readonly context: MonitorContext;
  private readonly state: HmpState;
  cpu = 0;
  /** Lines typed so far. */
  history: readonly string[] = [];

  constructor(context: MonitorContext, state: HmpState) {
    this.context = context;
    this.state = state;
  }

  /** Runs one line; never fails because of what the user typed. */
  async execute(line: string): Promise<string> {
    let output = '';
    const print = (text: string): void => {
      output += text;
    };
    const found = this.lookUp(line);
    if (!found) return output;
    if ('text' in found) return found.text;
    const { command, typed, at } = found;
    try {
      const registers = (name: string): bigint | null => this.context.guest.readRegister(this.cpu, name);
      const args = readArguments(command.name, command.parameters, line, at, this.state.sticky, registers);
      await command.run({
        context: this.context,
        args,
        cpu: this.cpu,
        print,
        selectCpu: (index) => {
          this.cpu = index;
        },
        history: this.history,
        pointer: this.state.pointer,
        helpOn: (name) => this.helpText(name),
      });
    } catch (error) {
      if (error instanceof HmpSyntaxError) print(`${error.message}\nTry "help ${typed}" for more information\n`);
      else if (error instanceof UserError) print(`Error: ${error.message}\n${error.hint ? `${error.hint}\n` : ''}`);
      else throw error;
    }
    return output;
  }

  /** Names that begin with what has been typed of a word, for completion. */
  complete(line: string): string[] {
    const info = /^\s*info\s+(\S*)$/.exec(line);
    const word = info ? info[1]! : /^\s*(\S*)$/.exec(line)?.[1];
    if (word === undefined) return [];
    return this.available(info ? INFOS : COMMANDS)
      .flatMap((command) => command.name.split('|'))
      .filter((name) => name.startsWith(word))
      .sort();
  }

  private lookUp(line: string): { command: HmpCommand; typed: string; at: number } | { text: string } | undefined {
    const first = takeName(line, 0);
    if (first.name === '') return undefined;
    const command = this.find(COMMANDS, first.name);
    if (!command) return { text: `unknown command: '${first.name}'\n` };
    if (command !== INFO) return { command, typed: first.name, at: first.next };
    const second = takeName(line, first.next);
    if (second.name === '') return { text: this.list(INFOS, 'info ') };
    const info = this.find(INFOS, second.name);
    if (!info) return { text: `unknown command: 'info ${second.name}'\n` };
    return { command: info, typed: `info ${second.name}`, at: second.next };
  }

  private available(commands: readonly HmpCommand[]): HmpCommand[] {
    return commands.filter((command) => command.isAvailable?.(this.context) ?? true);
  }
  private find(commands: readonly HmpCommand[], name: string): HmpCommand | undefined {
    return this.available(commands).find((command) => hasName(command, name));
  }
  private list(commands: readonly HmpCommand[], prefix: string): string {
    return this.available(commands)
      .map((command) => helpLine(command, prefix))
      .join('');
  }

  private helpText(name: string | undefined): string {
    if (name === undefined) return this.list(COMMANDS, '');
    const words = name.trim().split(/\s+/);
    if (words[0] === 'log') return logItemsText();
    if (words[0] === 'info' && words[1] === undefined) return this.list(INFOS, 'info ');
    const isInfo = words[0] === 'info';
    const command = isInfo ? this.find(INFOS, words[1] ?? '') : this.find(COMMANDS, words[0] ?? '');
    return command ? helpLine(command, isInfo ? 'info ' : '') : `unknown command: '${name.trim()}'\n`;
  }
}

function takeName(line: string, from: number): { name: string; next: number } {
  let start = from;
  while (isBlank(line[start])) start++;
  // A format may follow its command without a blank: `x/4xw 0`.
  let end = start;
  while (end < line.length && !isBlank(line[end]) && line[end] !== '/') end++;
  return { name: line.slice(start, end), next: end };
}

function helpLine(command: HmpCommand, prefix: string): string {
  const parameters = command.parameters.map((parameter) => parameter.text).join(' ');
  return `${prefix}${command.name} ${parameters} -- ${command.help}\n`;
}

function logItemsText(): string {
  const lines = Object.entries(LOG_ITEMS).map(([item, help]) => `${item.padEnd(15)} ${help}\n`);
  return `Log items (comma separated):\nnone            remove all logs\n${lines.join('')}`;
}
