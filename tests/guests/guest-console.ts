/** A machine whose serial port is a shell: types commands, reads what they print and how they end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { engine } from '../support/machine.ts';

export interface CommandResult {
  readonly status: number;
  /** Standard output and error, lines ended by \n alone. */
  readonly output: string;
}

/** What a terminal would not show: colours, cursor moves and questions of busybox's line editor. */
const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, 'g');
const KEPT = 16 << 20;

export class GuestConsole {
  readonly child: ChildProcess;
  private text = '';
  private ended: string | undefined;
  private wake: () => void = () => {};
  private stderr = '';

  private constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding('latin1').on('data', (bytes: string) => {
      this.text = (this.text + bytes).slice(-KEPT);
      this.wake();
    });
    child.stderr?.setEncoding('utf8').on('data', (bytes: string) => {
      this.stderr = (this.stderr + bytes).slice(-4000);
    });
    child.stdin?.on('error', () => {}); // the machine's end is told by 'close'
    child.once('close', (code, signal) => {
      this.ended = `the machine ended with ${code ?? signal}: ${this.stderr}`;
      this.wake();
    });
  }

  /** Starts a machine with its serial port here. */
  static start(args: readonly string[], program = engine, environment: NodeJS.ProcessEnv = {}): GuestConsole {
    const all = ['-display', 'none', '-no-reboot', '-serial', 'stdio', '-monitor', 'none', ...args];
    const env = { ...process.env, ...environment };
    return new GuestConsole(spawn(program, all, { stdio: ['pipe', 'pipe', 'pipe'], env }));
  }

  /** Everything that was printed so far and not yet taken. */
  get printed(): string {
    return this.text.replace(ESCAPES, '').replaceAll('\r', '');
  }

  /** Waits until the guest has printed something that matches, and takes it. */
  async waitFor(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.printed);
      if (match) {
        this.text = this.printed.slice(match.index + match[0].length);
        return match;
      }
      if (/Kernel panic|Oops:|BUG:/.test(this.text)) throw new Error(`the guest's kernel failed:\n${this.printed}`);
      if (this.ended !== undefined) throw new Error(`${this.ended}\n${this.printed.slice(-2000)}`);
      const left = end - performance.now();
      if (left <= 0) throw new Error(`no ${pattern} within ${timeoutMs} ms; printed:\n${this.printed.slice(-2000)}`);
      await new Promise<void>((done) => {
        const timer = setTimeout(done, left);
        this.wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  }

  async waitForShell(timeoutMs = 150_000): Promise<void> {
    await this.waitFor(/\/ # $/, timeoutMs);
  }

  /** Types a command. Its output stands between two words that the command line itself does not contain. */
  async run(command: string, timeoutMs = 60_000): Promise<CommandResult> {
    this.child.stdin?.write(`echo BEG""IN; ${command}; echo EN""D $?\n`);
    const match = await this.waitFor(/BEGIN\n([\s\S]*?)END (\d+)\n/, timeoutMs);
    await this.waitForShell(timeoutMs);
    return { output: match[1]!, status: Number(match[2]) };
  }

  /** Ends the machine, by its own pid. */
  async stop(): Promise<void> {
    if (this.ended !== undefined) return;
    const gone = new Promise((done) => this.child.once('close', done));
    this.child.kill('SIGKILL');
    await gone;
  }
}

/** Kernel command line for tests: a serial console, and no more on it than the shell's own. */
export const QUIET = 'console=ttyS0 quiet loglevel=2 tsc=reliable mitigations=off random.trust_cpu=on panic=-1';
