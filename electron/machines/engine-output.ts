/** Follows the file that takes a VM process's stdout and stderr: whole lines to the log, the beginning kept for the
 *  message when the start fails. The file is cut when it grows too long; the process appends, so it goes on at zero. */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

const LOOK_EVERY_MS = 300;
const CHUNK = 64 * 1024;
const LARGEST_FILE = 1024 * 1024;
const KEPT_CHARACTERS = 16 * 1024;
/** A process that prints without end must not fill the log: lines per look. */
const MOST_LINES = 200;

export class EngineOutput {
  /** What came first, up to a limit: error messages of the start. */
  text = '';
  private readonly file: number;
  private readonly onLine: (line: string) => void;
  private readonly timer: NodeJS.Timeout;
  private readonly decoder = new StringDecoder('utf8');
  private position = 0;
  private partial = '';
  private closed = false;

  constructor(path: string, onLine: (line: string) => void) {
    this.onLine = onLine;
    this.file = openSync(path, 'a+', 0o600);
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.timer.unref();
  }

  /** Reads the rest and stops. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    this.look();
    if (this.partial) this.onLine(this.partial);
    closeSync(this.file);
  }

  private look(): void {
    const size = fstatSync(this.file).size;
    if (size < this.position) this.position = 0;
    const chunk = Buffer.alloc(Math.min(CHUNK, Math.max(size - this.position, 0)));
    let lines = 0;
    while (this.position < size) {
      const count = readSync(this.file, chunk, 0, chunk.length, this.position);
      if (count === 0) break;
      this.position += count;
      lines += this.take(this.decoder.write(chunk.subarray(0, count)), MOST_LINES - lines);
    }
    if (lines > MOST_LINES) this.onLine(`(${lines - MOST_LINES} more lines)`);
    if (this.position > LARGEST_FILE) {
      ftruncateSync(this.file, 0);
      this.position = 0;
    }
  }

  private take(text: string, room: number): number {
    if (this.text.length < KEPT_CHARACTERS) this.text += text.slice(0, KEPT_CHARACTERS - this.text.length);
    const lines = (this.partial + text).split(/\r?\n/);
    this.partial = (lines.pop() ?? '').slice(-4096);
    for (const line of lines.slice(0, Math.max(room, 0))) this.onLine(line);
    return lines.length;
  }
}
