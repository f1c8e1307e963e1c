import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'terrarium-machine-code-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const PROGRAM = fileURLToPath(new URL('./machine-code-testing.ts', import.meta.url));
const NATIVES = '--allow-natives-syntax';
function run(flags: readonly string[], ...words: string[]): unknown {
  const given = ['--disable-warning=ExperimentalWarning', ...flags, PROGRAM, ...words];
  return JSON.parse(execFileSync(process.execPath, given, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
}

describe('machine code of a module', () => {
  const file = join(folder, 'code.bin');

  it('is there from the start in another process', () => {
    expect(run([NATIVES], 'take', file)).toEqual({ before: 0, after: 1, result: 42 });
    expect(run([NATIVES], 'give', file)).toEqual({ before: 1, after: 1, result: 42 });
  });

  it('is refused where V8 would make other code', () => {
    run([NATIVES], 'take', file);
    expect(run([NATIVES, '--no-wasm-loop-unrolling'], 'give', file)).toBe('refused');
    const bytes = readFileSync(file);
    bytes[4]! ^= 1; // the version
    writeFileSync(file, bytes);
    expect(run([NATIVES], 'give', file)).toBe('refused');
  });

  it('of regions is made a function at a time', () => {
    expect(run([NATIVES], 'regions')).toEqual({ functions: 3, steps: [0, 1, 2, 3], ready: 1, reused: 3, isSame: true });
  });

  it('cannot be had where V8 does not let us', () => {
    expect(run([], 'take', file)).toBe('nothing can be kept');
  });
});
