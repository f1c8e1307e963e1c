/** Keys and buttons on their way to the guest: chords that the host keeps for itself, as QEMU's key names, and the pairs of the host key. */
export interface Chord {
  id: string;
  label: string;
  keys: string[];
}

const chord = (label: string, ...keys: string[]): Chord => ({ id: keys.join('-'), label, keys });

export const CHORDS: readonly (Chord | 'separator')[] = [
  chord('Ctrl+Alt+Del', 'ctrl', 'alt', 'delete'),
  chord('Ctrl+Alt+Backspace', 'ctrl', 'alt', 'backspace'),
  chord('Ctrl+Esc', 'ctrl', 'esc'),
  chord('Alt+Tab', 'alt', 'tab'),
  chord('Alt+F4', 'alt', 'f4'),
  'separator',
  ...[1, 2, 3, 4, 5, 6, 7].map((n) => chord(`Ctrl+Alt+F${n}`, 'ctrl', 'alt', `f${n}`)),
  'separator',
  chord('Print Screen', 'print'),
  chord('Alt+SysRq', 'alt', 'sysrq'),
  chord('Pause', 'pause'),
  chord('Super', 'meta_l'),
];

/** How keys that can be the host key are called on a keyboard. */
export const HOST_KEYS = {
  ControlRight: 'Right Ctrl',
  AltRight: 'Right Alt',
  ShiftRight: 'Right Shift',
  MetaRight: 'Right Super',
  ContextMenu: 'Menu',
  Pause: 'Pause',
  ScrollLock: 'Scroll Lock',
} as const;

export function hostKeyLabel(code: string): string {
  return HOST_KEYS[code as keyof typeof HOST_KEYS] ?? code;
}

/** What a key press means for the host key: pressed and released alone it lets go, with F or Delete it orders. */
export type HostKeyOutcome = 'pass' | 'swallow' | 'release' | 'fullscreen' | 'ctrlAltDel';

/** Follows one key's state; feed it every key event that would reach the guest. */
export class HostKey {
  private down = false;
  private alone = false;
  private readonly code: string;

  constructor(code: string) {
    this.code = code;
  }

  event(type: 'keydown' | 'keyup', code: string): HostKeyOutcome {
    if (code === this.code) {
      if (type === 'keydown') {
        if (!this.down) this.alone = true;
        this.down = true;
        return 'swallow';
      }
      const wasAlone = this.down && this.alone;
      this.down = false;
      return wasAlone ? 'release' : 'swallow';
    }
    if (!this.down || type === 'keyup') return 'pass';
    this.alone = false;
    if (code === 'KeyF') return 'fullscreen';
    if (code === 'Delete') return 'ctrlAltDel';
    return 'swallow';
  }

  reset(): void {
    this.down = false;
  }
}

/** DOM: left 1, right 2, middle 4. RFB: left 1, middle 2, right 4. */
export function buttonMask(buttons: number): number {
  return (buttons & 1) | ((buttons & 4) >> 1) | ((buttons & 2) << 1);
}
