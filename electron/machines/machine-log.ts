/** One machine's log: lines of JSON in its folder, three files of a mebibyte at most, and the newest in memory. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LogEntry } from '../api/contract.ts';

const LARGEST_FILE = 1024 * 1024;
const OLD_FILES = 2;
const IN_MEMORY = 5000;
const LONGEST_TEXT = 4000;

export class MachineLog {
  private readonly path: string;
  private readonly onEntry: (entry: LogEntry) => void;
  private entries: LogEntry[] = [];
  private bytes = 0;
  private nextSequence: number;

  constructor(path: string, onEntry: (entry: LogEntry) => void = () => {}) {
    this.path = path;
    this.onEntry = onEntry;
    for (let age = OLD_FILES; age >= 0; age--) this.entries.push(...readEntries(fileOfAge(path, age)));
    this.entries = this.entries.slice(-IN_MEMORY);
    this.bytes = existsSync(path) ? statSync(path).size : 0;
    this.nextSequence = (this.entries.at(-1)?.sequence ?? 0) + 1;
  }

  add(source: LogEntry['source'], level: LogEntry['level'], text: string): void {
    const cut = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
    const entry: LogEntry = { sequence: this.nextSequence++, at: Date.now(), source, level, text: cut };
    this.entries.push(entry);
    if (this.entries.length > IN_MEMORY * 1.1) this.entries = this.entries.slice(-IN_MEMORY);
    this.write(`${JSON.stringify(entry)}\n`);
    this.onEntry(entry);
  }

  /** The newest `limit` entries, or those before a sequence; oldest first. */
  read(limit: number, before = Number.POSITIVE_INFINITY): { entries: LogEntry[]; hasOlder: boolean } {
    const older = this.entries.filter((entry) => entry.sequence < before);
    return { entries: older.slice(-limit), hasOlder: older.length > limit };
  }

  private write(line: string): void {
    try {
      if (this.bytes > LARGEST_FILE) this.rotate();
      if (this.bytes === 0) mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      appendFileSync(this.path, line, { mode: 0o600 });
      this.bytes += Buffer.byteLength(line);
    } catch {
      // A full disk must not take the machine down with it; the entry is still in memory.
    }
  }

  private rotate(): void {
    rmSync(fileOfAge(this.path, OLD_FILES), { force: true });
    for (let age = OLD_FILES - 1; age >= 0; age--) {
      const from = fileOfAge(this.path, age);
      if (existsSync(from)) renameSync(from, fileOfAge(this.path, age + 1));
    }
    this.bytes = 0;
  }
}

function fileOfAge(path: string, age: number): string {
  return age === 0 ? path : `${path}.${age}`;
}

function readEntries(path: string): LogEntry[] {
  if (!existsSync(path)) return [];
  const entries: LogEntry[] = [];
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    try {
      if (line) entries.push(JSON.parse(line) as LogEntry);
    } catch {
      // the last line of a run that was cut off
    }
  }
  return entries;
}
