/** One xterm per serial port and monitor, alive as long as the page: switching tabs loses no line.
 *  A terminal holds its element and connects again whenever its machine offers the channel again. */
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { type ITheme, Terminal } from '@xterm/xterm';
import type { ByteChannel, ChannelKind } from '../../../electron/api/contract.ts';
import { api } from '../../api/index.ts';
import { onThemeChange } from '../../theme/theme.ts';
import { createStore } from '../../ui/store.ts';

const SCROLLBACK = 10_000;
const RETRY_MS = 1000;

const DARK: ITheme = {
  background: '#0f1311',
  foreground: '#dbe4df',
  cursor: '#41bd90',
  selectionBackground: '#2d6b54',
  black: '#1b201e',
  red: '#f0807a',
  green: '#5ccf97',
  yellow: '#e5b455',
  blue: '#7fb4ea',
  magenta: '#c79bea',
  cyan: '#62c9c9',
  white: '#dbe4df',
  brightBlack: '#6f7b75',
};
const LIGHT: ITheme = {
  background: '#ffffff',
  foreground: '#17201b',
  cursor: '#0c7355',
  selectionBackground: '#bfe3d3',
  black: '#17201b',
  red: '#b8312a',
  green: '#157a45',
  yellow: '#8a5a00',
  blue: '#2563a8',
  magenta: '#7a3fa0',
  cyan: '#0a6f78',
  white: '#6a756f',
  brightBlack: '#76827b',
  brightRed: '#c9372f',
  brightGreen: '#178a4e',
  brightYellow: '#9a6a05',
  brightBlue: '#2f72bd',
  brightMagenta: '#8c4bb5',
  brightCyan: '#0c808a',
  brightWhite: '#17201b',
};
const currentTheme = () => (document.documentElement.dataset.theme === 'dark' ? DARK : LIGHT);

/** A terminal that outlives the component that shows it. */
export class LiveTerminal {
  readonly element = document.createElement('div');
  readonly terminal: Terminal;
  readonly search = new SearchAddon();
  readonly connected = createStore(false);
  private readonly fitAddon = new FitAddon();
  private readonly openChannel: () => ByteChannel;
  private channel: ByteChannel | undefined;
  private wanted = false;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private opened = false;
  /** What the guest asked of a terminal long ago must not be answered to it now. */
  private replaying = false;

  constructor(kind: ChannelKind, id: string, port: number) {
    this.openChannel = () => api().openChannel(kind, id, port);
    this.element.className = 'terminal-element';
    this.terminal = new Terminal({
      scrollback: SCROLLBACK,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--mono'),
      fontSize: 13,
      lineHeight: 1.2,
      cursorBlink: true,
      allowProposedApi: true,
      theme: currentTheme(),
      convertEol: false,
    });
    this.terminal.loadAddon(this.fitAddon);
    this.terminal.loadAddon(this.search);
    const encoder = new TextEncoder();
    this.terminal.onData((text) => {
      if (!this.replaying) this.channel?.send(encoder.encode(text));
    });
    this.terminal.onBinary((text) =>
      this.channel?.send(Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff)),
    );
    onThemeChange(() => {
      this.terminal.options.theme = currentTheme();
    });
  }

  /** Puts the terminal into the page. */
  attach(parent: HTMLElement): void {
    parent.append(this.element);
    if (!this.opened) {
      this.opened = true;
      this.terminal.open(this.element);
    }
    this.fit();
  }

  detach(): void {
    this.element.remove();
  }

  fit(): void {
    if (this.element.offsetWidth > 0 && this.element.offsetHeight > 0) this.fitAddon.fit();
  }

  /** `true` while the machine offers the channel. */
  want(wanted: boolean): void {
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    clearTimeout(this.retry);
    if (wanted) this.connect();
    else {
      this.channel?.close();
      this.channel = undefined;
      this.connected.set(false);
    }
  }

  /** All text, without the blank rest of the screen. */
  allText(): string {
    const buffer = this.terminal.buffer.active;
    const lines: string[] = [];
    for (let row = 0; row < buffer.length; row++) {
      const line = buffer.getLine(row);
      const text = line?.translateToString(true) ?? '';
      if (line?.isWrapped && lines.length) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return lines.join('\n').trimEnd();
  }

  private connect(): void {
    const channel = this.openChannel();
    this.channel = channel;
    channel.binaryType = 'arraybuffer';
    channel.onopen = () => this.connected.set(true);
    // The manager begins with what was printed since the machine's start.
    let isFirst = true;
    channel.onmessage = ({ data }) => {
      if (!isFirst) {
        this.terminal.write(new Uint8Array(data));
        return;
      }
      isFirst = false;
      this.replaying = true;
      this.terminal.reset();
      this.terminal.write(new Uint8Array(data), () => {
        this.replaying = false;
      });
    };
    channel.onclose = () => {
      if (this.channel !== channel) return;
      this.channel = undefined;
      this.connected.set(false);
      if (this.wanted) this.retry = setTimeout(() => this.connect(), RETRY_MS);
    };
  }
}

const terminals = new Map<string, LiveTerminal>();

export function liveTerminal(kind: ChannelKind, id: string, port: number): LiveTerminal {
  const key = `${kind}:${id}:${port}`;
  let found = terminals.get(key);
  if (!found) {
    found = new LiveTerminal(kind, id, port);
    terminals.set(key, found);
  }
  return found;
}
