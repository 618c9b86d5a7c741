/** Runs one world to its end. */
import type { DownloadState } from '../../src/download/states.js'
import type { FileCall } from './file-system.js'
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
  /** How often each file call was made before the calm. */
  diskCalls: ReadonlyMap<FileCall, number>
  /** The states in which downloads were when the story ended. */
  states: readonly DownloadState[]
}

/** Runs a world. The same world always goes the same way. */
export async function simulate(spec: WorldSpec, compiled: CompiledPackage): Promise<Outcome> {
  // Stack traces of errors that are part of the story would cost more than the story.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  let states: readonly DownloadState[] = []
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
      states = world.manager?.list().map(({ state }) => state) ?? []
      for (const invariant of invariants) invariant(world)
    }
    await world.run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    process.off('unhandledRejection', onRejection)
    process.off('uncaughtException', onRejection)
  }
  const { violations, timeline, diskCalls, clock } = world
  return { violations, timeline, diskCalls, states, events: clock.events }
}
