import { defineConfig } from 'vitest/config'

/** The unit tests of one file, which `scripts/mutation.mjs` names and runs against each mutant of that file. */
export default defineConfig({
  test: {
    include: (process.env['MUTATION_TESTS'] ?? '').split(','),
    setupFiles: ['./test/support/setup.ts'],
    env: { TEST_SLOWNESS: '1', FC_SHRINK: 'no' },
    testTimeout: 30_000,
    isolate: false,
  },
})
