import { defineConfig, type UserWorkspaceConfig } from 'vitest/config'
import type { InlineConfig } from 'vitest/node'
import LongestFirst from './scripts/vitest-sequencer.js'
import { measureSlowness } from './test/support/slowness.js'

const unit = ['test/*/unit/**/*.test.ts', 'test/store/**/*.test.ts']
const soak = ['test/soak/**/*.test.ts']
/** What only Windows can show; `npm run test:windows` runs it under Wine. */
const windows = ['test/windows/**/*.test.ts']
/** They share a browser, and the bundles of their pages, as long as they share a process. */
const browser = ['test/{elements,frontends}/*.test.ts']
/** Each needs a process of its own: they replace modules of Node or its clock, or count what a process holds. */
const alone = [
  'test/faults/{concurrency-failing,concurrency-storm,death-clock,death-close,disk-short-writes,disk-sync}.test.ts',
]

/**
 * The same promises in more places: other frameworks and older versions, every call of a file system, whole programs where
 * their parts are tested already. They would be two thirds of `npm test`; `npm run test:more` runs them, before each release.
 */
const more = {
  alone: ['test/faults/{concurrency-failing,concurrency-storm}.test.ts'],
  browser: [
    'test/elements/{embed,firefox,fleet,restart}.test.ts',
    'test/frontends/{bindings,examples,getting-started,polling}.test.ts',
  ],
  others: [
    'test/catalog/restart.test.ts',
    'test/cli/{cache,completion,extras,language,list,preload-tip,serve-fleet,stop}.test.ts',
    'test/client/cluster.test.ts',
    'test/cluster/{fencing,postgres}.test.ts',
    'test/contract/{cluster,express4,fastify,hono,koa,koa2,node}.test.ts',
    'test/engine/{adapting,nginx,nginx-tls,worker}.test.ts',
    'test/faults/{death-power-cut,death-publish,network-unreachable,ssrf-network,xet}.test.ts',
    'test/faults/disk-{busy,courtesy,filling,io,mounts}.test.ts',
    'test/http/ssrf.test.ts',
    'test/layouts/process.test.ts',
    'test/manager/group-faults.test.ts',
    'test/package/{bundling,rest-doc}.test.ts',
    'test/runtimes/*.test.ts',
    'test/sim/sweep.test.ts',
    'test/sources/s3-server.test.ts',
    'test/support/summary.test.ts',
  ],
}

/** What the engine says to the manager, and what it is told, is said once more between two threads. */
const inWorker = [
  'test/{engine,manager}/*.test.ts',
  'test/faults/{concurrency-one-target,death-*,disk-*,integrity-*,mirrors,network-outage}.test.ts',
  'test/faults/{redirect-credentials,server-cut,server-identity,ssrf}.test.ts',
]
/** They never ask where the engine runs, or run it where they want it. Repeating them with another default shows nothing. */
const sameInWorker = [
  'test/manager/directory.test.ts',
  'test/engine/worker.test.ts',
  'test/faults/disk-{busy,courtesy,filling,folder,handles,mounts,sync}.test.ts',
]

/** Measured once per run, though each project evaluates this file; `deadline()` of `test/support/wait.ts` uses it. */
const slowness = measureSlowness()
process.env['TEST_SLOWNESS'] = String(slowness)

const setup = ['./test/support/setup.ts']

/**
 * A set of tests, with the name that `--project` takes. Files share their processes, unless they are `isolated`, since
 * starting one and importing the package takes a second. All but the unit tests run `dist`, so it is built first.
 */
function set(
  name: string,
  include: string[],
  options: InlineConfig = {},
): UserWorkspaceConfig & { extends: true } {
  return {
    extends: true,
    test: {
      name,
      include,
      isolate: false,
      globalSetup: './scripts/vitest-build.ts',
      sequence: { groupOrder: 1 },
      ...options,
    },
  }
}

const isolated = { isolate: true }
const inBrowser = {
  setupFiles: [...setup, './test/support/browser-setup.ts'],
  testTimeout: 180_000 * slowness,
  hookTimeout: 180_000 * slowness,
}
/** Bodies are read by undici there, so that both ways to read them are tested. */
const engineInWorker = { env: { ENGINE: 'worker', BODY_READER: 'standard' } }

/** What each mode runs, at the same time but for the unit tests, which go first. */
const modes = {
  test: [
    // They compute all the time, so more processes than cores only load the sources more often.
    set('unit', unit, { globalSetup: [], sequence: { groupOrder: 0 }, maxWorkers: 2 }),
    set('alone', alone, { ...isolated, exclude: more.alone }),
    set('browser', browser, { ...inBrowser, exclude: more.browser }),
    set('system', ['test/**/*.test.ts'], {
      exclude: [...unit, ...alone, ...browser, ...soak, ...windows, ...more.others],
    }),
  ],
  more: [
    set('more-alone', more.alone, isolated),
    set('more-browser', more.browser, inBrowser),
    set('more', more.others),
    set('worker', inWorker, { ...engineInWorker, exclude: [...alone, ...sameInWorker] }),
    set('worker-alone', alone, { ...engineInWorker, ...isolated, exclude: sameInWorker }),
  ],
  soak: [
    set('soak', soak, { ...isolated, ...inBrowser, testTimeout: 900_000, maxWorkers: 1 }),
    // The properties of pure logic, with cases that nobody has seen yet.
    set('properties', unit, { globalSetup: [], env: { FC_SEED: 'random' } }),
  ],
  windows: [set('windows', windows, isolated)],
}

export default defineConfig(({ mode }) => ({
  test: {
    testTimeout: 60_000 * slowness,
    hookTimeout: 60_000 * slowness,
    expect: { poll: { timeout: 15_000 * slowness } },
    pool: 'forks',
    // A tenth of the time went into collecting garbage that a larger nursery does not promote.
    execArgv: ['--max-semi-space-size=32'],
    setupFiles: setup,
    // Most of what tests do is wait: for limits, stalls, processes. Each process loads the sources for itself, though.
    maxWorkers: 4,
    allowOnly: false,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './scripts/vitest-summary.ts'],
    env: { TEST_SLOWNESS: String(slowness) },
    projects: mode === 'more' || mode === 'soak' || mode === 'windows' ? modes[mode] : modes.test,
    coverage: {
      // A run on CI is always a whole run; `npm run coverage` is the same at home.
      enabled: Boolean(process.env['CI']) && mode === 'test',
      provider: 'v8',
      include: ['src/**/*.ts'],
      // These run in processes, threads and browsers of their own, from dist, out of the sight of the coverage.
      exclude: [
        'src/cli/cli.ts',
        'src/elements/{acting,base,clients,confirm,copy,download}.ts',
        'src/elements/{catalog/log,catalog/preload,details/details,disk/disk,fleet/fleet,page/page}.ts',
        'src/elements/list/{add,downloads,row,rows,toolbar}.ts',
        'src/engine/{hash/hash-worker,worker-entry}.ts',
      ],
      reporter: ['text-summary', 'html', 'json-summary'],
      thresholds: { lines: 85, functions: 85, branches: 80 },
    },
  },
}))
