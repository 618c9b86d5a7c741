/** FAULTS row 65: any file call fails in any way, and only the download that has made it notices. */
import { beforeAll, expect, it } from 'vitest'
import { bundlePackage } from './bundle.js'
import { type CompiledPackage, compilePackage } from './process.js'
import { runCases, sample, type SweepCase, sweepCases } from './sweep.js'

let compiled: CompiledPackage
let cases: SweepCase[]
beforeAll(async () => {
  compiled = compilePackage(await bundlePackage())
  cases = sample(await sweepCases(compiled), 120)
})

const groups = 4

// All of them are in the soak tests.
it.each(Array.from({ length: groups }, (_, group) => group))('row 65: group %i', async (group) => {
  expect(
    await runCases(
      cases.filter((_, index) => index % groups === group),
      compiled,
    ),
  ).toEqual([])
})
