import { copyFileSync, existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { sampleMachine, scratchFolder } from '../../tests/manager/sample-machine.ts';
import { Library } from './library.ts';
import { MIGRATIONS, type Migration } from './migrations.ts';

const NEXT: Migration = {
  number: (MIGRATIONS.at(-1)?.number ?? 0) + 1,
  what: 'a step of the future',
  sql: 'CREATE TABLE future (id INTEGER PRIMARY KEY) STRICT',
};

function openNew(): { library: Library; path: string; folder: string } {
  const folder = scratchFolder();
  const path = join(folder, 'library.db');
  return { library: new Library(path), path, folder };
}

describe('the library', () => {
  it('keeps machines, media and settings', () => {
    const { library, path } = openNew();
    const machine = sampleMachine({
      name: '植物, "quoted"',
      storage: [
        { kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: '/a.iso' },
        { kind: 'disk', id: 'ide0-0', bus: 0, unit: 0, path: '/a.img', format: 'raw' },
      ],
    });
    library.addMachine(machine);
    library.recordStart(machine.id, 1234);
    const failure = { kind: 'crashed', message: 'm', engineOutput: 'e', exitCode: 1, signal: null, at: 5 } as const;
    library.recordFailure(machine.id, failure);
    library.updateSettings({ theme: 'dark' });
    library.close();

    const again = new Library(path);
    expect(again.machine(machine.id)).toMatchObject({ definition: machine, lastStartedAt: 1234, failure });
    expect(again.media().map(({ path, kind, usedBy }) => [path, kind, usedBy])).toEqual([
      ['/a.img', 'disk', [{ id: machine.id, name: machine.name }]],
      ['/a.iso', 'iso', [{ id: machine.id, name: machine.name }]],
    ]);
    expect(again.settings()).toMatchObject({ theme: 'dark', language: 'system', onQuit: 'powerOff' });
    again.recordStart(machine.id, 2000);
    expect(again.machine(machine.id).failure).toBeNull();
    again.close();
  });

  it('refuses a name that is taken, whatever its letter case, and keeps what it had', () => {
    const { library } = openNew();
    library.addMachine(sampleMachine({ name: 'One' }));
    const second = sampleMachine({ name: 'Two' });
    library.addMachine(second);
    const storage = [{ kind: 'cdrom' as const, id: 'ide1-0', bus: 1 as const, unit: 0 as const, path: '/x.iso' }];
    expect(() => library.updateMachine({ ...second, name: 'ONE', storage })).toThrow(/called "ONE" already/);
    expect(() => library.addMachine(sampleMachine({ name: 'one', storage }))).toThrow(/called "one" already/);
    expect(library.machine(second.id).definition).toEqual(second);
    expect(library.media()).toEqual([]);
    expect(library.freeName('One')).toBe('One 2');
    library.close();
  });

  it('forgets a medium only when it is in no drive', () => {
    const { library } = openNew();
    const storage = [{ kind: 'cdrom' as const, id: 'ide1-0', bus: 1 as const, unit: 0 as const, path: '/x.iso' }];
    const machine = sampleMachine({ name: 'User', storage });
    library.addMachine(machine);
    expect(() => library.forgetMedium('/x.iso')).toThrow(/in a drive of "User"/);
    library.removeMachine(machine.id);
    expect(() => library.machine(machine.id)).toThrow(/not in the library/);
    library.forgetMedium('/x.iso');
    expect(library.media()).toEqual([]);
    library.close();
  });

  it('gives the default for a setting that it does not understand', () => {
    const { library, path } = openNew();
    library.close();
    const raw = new Database(path);
    raw.prepare(`INSERT INTO settings VALUES ('theme', '"pink"'), ('unknown', '1'), ('language', '"en"')`).run();
    raw.close();
    const again = new Library(path);
    expect(again.settings()).toMatchObject({ theme: 'system', language: 'en' });
    again.close();
  });
});

describe('a library file', () => {
  it('is backed up before it is migrated', () => {
    const { library, path, folder } = openNew();
    const machine = sampleMachine();
    library.addMachine(machine);
    library.close();
    new Library(path, [...MIGRATIONS, NEXT]).close();
    const backups = readdirSync(folder).filter((name) => name.endsWith('.bak'));
    expect(backups).toHaveLength(1);
    const backup = new Library(join(folder, backups[0]!));
    expect(backup.machine(machine.id).definition).toEqual(machine);
    backup.close();
  });

  it('is untouched by a migration that fails', () => {
    const { library, path } = openNew();
    const machine = sampleMachine();
    library.addMachine(machine);
    library.close();
    const broken = { ...NEXT, sql: 'DELETE FROM machines; CREATE TABLE machines (id)' };
    expect(() => new Library(path, [...MIGRATIONS, broken])).toThrow();
    const again = new Library(path);
    expect(again.machine(machine.id).definition).toEqual(machine);
    again.close();
  });

  const damages: [string, RegExp, (path: string) => void][] = [
    ['of a newer version', /written by a newer Terrarium/, (path) => new Library(path, [...MIGRATIONS, NEXT]).close()],
    ['that is not SQLite', /is not an SQLite database/, (path) => writeFileSync(path, 'Dear diary, '.repeat(100))],
    [
      'whose pages are damaged',
      /cannot be read/,
      (path) => {
        const bytes = readFileSync(path);
        bytes.fill(0x5a, 4096, 12_288);
        writeFileSync(path, bytes);
      },
    ],
    ['that is cut short', /cannot be read/, (path) => truncateSync(path, 5000)],
    [
      'of another program',
      /belongs to another program/,
      (path) => {
        const raw = new Database(path);
        raw.pragma('application_id = 1');
        raw.close();
      },
    ],
    [
      'with a machine that it does not understand',
      /cannot be read/,
      (path) => {
        const raw = new Database(path);
        raw.prepare(`INSERT INTO machines VALUES ('x', 'x', '{"version":99}', 1, 1, NULL, NULL)`).run();
        raw.close();
      },
    ],
  ];
  it.each(damages)('%s is refused and left as it is', (_what, message, damage) => {
    const { library, path, folder } = openNew();
    library.addMachine(sampleMachine());
    library.close();
    damage(path);
    const before = join(folder, 'before');
    copyFileSync(path, before);
    expect(() => new Library(path)).toThrow(message);
    expect(() => new Library(path)).toThrow(/left as it is/);
    expect(readFileSync(path).equals(readFileSync(before))).toBe(true);
    expect(existsSync(`${path}-wal`)).toBe(false);
  });
});
