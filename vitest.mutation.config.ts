import { defineConfig } from 'vitest/config'

/** The unit tests of one room, which `scripts/mutation.mjs` runs against each mutant of a file of that room. */
export default defineConfig({
  test: {
    include: [`test/${process.env['MUTATION_ROOM'] ?? '*'}/unit/**/*.test.ts`],
    // Instrumented code takes more time than it allows.
    exclude: ['test/net/unit/foreign-text.test.ts'],
    setupFiles: ['./test/support/setup.ts'],
    env: { TEST_SLOWNESS: '1' },
    testTimeout: 30_000,
    isolate: false,
  },
})
