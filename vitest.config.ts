import { defineConfig } from 'vitest/config'
import LongestFirst from './scripts/vitest-sequencer.js'
import { measureSlowness } from './test/support/slowness.js'

const unit = ['test/*/unit/**/*.test.ts', 'test/store/**/*.test.ts']
/** Each needs a process of its own: they replace modules of Node or its clock, or count what a process holds. */
const alone = [
  'test/faults/{concurrency-failing,concurrency-storm,death-clock,death-close,disk-short-writes,disk-sync}.test.ts',
]
/** They never ask where the engine runs, or run it where they want it. Repeating them with another default shows nothing. */
const sameInWorker = [
  'test/manager/directory.test.ts',
  'test/engine/worker.test.ts',
  'test/faults/{disk-handles,disk-folder,disk-sync,reset-as-end}.test.ts',
]
/** They share a browser, and the bundles of their pages, as long as they share a process. */
const browser = ['test/{elements,frontends}/*.test.ts']
const soak = ['test/soak/**/*.test.ts']
/** Measured once per run, though each project evaluates this file; `deadline()` of `test/support/wait.ts` uses it. */
const slowness = measureSlowness()
process.env['TEST_SLOWNESS'] = String(slowness)

/**
 * Sets of tests. `unit` needs sources only and goes first; the others open sockets and run `dist`. All but `alone` share their
 * processes among files, since starting one and importing the package takes a second. Two more run when asked for:
 * `worker` takes those of the engine again, with the engine in its worker (`npm run test:worker`, and CI); `soak` takes
 * long (`npm run soak`).
 */
export default defineConfig(({ mode }) => ({
  test: {
    testTimeout: 60_000 * slowness,
    hookTimeout: 60_000 * slowness,
    expect: { poll: { timeout: 15_000 * slowness } },
    pool: 'forks',
    setupFiles: ['./test/support/setup.ts'],
    // Most of what tests do is wait: for limits, stalls, processes. On CI the coverage takes its share.
    maxWorkers: process.env['CI'] ? 3 : 4,
    allowOnly: false,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './scripts/vitest-summary.ts'],
    env: { TEST_SLOWNESS: String(slowness), ...(mode === 'worker' ? { ENGINE: 'worker' } : {}) },
    projects:
      mode === 'worker'
        ? [
            {
              extends: true,
              test: {
                name: 'worker',
                include: ['test/{engine,faults,manager}/*.test.ts'],
                exclude: [...alone, ...sameInWorker],
                isolate: false,
                globalSetup: './scripts/vitest-build.ts',
              },
            },
            {
              extends: true,
              test: {
                name: 'worker-alone',
                include: alone,
                exclude: sameInWorker,
                globalSetup: './scripts/vitest-build.ts',
              },
            },
          ]
        : mode === 'soak'
          ? [
              {
                extends: true,
                test: {
                  name: 'soak',
                  include: soak,
                  setupFiles: ['./test/support/setup.ts', './test/support/browser-setup.ts'],
                  testTimeout: 900_000,
                  maxWorkers: 1,
                  globalSetup: './scripts/vitest-build.ts',
                },
              },
              // The properties of pure logic, with cases that nobody has seen yet.
              { extends: true, test: { name: 'properties', include: unit, env: { FC_SEED: 'random' } } },
            ]
          : [
              {
                extends: true,
                test: { name: 'unit', include: unit, isolate: false, sequence: { groupOrder: 0 } },
              },
              {
                extends: true,
                test: {
                  name: 'alone',
                  include: alone,
                  sequence: { groupOrder: 1 },
                  globalSetup: './scripts/vitest-build.ts',
                },
              },
              {
                extends: true,
                test: {
                  name: 'browser',
                  include: browser,
                  isolate: false,
                  setupFiles: ['./test/support/setup.ts', './test/support/browser-setup.ts'],
                  testTimeout: 180_000 * slowness,
                  hookTimeout: 180_000 * slowness,
                  sequence: { groupOrder: 1 },
                  globalSetup: './scripts/vitest-build.ts',
                },
              },
              {
                extends: true,
                test: {
                  name: 'system',
                  include: ['test/**/*.test.ts'],
                  exclude: [...unit, ...alone, ...browser, ...soak],
                  isolate: false,
                  sequence: { groupOrder: 1 },
                  globalSetup: './scripts/vitest-build.ts',
                },
              },
            ],
    coverage: {
      // A run on CI is always a whole run; `npm run coverage` is the same at home.
      enabled: Boolean(process.env['CI']) && mode === 'test',
      provider: 'v8',
      include: ['src/**/*.ts'],
      // These run in processes and threads of their own, from dist, out of the sight of the coverage.
      exclude: ['src/cli/cli.ts', 'src/engine/worker-entry.ts', 'src/engine/hash/hash-worker.ts'],
      reporter: ['text-summary', 'html', 'json-summary'],
      thresholds: { lines: 85, functions: 85, branches: 80 },
    },
  },
}))
