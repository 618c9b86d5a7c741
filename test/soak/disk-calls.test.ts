/** FAULTS row 65 at full length: every file call of every scenario fails in every way. */
import { beforeAll, describe, expect, it } from 'vitest'
import { bundlePackage } from '../sim/bundle.js'
import { compilePackage, type CompiledPackage } from '../sim/process.js'
import { runCases, scenarios, sweepCases, type SweepCase } from '../sim/sweep.js'

describe('row 65: every file call fails in every way', () => {
  let compiled: CompiledPackage
  let all: SweepCase[]
  beforeAll(async () => {
    compiled = compilePackage(await bundlePackage())
    all = await sweepCases(compiled)
  })

  it.each(Object.keys(scenarios))('%s', { timeout: 3_600_000 }, async (scenario) => {
    const cases = all.filter(({ name }) => name.startsWith(`${scenario}: `))
    const start = performance.now()
    const wrong = await runCases(cases, compiled)
    const seconds = Math.round((performance.now() - start) / 1_000)
    console.log(`${scenario}: ${cases.length} of ${all.length} cases, ${wrong.length} wrong, ${seconds} s`)
    expect(cases).not.toEqual([])
    expect(wrong).toEqual([])
  })
})
