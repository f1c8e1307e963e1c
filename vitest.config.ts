/** Three kinds of test: `unit` beside their units, `conformance` with a whole machine or a real QEMU, `e2e` in a browser. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Vitest would leave one processor free: half of two.
    maxWorkers: '100%',
    reporters: process.env.TERRARIUM_TEST_REPORT
      ? ['default', ['json', { outputFile: process.env.TERRARIUM_TEST_REPORT }]]
      : ['default'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{core,electron,renderer,build}/**/*.test.{ts,tsx}'],
          environment: 'node',
          // A thread starts sooner than a process, and there are many short files.
          pool: 'threads',
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['tests/**/*.test.ts'],
          exclude: ['tests/e2e/**', '**/node_modules/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['tests/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
