import type { Clock } from '../util/clock.js'
import type { Demand } from './shares.js'

/** An instance that has said nothing for longer is taken to be gone, and has no share, in milliseconds. */
const silentMs = 5_000

/** How long an instance that is gone is still shown, in milliseconds. */
const shownMs = 60 * 60_000

/** What was heard of another instance. */
export interface Heard extends Demand {
  id: string
  isAbsent: boolean
  /** In milliseconds since the epoch. */
  seenAt: number
}

/** The other instances of a cluster, as far as they have been heard of. */
export class Presence {
  readonly #clock: Clock
  readonly #heard = new Map<string, Demand & { at: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** An instance has said what it does. */
  hear(id: string, { bytesPerSecond, running }: Demand): void {
    this.#heard.set(id, { bytesPerSecond, running, at: this.#clock.now() })
  }

  /** An instance has ended. */
  forget(id: string): void {
    this.#heard.delete(id)
  }

  /** What those need that are there. */
  demands(): Map<string, Demand> {
    return new Map(this.list().flatMap((heard) => (heard.isAbsent ? [] : [[heard.id, heard] as const])))
  }

  list(): Heard[] {
    const [now, wallNow] = [this.#clock.now(), this.#clock.wallNow()]
    for (const [id, { at }] of [...this.#heard]) if (now - at > shownMs) this.#heard.delete(id)
    return [...this.#heard].map(([id, { at, bytesPerSecond, running }]) => {
      const isAbsent = now - at > silentMs
      const does = isAbsent ? { bytesPerSecond: 0, running: 0 } : { bytesPerSecond, running }
      return { id, ...does, isAbsent, seenAt: wallNow - (now - at) }
    })
  }
}
