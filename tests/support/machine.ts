/** Starts a virtual machine process, ours or QEMU, in a private folder, and looks at it from outside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QmpConnection } from './qmp-connection.ts';

export const projectRoot = resolve(fileURLToPath(new URL('../..', import.meta.url)));
export const terrarium = join(projectRoot, 'build/bin/terrarium-x86_64');
/** What is tested: ours, unless TERRARIUM_EMULATOR names another (the tests can so be held to QEMU itself). */
export const engine = process.env.TERRARIUM_EMULATOR ?? terrarium;
export const qemu = '/usr/bin/qemu-system-x86_64';
export const hasQemu = existsSync(qemu);
/** Debian's grub-rescue-pc. */
export const rescueCd = '/usr/lib/grub-rescue/grub-rescue-cdrom.iso';
export const rescueFloppy = '/usr/lib/grub-rescue/grub-rescue-floppy.img';

export interface MachineOptions {
  readonly program?: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class RunningMachine {
  readonly child: ChildProcess;
  readonly folder: string;
  qmp!: QmpConnection;
  stderr = '';
  stdout = '';
  readonly exited: Promise<number | null>;

  private constructor(child: ChildProcess, folder: string) {
    this.child = child;
    this.folder = folder;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.exited = new Promise((done) => child.once('exit', (code) => done(code)));
  }

  /** Starts with `-display none` and a QMP socket. */
  static async start({ program = engine, args, env }: MachineOptions): Promise<RunningMachine> {
    const folder = mkdtempSync(join(tmpdir(), 'terrarium-test-'));
    const socket = join(folder, 'qmp');
    const child = spawn(program, ['-display', 'none', '-qmp', `unix:${socket},server=on,wait=off`, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(env ? { env: { ...process.env, ...env } } : {}),
    });
    const machine = new RunningMachine(child, folder);
    const failed = machine.exited.then((code) => {
      throw new Error(`${program} ended with ${code}: ${machine.stderr}`);
    });
    failed.catch(() => {});
    machine.qmp = await Promise.race([QmpConnection.open(socket), failed]);
    return machine;
  }

  /** The 80x25 colour text screen as 25 lines, blanks trimmed. */
  async textScreen(): Promise<string[]> {
    const dump = await this.qmp.hmp('xp /1000xw 0xb8000');
    const cells: number[] = [];
    for (const line of dump.split('\n')) {
      const values = line.split(':')[1];
      for (const word of values?.trim().split(/\s+/) ?? []) {
        const value = Number(word);
        cells.push(value & 0xff, (value >>> 16) & 0xff);
      }
    }
    const lines: string[] = [];
    for (let row = 0; row < 25; row++)
      lines.push(
        cells
          .slice(row * 80, row * 80 + 80)
          .map((c) => (c >= 0x20 && c < 0x7f ? String.fromCharCode(c) : c === 0 ? ' ' : '\u00b7'))
          .join('')
          .trimEnd(),
      );
    return lines;
  }

  /** Waits until the text screen satisfies a condition. */
  async waitForScreen(condition: (lines: string[]) => boolean, timeoutMs = 30_000): Promise<string[]> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const lines = await this.textScreen();
      if (condition(lines)) return lines;
      if (Date.now() > end) throw new Error(`the screen still shows:\n${lines.join('\n')}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }
  waitForText(text: string, timeoutMs?: number): Promise<string[]> {
    return this.waitForScreen((lines) => lines.some((line) => line.includes(text)), timeoutMs);
  }

  /** Presses and releases keys, chords joined with `-` as in QEMU's sendkey. */
  async sendKeys(...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      await this.qmp.execute('send-key', {
        keys: key.split('-').map((data) => ({ type: 'qcode', data })),
        'hold-time': 20,
      });
      await new Promise((done) => setTimeout(done, 40));
    }
  }

  /** Ends the process, by its own pid, and removes its folder. */
  async stop(): Promise<void> {
    this.qmp?.close();
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
