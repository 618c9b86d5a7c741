/** What an address is asked for next: a segment, the rest of the file, or kept bytes to compare with. */
import type { ConnectionPool, Live } from './connection-pool.js'
import type { Mirror } from './mirror.js'
import type { MirrorSet } from './mirror-set.js'
import type { PartFile } from './part-file.js'
import { ifRangeOf } from './rules.js'

/** A range; `end` is null for all that follows, and `start` itself when kept bytes are only compared. */
export interface Wanted {
  start: number
  end: number | null
}

/** See the file's head. */
export class Requests {
  readonly #pool: ConnectionPool
  readonly #mirrors: MirrorSet
  readonly #minSegmentBytes: number
  readonly #digestKnown: boolean

  constructor(
    pool: ConnectionPool,
    mirrors: MirrorSet,
    { minSegmentBytes, digestKnown }: { minSegmentBytes: number; digestKnown: boolean },
  ) {
    this.#pool = pool
    this.#mirrors = mirrors
    this.#minSegmentBytes = minSegmentBytes
    this.#digestKnown = digestKnown
  }

  /** What to ask for next, or null; `except` is looked at as if it weren't there. */
  next(mirror: Mirror, part: PartFile | null, except: Live | null = null): Wanted | null {
    const busy = this.#pool.size - (except === null ? 0 : 1)
    if (part === null) return busy > 0 ? null : { start: 0, end: null }
    if (!mirror.joined && part.writtenBytes > 0) {
      const at = mirror.live > 0 ? null : this.#mirrors.checkAt(part, busy === 0)
      return at === null ? null : { start: at, end: at }
    }
    const { total } = part.identity
    if (total === null || this.#mirrors.isSolo(mirror, part))
      return busy > 0 ? null : { start: part.frontier, end: total }
    const { connections } = this.#mirrors
    const file = { total, written: part.written, connections, minSegmentBytes: this.#minSegmentBytes }
    return this.#pool.next(file, except)
  }

  /** Asks. */
  send(mirror: Mirror, part: PartFile | null, { start, end }: Wanted): void {
    const { identity } = mirror
    const compared = start > 0 && (start === end || this.#mirrors.needsOverlap(mirror))
    const compareWith = compared ? part : null
    const vouched = identity === null || this.#digestKnown || compareWith !== null
    const ifRange = vouched ? null : ifRangeOf(identity)
    this.#pool.open({ mirror, hop: mirror.address.hop(), start, end, ifRange, compareWith })
  }
}
