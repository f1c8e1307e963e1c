/** `query-pci` and `info pci`. */

import { hex } from '../../util/units.ts';
import type { PciBus } from './pci-bus.ts';
import { is64, isPrefetchable, type PciDevice } from './pci-device.ts';
import { className, functionOf, REG, slotOf, UNMAPPED } from './registers.ts';

export interface PciRegionInfo {
  readonly bar: number;
  readonly type: 'io' | 'memory';
  /** -1: decodes nothing. */
  readonly address: number;
  readonly size: number;
  readonly prefetch?: boolean;
  readonly mem_type_64?: boolean;
}
export interface PciDeviceInfo {
  readonly bus: number;
  readonly slot: number;
  readonly function: number;
  readonly class_info: { readonly class: number; readonly desc?: string };
  readonly id: Readonly<Record<'device' | 'vendor' | 'subsystem' | 'subsystem-vendor', number>>;
  readonly irq?: number;
  readonly irq_pin: number;
  readonly qdev_id: string;
  readonly regions: readonly PciRegionInfo[];
}

function regionInfo(bar: NonNullable<PciDevice['bars'][number]>): PciRegionInfo {
  const common = { bar: bar.index, address: bar.address === UNMAPPED ? -1 : bar.address, size: bar.size };
  if (bar.kind === 'io') return { ...common, type: 'io' };
  return { ...common, type: 'memory', prefetch: isPrefetchable(bar), mem_type_64: is64(bar) };
}

function deviceInfo(device: PciDevice): PciDeviceInfo {
  const classCode = device.configWord(REG.classDevice);
  const desc = className(classCode);
  const pin = device.config[REG.interruptPin]!;
  return {
    bus: 0,
    slot: slotOf(device.devfn),
    function: functionOf(device.devfn),
    class_info: { class: classCode, ...(desc === undefined ? {} : { desc }) },
    id: {
      device: device.configWord(REG.deviceId),
      vendor: device.configWord(REG.vendorId),
      subsystem: device.configWord(REG.subsystemId),
      'subsystem-vendor': device.configWord(REG.subsystemVendorId),
    },
    ...(pin === 0 ? {} : { irq: device.config[REG.interruptLine]! }),
    irq_pin: pin,
    qdev_id: device.id ?? '',
    regions: device.bars.flatMap((bar) => (bar ? [regionInfo(bar)] : [])),
  };
}

/** The reply of `query-pci` for one root bus. */
export function queryPci(bus: PciBus): { bus: number; devices: PciDeviceInfo[] }[] {
  return [{ bus: 0, devices: [...bus.devices()].map(deviceInfo) }];
}

/** First and last address; those of a region that is nowhere wrap round, as in 64-bit arithmetic. */
function range(address: number, size: number, digits: number): string {
  const shown = (n: bigint) => `0x${hex(BigInt.asUintN(64, n), digits)}`;
  return `${shown(BigInt(address))} [${shown(BigInt(address) + BigInt(size) - 1n)}]`;
}

function deviceText(device: PciDeviceInfo): string {
  const { class_info: klass, id } = device;
  const lines = [
    `  Bus ${String(device.bus).padStart(2)}, device ${String(device.slot).padStart(3)}, function ${device.function}:`,
    `    ${klass.desc ?? `Class ${String(klass.class).padStart(4, '0')}`}: PCI device ${hex(id.vendor, 4)}:${hex(id.device, 4)}`,
  ];
  if (id['subsystem-vendor'] || id.subsystem)
    lines.push(`      PCI subsystem ${hex(id['subsystem-vendor'], 4)}:${hex(id.subsystem, 4)}`);
  if (device.irq !== undefined)
    lines.push(`      IRQ ${device.irq}, pin ${String.fromCharCode(0x40 + device.irq_pin)}`);
  for (const region of device.regions) {
    const kind =
      region.type === 'io'
        ? 'I/O'
        : `${region.mem_type_64 ? 64 : 32} bit${region.prefetch ? ' prefetchable' : ''} memory`;
    lines.push(
      `      BAR${region.bar}: ${kind} at ${range(region.address, region.size, region.type === 'io' ? 4 : 8)}.`,
    );
  }
  lines.push(`      id "${device.qdev_id}"`);
  return `${lines.join('\n')}\n`;
}

/** The text of `info pci`. */
export function infoPci(bus: PciBus): string {
  return [...bus.devices()].map((device) => deviceText(deviceInfo(device))).join('');
}
