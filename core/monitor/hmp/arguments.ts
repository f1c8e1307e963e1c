/** Arguments of HMP commands: declared as a list, read from the line from left to right. */

import { HmpSyntaxError, isBlank, parseExpression, type RegisterReader } from './expression.ts';

/** One parameter; `text` is how the help shows it. */
export type HmpParameter =
  /** A word, or a text in double quotes. `what` is what is expected (`string`, `block device name`). */
  | {
      readonly kind: 'word';
      readonly name: string;
      readonly what: string;
      readonly isOptional: boolean;
      readonly text: string;
    }
  /** Everything to the end of the line. */
  | { readonly kind: 'rest'; readonly name: string; readonly isOptional: boolean; readonly text: string }
  | { readonly kind: 'expression'; readonly name: string; readonly isOptional: boolean; readonly text: string }
  /** `/4xw` */
  | { readonly kind: 'format'; readonly text: string }
  /** `-f` */
  | { readonly kind: 'flag'; readonly name: string; readonly text: string }
  /** `-d VALUE` */
  | { readonly kind: 'flagValue'; readonly name: string; readonly text: string }
  | { readonly kind: 'onOff'; readonly name: string; readonly text: string };

export const word = (name: string, text = name): HmpParameter => ({
  kind: 'word',
  name,
  what: 'string',
  isOptional: false,
  text,
});
export const optionalWord = (name: string, text = `[${name}]`): HmpParameter => ({
  kind: 'word',
  name,
  what: 'string',
  isOptional: true,
  text,
});
export const drive = (name: string, text = name): HmpParameter => ({
  kind: 'word',
  name,
  what: 'block device name',
  isOptional: false,
  text,
});
export const optionalDrive = (name: string, text = `[${name}]`): HmpParameter => ({
  kind: 'word',
  name,
  what: 'block device name',
  isOptional: true,
  text,
});
export const fileName = (name: string, text = name): HmpParameter => ({
  kind: 'word',
  name,
  what: 'filename',
  isOptional: false,
  text,
});
export const rest = (name: string, text = name): HmpParameter => ({ kind: 'rest', name, isOptional: false, text });
export const optionalRest = (name: string, text: string): HmpParameter => ({
  kind: 'rest',
  name,
  isOptional: true,
  text,
});
export const expression = (name: string, text = name): HmpParameter => ({
  kind: 'expression',
  name,
  isOptional: false,
  text,
});
export const optionalExpression = (name: string, text = `[${name}]`): HmpParameter => ({
  kind: 'expression',
  name,
  isOptional: true,
  text,
});
export const format: HmpParameter = { kind: 'format', text: '/fmt' };
export const flag = (name: string): HmpParameter => ({ kind: 'flag', name, text: `[-${name}]` });
export const flagValue = (name: string, what: string): HmpParameter => ({
  kind: 'flagValue',
  name,
  text: `[-${name} ${what}]`,
});
export const onOff = (name: string): HmpParameter => ({ kind: 'onOff', name, text: 'on|off' });

/** How memory and values are shown; size -1 is the length of an instruction. */
export interface DumpFormat {
  readonly count: number;
  readonly format: string;
  readonly size: number;
}

/** The format that the next command without one takes: it sticks. */
export interface StickyFormat {
  format: string;
  size: number;
}

/** Values read for one command. */
export class HmpArguments {
  private readonly values = new Map<string, string | bigint | boolean>();
  dump: DumpFormat = { count: 1, format: 'x', size: 4 };

  set(name: string, value: string | bigint | boolean): void {
    this.values.set(name, value);
  }
  text(name: string): string {
    return String(this.values.get(name) ?? '');
  }
  optionalText(name: string): string | undefined {
    const value = this.values.get(name);
    return value === undefined ? undefined : String(value);
  }
  number(name: string): bigint {
    const value = this.values.get(name);
    return typeof value === 'bigint' ? value : 0n;
  }
  has(name: string): boolean {
    return this.values.has(name);
  }
  flag(name: string): boolean {
    return this.values.get(name) === true;
  }
}

/** Reads `line` from `from` by `parameters`. @throws HmpSyntaxError */
export function readArguments(
  command: string,
  parameters: readonly HmpParameter[],
  line: string,
  from: number,
  sticky: StickyFormat,
  registers: RegisterReader,
): HmpArguments {
  const reader = new ArgumentReader(command, line, from);
  const values = new HmpArguments();
  for (const parameter of parameters) {
    switch (parameter.kind) {
      case 'word':
        reader.word(parameter, values);
        break;
      case 'rest':
        reader.rest(parameter, values);
        break;
      case 'expression':
        reader.expression(parameter, values, registers);
        break;
      case 'format':
        values.dump = reader.format(sticky);
        break;
      case 'flag':
      case 'flagValue':
        reader.flag(parameter, values);
        break;
      case 'onOff':
        reader.onOff(parameter.name, values);
    }
  }
  reader.end();
  return values;
}

class ArgumentReader {
  private readonly command: string;
  private readonly line: string;
  private at: number;
  /** A `-x` that none of the flags read so far wanted. */
  private pendingFlag: string | undefined;

  constructor(command: string, line: string, from: number) {
    this.command = command;
    this.line = line;
    this.at = from;
  }

  word(parameter: Extract<HmpParameter, { kind: 'word' }>, values: HmpArguments): void {
    this.skipBlanks();
    if (this.at >= this.line.length) {
      if (parameter.isOptional) return;
      throw this.error(`${parameter.what} expected`);
    }
    if (this.pendingFlag !== undefined) throw this.error(`unsupported option -${this.pendingFlag}`);
    values.set(parameter.name, this.takeWord(parameter.what));
  }

  rest(parameter: Extract<HmpParameter, { kind: 'rest' }>, values: HmpArguments): void {
    this.skipBlanks();
    if (this.at >= this.line.length) {
      if (parameter.isOptional) return;
      throw this.error('string expected');
    }
    values.set(parameter.name, this.line.slice(this.at));
    this.at = this.line.length;
  }

  expression(
    parameter: Extract<HmpParameter, { kind: 'expression' }>,
    values: HmpArguments,
    registers: RegisterReader,
  ): void {
    this.skipBlanks();
    if (parameter.isOptional && this.at >= this.line.length) return;
    const { value, next } = parseExpression(this.line, this.at, registers);
    values.set(parameter.name, value);
    this.at = next;
  }

  format(sticky: StickyFormat): DumpFormat {
    this.skipBlanks();
    if (this.line[this.at] !== '/') {
      return { count: 1, format: sticky.format, size: sticky.format === 'i' ? -1 : sticky.size };
    }
    const [, digits = '', letters = ''] = /^\/([0-9]*)([^ \t\r\n]*)/.exec(this.line.slice(this.at)) ?? [];
    this.at += 1 + digits.length + letters.length;
    let shown = '';
    let size = 0;
    for (const letter of letters) {
      if ('oduxic'.includes(letter)) shown = letter;
      else if (letter === 'b') size = 1;
      else if (letter === 'h') size = 2;
      else if (letter === 'w') size = 4;
      else if (letter === 'g' || letter === 'L') size = 8;
      else throw new HmpSyntaxError(`invalid char in format: '${letter}'`);
    }
    shown ||= sticky.format;
    if (shown === 'i') size ||= -1;
    else {
      size ||= sticky.size;
      sticky.size = size;
    }
    sticky.format = shown;
    return { count: digits === '' ? 1 : Number(digits), format: shown, size };
  }

  flag(parameter: Extract<HmpParameter, { kind: 'flag' | 'flagValue' }>, values: HmpArguments): void {
    this.skipBlanks();
    if (this.line[this.at] !== '-') return;
    const letter = this.line[this.at + 1] ?? '';
    // A later parameter may be this flag; what starts with '-' otherwise is a mistake of the user's.
    if (letter !== parameter.name) {
      this.pendingFlag ??= letter;
      return;
    }
    this.pendingFlag = undefined;
    this.at += 2;
    if (parameter.kind === 'flag') {
      values.set(parameter.name, true);
      return;
    }
    this.skipBlanks();
    if (this.at >= this.line.length) throw this.error(`option -${parameter.name} needs a value`);
    values.set(parameter.name, this.takeWord('string'));
  }

  onOff(name: string, values: HmpArguments): void {
    this.skipBlanks();
    const text = this.at < this.line.length ? this.takeWord('string') : '';
    if (text !== 'on' && text !== 'off') throw new HmpSyntaxError("Expected 'on' or 'off'");
    values.set(name, text === 'on');
  }

  end(): void {
    this.skipBlanks();
    if (this.at >= this.line.length) return;
    if (this.pendingFlag !== undefined) throw this.error(`unsupported option -${this.pendingFlag}`);
    throw this.error('extraneous characters at the end of line');
  }

  private takeWord(what: string): string {
    if (this.line[this.at] !== '"') {
      const start = this.at;
      while (this.at < this.line.length && !isBlank(this.line[this.at])) this.at++;
      return this.line.slice(start, this.at);
    }
    let text = '';
    for (this.at++; this.line[this.at] !== '"'; this.at++) {
      const character = this.line[this.at];
      if (character === undefined) throw this.error(`${what} expected: unterminated string`);
      if (character !== '\\') {
        text += character;
        continue;
      }
      const escaped = this.line[++this.at];
      if (escaped === undefined || !`nr\\'"`.includes(escaped)) {
        throw new HmpSyntaxError(`unsupported escape code: '\\${escaped ?? ''}'`);
      }
      text += escaped === 'n' ? '\n' : escaped === 'r' ? '\r' : escaped;
    }
    this.at++;
    return text;
  }

  private error(text: string): HmpSyntaxError {
    return new HmpSyntaxError(`${this.command}: ${text}`);
  }
  private skipBlanks(): void {
    while (isBlank(this.line[this.at])) this.at++;
  }
}
