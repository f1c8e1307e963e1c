import { expect, it } from 'vitest';
import { Phases } from './phases.ts';

it('phases follow one another, none twice and none skipped', () => {
  const phases = new Phases();
  expect([phases.current, phases.has('no-machine'), phases.has('machine-created')]).toEqual([
    'no-machine',
    true,
    false,
  ]);
  expect(() => phases.advance('accel-created')).toThrow("phase 'accel-created' does not follow 'no-machine'");
  for (const phase of ['machine-created', 'accel-created', 'machine-initialized'] as const) {
    expect(() => phases.require(phase)).toThrow(`needs phase '${phase}'`);
    phases.advance(phase);
    phases.require(phase);
  }
  expect(() => phases.advance('machine-initialized')).toThrow('does not follow');
  phases.advance('machine-ready');
  expect(phases.has('machine-created')).toBe(true);
});
