/** Runs one world to its end. */
import { invariants } from './invariants.js'
import type { CompiledPackage } from './process.js'
import type { WorldSpec } from './spec.js'
import { World } from './world.js'

/** How a world went. */
export interface Outcome {
  /** Promises that were broken; none in a good world. */
  violations: readonly string[]
  /** What happened, line by line. */
  timeline: readonly string[]
  /** Events of the world. */
  events: number
}

/** Runs a world. The same world always goes the same way. */
export async function simulate(spec: WorldSpec, compiled: CompiledPackage): Promise<Outcome> {
  // Stack traces of errors that are part of the story would cost more than the story.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  await using world = new World(spec, compiled)
  const onRejection = (reason: unknown) => {
    world.violate(
      `an unhandled rejection: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`,
    )
  }
  process.on('unhandledRejection', onRejection)
  process.on('uncaughtException', onRejection)
  try {
    world.endOfStory = () => {
      for (const invariant of invariants) invariant(world)
    }
    await world.run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    process.off('unhandledRejection', onRejection)
    process.off('uncaughtException', onRejection)
  }
  return { violations: world.violations, timeline: world.timeline, events: world.clock.events }
}
