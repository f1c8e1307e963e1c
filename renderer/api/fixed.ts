/** Constants of the contract that are needed at run time. The room's rule is `import type`, so the values are written
 *  again; their types are the contract's literals, so a difference does not compile. */
import type { NEW_DISK_PATH as NewDiskPath } from '../../electron/api/contract.ts';
import type { LIMITS as Limits } from '../../electron/api/definition.ts';

export const NEW_DISK_PATH: typeof NewDiskPath = '/new-disk';

export const LIMITS: typeof Limits = {
  nameLength: 80,
  notesLength: 10_000,
  memoryMiB: { min: 1, max: 3583 },
  cpuCount: { min: 1, max: 16 },
  serialPorts: 4,
  extraArguments: 200,
};
