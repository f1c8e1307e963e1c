/** -boot: the order in which the firmware tries devices, and its menu. */

import { UserError } from '../util/errors.ts';
import type { KeyvalDict } from './keyval.ts';
import { parseBool, scanInteger } from './parse-values.ts';

export interface BootOptions {
  /** Letters: a, b floppy; c disk; d CD-ROM; n network. Undefined: the board's default. */
  readonly order: string | undefined;
  /** The order for the first boot only. */
  readonly once: string | undefined;
  readonly menu: boolean | undefined;
  readonly splash: string | undefined;
  readonly splashTimeMs: number | undefined;
  /** -1: do not reboot. */
  readonly rebootTimeoutMs: number | undefined;
  readonly strict: boolean;
}

const KEYS = ['order', 'once', 'menu', 'splash', 'splash-time', 'reboot-timeout', 'strict'];

/** Reads what -boot gave. */
export function parseBoot(dict: KeyvalDict): BootOptions {
  const text = (key: string): string | undefined => {
    const value = dict[key];
    if (typeof value === 'object') throw new UserError(`Parameter 'boot.${key}' expects string`);
    return value;
  };
  const number = (key: string): number | undefined => {
    const value = text(key);
    if (value === undefined) return undefined;
    const integer = scanInteger(value);
    if (integer === undefined) throw new UserError(`Parameter 'boot.${key}' expects integer`);
    return Number(integer);
  };
  const bool = (key: string): boolean | undefined => {
    const value = text(key);
    return value === undefined ? undefined : parseBool(`boot.${key}`, value);
  };
  const options = {
    order: text('order'),
    once: text('once'),
    menu: bool('menu'),
    splash: text('splash'),
    splashTimeMs: number('splash-time'),
    rebootTimeoutMs: number('reboot-timeout'),
    strict: bool('strict') ?? false,
  };
  const stranger = Object.keys(dict).find((key) => !KEYS.includes(key));
  if (stranger !== undefined) throw new UserError(`Parameter 'boot.${stranger}' is unexpected`);
  if (options.order !== undefined) checkBootOrder(options.order);
  if (options.once !== undefined) checkBootOrder(options.once);
  checkTimes(options.splashTimeMs, options.rebootTimeoutMs);
  return options;
}

/** Each letter at most once, a to p. Also what the monitor's boot_set takes. */
export function checkBootOrder(order: string): void {
  const seen = new Set<string>();
  for (const letter of order) {
    if (letter < 'a' || letter > 'p') throw new UserError(`Invalid boot device '${letter}'`);
    if (seen.has(letter)) throw new UserError(`Boot device '${letter}' was given twice`);
    seen.add(letter);
  }
}

function checkTimes(splashMs: number | undefined, rebootMs: number | undefined): void {
  if (splashMs !== undefined && (splashMs < 0 || splashMs > 0xffff)) {
    throw new UserError('splash-time is invalid,it should be a value between 0 and 65535');
  }
  if (rebootMs !== undefined && (rebootMs < -1 || rebootMs > 0xffff)) {
    throw new UserError('reboot timeout is invalid,it should be a value between -1 and 65535');
  }
}
