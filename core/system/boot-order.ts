/** The file `bootorder` of fw_cfg: firmware paths of the devices with a boot index, in order. */
import { type Device, Device as DeviceObject } from '../hw/core/device.ts';
import { objectChildren, objectRoot, type QomObject } from '../qom/object.ts';
import { UserError } from '../util/errors.ts';

export interface BootOrderSettings {
  /** Try nothing else. */
  readonly isStrict: boolean;
  /** The ROM behind `-kernel` goes first. */
  readonly kernelRom: string | null;
}

/** A device that can be booted from tells its Open Firmware path. */
interface Bootable {
  bootPath(): string;
}

function* devicesBelow(object: QomObject): Generator<Device> {
  for (const child of objectChildren(object)) {
    if (child instanceof DeviceObject) yield child;
    yield* devicesBelow(child);
  }
}

/** @throws UserError when two devices have the same index */
export function bootOrderFile({ isStrict, kernelRom }: BootOrderSettings): Uint8Array {
  const entries = new Map<number, string>();
  for (const device of devicesBelow(objectRoot())) {
    const index = device.propertyValue('bootindex');
    if (typeof index !== 'number' || index < 0) continue;
    const path = (device as Device & Partial<Bootable>).bootPath?.();
    if (path === undefined) continue;
    if (entries.has(index)) throw new UserError(`The bootindex ${index} has already been used`);
    entries.set(index, path);
  }
  const lines = [...entries.entries()].sort(([a], [b]) => a - b).map(([, path]) => path);
  if (kernelRom !== null) lines.unshift(`/rom@genroms/${kernelRom}`);
  if (isStrict && lines.length > 0) lines.push('HALT');
  if (lines.length === 0) return new Uint8Array(0);
  return Uint8Array.from([...lines.join('\n')].map((c) => c.charCodeAt(0)).concat(0));
}
