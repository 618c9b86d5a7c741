/**
 * Servers that asked to wait, and which therefore get no request until then: neither for files nor for metadata. A
 * manager has one set of gates, and its worker a copy that follows it by messages.
 */
import { DownloadError } from '../errors.js'
import type { ResponseHead } from './exchange.js'
import { requestedWaitMs } from './requested-wait.js'

/** More origins than this are not remembered; the oldest are forgotten. */
const maxOrigins = 1_000

/** Origins that asked to wait. Times are monotonic, in milliseconds. */
export class HostGate {
  readonly #until = new Map<string, number>()
  readonly #servedAt = new Map<string, number>()
  readonly #onClosed: (origin: string, until: number, now: number) => void

  /** @param onClosed - called when a response has closed an origin, or closed it for longer. */
  constructor(onClosed: (origin: string, until: number, now: number) => void = () => undefined) {
    this.#onClosed = onClosed
  }

  /**
   * Blocks requests to an origin.
   *
   * @param until - ignored if a later time is known.
   * @returns whether it was not.
   */
  close(origin: string, until: number): boolean {
    const known = this.#until.get(origin) ?? 0
    if (until <= known) return false
    remember(this.#until, origin, until)
    return true
  }

  /** Milliseconds to wait before the next request to an origin. */
  wait(origin: string, now: number): number {
    const until = this.#until.get(origin)
    if (until === undefined) return 0
    if (until > now) return until - now
    this.#until.delete(origin)
    return 0
  }

  /** The origins that get no request now. */
  closed(now: number): readonly string[] {
    return [...this.#until.keys()].filter((origin) => this.wait(origin, now) > 0)
  }

  /** Notes that an origin has answered a request as wanted. */
  noteServed(origin: string, now: number): void {
    remember(this.#servedAt, origin, now)
  }

  /** Whether an origin has answered any request as wanted since then. */
  hasServedSince(origin: string, since: number): boolean {
    return (this.#servedAt.get(origin) ?? -Infinity) >= since
  }

  /**
   * Applies the wait that a response asks for to its origin, unless it is longer than `maxMs`.
   *
   * @param error - what the response means. If it states a wait already, that one counts.
   * @param times - `now`: monotonic time; `wallNow`: time of day, for a server that does not send its own.
   * @returns the error, with the wait added if the response asks for one.
   */
  heed(
    origin: string,
    head: Pick<ResponseHead, 'status' | 'headers'>,
    error: DownloadError,
    { now, wallNow, maxMs }: { now: number; wallNow: number; maxMs: number },
  ): DownloadError {
    const waitMs = error.retryAfterMs ?? requestedWaitMs(head, wallNow)
    if (waitMs === null) return error
    if (waitMs <= maxMs && this.close(origin, now + waitMs)) this.#onClosed(origin, now + waitMs, now)
    if (error.retryAfterMs !== undefined) return error
    const { code, message, status } = error
    const details = { retryable: true, retryAfterMs: waitMs, ...(status === undefined ? {} : { status }) }
    return new DownloadError(code, message, details)
  }
}

/** Sets an entry as the newest one, and forgets the oldest one if there are too many. */
function remember(map: Map<string, number>, origin: string, value: number): void {
  map.delete(origin)
  map.set(origin, value)
  if (map.size <= maxOrigins) return
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}

/** An origin that gets no request for some time, as threads tell each other: their monotonic clocks differ. */
export interface HostWait {
  origin: string
  waitMs: number
  /** A response to a remote caller's request asked for it, so it holds only for those. */
  remote: boolean
}

/** The gates of a manager. What a trusted caller's requests are told holds for remote callers too, but not vice versa. */
export class HostGates {
  readonly #trusted: HostGate
  readonly #remote: HostGate
  readonly #listeners = new Set<(wait: HostWait) => void>()

  constructor() {
    this.#trusted = new HostGate((origin, until, now) => {
      this.#remote.close(origin, until)
      this.#tell({ origin, waitMs: until - now, remote: false })
    })
    this.#remote = new HostGate((origin, until, now) => {
      this.#tell({ origin, waitMs: until - now, remote: true })
    })
  }

  /** The gate for requests of trusted callers, or of remote ones. */
  for(callers: { remote: boolean }): HostGate {
    return callers.remote ? this.#remote : this.#trusted
  }

  /** Calls the listener for every wait that a response of this thread asks for. Returns how to stop that. */
  onWait(listener: (wait: HostWait) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Applies a wait that another thread was asked for. */
  take({ origin, waitMs, remote }: HostWait, now: number): void {
    if (!remote) this.#trusted.close(origin, now + waitMs)
    this.#remote.close(origin, now + waitMs)
  }

  /** All waits that hold now, for a thread that is about to start. */
  waits(now: number): HostWait[] {
    return [false, true].flatMap((remote) => {
      const gate = this.for({ remote })
      return gate.closed(now).map((origin) => ({ origin, waitMs: gate.wait(origin, now), remote }))
    })
  }

  #tell(wait: HostWait): void {
    for (const listener of this.#listeners) listener(wait)
  }
}
