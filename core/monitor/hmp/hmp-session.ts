/** A human at a monitor: prompt, line editing, one command after the other. */

import type { ByteStream } from '../../util/byte-stream.ts';
import { encodeUtf8 } from '../../util/json.ts';
import type { MonitorContext } from '../context.ts';
import { HmpInterpreter, type HmpState } from './interpreter.ts';
import { LineEditor } from './line-editor.ts';

const PROMPT = '(qemu) ';
/** Input that may wait while a command runs. */
const MAX_WAITING = 65536;
/** Output that a terminal may leave unread. */
const MAX_UNREAD_BYTES = 16 << 20;

export class HmpSession {
  private readonly stream: ByteStream;
  private readonly interpreter: HmpInterpreter;
  private readonly editor: LineEditor;
  private waiting = '';
  private pending: string | undefined;
  private isBusy = false;

  constructor(context: MonitorContext, state: HmpState, stream: ByteStream) {
    this.stream = stream;
    this.interpreter = new HmpInterpreter(context, state);
    this.editor = new LineEditor(
      {
        write: (text) => this.write(text),
        line: (text) => {
          this.pending = text;
        },
        complete: (text) => this.interpreter.complete(text),
      },
      PROMPT,
    );
    this.interpreter.history = this.editor.history;
    const decoder = new TextStream();
    stream.onData((bytes) => this.take(decoder.decode(bytes)));
    const { major, minor, micro } = context.identity.version;
    this.write(
      `${context.identity.packageName || 'Terrarium'} (QEMU ${major}.${minor}.${micro}) monitor - type 'help' for more information\r\n`,
    );
    this.editor.show();
  }

  private take(text: string): void {
    if (this.waiting.length + text.length > MAX_WAITING) {
      this.waiting = '';
      this.stream.close();
      return;
    }
    this.waiting += text;
    if (!this.isBusy) void this.run();
  }

  private async run(): Promise<void> {
    this.isBusy = true;
    while (this.waiting !== '' && !this.stream.isClosed) {
      const characters = this.waiting;
      this.waiting = '';
      let at = 0;
      for (const character of characters) {
        at += character.length;
        this.editor.take(character);
        if (this.pending !== undefined) break;
      }
      this.waiting = characters.slice(at) + this.waiting;
      if (this.pending === undefined) continue;
      const line = this.pending;
      this.pending = undefined;
      this.write((await this.interpreter.execute(line)).replaceAll('\n', '\r\n'));
      this.editor.show();
    }
    this.isBusy = false;
  }

  private write(text: string): void {
    if (this.stream.isClosed || text === '') return;
    if (this.stream.queuedBytes > MAX_UNREAD_BYTES) this.stream.close();
    else this.stream.write(encodeUtf8(text));
  }
}

/** UTF-8 in pieces: a character cut by a packet's end waits for its rest. Telnet and stray bytes become U+FFFD. */
class TextStream {
  private rest: number[] = [];

  decode(bytes: Uint8Array): string {
    let text = '';
    for (const byte of bytes) {
      if (this.rest.length > 0 && (byte & 0xc0) !== 0x80) {
        text += '\ufffd';
        this.rest = [];
      }
      if (byte < 0x80) text += String.fromCharCode(byte);
      else text += this.takeByte(byte);
    }
    return text;
  }

  private takeByte(byte: number): string {
    this.rest.push(byte);
    const lead = this.rest[0]!;
    const length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    if (lead >= 0xf5 || length === 0) {
      this.rest = [];
      return '\ufffd';
    }
    if (this.rest.length < length) return '';
    let code = lead & (0x7f >> length);
    for (const next of this.rest.slice(1)) code = (code << 6) | (next & 0x3f);
    this.rest = [];
    return code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? '\ufffd' : String.fromCodePoint(code);
  }
}
