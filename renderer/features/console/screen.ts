/** noVNC on a byte channel: connects again while the machine runs, follows size and focus, and adds what noVNC leaves
 *  out: QEMU's pointer motion change (encoding -257), by which a guest with a relative mouse gets motions, not places. */
import RFB from '@novnc/novnc';
import type { ByteChannel } from '../../../electron/api/contract.ts';
import { buttonMask } from './keys.ts';

export interface Capture {
  keyboard: boolean;
  pointer: boolean;
}

export interface ScreenListener {
  onLinked: (linked: boolean) => void;
  onSize: (width: number, height: number) => void;
  onCapture: (capture: Capture) => void;
}

export interface ScreenLink {
  scale: (mode: 'fit' | 'one') => void;
  focus: () => void;
  /** Gives keyboard and pointer back to the host. */
  release: () => void;
  close: () => void;
}

const POINTER_MOTION_CHANGE = -257;
/** A relative motion of zero, as QEMU's extension writes it. */
const REST = 0x7fff;
const RETRY_MS = 700;

/** The insides of noVNC 1.7.0 that the extension hooks into; the lock file pins the version. */
interface RfbInsides {
  _FBU: { encoding: number; x: number };
  _sock: unknown;
  _canvas: HTMLCanvasElement;
  _handleRect(): boolean;
  _sendMouse(x: number, y: number, mask: number): void;
}
interface RfbMessages {
  clientEncodings(sock: unknown, encodings: number[]): void;
  pointerEvent(sock: unknown, x: number, y: number, mask: number): void;
}
const messages = (RFB as unknown as { messages: RfbMessages }).messages;
const sendEncodings = messages.clientEncodings;
messages.clientEncodings = (sock, encodings) => sendEncodings(sock, [...encodings, POINTER_MOTION_CHANGE]);
const Base = RFB as unknown as new (target: Element, channel: unknown) => RFB & RfbInsides;

class Screen extends Base {
  /** QEMU sends it at the start and whenever the guest changes its pointing device. */
  wantsMotion = false;
  onPointerKind: () => void = () => undefined;

  override _handleRect(): boolean {
    if (this._FBU.encoding !== POINTER_MOTION_CHANGE) return super._handleRect();
    this.wantsMotion = this._FBU.x === 0;
    this.onPointerKind();
    return true;
  }

  override _sendMouse(x: number, y: number, mask: number): void {
    if (this.wantsMotion) this.sendMotion(0, 0, mask);
    else super._sendMouse(x, y, mask);
  }

  sendMotion(dx: number, dy: number, mask: number): void {
    messages.pointerEvent(this._sock, REST + clamp(dx), REST + clamp(dy), mask);
  }
}

const clamp = (delta: number) => Math.max(-1000, Math.min(1000, delta));

/** A field elsewhere has the keyboard: a console that connects late must not take it away. */
function isTyping(): boolean {
  return document.activeElement?.matches('input, textarea, select') ?? false;
}

/** Shows the console in `host` until closed. */
export function openScreen(host: HTMLElement, openChannel: () => ByteChannel, listener: ScreenListener): ScreenLink {
  let screen: Screen | undefined;
  let mode: 'fit' | 'one' = 'fit';
  let closed = false;
  let wantsFocus = false;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let restX = 0;
  let restY = 0;

  const canvas = () => screen?._canvas;
  const isLocked = () => document.pointerLockElement !== null && document.pointerLockElement === canvas();
  const report = () =>
    listener.onCapture({
      keyboard: document.activeElement === canvas() && canvas() !== undefined,
      pointer: isLocked(),
    });

  const connect = () => {
    if (closed) return;
    const next = new Screen(host, openChannel());
    screen = next;
    next.background = 'transparent';
    next.resizeSession = false;
    next.scaleViewport = mode === 'fit';
    next.clipViewport = false;
    next.showDotCursor = true;
    next._canvas.dataset.testid = 'console-canvas';
    const sizes = new MutationObserver(() => {
      listener.onSize(next._canvas.width, next._canvas.height);
      crispness();
    });
    sizes.observe(next._canvas, { attributes: true, attributeFilter: ['width', 'height', 'style'] });
    next.onPointerKind = () => {
      if (!next.wantsMotion && isLocked()) document.exitPointerLock();
    };
    next.addEventListener('connect', () => {
      listener.onLinked(true);
      if (wantsFocus && !isTyping()) next.focus({ preventScroll: true });
      report();
    });
    next.addEventListener('disconnect', () => {
      sizes.disconnect();
      listener.onLinked(false);
      if (screen === next) screen = undefined;
      host.replaceChildren();
      if (!closed) retry = setTimeout(connect, RETRY_MS);
    });
  };

  /** Whole multiples of the guest's pixels stay sharp; between them the browser may blend. */
  const crispness = () => {
    const element = canvas();
    if (!element?.width) return;
    const ratio = (element.getBoundingClientRect().width * devicePixelRatio) / element.width;
    const crisp = ratio >= 2 || Math.abs(ratio - Math.round(ratio)) < 0.01;
    element.style.imageRendering = crisp ? 'pixelated' : 'auto';
  };

  const onMouse = (event: MouseEvent) => {
    if (!screen?.wantsMotion || event.target !== canvas()) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    if (!isLocked()) {
      if (event.type !== 'mousedown') return;
      screen.focus({ preventScroll: true });
      void Promise.resolve(canvas()?.requestPointerLock()).catch(() => undefined);
      return;
    }
    const element = canvas()!;
    const scale = element.width / (element.getBoundingClientRect().width || element.width);
    restX += event.movementX * scale;
    restY += event.movementY * scale;
    const dx = Math.trunc(restX);
    const dy = Math.trunc(restY);
    restX -= dx;
    restY -= dy;
    if (dx || dy || event.type !== 'mousemove') screen.sendMotion(dx, dy, buttonMask(event.buttons));
  };
  const events = ['mousedown', 'mouseup', 'mousemove'] as const;
  for (const name of events) host.addEventListener(name, onMouse, true);
  host.addEventListener('focusin', report);
  host.addEventListener('focusout', report);
  document.addEventListener('pointerlockchange', report);

  connect();
  return {
    scale: (next) => {
      mode = next;
      if (screen) screen.scaleViewport = mode === 'fit';
      crispness();
    },
    focus: () => {
      wantsFocus = true;
      screen?.focus({ preventScroll: true });
    },
    release: () => {
      wantsFocus = false;
      if (isLocked()) document.exitPointerLock();
      screen?.blur();
      report();
    },
    close: () => {
      closed = true;
      clearTimeout(retry);
      if (isLocked()) document.exitPointerLock();
      for (const name of events) host.removeEventListener(name, onMouse, true);
      host.removeEventListener('focusin', report);
      host.removeEventListener('focusout', report);
      document.removeEventListener('pointerlockchange', report);
      screen?.disconnect();
      host.replaceChildren();
    },
  };
}
