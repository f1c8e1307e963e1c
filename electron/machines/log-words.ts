/** What the user's log says of the engine's events and of the lines that it prints. */
import type { LogEntry } from '../api/contract.ts';

type Words = Pick<LogEntry, 'level' | 'text'>;
type Data = Readonly<Record<string, unknown>>;

/** Whose screen is shown where is not what a user asks a machine's log: every open page is such a client. */
const UNTOLD = /^(VNC|SPICE)_/;

const EVENTS: Readonly<Record<string, (data: Data) => string>> = {
  STOP: () => 'The machine stands still.',
  RESUME: () => 'The machine goes on.',
  RESET: ({ guest }) => (guest === true ? 'The guest has restarted the machine.' : 'The machine is reset.'),
  SHUTDOWN: ({ guest }) =>
    guest === true ? 'The guest has switched the machine off.' : 'The machine is switched off.',
  POWERDOWN: () => 'The power button is pressed.',
  DEVICE_TRAY_MOVED: (data) =>
    `The tray of ${data.device || data.id} is ${data['tray-open'] === true ? 'opened' : 'closed'}.`,
  BLOCK_IO_ERROR: (data) =>
    `${data.device || data['node-name']} could not ${data.operation}${data.reason ? `: ${data.reason}` : ''} (${data.action}).`,
};

/** Undefined: not told. An event without words of its own is shown as QEMU names it. */
export function eventWords(event: string, data: Data): Words | undefined {
  if (UNTOLD.test(event)) return undefined;
  const level = /PANIC|ERROR|CRASH/.test(event) ? 'error' : 'info';
  const words = EVENTS[event]?.(data);
  if (words) return { level, text: `${words} [${event}]` };
  const members = Object.entries(data).map(([name, value]) => `${name}=${plain(value)}`);
  return { level, text: [event, ...members].join(' ') };
}

/** `program: -option: warning: text` without the program, which the log's column names; the level is the line's own. */
export function engineWords(line: string): Words {
  const text = line.replace(/^(?:\S*\/)?(?:terrarium|qemu-system)-\w+: /, '');
  const [, before = '', kind, rest = ''] = /^(.*?)\b(warning|info|error): (.*)$/.exec(text) ?? [];
  const level = kind === 'error' || kind === 'info' ? kind : 'warning';
  return { level, text: kind ? before + rest : text };
}

const MISSING_FEATURE = /TCG doesn't support requested feature: \S+?\.([\w.-]+) \[bit \d+\]$/;
/** Lines of one matter come at once; the file that brings them is read every 0.3 s. */
const TOGETHER_MS = 500;

/** Puts the engine's lines into a log. What is one matter in many lines (each feature that the processor model asks for
 *  and the engine lacks) becomes one entry. */
export class EngineLog {
  private readonly add: (words: Words) => void;
  private missing: string[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(add: (words: Words) => void) {
    this.add = add;
  }

  line(line: string): void {
    const feature = MISSING_FEATURE.exec(line)?.[1];
    if (feature === undefined) {
      this.flush();
      this.add(engineWords(line));
      return;
    }
    this.missing.push(feature);
    this.timer ??= setTimeout(() => this.flush(), TOGETHER_MS).unref();
  }

  /** Writes what waits for more of its kind. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const features = this.missing.splice(0);
    if (features.length === 0) return;
    const text = `The processor model asks for features that this engine does not have: ${features.join(', ')}.`;
    this.add({ level: 'warning', text });
  }
}

/** The engine's output without what every start says of the processor: in a report of a failure it hides the reason. */
export function withoutFeatureWarnings(output: string): string {
  return output
    .split('\n')
    .filter((line) => !MISSING_FEATURE.test(line.trimEnd()))
    .join('\n');
}

function plain(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
