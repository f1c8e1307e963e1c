/** A valid definition to vary, and scratch folders that go away with the test. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { DEFINITION_VERSION, type MachineDefinition } from '../../electron/api/definition.ts';

export function sampleMachine(changes: Partial<MachineDefinition> = {}): MachineDefinition {
  return {
    version: DEFINITION_VERSION,
    id: randomUUID(),
    name: 'Sample',
    notes: '',
    guest: 'boot-tool',
    machineType: 'pc',
    accelerator: 'tcg',
    cpu: { model: 'qemu32', count: 1 },
    memoryMiB: 64,
    clock: 'utc',
    boot: { order: ['cdrom', 'disk'], menu: false },
    display: { vga: 'std' },
    storage: [],
    serialPorts: [{ kind: 'terminal' }],
    power: { onGuestReboot: 'reset', onGuestShutdown: 'powerOff' },
    extraArguments: [],
    ...changes,
  };
}

/** A private folder for one test. Must be called while a test runs. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
