/** Where the window was: kept in a small file, and only believed when that place is still on a screen. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';

const rectangleSchema = z.object({ x: z.int(), y: z.int(), width: z.int(), height: z.int() });
export type Rectangle = z.infer<typeof rectangleSchema>;

const windowStateSchema = z.object({ bounds: rectangleSchema, maximized: z.boolean() });
export type WindowState = z.infer<typeof windowStateSchema>;

export const MINIMUM_WINDOW = { width: 800, height: 560 };
const FIRST_WINDOW = { width: 1280, height: 800 };
/** So much of the title bar must be on some screen to be got hold of. */
const GRIP = { width: 120, height: 40 };

export function readWindowState(path: string): WindowState | undefined {
  try {
    return windowStateSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined; // none yet, or damaged: the default will do
  }
}

export function writeWindowState(path: string, state: WindowState): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.part`, JSON.stringify(state), { mode: 0o600 });
  renameSync(`${path}.part`, path);
}

/** Bounds for the new window: the old ones if they can be reached on these screens (work areas), else a centred default
 *  (no x and y). */
export function placeWindow(state: WindowState | undefined, screens: readonly Rectangle[]): Partial<Rectangle> {
  const bounds = state?.bounds;
  const reachable = bounds && screens.some((screen) => overlaps(bounds, screen));
  const wanted = reachable ? bounds : FIRST_WINDOW;
  const screen = screens[0];
  const width = Math.max(
    Math.min(wanted.width, screen && !reachable ? screen.width : wanted.width),
    MINIMUM_WINDOW.width,
  );
  const height = Math.max(
    Math.min(wanted.height, screen && !reachable ? screen.height : wanted.height),
    MINIMUM_WINDOW.height,
  );
  return reachable ? { x: bounds.x, y: bounds.y, width, height } : { width, height };
}

function overlaps(window: Rectangle, screen: Rectangle): boolean {
  const width = Math.min(window.x + window.width, screen.x + screen.width) - Math.max(window.x, screen.x);
  const top = window.y >= screen.y && window.y + GRIP.height <= screen.y + screen.height;
  return width >= GRIP.width && top;
}
