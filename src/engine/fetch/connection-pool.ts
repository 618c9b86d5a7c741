/** The connections of one file that are under way: opening them, their timers, what they have and what they still hold. */
import { toDownloadError } from '../../errors.js'
import type { ResponseHead } from '../../net/http.js'
import type { Hop } from '../../net/redirects.js'
import { ifRangeOf } from '../part/identity.js'
import { type IntervalSet, union } from '../part/intervals.js'
import type { PartFile } from '../part/part-file.js'
import { FetchConnection, type ConnectionContext, type Outcome } from './connection.js'
import type { MirrorSet } from './mirror-set.js'
import type { Mirror } from './mirror.js'
import { type ActiveSegment, nextSegment, slowest } from './segments.js'

/** A connection with what its owner must remember of it. */
export interface LiveConnection {
  readonly connection: FetchConnection
  /** Whom it asked. */
  readonly mirror: Mirror
  /** It brings nothing but kept bytes, to compare them. */
  readonly compareOnly: boolean
  /** First byte that it is to bring. */
  readonly from: number
  /** First byte that it asked for: before `from` when kept bytes are compared. */
  readonly start: number
  /** The body is the whole file, so that its end is the file's. */
  whole: boolean
  /** Kept bytes that its body must begin with. */
  overlap: Buffer | null
  /** Last look at its speed. */
  sample: { at: number; bytes: number } | null
}

/** Hears of every connection of a pool. */
export interface PoolListener {
  onHead(live: LiveConnection, head: ResponseHead): void
  /** The first bytes of a connection came, or more. */
  onBytes(live: LiveConnection): void
  /** The connection is out of the pool already. */
  onClose(live: LiveConnection, outcome: Outcome): void
}

/** A request for a range. */
export interface RangeRequest {
  mirror: Mirror
  hop: Hop
  start: number
  /** One past the last byte, or null for all that follows; `start` itself when kept bytes are only compared. */
  end: number | null
  /** Value of `If-Range`, or null. */
  ifRange: string | null
  /** Where to read the bytes that lie before `start`, to compare them; null when a validator vouches for them. */
  compareWith: PartFile | null
}

const overlapBytes = 64 * 1024

/**
 * A segment is made larger the longer its answer takes: that wait then costs little, and where there is hardly any,
 * small segments keep the front that the hasher follows close to the end of what has come.
 */
const segmentBytesPerAnswerMs = 4 * 1024 * 1024

const smallestMaxSegmentBytes = 8 * 1024 * 1024

const largestMaxSegmentBytes = 64 * 1024 * 1024

const slowCheckMs = 2_000

const slowMinAgeMs = 5_000

const slowRatio = 0.1

/** See the file's head. */
export class ConnectionPool {
  readonly #context: ConnectionContext
  readonly #listener: PoolListener
  readonly #live = new Map<number, LiveConnection>()
  #nextId = 1
  #fetchedBytes = 0
  /** The quickest answer so far, in milliseconds. */
  #answerMs = Infinity
  #slowCheckAt = 0

  constructor(context: ConnectionContext, listener: PoolListener) {
    this.#context = context
    this.#listener = listener
  }

  /** Connections under way, receiving or not. */
  get size(): number {
    return this.#live.size
  }

  /** Connections that receive. */
  get receiving(): number {
    let count = 0
    for (const { connection } of this.#live.values()) if (connection.acceptedAt !== null) count += 1
    return count
  }

  /** Bytes that came over the network so far. */
  get fetchedBytes(): number {
    return this.#fetchedBytes
  }

  /** Sends a request. */
  open({ mirror, hop, start, end, ifRange, compareWith }: RangeRequest): void {
    const from = compareWith === null ? start : Math.max(0, start - overlapBytes)
    const connection = new FetchConnection(this.#nextId++, { hop, start: from, end }, this.#context, {
      onHead: (_connection, head) => {
        this.#answerMs = Math.min(this.#answerMs, connection.answerMs ?? Infinity)
        this.#listener.onHead(live, head)
      },
      onBytes: (_connection, count) => {
        this.#fetchedBytes += count
        mirror.receivedBytes += count
        this.#listener.onBytes(live)
      },
      onClose: (_connection, outcome) => {
        this.#live.delete(connection.id)
        mirror.live -= 1
        this.#listener.onClose(live, outcome)
      },
    })
    const live: LiveConnection = {
      connection,
      mirror,
      compareOnly: end === start,
      from: start,
      start: from,
      whole: false,
      overlap: null,
      sample: null,
    }
    this.#live.set(connection.id, live)
    mirror.live += 1
    const range: Record<string, string> = { range: `bytes=${from}-${end === null ? '' : end - 1}` }
    if (ifRange !== null) range['if-range'] = ifRange
    if (compareWith === null || start === 0) {
      connection.start(range)
      return
    }
    compareWith.read(from, start - from).then(
      (bytes) => {
        live.overlap = bytes
        connection.start(range)
      },
      (error: unknown) => {
        connection.stop({ kind: 'failed', error: toDownloadError(error), local: true })
      },
    )
  }

  /**
   * What a further connection would fetch; null when there is nothing for it. What it takes from another connection is
   * taken from that one at once. `except` is looked at as if it weren't there.
   */
  next(
    file: { total: number; written: IntervalSet; connections: number; minSegmentBytes: number },
    except: LiveConnection | null,
  ): { start: number; end: number } | null {
    const { total, written, connections, minSegmentBytes } = file
    let received = written
    const active: ActiveSegment[] = []
    for (const live of this.#live.values()) {
      const { id, position, end } = live.connection
      if (position > live.from) received = union(received, [[live.from, position]])
      if (live !== except) active.push({ id, position: Math.max(position, live.from), end: end ?? total })
    }
    const adapted = Math.max(smallestMaxSegmentBytes, this.#answerMs * segmentBytesPerAnswerMs)
    // A single connection goes on to the end: the front is where it is, and each new request would waste some bytes.
    const maxSegmentBytes =
      connections === 1 ? Infinity : Math.floor(Math.min(largestMaxSegmentBytes, adapted))
    const segment = nextSegment({ received, total, active, connections, minSegmentBytes, maxSegmentBytes })
    if (segment?.kind === 'steal') this.#live.get(segment.victim)?.connection.shrink(segment.start)
    return segment
  }

  /** Stops those that receive nothing yet. */
  stopUnanswered(mirror: Mirror): void {
    for (const live of [...this.#live.values()]) {
      if (live.mirror === mirror && live.connection.acceptedAt === null) live.connection.stop()
    }
  }

  /** Stops all, or those of one address. */
  stop(mirror: Mirror | null = null): void {
    for (const live of [...this.#live.values()]) {
      if (mirror === null || live.mirror === mirror) live.connection.stop()
    }
  }

  /** Timers; a connection far slower than the others is stopped, so that its rest goes to a new one. */
  tick(now: number): void {
    for (const { connection } of this.#live.values()) connection.tick(now)
    if (now - this.#slowCheckAt < slowCheckMs) return
    this.#slowCheckAt = now
    const speeds = []
    for (const live of this.#live.values()) {
      const { connection, sample } = live
      if (connection.acceptedAt === null || connection.end === null) continue
      live.sample = { at: now, bytes: connection.receivedBytes }
      if (sample === null) continue
      speeds.push({
        id: connection.id,
        bytesPerSecond: ((connection.receivedBytes - sample.bytes) * 1000) / (now - sample.at),
        ageMs: now - connection.acceptedAt,
        remaining: connection.end - connection.position,
      })
    }
    const id = slowest(speeds, { minAgeMs: slowMinAgeMs, ratio: slowRatio })
    if (id !== null) this.#live.get(id)?.connection.stop()
  }
}

// ---- What an address is asked for next: a segment, the rest of the file, or kept bytes to compare with.

/** A range; `end` is null for all that follows, and `start` itself when kept bytes are only compared. */
export interface WantedRange {
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
  next(mirror: Mirror, part: PartFile | null, except: LiveConnection | null = null): WantedRange | null {
    const busy = this.#pool.size - (except === null ? 0 : 1)
    if (part === null) return busy > 0 ? null : { start: 0, end: null }
    if (!mirror.joined && part.writtenBytes > 0) {
      const at = mirror.live > 0 ? null : this.#mirrors.comparisonEnd(part, busy === 0)
      return at === null ? null : { start: at, end: at }
    }
    const { total } = part.identity
    if (total === null || this.#mirrors.needsSingleStream(mirror, part))
      return busy > 0 ? null : { start: part.frontier, end: total }
    const { connections } = this.#mirrors
    const file = { total, written: part.written, connections, minSegmentBytes: this.#minSegmentBytes }
    return this.#pool.next(file, except)
  }

  /** Asks. */
  send(mirror: Mirror, part: PartFile | null, { start, end }: WantedRange): void {
    const { identity } = mirror
    const compared = start > 0 && (start === end || this.#mirrors.needsOverlap(mirror))
    const compareWith = compared ? part : null
    const vouched = identity === null || this.#digestKnown || compareWith !== null
    const ifRange = vouched ? null : ifRangeOf(identity)
    this.#pool.open({ mirror, hop: mirror.address.hop(), start, end, ifRange, compareWith })
  }
}
