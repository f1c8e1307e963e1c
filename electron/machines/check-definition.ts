/** What would keep a valid definition from starting on this host, or surprise its owner: for the form's remarks. */
import { AppError } from '../api/app-error.ts';
import type { HostLimits, Issue, MachineDefinition } from '../api/contract.ts';
import { NEW_DISK_PATH } from '../api/contract.ts';
import { machineDefinitionSchema } from '../api/definition.ts';
import { guestFamily } from '../api/guest-families.ts';
import { readableFileSize } from '../library/inspect-medium.ts';

/** Options that would take the machine out of the manager's hands. */
const REFUSED_ARGUMENTS: Record<string, string> = {
  '-daemonize': 'the process would leave the manager',
  '-version': 'the machine would not start',
  '--version': 'the machine would not start',
  '-h': 'the machine would not start',
  '-help': 'the machine would not start',
  '--help': 'the machine would not start',
};

/** The parsed definition, if it is one, and the remarks of its schema. */
export function parseDefinition(value: unknown): { definition: MachineDefinition | null; issues: Issue[] } {
  const parsed = machineDefinitionSchema.safeParse(value);
  if (parsed.success) return { definition: parsed.data, issues: [] };
  const issues = parsed.error.issues.map(({ path, message }) => ({
    path: path.join('.'),
    severity: 'error' as const,
    message,
  }));
  return { definition: null, issues };
}

/** Looks at files and at the host. Errors here make a start impossible. */
export async function checkDefinition(machine: MachineDefinition, limits: HostLimits): Promise<Issue[]> {
  const issues: Issue[] = [];
  const add = (severity: Issue['severity'], path: string, message: string) => issues.push({ path, severity, message });
  if (machine.memoryMiB > limits.maximumMachineMemoryMiB) {
    add('error', 'memoryMiB', `A machine can have at most ${limits.maximumMachineMemoryMiB} MiB here.`);
  } else if (machine.memoryMiB > limits.freeMemoryMiB) {
    add('warning', 'memoryMiB', `Only ${limits.freeMemoryMiB} MiB are free on this computer now.`);
  }
  const { minimumMemoryMiB, label } = guestFamily(machine.guest);
  if (machine.memoryMiB < minimumMemoryMiB)
    add('warning', 'memoryMiB', `${label} wants at least ${minimumMemoryMiB} MiB.`);
  if (machine.cpu.count > limits.maximumMachineCpus) {
    add('error', 'cpu.count', `A machine can have at most ${limits.maximumMachineCpus} processors here.`);
  }
  for (const [index, drive] of machine.storage.entries()) {
    if (drive.path === null || drive.path === NEW_DISK_PATH) continue;
    try {
      const size = await readableFileSize(drive.path);
      if (drive.kind === 'disk' && size % 512 !== 0) {
        add(
          'warning',
          `storage.${index}.path`,
          'The size of this disk is not a multiple of 512 bytes: its end is not reachable.',
        );
      }
    } catch (error) {
      add('error', `storage.${index}.path`, error instanceof AppError ? error.message : String(error));
    }
  }
  for (const [index, word] of machine.extraArguments.entries()) {
    const reason = REFUSED_ARGUMENTS[word];
    if (reason) add('error', `extraArguments.${index}`, `${word} cannot be used here: ${reason}.`);
  }
  return issues;
}
