/** From a seed to a world, and from a world that breaks a promise to the smallest one that still does. */
import fc from '../support/properties.js'
import { worlds } from './draw.js'
import type { CompiledPackage } from './process.js'
import { simulate, type Outcome } from './simulate.js'
import type { WorldSpec } from './spec.js'

/** The world of a seed; always the same one for the same sources of the simulator. */
export function worldOf(seed: number): WorldSpec {
  const [world] = fc.sample(worlds, { numRuns: 1, seed })
  if (world === undefined) throw new Error('Nothing was drawn.')
  return world
}

/** A broken promise without the numbers in it, to tell whether two worlds break the same one. */
export function kindOf(violation: string): string {
  return violation.replace(/[0-9a-f]{6,}|\d+/g, 'N').slice(0, 120)
}

/** How long to go on looking for a smaller world. */
const maxShrinkMs = 60_000

/** The smallest world found that breaks the same promise as the world of this seed. */
export async function shrink(
  seed: number,
  kind: string,
  compiled: CompiledPackage,
): Promise<{ world: WorldSpec; outcome: Outcome }> {
  let smallest = worldOf(seed)
  const property = fc.asyncProperty(worlds, async (world) => {
    const { violations } = await simulate(world, compiled)
    if (!violations.some((violation) => kindOf(violation) === kind)) return true
    smallest = world
    return false
  })
  await fc.check(property, { seed, numRuns: 1, interruptAfterTimeLimit: maxShrinkMs })
  return { world: smallest, outcome: await simulate(smallest, compiled) }
}
