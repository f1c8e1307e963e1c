/** Help that needs the type registry: machines, CPUs, devices and their properties. */
import type { DeviceClass } from '../hw/core/device.ts';
import { findMachineClass, machineHelp } from '../machines/machine.ts';
import type { HelpRequest } from '../options/command-line.ts';
import { withLocation } from '../options/location.ts';
import { classProperties } from '../qom/object.ts';
import { objectClassGetList } from '../qom/type.ts';
import { traceEvents } from '../util/trace.ts';
import { dumpVmstate } from '../vmstate/dump.ts';
import { cpuHelp } from './cpu-device.ts';
import { deviceHelp, devicePropertiesHelp } from './device-add.ts';
import type { SystemHost } from './host.ts';
import { registerAllTypes } from './qemu-init.ts';

/** The text for stdout. @throws UserError for an unknown subject */
export function answerHelp(request: HelpRequest, host: SystemHost): string {
  registerAllTypes();
  return withLocation(request.location, () => {
    switch (request.topic) {
      case 'machine':
        return machineHelp();
      case 'machine-properties':
        return machinePropertiesHelp(request.subject ?? null);
      case 'cpu':
        return cpuHelp();
      case 'device':
        return deviceHelp(objectClassGetList('device'));
      case 'device-properties':
        return devicePropertiesHelp(request.subject ?? '');
      case 'accel':
        return 'Accelerators supported in QEMU binary:\ntcg\n';
      case 'trace':
        return traceEvents()
          .map((event) => `${event.name}\n`)
          .join('');
      case 'data-dirs':
        return host
          .firmwareFolders([])
          .map((folder) => `${folder}\n`)
          .join('');
    }
  });
}

/** The text of `-dump-vmstate`. */
export function vmstateDump(machine: string | null): string {
  registerAllTypes();
  const types = (objectClassGetList('device') as DeviceClass[]).flatMap((c) =>
    c.vmstate ? [[c.typeName, c.vmstate] as const] : [],
  );
  return dumpVmstate(findMachineClass(machine).machineName ?? '', types);
}

function machinePropertiesHelp(name: string | null): string {
  const klass = findMachineClass(name);
  const lines: string[] = [];
  for (const property of classProperties(klass)) {
    if (!property.set) continue;
    const help = property.description ? ` - ${property.description}` : '';
    lines.push(`  ${property.name}=<${property.type}>`.padEnd(help === '' ? 0 : 25) + help);
  }
  return `${klass.typeName} options:\n${lines.sort().join('\n')}\n`;
}
