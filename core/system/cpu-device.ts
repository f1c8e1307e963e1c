/** CPUs as QOM devices: `/machine/unattached/device[0]`, of type `MODEL-x86_64-cpu`. The engine that runs one is behind it. */
import { Device, deviceType } from '../hw/core/device.ts';
import { typeRegister } from '../qom/type.ts';
import type { CpuDefinition } from '../target/x86/cpu-definition.ts';
import { recognizedFlags } from '../target/x86/features.ts';
import { CPU_MODEL_ALIASES, CPU_MODELS, cpuHelpLines, cpuTypeName } from '../target/x86/models.ts';

export class CpuDevice extends Device {
  definition: CpuDefinition | null = null;
  index = 0;
}

/** Registers `cpu`, `x86_64-cpu` and one type per model name. */
export function registerCpuTypes(): void {
  typeRegister(
    deviceType({
      name: 'cpu',
      abstract: true,
      category: 'cpu',
      userCreatable: false,
      class: CpuDevice as new () => Device,
    }),
  );
  typeRegister(deviceType({ name: 'x86_64-cpu', parent: 'cpu', abstract: true }));
  for (const name of new Set([...CPU_MODELS.keys(), ...Object.keys(CPU_MODEL_ALIASES)]))
    typeRegister(deviceType({ name: cpuTypeName(name), parent: 'x86_64-cpu' }));
}

/** `-cpu help`, in QEMU's layout. */
export function cpuHelp(): string {
  const lines = ['Available CPUs:'];
  for (const { name, note } of cpuHelpLines()) lines.push(`x86 ${name.padEnd(20)}  ${note}`);
  lines.push('', 'Recognized CPUID flags:');
  let line = ' ';
  for (const name of recognizedFlags()) {
    if (line.length + name.length + 1 > 75) {
      lines.push(line);
      line = ' ';
    }
    line += ` ${name}`;
  }
  lines.push(line);
  return `${lines.join('\n')}\n\n`;
}
