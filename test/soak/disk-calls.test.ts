/** FAULTS row 65 at full length: every file call of every scenario fails in every way. */
import { expect, it } from 'vitest'
import { bundlePackage } from '../sim/bundle.js'
import { compilePackage } from '../sim/process.js'
import { runCases, sweepCases } from '../sim/sweep.js'

it('row 65: every file call fails in every way', { timeout: 3_600_000 }, async () => {
  const compiled = compilePackage(await bundlePackage())
  const cases = await sweepCases(compiled)
  const wrong = await runCases(cases, compiled)
  console.log(`${cases.length} cases, ${wrong.length} wrong`)
  expect(wrong).toEqual([])
})
