import { describe, expect, it } from 'vitest';
import { GuestReport, median } from './guest-report.ts';
import type { EngineName, GuestRun } from './guest-run.ts';

function run(
  engine: EngineName,
  seconds: Record<string, number>,
  more: Partial<GuestRun> = {},
  checksum = '0000002a',
): GuestRun {
  const tests = Object.fromEntries(
    Object.entries(seconds).map(([name, s]) => [name, { seconds: s, guestSeconds: s, cpuSeconds: s / 2, checksum }]),
  );
  return { engine, tests, ...more };
}
const verdict = (report: GuestReport, what: string) => report.verdicts().find((it) => it.what.startsWith(what));

describe('the report of the guest benchmark', () => {
  it('takes medians over the runs, and geometric means over a group', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, undefined]);
    const report = new GuestReport([
      run('terrarium', { 'int.a': 1, 'int.b': 8 }),
      run('qemu', { 'int.a': 4, 'int.b': 8 }),
      run('terrarium', { 'int.a': 9, 'int.b': 8 }),
      run('terrarium', { 'int.a': 2, 'int.b': 8 }),
    ]);
    expect(report.seconds('int.a', 'terrarium')).toBe(2);
    expect(report.ratio('int.a', 'terrarium')).toBe(2);
    expect(report.groupRatio('int', 'terrarium')).toBeCloseTo(Math.SQRT2);
    expect(report.groupRatio('x87', 'terrarium')).toBeUndefined();
  });
  it('judges groups, and single tests where a bar is set for them', () => {
    const report = new GuestReport([
      run('terrarium', { 'int.a': 1, 'int.b': 1, 'app.a': 1 }),
      run('qemu', { 'int.a': 8, 'int.b': 0.4, 'app.a': 0.6 }),
    ]);
    expect(verdict(report, 'int, times')).toMatchObject({ result: 'passed' });
    expect(verdict(report, 'int, slowest')).toMatchObject({ result: 'FAILED', value: 0.4 });
    expect(verdict(report, 'app, times')).toMatchObject({ result: 'FAILED', value: 0.6 });
    expect(verdict(report, 'sse, times')).toMatchObject({ result: 'skipped' });
  });
  it("holds the way to the shell against QEMU's in the same run, and alone against seconds", () => {
    const ours = run('terrarium', {}, { shellSeconds: 7 });
    expect(verdict(new GuestReport([ours]), 'start')).toMatchObject({ result: 'FAILED', bar: '<= 6.50' });
    const both = new GuestReport([ours, run('qemu', {}, { shellSeconds: 6 })]);
    expect(verdict(both, 'start')).toMatchObject({ result: 'passed', bar: '<= 7.50' });
  });
  it("names every checksum that is not the native run's, and every run that failed", () => {
    const report = new GuestReport([
      run('native', { 'int.a': 1 }),
      run('qemu', { 'int.a': 1 }),
      run('terrarium', { 'int.a': 1 }, { error: 'Kernel panic' }, '0000002b'),
    ]);
    expect(report.problems()).toEqual(['terrarium: Kernel panic', 'int.a: terrarium gave 0000002b, native 0000002a']);
  });
  it('can go by CPU time or by the quickest run', () => {
    const runs = [run('terrarium', { 'int.a': 4 }), run('terrarium', { 'int.a': 2 })];
    expect(new GuestReport(runs, 'cpu').seconds('int.a', 'terrarium')).toBe(1.5);
    expect(new GuestReport(runs, 'best').seconds('int.a', 'terrarium')).toBe(2);
  });
});
