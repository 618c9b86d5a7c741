/** The open connections of one file: starts them, runs their timers, and divides the missing bytes among them. */
import { asDownloadError } from '../../disk/errors.js'
import type { ResponseHead } from '../../net/exchange.js'
import type { Hop } from '../../net/redirects.js'
import { growingTimeout } from '../../net/retry.js'
import { ifRangeOf } from '../part/identity.js'
import { covers, type IntervalSet, union } from '../part/intervals.js'
import type { PartFile } from '../part/part-file.js'
import { FetchConnection, type ConnectionContext } from './connection.js'
import type { FetcherInit } from './contract.js'
import type { MirrorSet } from './mirror-set.js'
import type { Mirror } from './mirror.js'
import type { Outcome } from './outcome.js'
import { maxBoundedBytes } from './request-form.js'
import {
  type ActiveSegment,
  nextSegment,
  type SegmentAssignment,
  slowest,
  straggler,
  windowFor,
} from './segments.js'

/** A connection, together with the state that its pool keeps for it. */
export interface LiveConnection {
  readonly connection: FetchConnection
  /** The address that the request was sent to. */
  readonly mirror: Mirror
  /** The connection only fetches bytes that are already on disk, to compare them. */
  readonly compareOnly: boolean
  /** First new byte that it fetches. */
  readonly from: number
  /** First byte that it requested; lower than `from` when bytes on disk are compared as well. */
  readonly start: number
  /** The response is the complete file, so the end of its body is the end of the file. */
  whole: boolean
  /** Only the end of the connection shows the end of the body. */
  closeDelimited: boolean
  /** The request had an `If-Range`, so that a complete body may only mean that the validator differs. */
  readonly conditional: boolean
  /** The request had no `Range`. */
  readonly plain: boolean
  /** Other connections to the same address were open at the time of the request, or have been opened since. */
  beside: boolean
  /** Bytes on disk that the body must begin with. */
  overlap: Buffer | null
  /** Bytes that it had received when its server was last noted as serving. */
  servedBytes: number
  /** Last speed measurement: monotonic milliseconds, bytes received until then, and the speed since the one before. */
  sample: { at: number; bytes: number; bytesPerSecond: number } | null
}

/** Callbacks for the connections of a pool. */
export interface PoolListener {
  onHead(live: LiveConnection, head: ResponseHead): void
  /** Called whenever a connection receives bytes. */
  onBytes(live: LiveConnection): void
  /** Called at the end of a range whose body goes on; see {@link ConnectionListener.onRangeEnd}. */
  onRangeEnd(live: LiveConnection): number | null
  /** Called after the connection has been removed from the pool. */
  onClose(live: LiveConnection, outcome: Outcome): void
}

/** A request for a range. */
export interface RangeRequest {
  mirror: Mirror
  hop: Hop
  start: number
  /** One past the last byte, or null for the rest of the file; equal to `start` to only compare bytes on disk. */
  end: number | null
  /** Ask for the complete file, without a `Range`. */
  plain: boolean
  /** Value of `If-Range`, or null. */
  ifRange: string | null
  /**
   * The part file whose bytes before `start` are compared; null if a validator or the digest makes that
   * unnecessary.
   */
  compareWith: PartFile | null
}

/** A file that connections share. Sizes are in bytes. */
interface SharedFile {
  total: number
  /** What is on disk. */
  written: IntervalSet
  /** How many connections may be open at once. */
  connections: number
  minSegmentBytes: number
  /** The longest range that the server serves. */
  maxRangeBytes: number
  /** See {@link PartFile.fillsGaps}. */
  fillsGaps: boolean
}

/** How many bytes before `start` are compared at most, in bytes. */
const overlapBytes = 64 * 1024

/**
 * The upper bound of the segment size, per millisecond of response time. A slow server gets larger segments, so
 * that the wait for each response costs little. A fast one gets small segments, so that the contiguous bytes that
 * the hasher follows stay close to the bytes received.
 */
const segmentBytesPerAnswerMs = 4 * 1024 * 1024

const smallestMaxSegmentBytes = 8 * 1024 * 1024

const largestMaxSegmentBytes = 64 * 1024 * 1024

/** How often connections are compared to find a slow one, in milliseconds. */
const slowCheckMs = 2_000

/** A connection younger than this is never replaced for being slow, in milliseconds. */
const slowMinAgeMs = 5_000

/** A connection slower than this share of the median speed of the others is replaced. */
const slowRatio = 0.1

/** The speeds of this many connections are remembered after their end. */
const rememberedSpeeds = 8

/** A connection that received less than this says nothing about speed, in bytes. */
const minMeasuredBytes = 64 * 1024

/** The open connections of one file. */
export class ConnectionPool {
  readonly #context: ConnectionContext
  readonly #listener: PoolListener
  readonly #live = new Map<number, LiveConnection>()
  #nextId = 1
  #fetchedBytes = 0
  /** The shortest response time so far, in milliseconds. */
  #answerMs = Infinity
  #slowCheckAt = 0
  /** There was no segment for another connection when one was last asked for. */
  #mustWait = false
  /** Bytes per second of connections that have ended, oldest first. */
  #usualSpeeds: readonly number[] = []

  constructor(context: ConnectionContext, listener: PoolListener) {
    this.#context = context
    this.#listener = listener
  }

  /** Number of open connections, whether they receive yet or not. */
  get size(): number {
    return this.#live.size
  }

  /** Number of connections whose response has been accepted. */
  get receiving(): number {
    let count = 0
    for (const { connection } of this.#live.values()) if (connection.acceptedAt !== null) count += 1
    return count
  }

  /** Whether a connection is being held back by a rate limit or by the disk. */
  get heldBack(): boolean {
    return [...this.#live.values()].some(({ connection }) => connection.isHeldBack)
  }

  /** The shortest time from a request to its response so far, in milliseconds; 0 before the first response. */
  get answerMs(): number {
    return this.#answerMs === Infinity ? 0 : this.#answerMs
  }

  /** Bytes received over the network so far. */
  get fetchedBytes(): number {
    return this.#fetchedBytes
  }

  /** Whether all bytes of a file are on disk or being fetched, or those that are not must wait for others. */
  isAllAssigned({ written, fillsGaps, identity: { total } }: PartFile): boolean {
    if (fillsGaps && this.#mustWait) return true
    let taken = written
    for (const { connection, from } of this.#live.values()) {
      const end = connection.end ?? total
      if (end !== null && end > from) taken = union(taken, [[from, end]])
    }
    return total !== null && covers(taken, 0, total)
  }

  /** Sends a request. */
  open({ mirror, hop, start, end, plain, ifRange, compareWith }: RangeRequest): void {
    const from = compareWith === null ? start : Math.max(0, start - overlapBytes)
    const headersTimeoutMs = growingTimeout(this.#context.tuning.headersTimeoutMs, mirror.silences)
    const connection = new FetchConnection(
      this.#nextId++,
      { hop, start: from, end, headersTimeoutMs },
      this.#context,
      {
        onHead: (_connection, head) => {
          this.#answerMs = Math.min(this.#answerMs, connection.answerMs ?? Infinity)
          this.#listener.onHead(live, head)
        },
        onBytes: (_connection, count) => {
          this.#fetchedBytes += count
          mirror.receivedBytes += count
          this.#listener.onBytes(live)
        },
        onRangeEnd: () => this.#listener.onRangeEnd(live),
        onClose: (_connection, outcome) => {
          this.#live.delete(connection.id)
          this.#remember(connection)
          mirror.live -= 1
          this.#listener.onClose(live, outcome)
        },
      },
    )
    const live: LiveConnection = {
      connection,
      mirror,
      compareOnly: end === start,
      from: start,
      start: from,
      whole: false,
      closeDelimited: false,
      conditional: ifRange !== null,
      plain,
      beside: mirror.live > 0,
      overlap: null,
      servedBytes: 0,
      sample: null,
    }
    for (const other of this.#live.values()) other.beside ||= other.mirror === mirror
    this.#live.set(connection.id, live)
    mirror.live += 1
    const range: Record<string, string> = { ...this.#context.ask }
    if (!plain) range['range'] = `bytes=${from}-${end === null ? '' : end - 1}`
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
        connection.stop({ kind: 'failed', error: asDownloadError(error), local: true })
      },
    )
  }

  /**
   * Assigns the next segment. A segment that is taken over from another connection is removed from that one at once.
   *
   * @param except - a connection to ignore.
   * @returns null when nothing is left to assign.
   */
  next(file: SharedFile, except: LiveConnection | null): { start: number; end: number } | null {
    const segment = this.#assign(file, except)
    if (segment?.kind === 'steal') this.#live.get(segment.victim)?.connection.shrink(segment.start)
    return segment
  }

  /** Where the segment of a connection ends if the next missing bytes are those right after it; else null. */
  extended({ connection }: LiveConnection, file: SharedFile): number | null {
    const segment = this.#assign(file, null)
    return segment?.kind === 'gap' && segment.start === connection.end ? segment.end : null
  }

  #assign(
    { total, written, connections, minSegmentBytes, maxRangeBytes, fillsGaps }: SharedFile,
    except: LiveConnection | null,
  ): SegmentAssignment | null {
    let received = written
    const active: ActiveSegment[] = []
    for (const live of this.#live.values()) {
      const { id, position, end } = live.connection
      if (position > live.from) received = union(received, [[live.from, position]])
      if (live !== except) active.push({ id, position: Math.max(position, live.from), end: end ?? total })
    }
    const adapted = Math.max(smallestMaxSegmentBytes, this.#answerMs * segmentBytesPerAnswerMs)
    // A single connection fetches up to the end: bytes arrive in order anyway, and every request has a cost.
    const usual = connections === 1 ? Infinity : Math.floor(Math.min(largestMaxSegmentBytes, adapted))
    const maxSegmentBytes = Math.min(usual, maxRangeBytes)
    const pace = { connections, minSegmentBytes, usual: this.#usualSpeeds, answerMs: this.#answerMs }
    const windowBytes = fillsGaps ? windowFor(pace) : Infinity
    const limits = { connections, minSegmentBytes, maxSegmentBytes, windowBytes }
    const segment = nextSegment({ received, total, active, ...limits })
    this.#mustWait = segment === null
    return segment
  }

  /** Stops the connections to an address that have no response yet. */
  stopUnanswered(mirror: Mirror): void {
    for (const live of [...this.#live.values()]) {
      if (live.mirror === mirror && live.connection.acceptedAt === null) live.connection.stop()
    }
  }

  /** Stops all connections, or only those to one address. */
  stop(mirror: Mirror | null = null): void {
    for (const live of [...this.#live.values()]) {
      if (mirror === null || live.mirror === mirror) live.connection.stop()
    }
  }

  /** Remembers the speed of a connection that has ended. */
  #remember({ acceptedAt, receivedBytes }: FetchConnection): void {
    if (acceptedAt === null || receivedBytes < minMeasuredBytes) return
    const elapsedMs = Math.max(1, this.#context.clock.now() - acceptedAt)
    const speed = (receivedBytes * 1000) / elapsedMs
    this.#usualSpeeds = [...this.#usualSpeeds, speed].slice(-rememberedSpeeds)
  }

  /**
   * Runs the timers. Stops a connection that is far slower than the others, so that a new one fetches its segment.
   *
   * @param idle - more connections could be open, but there is nothing left for them to fetch.
   */
  tick(now: number, idle: boolean): void {
    for (const live of this.#live.values()) {
      const { connection } = live
      connection.tick(now)
      if (connection.acceptedAt !== null && connection.receivedBytes > live.servedBytes) {
        live.servedBytes = connection.receivedBytes
        // A response may take hours, in which its server refuses others.
        this.#context.gate.noteServed(connection.hop.url.origin, now)
      }
    }
    if (now - this.#slowCheckAt < slowCheckMs) return
    this.#slowCheckAt = now
    const speeds = []
    for (const live of this.#live.values()) {
      const { connection, sample } = live
      if (connection.acceptedAt === null || connection.end === null) continue
      const elapsedMs = now - (sample?.at ?? connection.acceptedAt)
      const bytesPerSecond =
        ((connection.receivedBytes - (sample?.bytes ?? 0)) * 1000) / Math.max(1, elapsedMs)
      live.sample = { at: now, bytes: connection.receivedBytes, bytesPerSecond }
      if (sample === null) continue
      speeds.push({
        id: connection.id,
        bytesPerSecond,
        // A short pause does not make a connection a straggler.
        recent: Math.max(bytesPerSecond, sample.bytesPerSecond),
        ageMs: now - connection.acceptedAt,
        remaining: connection.end - connection.position,
      })
    }
    const recent = speeds.map((speed) => ({ ...speed, bytesPerSecond: speed.recent }))
    const id =
      slowest(speeds, { minAgeMs: slowMinAgeMs, ratio: slowRatio }) ??
      (idle ? straggler(recent, this.#usualSpeeds, slowMinAgeMs) : null)
    if (id !== null) this.#live.get(id)?.connection.stop()
  }
}

// ---- The next request to an address: a segment, the rest of the file, or bytes on disk to compare.

/** A range to request. `end` is null for the rest of the file, and equal to `start` to only compare bytes on disk. */
export interface WantedRange {
  start: number
  end: number | null
  /** Ask for the complete file, without a `Range`. */
  plain?: boolean
}

/** Decides what to request from an address next, and sends the request. */
export class Requests {
  readonly #pool: ConnectionPool
  readonly #mirrors: MirrorSet
  readonly #minSegmentBytes: number
  readonly #digestKnown: boolean

  constructor(
    pool: ConnectionPool,
    mirrors: MirrorSet,
    { tuning, digestKnown }: Pick<FetcherInit, 'tuning' | 'digestKnown'>,
  ) {
    this.#pool = pool
    this.#mirrors = mirrors
    this.#minSegmentBytes = tuning.minSegmentBytes
    this.#digestKnown = digestKnown
  }

  /**
   * Chooses the next range for an address.
   *
   * @param except - a connection to ignore.
   * @returns null when there is nothing to request from this address now.
   */
  next(mirror: Mirror, part: PartFile | null, except: LiveConnection | null = null): WantedRange | null {
    const busy = this.#pool.size - (except === null ? 0 : 1)
    const { next: form, bounded } = mirror.forms
    if (part === null || form === 'plain') {
      const end = form === 'bounded' ? maxBoundedBytes : null
      return busy > 0 ? null : { start: 0, end, plain: form === 'plain' }
    }
    if (!mirror.joined && part.writtenBytes > 0) {
      const at = mirror.live > 0 ? null : this.#mirrors.comparisonEnd(part, busy === 0)
      return at === null ? null : { start: at, end: at }
    }
    const { total } = part.identity
    if (total === null || this.#mirrors.needsSingleStream(mirror, part)) {
      const { frontier: start } = part
      const end = bounded && total !== null ? Math.min(total, start + maxBoundedBytes) : total
      return busy > 0 ? null : { start, end }
    }
    return this.#pool.next(this.#shared(mirror, part, total), except)
  }

  /**
   * Decides whether a connection goes on with the same body after the end of its range: an answer that is already
   * coming costs no further request, which the server might refuse.
   *
   * @returns the new end of its range, or null.
   */
  extend(live: LiveConnection, part: PartFile): number | null {
    const { total } = part.identity
    if (total === null || live.compareOnly || this.#mirrors.needsSingleStream(live.mirror, part)) return null
    return this.#pool.extended(live, this.#shared(live.mirror, part, total))
  }

  #shared({ forms, segmentFactor }: Mirror, part: PartFile, total: number): SharedFile {
    const { connections } = this.#mirrors
    const maxRangeBytes = forms.bounded ? maxBoundedBytes : Infinity
    const minSegmentBytes = this.#minSegmentBytes * segmentFactor
    const { written, fillsGaps } = part
    return { total, written, connections, minSegmentBytes, maxRangeBytes, fillsGaps }
  }

  /** Sends the request for a range. */
  send(mirror: Mirror, part: PartFile | null, { start, end, plain = false }: WantedRange): void {
    const { identity } = mirror
    const compared = start > 0 && (start === end || this.#mirrors.needsOverlap(mirror))
    const compareWith = compared ? part : null
    const vouched = identity === null || this.#digestKnown || compareWith !== null
    const ifRange = vouched ? null : ifRangeOf(identity)
    this.#pool.open({
      mirror,
      hop: mirror.address.hop(),
      start,
      end,
      plain,
      ifRange: plain ? null : ifRange,
      compareWith,
    })
  }
}
