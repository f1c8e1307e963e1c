/** -drive: interface, place on the bus, medium, caching; what is left over belongs to the block driver.
 *  Order of checks and messages follow QEMU's, so that the same mistake is named first. */

import { UserError } from '../util/errors.ts';
import { isHelpWord, parseBool, parseNumber } from './parse-values.ts';
import type { QemuOpts } from './qemu-opts.ts';

const INTERFACES = ['none', 'ide', 'scsi', 'floppy', 'pflash', 'mtd', 'sd', 'virtio', 'xen'] as const;
export type DriveInterface = (typeof INTERFACES)[number];

/** Units per bus; interfaces that are not listed have one row of units. */
const UNITS_PER_BUS: Partial<Record<DriveInterface, number>> = { ide: 2, scsi: 7 };

/** What a failing request does. */
export type ErrorAction = 'ignore' | 'report' | 'stop' | 'enospc';

export interface DriveOptions {
  readonly id: string;
  readonly interface: DriveInterface;
  readonly bus: number;
  readonly unit: number;
  readonly media: 'disk' | 'cdrom';
  /** Undefined: an empty drive. */
  readonly file: string | undefined;
  /** Undefined: probe. */
  readonly format: string | undefined;
  readonly readOnly: boolean;
  readonly autoReadOnly: boolean;
  readonly cache: { readonly writeback: boolean; readonly direct: boolean; readonly noFlush: boolean };
  readonly discard: boolean;
  readonly detectZeroes: 'off' | 'on' | 'unmap';
  readonly readError: ErrorAction;
  readonly writeError: ErrorAction;
  readonly forceShare: boolean;
  /** Settings for the block driver; `formatUnknownBlockOption` is for those it does not know. */
  readonly rest: ReadonlyMap<string, string>;
}

/** Raised when `format=help` was asked for: list the formats instead. */
export class DriveFormatHelp extends Error {}

/** Older spellings of settings. */
const RENAMED: readonly (readonly [string, string])[] = [
  ...['iops', 'bps'].flatMap((unit) =>
    [
      ['', '-total'],
      ['_rd', '-read'],
      ['_wr', '-write'],
    ].flatMap(([old, now]) => [
      [`${unit}${old}`, `throttling.${unit}${now}`] as const,
      [`${unit}${old}_max`, `throttling.${unit}${now}-max`] as const,
      [`${unit}${old}_max_length`, `throttling.${unit}${now}-max-length`] as const,
    ]),
  ),
  ['iops_size', 'throttling.iops-size'],
  ['group', 'throttling.group'],
  ['readonly', 'read-only'],
];

const CACHE_MODES: Readonly<Record<string, DriveOptions['cache']>> = {
  none: { writeback: true, direct: true, noFlush: false },
  off: { writeback: true, direct: true, noFlush: false },
  directsync: { writeback: false, direct: true, noFlush: false },
  writeback: { writeback: true, direct: false, noFlush: false },
  unsafe: { writeback: true, direct: false, noFlush: true },
  writethrough: { writeback: false, direct: false, noFlush: false },
};

/** The drives of one machine: hands out places, refuses a place or an id twice. Call `resolve` in command-line order,
 *  opening each image before the next, as QEMU does. */
export class DriveTable {
  private readonly defaultInterface: DriveInterface;
  private readonly taken: DriveOptions[] = [];

  constructor(defaultInterface: DriveInterface) {
    this.defaultInterface = defaultInterface;
  }

  resolve(opts: QemuOpts): DriveOptions {
    const settings = new Settings(opts);
    const cache = takeCache(settings);
    const bus = settings.number('bus', 0);
    const unit = settings.number('unit', -1);
    const index = settings.number('index', -1);
    const readOnlyAsked = settings.bool('read-only', false);
    const copyOnRead = settings.bool('copy-on-read', false);
    const media = settings.text('media') ?? 'disk';
    const kind = settings.text('if');
    const readError = settings.text('rerror');
    const writeError = settings.text('werror');
    const file = settings.text('file');
    if (media !== 'disk' && media !== 'cdrom') throw new UserError(`'${media}' invalid media`);
    if (copyOnRead) throw new UserError('copy-on-read: not supported yet');
    const chosen = kind ?? this.defaultInterface;
    if (!isInterface(chosen)) throw new UserError(`unsupported bus type '${chosen}'`);
    const place = this.place(chosen, bus, unit, index);
    const id = opts.id ?? defaultId(chosen, media, place);
    if (chosen === 'virtio' || chosen === 'xen') throw new UserError(`drives with if=${chosen} are not supported yet`);
    checkErrorActionsAllowed(chosen, readError, writeError);
    const driver = takeDriver(settings, file);
    const drive: DriveOptions = {
      id,
      interface: chosen,
      ...place,
      media,
      file: file === '' ? undefined : file,
      format: driver.format,
      readOnly: readOnlyAsked || media === 'cdrom',
      cache,
      ...driver.flags,
      writeError: parseErrorAction(writeError ?? 'enospc', false),
      readError: parseErrorAction(readError ?? 'report', true),
      rest: settings.rest(),
    };
    this.taken.push(drive);
    return drive;
  }

  private place(kind: DriveInterface, bus: number, unit: number, index: number): { bus: number; unit: number } {
    const perBus = UNITS_PER_BUS[kind] ?? 0;
    let place = { bus, unit };
    if (index !== -1) {
      if (bus !== 0 || unit !== -1) throw new UserError('index cannot be used with bus and unit');
      place = perBus ? { bus: Math.trunc(index / perBus), unit: index % perBus } : { bus: 0, unit: index };
    }
    if (place.unit === -1) {
      place = { bus: place.bus, unit: 0 };
      while (this.isTaken(kind, place)) {
        place.unit++;
        if (perBus && place.unit >= perBus) place = { bus: place.bus + 1, unit: place.unit - perBus };
      }
    }
    if (perBus && place.unit >= perBus) throw new UserError(`unit ${place.unit} too big (max is ${perBus - 1})`);
    if (this.isTaken(kind, place)) {
      const shown = perBus ? place.bus * perBus + place.unit : place.unit;
      throw new UserError(`drive with bus=${place.bus}, unit=${place.unit} (index=${shown}) exists`);
    }
    return place;
  }

  /** Drives with if=none have numbers too, as QEMU counts them. */
  private isTaken(kind: DriveInterface, place: { bus: number; unit: number }): boolean {
    return this.taken.some((drive) => drive.interface === kind && drive.bus === place.bus && drive.unit === place.unit);
  }
}

function isInterface(text: string): text is DriveInterface {
  return (INTERFACES as readonly string[]).includes(text);
}

/** `ide1-cd0`, `none0`: the name of a drive that was given none. */
function defaultId(kind: DriveInterface, media: 'disk' | 'cdrom', place: { bus: number; unit: number }): string {
  const suffix = media === 'cdrom' ? '-cd' : '-hd';
  const middle = kind === 'ide' || kind === 'scsi' ? suffix : kind === 'none' ? suffix : '';
  return UNITS_PER_BUS[kind] ? `${kind}${place.bus}${middle}${place.unit}` : `${kind}${middle}${place.unit}`;
}

/** The settings of one -drive as they are consumed. */
class Settings {
  private readonly left = new Map<string, string>();

  constructor(opts: QemuOpts) {
    for (const [name, value] of opts.entries()) this.left.set(name, value);
    for (const [old, now] of RENAMED) {
      const value = this.left.get(old);
      if (value === undefined) continue;
      if (this.left.has(now)) throw new UserError(`'${now}' and its alias '${old}' can't be used at the same time`);
      this.left.delete(old);
      this.left.set(now, value);
    }
  }
  text(name: string): string | undefined {
    const value = this.left.get(name);
    this.left.delete(name);
    return value;
  }
  has(name: string): boolean {
    return this.left.has(name);
  }
  bool(name: string, fallback: boolean): boolean {
    const value = this.text(name);
    return value === undefined ? fallback : parseBool(name, value);
  }
  /** As QEMU keeps it: a signed 32-bit number. */
  number(name: string, fallback: number): number {
    const value = this.text(name);
    return value === undefined ? fallback : Number(BigInt.asIntN(32, parseNumber(name, value)));
  }
  rest(): ReadonlyMap<string, string> {
    return this.left;
  }
}

function takeCache(settings: Settings): DriveOptions['cache'] {
  const mode = settings.text('cache');
  const base =
    mode === undefined ? CACHE_MODES.writeback! : Object.hasOwn(CACHE_MODES, mode) ? CACHE_MODES[mode]! : undefined;
  if (!base) throw new UserError('invalid cache option');
  return {
    writeback: settings.bool('cache.writeback', base.writeback),
    direct: settings.bool('cache.direct', base.direct),
    noFlush: settings.bool('cache.no-flush', base.noFlush),
  };
}

function checkErrorActionsAllowed(kind: DriveInterface, read: string | undefined, write: string | undefined): void {
  if (kind === 'ide' || kind === 'scsi' || kind === 'none') return;
  if (write !== undefined) throw new UserError('werror is not supported by this bus type');
  if (read !== undefined) throw new UserError('rerror is not supported by this bus type');
}

function parseErrorAction(text: string, isRead: boolean): ErrorAction {
  if (text === 'ignore' || text === 'report' || text === 'stop' || (text === 'enospc' && !isRead)) return text;
  throw new UserError(`'${text}' invalid ${isRead ? 'read' : 'write'} error action`);
}

type DriverFlags = Pick<DriveOptions, 'autoReadOnly' | 'discard' | 'detectZeroes' | 'forceShare'>;

function takeDriver(settings: Settings, file: string | undefined): { format: string | undefined; flags: DriverFlags } {
  if (settings.bool('snapshot', false)) throw new UserError('snapshot=on: not supported yet');
  const aio = settings.text('aio');
  if (aio !== undefined && !['threads', 'native', 'io_uring'].includes(aio)) throw new UserError('invalid aio option');
  const detectZeroes = settings.text('detect-zeroes') ?? 'off';
  if (detectZeroes !== 'off' && detectZeroes !== 'on' && detectZeroes !== 'unmap') {
    throw new UserError(`invalid parameter value: ${detectZeroes}`);
  }
  const format = settings.text('format');
  const driver = settings.text('driver');
  if (format !== undefined && isHelpWord(format)) throw new DriveFormatHelp();
  if (format !== undefined && driver !== undefined) throw new UserError("Cannot specify both 'driver' and 'format'");
  const discard = settings.text('discard') ?? 'ignore';
  if (!['ignore', 'off', 'unmap', 'on'].includes(discard)) throw new UserError('Invalid discard option');
  const flags: DriverFlags = {
    autoReadOnly: settings.bool('auto-read-only', false),
    discard: discard === 'unmap' || discard === 'on',
    detectZeroes,
    forceShare: settings.bool('force-share', false),
  };
  const chosen = format ?? driver;
  if (!file && chosen === undefined && settings.rest().size > 0) {
    throw new UserError('Must specify either driver or file');
  }
  if (!file && chosen !== undefined && !settings.has('file.filename') && !settings.has('filename')) {
    throw new UserError('A block device must be specified for "file"');
  }
  const throttle = [...settings.rest().keys()].find((key) => key.startsWith('throttling.'));
  if (throttle !== undefined) throw new UserError(`'${throttle}': not supported yet`);
  return { format: chosen, flags };
}
