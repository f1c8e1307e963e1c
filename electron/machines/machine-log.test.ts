import { appendFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../../tests/manager/sample-machine.ts';
import type { LogEntry } from '../api/contract.ts';
import { EngineOutput } from './engine-output.ts';
import { MachineLog } from './machine-log.ts';

describe('MachineLog', () => {
  it('is found again, with its numbers going on, even after a line that was cut off', () => {
    const path = join(scratchFolder(), 'deep', 'machine.log');
    const seen: LogEntry[] = [];
    const log = new MachineLog(path, (entry) => seen.push(entry));
    log.add('manager', 'info', 'one');
    log.add('engine', 'warning', 'two\nlines');
    appendFileSync(path, '{"sequence": 3, "te');
    const again = new MachineLog(path);
    expect(again.read(10)).toEqual({ entries: seen, hasOlder: false });
    again.add('event', 'error', 'three');
    expect(again.read(1)).toMatchObject({ entries: [{ sequence: 3, text: 'three' }], hasOlder: true });
    expect(again.read(10, 2).entries.map(({ text }) => text)).toEqual(['one']);
  });

  it('rotates, so that it never takes much space', () => {
    const folder = scratchFolder();
    const log = new MachineLog(join(folder, 'machine.log'));
    for (let count = 0; count < 1500; count++) log.add('engine', 'info', `${count} `.repeat(1000));
    expect(readdirSync(folder).sort()).toEqual(['machine.log', 'machine.log.1', 'machine.log.2']);
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).size).toBeLessThan(1.1 * 1024 * 1024);
    expect(log.read(1).entries[0]?.text).toMatch(/^1499 /);
    expect(log.read(1).entries[0]?.text.length).toBeLessThan(4100);
  });
});

describe('EngineOutput', () => {
  it('hands on whole lines, keeps the beginning, and reads the rest when it is closed', async () => {
    const path = join(scratchFolder(), 'output');
    const lines: string[] = [];
    const output = new EngineOutput(path, (line) => lines.push(line));
    appendFileSync(path, 'first\nsec');
    await expect.poll(() => lines).toEqual(['first']);
    appendFileSync(path, 'ond ü\nlast');
    output.close();
    expect(lines).toEqual(['first', 'second ü', 'last']);
    expect(output.text).toBe('first\nsecond ü\nlast');
  });

  it('bounds what a process that prints without end can do', async () => {
    const path = join(scratchFolder(), 'output');
    const lines: string[] = [];
    const output = new EngineOutput(path, (line) => lines.push(line));
    appendFileSync(path, 'noise\n'.repeat(300_000));
    await expect.poll(() => statSync(path).size).toBe(0);
    output.close();
    expect(lines.length).toBeLessThan(300);
    expect(lines.at(-1)).toMatch(/^\(\d+ more lines\)$/);
    expect(output.text.length).toBeLessThanOrEqual(16 * 1024);
  });
});
