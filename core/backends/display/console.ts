/** A display head between the device that draws it and whoever looks on (VNC clients, screendump): QEMU's QemuConsole with a graphic device. */
import type { Unsubscribe } from '../../util/byte-stream.ts';
import { clipRect, DisplaySurface, type Rect } from './surface.ts';
import { TextMirror } from './text-mirror.ts';

/** A pointer picture that the device asks the viewer to draw. */
export interface CursorImage {
  readonly width: number;
  readonly height: number;
  readonly hotX: number;
  readonly hotY: number;
  /** 0xAARRGGBB, not premultiplied. */
  readonly pixels: Uint32Array;
}

/** What a viewer can show, sent to devices that can follow it (EDID). */
export interface UiInfo {
  readonly width: number;
  readonly height: number;
}

/** The device's side. */
export interface GraphicHardware {
  /** Brings the surface up to date, reporting changes by `console.update`. Called at the viewers' refresh rate. */
  graphicUpdate(): void;
  /** Everything has to be drawn again at the next update. */
  invalidate(): void;
  /** Fills the text mirror, or clears it when the screen shows no text. */
  textUpdate?(mirror: TextMirror): void;
  uiInfo?(info: UiInfo): void;
}

/** A viewer's side. Each hook is optional. */
export interface DisplayListener {
  surfaceSwitch?(surface: DisplaySurface): void;
  update?(rect: Rect): void;
  cursorDefine?(cursor: CursorImage | null): void;
  mouseSet?(x: number, y: number, visible: boolean): void;
}

const NO_HARDWARE: GraphicHardware = { graphicUpdate() {}, invalidate() {} };

export class DisplayConsole {
  readonly index: number;
  readonly head: number;
  /** The device that draws here, for QMP's and VNC's `display=`/`device`; null for a console without a device. */
  readonly device: object | null;
  readonly text = new TextMirror();
  #hardware: GraphicHardware;
  #surface = new DisplaySurface(640, 480, true);
  #cursor: CursorImage | null = null;
  #mouse = { x: 0, y: 0, visible: false };
  readonly #listeners = new Set<DisplayListener>();

  constructor(index: number, hardware: GraphicHardware = NO_HARDWARE, device: object | null = null, head = 0) {
    this.index = index;
    this.#hardware = hardware;
    this.device = device;
    this.head = head;
  }

  get surface(): DisplaySurface {
    return this.#surface;
  }
  get width(): number {
    return this.#surface.width;
  }
  get height(): number {
    return this.#surface.height;
  }
  get cursor(): CursorImage | null {
    return this.#cursor;
  }
  get mouse(): { readonly x: number; readonly y: number; readonly visible: boolean } {
    return this.#mouse;
  }
  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }
  get label(): string {
    return `vga${this.index}`;
  }

  /** The device goes away (or another takes over its head). */
  setHardware(hardware: GraphicHardware | null): void {
    this.#hardware = hardware ?? NO_HARDWARE;
    this.#hardware.invalidate();
  }

  // ---- the device calls these

  /** The device now draws `surface`. */
  replaceSurface(surface: DisplaySurface): void {
    this.#surface = surface;
    for (const listener of [...this.#listeners]) listener.surfaceSwitch?.(surface);
  }
  /** Gives a surface of this size: the present one when it fits, else a new one. */
  resize(width: number, height: number): DisplaySurface {
    const now = this.#surface;
    if (now.isPlaceholder || now.width !== width || now.height !== height) {
      this.replaceSurface(new DisplaySurface(width, height));
    }
    return this.#surface;
  }
  /** Pixels inside the rectangle have changed. */
  update(x: number, y: number, width: number, height: number): void {
    const rect = clipRect({ x, y, width, height }, this.width, this.height);
    if (rect) for (const listener of this.#listeners) listener.update?.(rect);
  }
  updateAll(): void {
    this.update(0, 0, this.width, this.height);
  }
  defineCursor(cursor: CursorImage | null): void {
    this.#cursor = cursor;
    for (const listener of [...this.#listeners]) listener.cursorDefine?.(cursor);
  }
  setMouse(x: number, y: number, visible: boolean): void {
    this.#mouse = { x, y, visible };
    for (const listener of [...this.#listeners]) listener.mouseSet?.(x, y, visible);
  }

  // ---- viewers call these

  /** Attaches a viewer; it is told at once what there is. */
  addListener(listener: DisplayListener): Unsubscribe {
    this.#listeners.add(listener);
    listener.surfaceSwitch?.(this.#surface);
    if (this.#cursor) listener.cursorDefine?.(this.#cursor);
    return () => void this.#listeners.delete(listener);
  }
  /** Lets the device draw what has changed since the last call. */
  refresh(): void {
    this.#hardware.graphicUpdate();
  }
  /** Makes the device draw everything again. */
  invalidate(): void {
    this.#hardware.invalidate();
  }
  /** The text screen as it is now; no columns when the guest shows graphics. */
  readText(): TextMirror {
    if (this.#hardware.textUpdate) this.#hardware.textUpdate(this.text);
    else this.text.clear();
    return this.text;
  }
  /** Tells the device what a viewer would like to see; false when it cannot follow. */
  setUiInfo(info: UiInfo): boolean {
    if (!this.#hardware.uiInfo) return false;
    this.#hardware.uiInfo(info);
    return true;
  }
}

/** All consoles of one machine, in order of creation. */
export class DisplayRegistry {
  readonly #consoles: DisplayConsole[] = [];
  readonly #added = new Set<(console: DisplayConsole) => void>();

  get consoles(): readonly DisplayConsole[] {
    return this.#consoles;
  }
  /** The console that a viewer shows when it names none. */
  get primary(): DisplayConsole | null {
    return this.#consoles[0] ?? null;
  }
  /** QEMU's graphic_console_init. */
  createGraphicConsole(device: object | null, head: number, hardware: GraphicHardware): DisplayConsole {
    const console = new DisplayConsole(this.#consoles.length, hardware, device, head);
    this.#consoles.push(console);
    for (const listener of [...this.#added]) listener(console);
    return console;
  }
  find(device: object, head = 0): DisplayConsole | null {
    return this.#consoles.find((console) => console.device === device && console.head === head) ?? null;
  }
  onAdded(listener: (console: DisplayConsole) => void): Unsubscribe {
    this.#added.add(listener);
    return () => void this.#added.delete(listener);
  }
}
