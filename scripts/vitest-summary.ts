import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Reporter, SerializedError, TestModule } from 'vitest/node'

const file = path.resolve(import.meta.dirname, '..', '.cache', 'test-summary.json')

/**
 * Ends a run with what was skipped and why, and notes the counts in `.cache/test-summary.json` for `.ci/run`.
 *
 * A test that misses something on this machine says so with `context.skip('nginx is missing: apt-get install …')`.
 */
export default class Summary implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 }
    const reasons = new Map<string, number>()
    for (const module of modules) {
      let failed = 0
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed') counts.passed++
        else if (result.state === 'skipped') {
          counts.skipped++
          const reason = result.note ?? 'no reason given'
          reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
        } else failed++
      }
      // A file that breaks before or beside its tests, in a hook or an import, is a failure too.
      if (failed === 0 && module.state() === 'failed') failed = 1
      counts.failed += failed
    }

    for (const [reason, count] of reasons) console.log(`Skipped ${count}: ${reason}`)
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, `${JSON.stringify(counts)}\n`)
  }
}
