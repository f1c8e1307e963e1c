/** The library's schema as numbered steps. A step that has been released is never changed: add the next one. */
export interface Migration {
  /** 1, 2, 3 …; kept in the file as `user_version`. */
  number: number;
  what: string;
  sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    what: 'machines, media, settings',
    sql: `
      CREATE TABLE machines (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL COLLATE NOCASE UNIQUE,
        definition TEXT NOT NULL CHECK (json_valid(definition)),
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        last_started_at INTEGER,
        failure TEXT CHECK (failure IS NULL OR json_valid(failure))
      ) STRICT;
      CREATE TABLE media (
        path TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('iso', 'disk')),
        added_at INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE drives (
        machine_id TEXT NOT NULL REFERENCES machines (id) ON DELETE CASCADE,
        device_id TEXT NOT NULL,
        path TEXT NOT NULL REFERENCES media (path),
        PRIMARY KEY (machine_id, device_id)
      ) STRICT;
      CREATE INDEX drives_by_path ON drives (path);
      CREATE TABLE settings (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL CHECK (json_valid(value))
      ) STRICT;
    `,
  },
];
