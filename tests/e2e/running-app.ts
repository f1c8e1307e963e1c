/** The built app as its user meets it: the web shell's process with a data folder of its own, a page in Debian's Chromium,
 *  and, beside them, the guest's text screen as the machine's own monitor sees it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { ApiMethod, ApiParams, ApiResult } from '../../electron/api/contract.ts';
import { projectRoot } from '../support/machine.ts';

const PROGRAM = join(projectRoot, 'dist/electron/web.mjs');
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
const LIMIT_MS = 20_000;
const WINDOW = { width: 1280, height: 800 };

export class RunningApp {
  readonly url: URL;
  private readonly child: ChildProcess;
  private readonly ended: Promise<number | null>;

  private constructor(child: ChildProcess, url: URL, ended: Promise<number | null>) {
    this.child = child;
    this.url = url;
    this.ended = ended;
  }

  /** Starts the web shell on a free port; it is ended with the test. The machines' run folders are private too. */
  static async start(dataDir: string): Promise<RunningApp> {
    const runtime = join(dataDir, 'run');
    mkdirSync(runtime, { recursive: true, mode: 0o700 });
    const child = spawn(process.execPath, [PROGRAM, '--data-dir', dataDir, '--port', '0'], {
      env: { ...process.env, XDG_RUNTIME_DIR: runtime },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const url = await new Promise<URL>((resolve, reject) => {
      const take = (bytes: Buffer) => {
        output += bytes;
        const match = /^Terrarium is at (\S+)$/m.exec(output);
        if (match) resolve(new URL(match[1]!));
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.once('error', reject);
      void ended.then((code) => reject(new Error(`the web shell ended with ${code}: ${output}`)));
    });
    const app = new RunningApp(child, url, ended);
    onTestFinished(async () => void (await app.stop()));
    return app;
  }

  get token(): string {
    return this.url.searchParams.get('token') ?? '';
  }

  /** Ends it as Ctrl-C would; resolves with its exit code. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGTERM');
    return this.ended;
  }

  private socket(path: string): WebSocket {
    return new WebSocket(`ws://${this.url.host}${path}`, { headers: { 'x-terrarium-token': this.token } });
  }

  /** One call of the manager's contract, past the page. */
  async call<M extends ApiMethod>(method: M, params?: ApiParams<M>): Promise<ApiResult<M>> {
    const socket = this.socket('/api');
    try {
      return await new Promise((resolve, reject) => {
        socket.on('error', reject);
        socket.on('message', (data) => {
          const message = JSON.parse(String(data));
          if (message.id === 1) 'error' in message ? reject(new Error(message.error.message)) : resolve(message.result);
        });
        socket.on('close', () => reject(new Error(`the app ended during ${method}`)));
        socket.on('open', () => socket.send(JSON.stringify({ id: 1, method, params })));
      });
    } finally {
      socket.close();
    }
  }

  async machineNamed(name: string) {
    const summary = (await this.call('machines.list')).find((machine) => machine.name === name);
    if (!summary) throw new Error(`there is no machine "${name}"`);
    return this.call('machines.get', { id: summary.id });
  }

  /** The monitor of a running machine, through the channel that the page's Monitor tab uses. */
  async monitor(name: string): Promise<Monitor> {
    const end = Date.now() + LIMIT_MS;
    for (;;) {
      const { definition, runtime, summary } = await this.machineNamed(name);
      if (runtime?.channels.monitor) return new Monitor(this.socket(`/channel/monitor/${definition.id}`));
      if (summary.failure) throw new Error(`"${name}": ${summary.failure.message}\n${summary.failure.engineOutput}`);
      if (Date.now() > end) throw new Error(`"${name}" is ${summary.state}: it has no monitor`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** What stands in one row of the guest's 80x25 text screen. */
export interface ScreenRow {
  text: string;
  /** The attribute byte of each column. */
  attributes: number[];
}

export class Monitor {
  private readonly socket: WebSocket;
  private received = '';
  private isClosed = false;
  private wake: () => void = () => {};
  private turn: Promise<unknown> = Promise.resolve();

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data) => {
      this.received += String(data);
      this.wake();
    });
    socket.on('error', () => {}); // close follows
    socket.on('close', () => {
      this.isClosed = true;
      this.wake();
    });
    onTestFinished(() => socket.close());
  }

  /** Types a command; resolves with what is printed up to the next prompt. */
  ask(command: string): Promise<string> {
    const answer = this.turn.then(async () => {
      await this.until((text) => text.includes('(qemu)'));
      this.received = '';
      this.socket.send(Buffer.from(`${command}\n`));
      const text = await this.until((all) => /\n.*\(qemu\) $/s.test(all));
      return text.slice(text.indexOf('\n') + 1, text.lastIndexOf('(qemu)')).replaceAll('\r', '');
    });
    this.turn = answer.catch(() => {});
    return answer;
  }

  private async until(test: (text: string) => boolean): Promise<string> {
    const timer = setTimeout(() => this.socket.terminate(), LIMIT_MS);
    try {
      while (!test(this.received)) {
        if (this.isClosed)
          throw new Error(`the monitor was closed, or silent; it had said: ${this.received.slice(-500)}`);
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
      return this.received;
    } finally {
      clearTimeout(timer);
    }
  }

  async screen(): Promise<ScreenRow[]> {
    const cells: { character: number; attribute: number }[] = [];
    for (const match of (await this.ask('xp /1000xw 0xb8000')).matchAll(/^[0-9a-f]+: ((?:0x[0-9a-f]{8} ?)+)$/gm)) {
      for (const word of match[1]!.trim().split(' ')) {
        const value = Number(word);
        cells.push({ character: value & 0xff, attribute: (value >>> 8) & 0xff });
        cells.push({ character: (value >>> 16) & 0xff, attribute: value >>> 24 });
      }
    }
    return Array.from({ length: 25 }, (_, row) => {
      const line = cells.slice(row * 80, row * 80 + 80);
      const text = line.map(({ character: c }) =>
        c >= 0x20 && c < 0x7f ? String.fromCharCode(c) : c ? '\u00b7' : ' ',
      );
      return { text: text.join('').trimEnd(), attributes: line.map(({ attribute }) => attribute) };
    });
  }

  async waitForScreen(condition: (rows: ScreenRow[]) => boolean, timeoutMs = 30_000): Promise<ScreenRow[]> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const rows = await this.screen();
      if (condition(rows)) return rows;
      if (Date.now() > end) throw new Error(`the screen still shows:\n${rows.map(({ text }) => text).join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

let browser: Promise<Browser> | undefined;

/** One browser for a file's tests. Ended by `closeBrowser`. */
export function openBrowser(): Promise<Browser> {
  if (!CHROMIUM) throw new Error('There is no Chromium: install the package chromium.');
  const isRoot = process.getuid?.() === 0;
  browser ??= chromium.launch({ executablePath: CHROMIUM, args: isRoot ? ['--no-sandbox'] : [] });
  return browser;
}

export async function closeBrowser(): Promise<void> {
  await (await browser)?.close();
  browser = undefined;
}

/** A page of its own (cookies too) at the app's address. Whatever it throws or is refused fails the test. */
export async function openPage(app: RunningApp, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await (await openBrowser()).newContext({ viewport: WINDOW, locale: 'en-GB', ...options });
  const page = await context.newPage();
  const troubles: string[] = [];
  page.on('pageerror', (error) => troubles.push(error.stack ?? error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/WebSocket connection to|net::ERR_/.test(message.text()))
      troubles.push(message.text());
  });
  onTestFinished(async () => {
    await context.close();
    if (troubles.length > 0) throw new Error(`the page reported:\n${troubles.join('\n')}`);
  });
  await page.goto(app.url.href);
  return page;
}
