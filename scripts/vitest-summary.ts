import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from 'vitest/node'

const file = path.resolve(
  process.env['TEST_SUMMARY'] ?? path.join(import.meta.dirname, '..', '.cache', 'test-summary.json'),
)

/**
 * Ends a run with what was skipped and why, and notes the counts in `.cache/test-summary.json` for `.ci/run`.
 *
 * A test that misses something on this machine names the command that installs it: `skipFor` and `describeWith` of
 * `test/support/machine.ts`. With `CI=true` in the environment everything must be there, so a skip is a failure.
 */
export default class Summary implements Reporter {
  #vitest: Vitest | null = null

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 }
    const reasons = new Map<string, number>()
    const pattern = this.#vitest?.getGlobalTestNamePattern()
    for (const module of modules) {
      let failed = 0
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed') counts.passed++
        else if (result.state === 'skipped' || result.state === 'pending') {
          // Whom `-t` leaves out was not asked for.
          if (pattern !== undefined && !pattern.test(fullName(test))) continue
          counts.skipped++
          const reason = (result.state === 'skipped' ? result.note : undefined) ?? reasonOf(test)
          reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
        } else failed++
      }
      // A file that breaks before or beside its tests, in a hook or an import, is a failure too.
      if (failed === 0 && module.state() === 'failed') failed = 1
      counts.failed += failed
    }

    for (const [reason, count] of reasons) console.log(`Skipped ${count}: ${reason}`)
    if (process.env['CI'] === 'true' && counts.skipped > 0) {
      console.error('FAILED: with CI=true no test may be skipped.')
      counts.failed += counts.skipped
      counts.skipped = 0
      process.exitCode = 1
    }
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, `${JSON.stringify(counts)}\n`)
  }
}

/** The name that `-t` is compared with. */
function fullName(test: TestCase): string {
  return test.fullName.replaceAll(' > ', ' ')
}

/** Why a test did not run that says nothing itself: a hook above it failed, or somebody left it out. */
function reasonOf(test: TestCase): string {
  let { parent } = test
  for (;;) {
    if (parent.errors().length > 0) return `a hook failed above it in ${test.module.relativeModuleId}`
    if (parent.type === 'module')
      return `no reason given: "${test.fullName}" in ${test.module.relativeModuleId}`
    parent = parent.parent
  }
}
