/** Line editing on a plain terminal: cursor keys, history, completion. Knows bytes in and text out, no terminal. */

const MAX_LINE = 4096;
const MAX_HISTORY = 64;
const CSI = '\x1b[';

export interface LineEditorHost {
  write(text: string): void;
  /** A line is finished. */
  line(text: string): void;
  complete(text: string): readonly string[];
}

export class LineEditor {
  readonly prompt: string;
  private readonly host: LineEditorHost;
  private text = '';
  private cursor = 0;
  private escape: string | undefined;
  private readonly lines: string[] = [];
  /** Where in the history the user is; one past the end: at the line being typed. */
  private place = 0;
  private typed = '';
  private isShown = false;

  constructor(host: LineEditorHost, prompt: string) {
    this.host = host;
    this.prompt = prompt;
  }

  get history(): readonly string[] {
    return this.lines;
  }

  /** Shows the prompt: the previous line is done. */
  show(): void {
    this.isShown = true;
    this.host.write(this.prompt);
    if (this.text !== '') this.redraw();
  }

  /** One character of input. */
  take(character: string): void {
    if (this.escape !== undefined) this.takeEscape(character);
    else if (Object.hasOwn(this.keys, character)) this.keys[character]!();
    else if (character >= ' ') this.insert(character);
  }

  /** Control characters, as Emacs and readline have them. */
  private readonly keys: Readonly<Record<string, () => void>> = {
    '\r': () => this.finish(),
    '\n': () => this.finish(),
    '\t': () => this.complete(),
    '\x01': () => this.move(0),
    '\x02': () => this.move(this.cursor - 1),
    '\x04': () => this.remove(this.cursor, this.cursor + 1),
    '\x05': () => this.move(this.text.length),
    '\x06': () => this.move(this.cursor + 1),
    '\x08': () => this.remove(this.cursor - 1, this.cursor),
    '\x0b': () => this.remove(this.cursor, this.text.length),
    '\x0e': () => this.recall(1),
    '\x10': () => this.recall(-1),
    '\x15': () => this.remove(0, this.cursor),
    '\x17': () => this.remove(this.text.slice(0, this.cursor).search(/\S*\s*$/), this.cursor),
    '\x1b': () => {
      this.escape = '';
    },
    '\x7f': () => this.remove(this.cursor - 1, this.cursor),
  };

  private takeEscape(character: string): void {
    const sequence = this.escape! + character;
    if (sequence === '[' || sequence === 'O' || /^\[[0-9;]{1,8}$/.test(sequence)) {
      this.escape = sequence;
      return;
    }
    this.escape = undefined;
    const key = sequence.slice(1);
    if (key === 'A') this.recall(-1);
    else if (key === 'B') this.recall(1);
    else if (key === 'C') this.move(this.cursor + 1);
    else if (key === 'D') this.move(this.cursor - 1);
    else if (key === 'H' || key === '1~') this.move(0);
    else if (key === 'F' || key === '4~') this.move(this.text.length);
    else if (key === '3~') this.remove(this.cursor, this.cursor + 1);
  }

  private insert(text: string): void {
    if (this.text.length + text.length > MAX_LINE) return;
    const atEnd = this.cursor === this.text.length;
    this.text = this.text.slice(0, this.cursor) + text + this.text.slice(this.cursor);
    this.cursor += text.length;
    if (atEnd && this.isShown) this.host.write(text);
    else this.redraw();
  }
  private remove(from: number, to: number): void {
    if (from < 0 || from >= this.text.length || from >= to) return;
    this.text = this.text.slice(0, from) + this.text.slice(to);
    this.cursor = from;
    this.redraw();
  }
  private move(to: number): void {
    if (to < 0 || to > this.text.length || to === this.cursor) return;
    this.cursor = to;
    this.redraw();
  }

  private recall(step: number): void {
    const to = this.place + step;
    if (to < 0 || to > this.lines.length) return;
    if (this.place === this.lines.length) this.typed = this.text;
    this.place = to;
    this.text = this.lines[to] ?? this.typed;
    this.cursor = this.text.length;
    this.redraw();
  }

  private complete(): void {
    const before = this.text.slice(0, this.cursor);
    const word = /\S*$/.exec(before)![0];
    const matches = this.host.complete(before);
    if (matches.length === 0) return;
    const common = commonPrefix(matches);
    if (common.length > word.length) this.insert(common.slice(word.length));
    if (matches.length === 1) this.insert(' ');
    else if (common.length === word.length) {
      this.host.write(`\r\n${matches.join('  ')}\r\n${this.prompt}`);
      this.redraw();
    }
  }

  private finish(): void {
    const line = this.text;
    this.text = '';
    this.cursor = 0;
    this.isShown = false;
    if (line.trim() !== '' && line !== this.lines.at(-1)) this.lines.push(line);
    if (this.lines.length > MAX_HISTORY) this.lines.shift();
    this.place = this.lines.length;
    this.typed = '';
    this.host.write('\r\n');
    this.host.line(line);
  }

  private redraw(): void {
    if (!this.isShown) return;
    const back = this.text.length - this.cursor;
    this.host.write(`\r${this.prompt}${this.text}${CSI}K${back > 0 ? `${CSI}${back}D` : ''}`);
  }
}

function commonPrefix(words: readonly string[]): string {
  let prefix = words[0] ?? '';
  for (const word of words) while (!word.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix;
}
