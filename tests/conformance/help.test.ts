/** Help texts: what ours prints of a thing is what QEMU prints of it; and lists have no entry that QEMU has not. */
import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { engine, qemu } from '../support/machine.ts';

function ask(program: string, args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(program, ['-display', 'none', ...args], {
    encoding: 'utf8',
    timeout: 20_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { status, stdout, stderr: stderr.replaceAll(basename(program), 'PROGRAM') };
}

describe('the same text', () => {
  const same = [
    ...[
      'ide-cd',
      'ide-hd',
      'VGA',
      'secondary-vga',
      'isa-vga',
      'isa-debugcon',
      'isa-debug-exit',
      'mc146818rtc',
      'piix3-ide',
    ].map((name) => `-device ${name},help`),
    ...['-accel tcg,help', '-global help', '-smp help', '-mon help', '-rtc help', '-boot help', '-serial help'],
  ];
  it.each(same)('%s', (line) => {
    expect(ask(engine, line.split(' '))).toEqual(ask(qemu, line.split(' ')));
  });

  it.each(['-device isa-serial,help', '-device i8042,help'])('%s, but for parts that are made later here', (line) => {
    const own = ({ stdout }: { stdout: string }) => stdout.split('\n').filter((each) => !/=<(child|link)</.test(each));
    expect(own(ask(engine, line.split(' ')))).toEqual(own(ask(qemu, line.split(' '))));
  });
});

describe('a part of the list', () => {
  const lists = ['-M help', '-accel help', '-chardev help', '-vga help', '-display help', '-device help', '-M pc,help'];
  it.each([...lists, '-M none,help', '-d help'])('%s', (line) => {
    const [ours, theirs] = [ask(engine, line.split(' ')), ask(qemu, line.split(' '))];
    expect(ours.status).toBe(theirs.status);
    expect(ours.stderr).toBe('');
    const linesOf = (text: string) =>
      text
        .split('\n')
        .map((each) => each.replace(/\s+/g, ' ').trim())
        .filter((each) => each !== '');
    const known = new Set([...linesOf(theirs.stdout), ...(line === '-display help' ? ['vnc'] : [])]); // as -display takes it
    expect(linesOf(ours.stdout).length).toBeGreaterThan(0);
    expect(linesOf(ours.stdout).filter((each) => !known.has(each))).toEqual([]);
  });

  it('-cpu help: the same models, those that run here', () => {
    const models = (program: string) =>
      [...ask(program, ['-cpu', 'help']).stdout.matchAll(/^x86 (\S+)/gm)].map((match) => match[1]);
    const theirs = models(qemu);
    expect(models(engine).filter((name) => !theirs.includes(name))).toEqual([]);
    expect(models(engine)).toContain('qemu32');
  });

  it('-drive format=help: what can be opened here', () => {
    const { status, stdout } = ask(engine, ['-drive', 'format=help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Supported formats: raw$/m);
  });
});
