/**
 * Finds out how many connections a file is worth: it begins with a few, adds more as long as they make the download
 * faster, and takes back those that don't. Servers that limit each connection, and long ways, need many; a fast server
 * nearby needs few, since each one costs a handshake and begins slowly. Pure.
 */

/** What a {@link ConnectionRamp} looks at. */
export interface RampReading {
  /** Monotonic milliseconds. */
  now: number
  /** Bytes received so far, by all connections. */
  bytes: number
  /** Connections that receive. */
  receiving: number
  /** Shortest time from a request to its response, in milliseconds. */
  answerMs: number
  /** Whether something other than the network decides about the speed now: a rate limit, or the disk. */
  isHeldBack: boolean
}

/** Another step is worth its connections if it makes the download this many times as fast. */
const worthwhileFactor = 1.1

/** A speed is measured for at least this time, and for at least two round trips. In milliseconds. */
const shortestWindowMs = 60

/** Longer than this no speed is measured, however slow the server answers. In milliseconds. */
const longestWindowMs = 2_000

/** How long connections that are added may take to receive, besides four round trips. In milliseconds. */
const joiningMs = 1_000

/** When the number has been found, how long until more are tried again. It doubles with each vain try. In milliseconds. */
const firstRestMs = 10_000

const longestRestMs = 160_000

type Step =
  /** Connections have been added, but not all of them receive yet. */
  | { kind: 'joining'; since: number }
  | { kind: 'measuring'; since: number; bytes: number }
  | { kind: 'resting'; until: number }

/** How many connections one file uses now. */
export class ConnectionRamp {
  #max: number
  #size: number
  /** The number before the last step, and its speed in bytes per second; null before the first step. */
  #before: { size: number; bytesPerSecond: number } | null = null
  #step: Step | null = null
  #restMs = firstRestMs
  #found: number | null = null

  /**
   * @param max - connections that the caller allows.
   * @param initial - connections to begin with.
   */
  constructor(max: number, initial: number) {
    this.#max = max
    this.#size = Math.min(max, Math.max(1, initial))
  }

  /** Number of connections to use. */
  get size(): number {
    return this.#size
  }

  /** The number that has proven to be of use so far; null before anything was measured. */
  get proven(): number | null {
    return this.#found ?? this.#before?.size ?? null
  }

  /** Changes the maximum. */
  set max(max: number) {
    // What was as many as allowed may have been too few.
    if (this.#size >= this.#max && max > this.#max && this.#step?.kind === 'resting') this.#step = null
    this.#max = max
    this.#size = Math.min(this.#size, max)
  }

  /** Begins with the number that was found for the same server before. */
  begin(found: number): void {
    if (this.#before === null && this.#step?.kind !== 'resting')
      this.#size = Math.min(this.#max, Math.max(1, found))
  }

  /** The way to the server has changed, as after an outage: what was measured no longer counts. */
  forget(): void {
    this.#before = null
    this.#step = null
    this.#restMs = firstRestMs
  }

  /**
   * Takes a reading; to be called often.
   *
   * @returns whether the size has changed.
   */
  take(reading: RampReading): boolean {
    const { now, bytes, receiving, answerMs, isHeldBack } = reading
    this.#step ??= { kind: 'joining', since: now }
    const step = this.#step
    if (step.kind === 'resting') {
      if (now >= step.until && this.#size < this.#max) this.#measure(now, bytes, null)
      return false
    }
    if (step.kind === 'joining') {
      const isLate = now - step.since >= joiningMs + 4 * answerMs
      if (receiving >= this.#size) this.#measure(now, bytes, this.#before)
      // There may be nothing left for them to fetch, or the server refuses them.
      else if (isLate) return this.#settle(now, this.#before?.size ?? this.#size)
      return false
    }
    if (isHeldBack) {
      this.#measure(now, bytes, this.#before)
      return false
    }
    const windowMs = Math.min(longestWindowMs, Math.max(shortestWindowMs, 2 * answerMs))
    if (now - step.since < windowMs) return false
    const bytesPerSecond = ((bytes - step.bytes) * 1000) / (now - step.since)
    const before = this.#before
    if (before !== null && bytesPerSecond < before.bytesPerSecond * worthwhileFactor)
      return this.#settle(now, before.size)
    if (this.#size >= this.#max) return this.#settle(now, this.#size)
    this.#before = { size: this.#size, bytesPerSecond }
    this.#size = Math.min(this.#max, this.#size * 2)
    this.#step = { kind: 'joining', since: now }
    return true
  }

  #measure(since: number, bytes: number, before: { size: number; bytesPerSecond: number } | null): void {
    this.#before = before
    this.#step = { kind: 'measuring', since, bytes }
  }

  #settle(now: number, wanted: number): boolean {
    const size = Math.min(wanted, this.#max)
    const hasChanged = size !== this.#size
    // A try after a rest that was in vain again.
    if (this.#found !== null)
      this.#restMs = size > this.#found ? firstRestMs : Math.min(longestRestMs, this.#restMs * 2)
    this.#size = size
    this.#found = size
    this.#before = null
    this.#step = { kind: 'resting', until: now + this.#restMs }
    return hasChanged
  }
}

/** What was found about servers, for as long as the process lives. */
export class FoundConnections {
  /** The one that was used last at the end. */
  readonly #byOrigin = new Map<string, number>()

  /** How many connections were enough for a server; null if unknown. */
  of(origin: string): number | null {
    return this.#byOrigin.get(origin) ?? null
  }

  note(origin: string, connections: number): void {
    this.#byOrigin.delete(origin)
    this.#byOrigin.set(origin, connections)
    const [oldest] = this.#byOrigin.keys()
    if (this.#byOrigin.size > maxOrigins && oldest !== undefined) this.#byOrigin.delete(oldest)
  }
}

const maxOrigins = 1_000
