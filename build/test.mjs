/** `npm test`: sets up what is missing, then everything that decides whether a change is sound, ending with plain counts.
 *
 *    npm test [-- FILTER ...]     with filters: only the test files whose path contains one, and no `check`
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { check } from './check.mjs';
import { cache, childEnv, moduleFile, root, runNode } from './paths.mjs';
import { orExplain, setUp } from './setup.mjs';

/** @typedef {{ status: string, fullName: string }} Assertion */
/** @typedef {{ name: string, assertionResults: Assertion[] }} TestFile */

const started = performance.now();
const filters = process.argv.slice(2);
orExplain(() => setUp({ tests: true }));
mkdirSync(cache, { recursive: true });

const lines = [];
const skipped = [];
let sound = true;

if (filters.length === 0) {
  const passed = await check();
  lines.push(`check: ${passed ? 'passed' : 'FAILED'}`);
  sound &&= passed;
}
runTests('unit and conformance', ['unit', 'conformance']);
runTests('end-to-end', ['e2e']);

const minutes = (performance.now() - started) / 60_000;
console.log(['', ...skipped.map((name) => `skipped: ${name}`), ...lines, `time: ${minutes.toFixed(1)} min`].join('\n'));
process.exit(sound ? 0 : 1);

/** Runs vitest on some of its projects and counts. @param {string} title @param {string[]} projects */
function runTests(title, projects) {
  const report = join(cache, `tests-${projects[0]}.json`);
  rmSync(report, { force: true });
  const args = [moduleFile('vitest', 'vitest.mjs'), 'run', ...projects.map((it) => `--project=${it}`), ...filters];
  if (filters.length > 0) args.push('--passWithNoTests');
  const code = runNode(args, { env: childEnv({ TERRARIUM_TEST_REPORT: report }), stdio: ['ignore', 1, 2] });
  sound &&= code === 0;
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of readReport(report)) {
    for (const test of file.assertionResults) {
      if (test.status === 'passed') counts.passed++;
      else if (test.status === 'failed') counts.failed++;
      else {
        counts.skipped++;
        skipped.push(`${relative(root, file.name)}: ${test.fullName}`);
      }
    }
  }
  const verdict = code !== 0 && counts.failed === 0 ? ' (did not run to its end: FAILED)' : '';
  lines.push(`${title}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped${verdict}`);
}

/** @param {string} path @returns {TestFile[]} */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).testResults;
  } catch {
    return []; // vitest ended before it wrote one: its exit code counts
  }
}
