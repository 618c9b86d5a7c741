import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { bundlePackage, mutated, pathOf } from './bundle.js'
import { describeWorld } from './describe.js'
import { mutants } from './mutants.js'
import { type CompiledPackage, compilePackage } from './process.js'
import { regressions } from './regressions.js'
import { worldOf } from './seeds.js'
import { simulate } from './simulate.js'

let compiled: CompiledPackage
beforeAll(async () => {
  compiled = compilePackage(await bundlePackage())
})

/** Worlds of `npm test`, in groups that fail on their own. */
const worlds = 200

const groups = 8

describe('every promise is kept', () => {
  it.each(Array.from({ length: groups }, (_, group) => group))('in the worlds of group %i', async (group) => {
    const broken: string[] = []
    for (let seed = group + 1; seed <= worlds; seed += groups) {
      const { violations } = await simulate(worldOf(seed), compiled)
      if (violations.length > 0) broken.push(`npm run sim -- --seed ${seed}: ${violations.join('; ')}`)
    }
    expect(broken).toEqual([])
  })

  it.each(Object.entries(regressions))('where once %s', async (_, world) => {
    const { violations, timeline } = await simulate(world, compiled)
    expect(violations, `${describeWorld(world)}\n${timeline.join('\n')}`).toEqual([])
  })
})

describe('a known bug', () => {
  // That each is found takes longer: `npm run sim -- --mutants`.
  it.each(Object.entries(mutants))('can be put back: %s', async (_, mutation) => {
    const text = await readFile(pathOf(mutation), 'utf8')
    expect(mutated(text, mutation)).not.toBe(text)
  })
})

describe('a world', () => {
  it('goes the same way each time', async () => {
    const other = compilePackage(await bundlePackage())
    for (const seed of [3, 11, 39, 61, 151, 348]) {
      const first = await simulate(worldOf(seed), compiled)
      const again = await simulate(worldOf(seed), other)
      expect(again).toEqual(first)
    }
  })

  it('is drawn from its seed alone', () => {
    expect(worldOf(7)).toEqual(worldOf(7))
    expect(worldOf(7)).not.toEqual(worldOf(8))
  })

  it('can be told in words', () => {
    for (let seed = 1; seed <= 300; seed++)
      expect(describeWorld(worldOf(seed))).not.toMatch(/undefined|\[object/)
  })
})
