/** `info qtree`: buses and devices with their properties, in QEMU's form. */
import type { Bus, Device } from './device.ts';
import type { PropertyTable } from './properties.ts';

function printDevice(device: Device, indent: number, lines: string[]): void {
  const pad = ' '.repeat(indent);
  lines.push(`${pad}dev: ${device.typeName}, id "${device.id ?? ''}"`);
  const inner = `${pad}  `;
  for (const [name, pins] of [...device.inPins].reverse()) lines.push(`${inner}gpio-in "${name}" ${pins.length}`);
  for (const [name, pins] of device.outPins) lines.push(`${inner}gpio-out "${name}" ${pins.length}`);
  for (const table of (device.deviceClass.propertyTables ?? []) as readonly PropertyTable[])
    for (const [name, kind] of Object.entries(table))
      if (!kind.isHidden && !kind.isAlias) lines.push(`${inner}${name} = ${kind.print(device.propertyValue(name))}`);
  for (const line of device.treeDetails()) lines.push(`${inner}${line}`);
  for (const bus of [...device.childBuses].reverse()) printBus(bus, indent + 2, lines);
}

function printBus(bus: Bus, indent: number, lines: string[]): void {
  const pad = ' '.repeat(indent);
  lines.push(`${pad}bus: ${bus.name}`, `${pad}  type ${bus.busType}`);
  for (const device of [...bus.children].reverse()) printDevice(device, indent + 2, lines);
}

export function qtreeText(root: Bus): string {
  const lines: string[] = [];
  printBus(root, 0, lines);
  return `${lines.join('\n')}\n`;
}
