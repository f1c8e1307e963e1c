/** Machines, media and settings on disk. Knows nothing of running machines. Every change is one transaction. */
import { z } from 'zod';
import { AppError } from '../api/app-error.ts';
import type { MachineDefinition, MachineFailure, MachineId, Medium, Settings } from '../api/contract.ts';
import { settingsSchema } from '../api/contract.ts';
import { machineDefinitionSchema } from '../api/definition.ts';
import { openDatabase, type SqliteDatabase } from './database.ts';
import type { Migration } from './migrations.ts';

export interface MachineRecord {
  definition: MachineDefinition;
  createdAt: number;
  updatedAt: number;
  lastStartedAt: number | null;
  failure: MachineFailure | null;
}

export interface MediumRecord {
  path: string;
  kind: Medium['kind'];
  addedAt: number;
  lastUsedAt: number;
  usedBy: { id: MachineId; name: string }[];
}

const failureSchema = z.object({
  kind: z.enum(['start-failed', 'crashed']),
  message: z.string(),
  engineOutput: z.string(),
  exitCode: z.number().nullable(),
  signal: z.string().nullable(),
  at: z.number(),
});

interface MachineRow {
  id: string;
  definition: string;
  created_at: number;
  updated_at: number;
  last_started_at: number | null;
  failure: string | null;
}

const MEDIA_SQL = `
  SELECT media.path, media.kind, media.added_at AS addedAt, media.last_used_at AS lastUsedAt,
    (SELECT json_group_array(json_object('id', machines.id, 'name', machines.name))
       FROM machines WHERE machines.id IN (SELECT machine_id FROM drives WHERE drives.path = media.path)) AS usedBy
  FROM media`;

/** One open library. `close` it. */
export class Library {
  private readonly database: SqliteDatabase;

  constructor(path: string, migrations?: readonly Migration[]) {
    this.database = openDatabase(path, migrations);
    try {
      this.machines();
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  close(): void {
    this.database.close();
  }

  machines(): MachineRecord[] {
    const rows = this.database.prepare<[], MachineRow>('SELECT * FROM machines ORDER BY name').all();
    return rows.map(readMachine);
  }

  machine(id: MachineId): MachineRecord {
    const row = this.database.prepare<[string], MachineRow>('SELECT * FROM machines WHERE id = ?').get(id);
    if (!row) throw new AppError('not-found', 'This machine is not in the library any more.', { machineId: id });
    return readMachine(row);
  }

  addMachine(definition: MachineDefinition): void {
    const now = Date.now();
    this.change(definition, () => {
      this.database
        .prepare('INSERT INTO machines (id, name, definition, created_at, updated_at) VALUES (?, ?, ?, ?, ?)')
        .run(definition.id, definition.name, JSON.stringify(definition), now, now);
      this.writeDrives(definition, now);
    });
  }

  updateMachine(definition: MachineDefinition): void {
    this.change(definition, () => {
      const now = Date.now();
      const { changes } = this.database
        .prepare('UPDATE machines SET name = ?, definition = ?, updated_at = ? WHERE id = ?')
        .run(definition.name, JSON.stringify(definition), now, definition.id);
      if (changes === 0) {
        throw new AppError('not-found', `The machine "${definition.name}" is not in the library any more.`);
      }
      this.database.prepare('DELETE FROM drives WHERE machine_id = ?').run(definition.id);
      this.writeDrives(definition, now);
    });
  }

  removeMachine(id: MachineId): void {
    this.database.prepare('DELETE FROM machines WHERE id = ?').run(id);
  }

  recordStart(id: MachineId, at: number): void {
    this.database.prepare('UPDATE machines SET last_started_at = ?, failure = NULL WHERE id = ?').run(at, id);
  }

  recordFailure(id: MachineId, failure: MachineFailure | null): void {
    const text = failure && JSON.stringify(failure);
    this.database.prepare('UPDATE machines SET failure = ? WHERE id = ?').run(text, id);
  }

  /** A name that no machine has: `wanted`, or `wanted 2`, `wanted 3` … */
  freeName(wanted: string): string {
    const taken = new Set(this.machines().map((machine) => machine.definition.name.toLowerCase()));
    for (let number = 1; ; number++) {
      const name = number === 1 ? wanted : `${wanted} ${number}`;
      if (!taken.has(name.toLowerCase())) return name;
    }
  }

  media(): MediumRecord[] {
    type Row = Omit<MediumRecord, 'usedBy'> & { usedBy: string };
    const rows = this.database.prepare<[], Row>(`${MEDIA_SQL} ORDER BY media.last_used_at DESC, media.path`).all();
    return rows.map((row) => ({ ...row, usedBy: JSON.parse(row.usedBy) }));
  }

  addMedium(path: string, kind: Medium['kind'], now = Date.now()): void {
    this.database
      .prepare(
        `INSERT INTO media (path, kind, added_at, last_used_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, last_used_at = excluded.last_used_at`,
      )
      .run(path, kind, now, now);
  }

  /** Takes a medium off the list. One that is in a drive is refused. */
  forgetMedium(path: string): void {
    const users = this.database
      .prepare<[string], string>(
        'SELECT name FROM machines WHERE id IN (SELECT machine_id FROM drives WHERE path = ?) ORDER BY name',
      )
      .pluck()
      .all(path);
    if (users.length > 0) {
      throw new AppError('conflict', `${path} is in a drive of ${users.map((name) => `"${name}"`).join(', ')}.`);
    }
    this.database.prepare('DELETE FROM media WHERE path = ?').run(path);
  }

  settings(): Settings {
    const rows = this.database.prepare<[], { key: string; value: string }>('SELECT key, value FROM settings').all();
    const stored = new Map(rows.map((row) => [row.key, row.value]));
    const result: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(settingsSchema.shape)) {
      const text = stored.get(key);
      const parsed = text === undefined ? undefined : field.safeParse(JSON.parse(text));
      if (parsed?.success) result[key] = parsed.data; // a value that this version does not know gives the default
    }
    return settingsSchema.parse(result);
  }

  updateSettings(changes: Partial<Settings>): Settings {
    const put = this.database.prepare(
      'INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
    );
    this.database.transaction(() => {
      for (const [key, value] of Object.entries(changes)) put.run(key, JSON.stringify(value));
    })();
    return this.settings();
  }

  private change(definition: MachineDefinition, body: () => void): void {
    try {
      this.database.transaction(body).immediate();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'SQLITE_CONSTRAINT_UNIQUE') {
        const message = `There is a machine called "${definition.name}" already.`;
        throw new AppError('conflict', message, { issues: [{ path: 'name', severity: 'error', message }] });
      }
      if (code === 'SQLITE_CONSTRAINT_PRIMARYKEY') {
        throw new AppError('conflict', `The machine "${definition.name}" is in the library already.`);
      }
      if (code === 'SQLITE_FULL') throw new AppError('no-space', 'No space is left for the library.');
      throw error;
    }
  }

  private writeDrives(definition: MachineDefinition, now: number): void {
    const put = this.database.prepare('INSERT INTO drives (machine_id, device_id, path) VALUES (?, ?, ?)');
    for (const drive of definition.storage) {
      if (drive.path === null) continue;
      this.addMedium(drive.path, drive.kind === 'cdrom' ? 'iso' : 'disk', now);
      put.run(definition.id, drive.id, drive.path);
    }
  }
}

function readMachine(row: MachineRow): MachineRecord {
  const definition = machineDefinitionSchema.safeParse(JSON.parse(row.definition));
  if (!definition.success) {
    const reason = definition.error.issues[0]?.message ?? 'its definition is not understood';
    throw new AppError('io', `The machine ${row.id} in the library cannot be read: ${reason}. It was left as it is.`);
  }
  return {
    definition: definition.data,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastStartedAt: row.last_started_at,
    failure: row.failure === null ? null : failureSchema.parse(JSON.parse(row.failure)),
  };
}
