/**
 * The HTTP contract as one battery of tests, over real sockets. Every adapter runs it: a new one is a file in
 * `adapters`, thirty lines that mount it, and an example. Routing, bodies, errors, streams and the end of a host depend on
 * the adapter. What the routes then say does not, so those cases run on the hosts without a framework only.
 */
import { describe, it } from 'vitest'
import { accessTests } from './access.js'
import { bodyTests } from './bodies.js'
import { dashboardTests } from './dashboard.js'
import { downloadTests } from './downloads.js'
import { eventTests } from './events.js'
import { hostTests } from './hosts.js'
import { preloadTests } from './preload.js'
import { Scene, type Mount, type SceneOptions, type Traits } from './scene.js'

/** Makes a scene for one test. */
export type Open = (options?: SceneOptions) => Promise<Scene>

/** Everything that one group of tests needs. */
export interface Subject {
  open: Open
  traits: Traits
  /** Like `it`, for a case that does not depend on the adapter. */
  inDepth: (name: string, test: () => Promise<void>) => void
}

/**
 * Runs the battery.
 *
 * @param name - of the adapter and its framework.
 * @param mount - starts a host with the routes on it.
 * @param traits - what hosts of this kind can't do. Default: they can do everything.
 * @param options.complete - also runs the cases that do not depend on the adapter. Default: false.
 */
export function describeContract(
  name: string,
  mount: Mount,
  traits: Partial<Traits> = {},
  { complete = false } = {},
): void {
  const all: Traits = {
    seesCallers: true,
    isMiddleware: true,
    parsesBodies: true,
    cluster: null,
    ...traits,
  }
  const subject: Subject = {
    open: (options) => Scene.open(mount, all, options),
    traits: all,
    inDepth: (of, test) => {
      if (complete) it(of, test)
    },
  }
  describe(`the HTTP contract on ${name}`, () => {
    downloadTests(subject)
    eventTests(subject)
    preloadTests(subject)
    dashboardTests(subject)
    bodyTests(subject)
    accessTests(subject)
    hostTests(subject)
  })
}
