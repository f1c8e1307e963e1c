/** The properties by which every block device takes its drive, in QEMU's order. */
import { BlockBackend } from '../../backends/block/block-backend.ts';
import { UserError } from '../../util/errors.ts';
import { environment } from './environment.ts';
import {
  backend,
  bool,
  choice,
  hidden,
  i32,
  onOffAuto,
  type PropertyContext,
  type PropertyKind,
  size,
} from './properties.ts';

/** `drive=ID`: taken when it is set, so that a second device is refused at once. */
const drive: PropertyKind<BlockBackend | null> = backend<BlockBackend>(
  'Node name or ID of a block device to use as a backend',
  {
    find(id) {
      const found = environment().findBackend('drive', id);
      return found instanceof BlockBackend ? found : null;
    },
    attach(found, { device }) {
      if (found.owner && found.owner !== device)
        throw new UserError(`Drive '${found.id}' is already in use by another device`);
      found.owner = device;
    },
    detach(found, { device }) {
      if (found.owner === device) found.owner = null;
    },
  },
);

const MIN_BLOCK = 512;
const MAX_BLOCK = 2 * 1024 ** 2;
function checkBlockSize(value: number, { name }: PropertyContext): void {
  if (value === 0) return;
  if (value < MIN_BLOCK || value > MAX_BLOCK)
    throw new UserError(
      `Property .${name} doesn't take value ${value} (minimum: ${MIN_BLOCK} B, maximum: ${MAX_BLOCK / 1024 ** 2} MiB)`,
    );
  if (!Number.isInteger(Math.log2(value)))
    throw new UserError(`Property .${name} doesn't take value '${value}', it's not a power of 2`);
}
const blockSize = () => size(0, 'A power of two between 512 B and 2 MiB', checkBlockSize);
const onError = () =>
  choice(
    'BlockdevOnError',
    ['report', 'ignore', 'enospc', 'stop', 'auto'],
    'auto',
    'Error handling policy, report/ignore/enospc/stop/auto',
  );

/** `discard_granularity` that nobody set. */
export const GRANULARITY_UNSET = 0xffff_ffff;

export const driveProperties = {
  drive,
  backend_defaults: onOffAuto(),
  logical_block_size: blockSize(),
  physical_block_size: blockSize(),
  min_io_size: size(0),
  opt_io_size: size(0),
  discard_granularity: size(GRANULARITY_UNSET),
  'write-cache': onOffAuto(),
  'share-rw': bool(false),
  'account-invalid': onOffAuto(),
  'account-failed': onOffAuto(),
} as const;
export const driveErrorProperties = { rerror: onError(), werror: onError() } as const;
/** The place in the boot order; -1: none. */
export const bootIndex = hidden(i32(-1));

export { drive as driveProperty };
