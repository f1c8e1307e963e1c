/** -rtc: where the guest's wall clock starts and which clock drives it. */

import { UserError } from '../util/errors.ts';
import type { QemuOpts } from './qemu-opts.ts';

export type RtcBase =
  | { readonly kind: 'utc' }
  | { readonly kind: 'localtime' }
  /** A fixed moment: milliseconds since 1970, UTC. */
  | { readonly kind: 'datetime'; readonly epochMs: number };

export interface RtcOptions {
  readonly base: RtcBase;
  readonly clock: 'host' | 'rt' | 'vm';
  /** Make up for lost ticks by raising more of them. */
  readonly driftfixSlew: boolean;
}

export const DEFAULT_RTC: RtcOptions = { base: { kind: 'utc' }, clock: 'host', driftfixSlew: false };

export function parseRtc(opts: QemuOpts): RtcOptions {
  const clock = opts.get('clock') ?? 'host';
  const base = parseBase(opts.get('base') ?? 'utc');
  if (clock !== 'host' && clock !== 'rt' && clock !== 'vm') throw invalidValue(clock);
  const driftfix = opts.get('driftfix') ?? 'none';
  if (driftfix !== 'none' && driftfix !== 'slew') throw invalidValue(driftfix);
  return { base, clock, driftfixSlew: driftfix === 'slew' };
}

function invalidValue(value: string): UserError {
  return new UserError(`invalid option value '${value}'`);
}

function parseBase(text: string): RtcBase {
  if (text === 'utc' || text === 'localtime') return { kind: text };
  const match = /^(\d+)-(\d+)-(\d+)(?:T(\d+):(\d+):(\d+))?/.exec(text);
  if (match) {
    const [year, month, day, hour = 0, minute = 0, second = 0] = match.slice(1).map((part) => Number(part ?? 0));
    const epochMs = Date.UTC(year!, month! - 1, day!, hour, minute, second);
    if (Number.isFinite(epochMs) && epochMs !== -1) return { kind: 'datetime', epochMs };
  }
  throw new UserError('invalid datetime format', "valid formats: '2006-06-17T16:01:21' or '2006-06-17'");
}
