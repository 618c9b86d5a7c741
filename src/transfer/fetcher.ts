/**
 * Fetches one version of one file: asks, judges, spreads connections, retries, until every byte is written. What it
 * can't mend by another request, it throws: a {@link StartOver} or a `DownloadError`.
 */
import { DownloadError, toDownloadError } from '../errors.js'
import { Connection, type ConnectionContext, type Outcome } from './connection.js'
import type { HostGate } from './host-gate.js'
import type { PartFile } from './part-file.js'
import type { Patience } from './patience.js'
import type { TransferEvent, TransferSpec, TransferTuning } from './protocol.js'
import { firstHop, type Hop } from './redirects.js'
import { parseRetryAfter } from './retry.js'
import {
  hasStrongValidator,
  ifRangeOf,
  judge,
  type Identity,
  type ResponseHead,
  type Verdict,
} from './rules.js'
import { PoolSize } from './pool-size.js'
import { frontier, nextWork, slowest, union, type IntervalSet, type Running } from './segments.js'

/** Thrown when what is on disk can't be completed: drop it and begin at byte 0. */
export class StartOver extends Error {
  /** @param reason - why; also the error of the transfer when it has started over too often. */
  constructor(
    readonly reason: DownloadError,
    readonly cause_: 'changed' | 'ranges-lost' | 'part-lost',
    /** The bytes may still be of use to a later run. */
    readonly keep = false,
  ) {
    super(reason.message)
  }
}

/** What the fetcher asks of the transfer. */
export interface FetcherHost {
  /**
   * The first acceptable answer came: opens the part, or answers null when nothing needs to be fetched.
   *
   * The answer may tell of kept bytes that nobody knew of before the file had a name.
   */
  open(first: { identity: Identity; head: ResponseHead; url: URL }): Promise<PartFile | null>
  /** Asks for an address that works now. */
  refresh(status: number): Promise<{ url: string; headers: Record<string, string> }>
  emit(event: TransferEvent): void
}

/** What a fetcher starts from. */
export interface FetcherInit {
  spec: TransferSpec
  tuning: TransferTuning
  context: ConnectionContext
  gate: HostGate
  patience: Patience
  host: FetcherHost
  /** The kept part of an earlier run, with the version that it is of. */
  kept: { part: PartFile; identity: Identity } | null
  /** Use one connection only. */
  single: boolean
}

interface Live {
  connection: Connection
  /** Where its bytes begin. */
  from: number
  start: number
  /** The body is the whole file, so that its end is the file's. */
  whole: boolean
  overlap: Buffer | null
  speed: { at: number; bytes: number }
}

const overlapBytes = 64 * 1024
const maxSegmentBytes = 64 * 1024 * 1024
const slowCheckMs = 2_000
/** A connection that broke before this many bytes counts as one that the server didn't want. */
const refusalBytes = 64 * 1024
/** How often an address may be asked for anew without any byte in between. */
const maxRefreshes = 2

/** See the file's head. Runs once. */
export class Fetcher {
  readonly #init: FetcherInit
  readonly #live = new Map<number, Live>()
  readonly #pool: PoolSize
  #identity: Identity | null
  #part: PartFile | null
  #hop: Hop | null = null
  #url: { url: string; headers: Record<string, string> }
  /** Only one connection until bytes flow. */
  #scouting = true
  #ranges = true
  #compareBytes = false
  #nextId = 1
  #fetchedBytes = 0
  #notBefore = 0
  #timer: NodeJS.Timeout | null = null
  #slowCheckAt = 0
  #refreshes = 0
  #refreshing = false
  #opening = 0
  #suspectTotal: number | null = null
  #ended: { error: unknown } | 'complete' | 'nothing' | null = null
  #settle: ((outcome: 'complete' | 'nothing') => void) | null = null
  #reject: ((error: unknown) => void) | null = null

  constructor(init: FetcherInit) {
    this.#init = init
    this.#identity = init.kept?.identity ?? null
    this.#part = init.kept?.part ?? null
    this.#url = { url: init.spec.url, headers: init.spec.headers }
    this.#pool = new PoolSize(init.single ? 1 : init.spec.connections)
  }

  /** Connections that receive right now. */
  get connections(): number {
    let count = 0
    for (const { connection } of this.#live.values()) if (connection.acceptedAt !== null) count += 1
    return count
  }

  /** Bytes that came over the network. */
  get fetchedBytes(): number {
    return this.#fetchedBytes
  }

  /** Bytes in all, or null while unknown. */
  get total(): number | null {
    return this.#identity?.total ?? null
  }

  /** Resolves when every byte is written (`complete`) or the host wanted none (`nothing`). */
  run(): Promise<'complete' | 'nothing'> {
    return new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#reject = reject
      this.#pump()
    })
  }

  /** Ends it from outside; {@link run} rejects with the error when all is closed. */
  stop(error: DownloadError | StartOver): void {
    this.#end({ error })
  }

  /** Timers; to be called a few times a second. */
  tick(now: number): void {
    for (const { connection } of this.#live.values()) connection.tick(now)
    if (this.#part !== null) this.#init.patience.noteBytes(this.#part.writtenBytes, now)
    if (this.#pool.grow(now)) this.#pump()
    this.#dropSlow(now)
  }

  // ---- deciding what to ask for ----

  #pump(): void {
    if (this.#ended !== null || this.#refreshing || this.#opening > 0) return
    const total = this.#identity?.total ?? null
    if (this.#part !== null && total !== null && this.#part.writtenBytes === total) {
      this.#end('complete')
      return
    }
    const now = this.#init.context.now()
    const hop = this.#nextHop()
    const wait = Math.max(this.#notBefore - now, this.#init.gate.wait(hop.url.origin, now))
    if (wait > 0) {
      this.#schedule(wait)
      return
    }
    while (this.#live.size < this.#desired()) {
      const work = this.#work()
      if (work === null) break
      this.#open(hop, work.start, work.end)
    }
  }

  #desired(): number {
    if (this.#identity === null || this.#part === null || this.#scouting || this.#single()) return 1
    return this.#pool.size
  }

  /** One stream where nothing could tell a mixture of two versions (FAULTS row 10). */
  #single(): boolean {
    const identity = this.#identity
    if (identity === null || identity.total === null || !this.#ranges) return true
    return this.#needsOverlap()
  }

  /** Whether only a comparison of bytes can tell that the file is still the same (transfer rule 3). */
  #needsOverlap(): boolean {
    if (this.#init.spec.sha256 !== null || this.#identity === null) return false
    return this.#compareBytes || !hasStrongValidator(this.#identity)
  }

  #received(): IntervalSet {
    let set: IntervalSet = this.#part?.written ?? []
    for (const { connection, from } of this.#live.values()) {
      if (connection.position > from) set = union(set, [[from, connection.position]])
    }
    return set
  }

  #work(): { start: number; end: number | null } | null {
    const total = this.total
    if (total === null || this.#part === null) {
      return this.#live.size === 0 ? { start: frontier(this.#part?.written ?? []), end: null } : null
    }
    if (this.#single()) {
      const start = frontier(this.#received())
      return this.#live.size === 0 ? { start, end: total } : null
    }
    const running: Running[] = []
    for (const { connection } of this.#live.values()) {
      running.push({ id: connection.id, position: connection.position, end: connection.end ?? total })
    }
    const work = nextWork({
      received: this.#received(),
      total,
      running,
      connections: this.#pool.size,
      minSegmentBytes: this.#init.tuning.minSegmentBytes,
      maxSegmentBytes,
    })
    if (work?.kind === 'steal') this.#live.get(work.victim)?.connection.shrink(work.start)
    return work
  }

  #nextHop(): Hop {
    return this.#hop ?? firstHop(new URL(this.#url.url), this.#url.headers)
  }

  #open(hop: Hop, start: number, end: number | null): void {
    const compare = this.#part !== null && start > 0 && this.#needsOverlap()
    const from = compare ? Math.max(0, start - overlapBytes) : start
    const connection = new Connection(this.#nextId++, { hop, start: from, end }, this.#init.context, {
      onHead: (_connection, head) => {
        this.#onHead(live, head)
      },
      onBytes: (_connection, count) => {
        this.#fetchedBytes += count
        if (this.#scouting) {
          this.#scouting = false
          this.#pump()
        }
      },
      onClose: (_connection, outcome) => {
        this.#onClose(live, outcome)
      },
    })
    const live: Live = {
      connection,
      from: start,
      start: from,
      whole: false,
      overlap: null,
      speed: { at: 0, bytes: 0 },
    }
    this.#live.set(connection.id, live)
    const range: Record<string, string> = { range: `bytes=${from}-${end === null ? '' : end - 1}` }
    const validator =
      this.#identity === null || this.#init.spec.sha256 !== null ? null : ifRangeOf(this.#identity)
    if (validator !== null && !compare) range['if-range'] = validator
    if (!compare || this.#part === null) {
      connection.start(range)
      return
    }
    this.#part.read(from, start - from).then(
      (bytes) => {
        live.overlap = bytes
        connection.start(range)
      },
      (error: unknown) => {
        connection.stop({ kind: 'failed', error: toDownloadError(error), local: true })
      },
    )
  }

  #schedule(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#pump()
    }, Math.ceil(ms))
  }

  // ---- answers ----

  #onHead(live: Live, head: ResponseHead): void {
    const { connection, start } = live
    const { spec } = this.#init
    const verdict = judge(
      {
        start,
        end: connection.end,
        identity: this.#identity,
        digestKnown: spec.sha256 !== null,
        size: spec.size,
      },
      head,
    )
    switch (verdict.kind) {
      case 'accept':
        live.whole = !verdict.ranges
        if (this.#part === null) void this.#openPart(live, head, verdict)
        else if (verdict.sure || live.overlap !== null || live.from === 0) this.#accept(live, verdict)
        else this.#compareFirst(live)
        return
      case 'empty':
        void this.#openPart(live, head, {
          kind: 'accept',
          identity: verdict.identity,
          bodyEnd: 0,
          ranges: false,
          sure: true,
        })
        return
      case 'past-end':
        this.#pastEnd(live, verdict.total)
        return
      case 'whole':
        this.#onWhole(live)
        return
      case 'changed':
        this.#onChanged(live, verdict)
        return
      case 'expired':
        this.#onExpired(live, verdict.error)
        return
      case 'retry':
        connection.stop({
          kind: 'failed',
          error: this.#withRetryAfter(live, head, verdict.error),
          local: false,
        })
        return
      case 'fail':
        if (this.#live.size > 1) this.#refuse(live, verdict.error)
        else this.#end({ error: verdict.error })
    }
  }

  async #openPart(live: Live, head: ResponseHead, verdict: Verdict & { kind: 'accept' }): Promise<void> {
    const { connection } = live
    this.#opening += 1
    try {
      const part = await this.#init.host.open({ identity: verdict.identity, head, url: connection.hop.url })
      if (this.#ended !== null) return
      if (part === null) {
        this.#end('nothing')
        return
      }
      this.#part = part
      this.#ranges = verdict.ranges
      if (part.frontier > 0) {
        // Bytes were kept of a file that had no name until now: ask for the rest of it instead.
        this.#identity = part.identity
        connection.stop()
      } else {
        this.#accept(live, verdict)
      }
    } catch (error) {
      this.#end({ error })
    } finally {
      this.#opening -= 1
      this.#pump()
    }
  }

  #accept(live: Live, verdict: Verdict & { kind: 'accept' }): void {
    const { connection } = live
    const part = this.#part
    if (part === null) return
    this.#identity = verdict.identity
    this.#hop = connection.hop
    this.#suspectTotal = null
    const total = verdict.identity.total
    let end = connection.end
    if (end === null && total !== null) {
      this.#live.delete(connection.id)
      end = this.#work()?.end ?? total
      this.#live.set(connection.id, live)
    }
    if (verdict.bodyEnd !== null) end = Math.min(end ?? verdict.bodyEnd, verdict.bodyEnd)
    const overlap = live.overlap
    connection.accept(part, { end, bodyEnd: verdict.bodyEnd, overlap })
    if (total === 0) this.#end('complete')
  }

  /** Ours has a validator, the answer has none: ask again, with some kept bytes to compare. */
  #compareFirst({ connection }: Live): void {
    this.#compareBytes = true
    connection.stop()
  }

  #pastEnd(live: Live, total: number): void {
    const part = this.#part
    const complete = part !== null && part.frontier === total && part.writtenBytes === total
    if (!complete || this.#identity === null) {
      const error = new DownloadError(
        'PROTOCOL_ERROR',
        'The server says that the file ends here, but it does not.',
        {
          retryable: true,
        },
      )
      live.connection.stop({ kind: 'failed', error, local: false })
      return
    }
    this.#identity = { ...this.#identity, total }
    part.setTotal(total)
    this.#end('complete')
  }

  #onWhole(live: Live): void {
    const error = new DownloadError('PROTOCOL_ERROR', 'The server no longer serves ranges of this file.', {
      retryable: true,
    })
    if (this.#live.size > 1) this.#refuse(live, error)
    else this.#end({ error: new StartOver(error, 'ranges-lost') })
  }

  #onChanged(live: Live, verdict: Verdict & { kind: 'changed' }): void {
    // One odd size among several connections may be a single bad node: believe it when it is seen twice.
    const odd = verdict.by === 'total' && this.#live.size > 1 && this.#suspectTotal !== verdict.total
    if (!odd) {
      this.#end({ error: new StartOver(verdict.error, 'changed', verdict.by === 'total') })
      return
    }
    this.#suspectTotal = verdict.total
    this.#refuse(live, verdict.error)
  }

  #onExpired(live: Live, error: DownloadError): void {
    this.#hop = null
    live.connection.stop()
    if (this.#refreshing) return
    this.#refreshes += 1
    if (this.#refreshes > maxRefreshes) {
      this.#end({ error })
      return
    }
    this.#refreshing = true
    this.#scouting = true
    this.#init.host.emit({
      type: 'log',
      level: 'info',
      message: `${error.message} Asking for the address again.`,
    })
    this.#init.host.refresh(error.status ?? 0).then(
      (fresh) => {
        this.#url = fresh
        this.#refreshing = false
        this.#pump()
      },
      (failure: unknown) => {
        this.#end({ error: failure })
      },
    )
  }

  #withRetryAfter(live: Live, head: ResponseHead, error: DownloadError): DownloadError {
    const header = head.headers['retry-after']
    const retryAfterMs = parseRetryAfter(typeof header === 'string' ? header : null, Date.now())
    if (retryAfterMs === null) return error
    const { gate, context, tuning } = this.#init
    if (retryAfterMs <= tuning.maxRetryAfterMs) {
      gate.close(live.connection.hop.url.origin, context.now() + retryAfterMs)
    }
    return new DownloadError(error.code, error.message, {
      retryable: true,
      retryAfterMs,
      ...(error.status === undefined ? {} : { status: error.status }),
    })
  }

  /** A further connection isn't welcome: the others go on without it. */
  #refuse(live: Live, error: DownloadError): void {
    live.connection.stop({ kind: 'failed', error, local: false })
  }

  // ---- ends of connections ----

  #onClose(live: Live, outcome: Outcome): void {
    const { connection } = live
    this.#live.delete(connection.id)
    const { patience, context } = this.#init
    const part = this.#part
    if (part !== null) patience.noteBytes(part.writtenBytes, context.now())
    if (connection.receivedBytes > 0) this.#refreshes = 0
    if (this.#ended !== null) {
      this.#finish()
      return
    }
    if (outcome.kind === 'failed') {
      this.#onFailed(connection, outcome)
    } else if (
      outcome.kind === 'done' &&
      live.whole &&
      this.total === null &&
      part !== null &&
      this.#identity
    ) {
      // The end of a body without length is the end of the file (RFC 9112 section 6.3).
      this.#identity = { ...this.#identity, total: connection.position }
      part.setTotal(connection.position)
    }
    this.#pump()
  }

  #onFailed(connection: Connection, { error, local }: Outcome & { kind: 'failed' }): void {
    if (error.code === 'SOURCE_CHANGED' && connection.acceptedAt !== null) {
      this.#end({ error: new StartOver(error, 'changed') })
      return
    }
    const alone = this.#live.size === 0
    if (local || (alone && !error.retryable)) {
      this.#end({ error })
      return
    }
    const { patience, context, host } = this.#init
    const now = context.now()
    if (!alone) {
      if (connection.receivedBytes < refusalBytes) this.#pool.refused(this.#live.size, now)
      return
    }
    const verdict = patience.failed(error, now)
    if (verdict.kind === 'give-up') {
      this.#end({ error })
      return
    }
    // The address may have gone stale with its server: begin again at the one that the caller gave.
    this.#hop = null
    this.#scouting = true
    this.#notBefore = now + verdict.delayMs
    host.emit({ type: 'retrying', attempt: verdict.attempt, delayMs: verdict.delayMs, error: error.toJSON() })
  }

  #dropSlow(now: number): void {
    if (now - this.#slowCheckAt < slowCheckMs) return
    this.#slowCheckAt = now
    const speeds = []
    for (const live of this.#live.values()) {
      const { connection, speed } = live
      if (connection.acceptedAt === null || connection.end === null) continue
      const bytesPerSecond =
        speed.at === 0 ? 0 : ((connection.receivedBytes - speed.bytes) * 1000) / (now - speed.at)
      const known = speed.at !== 0
      live.speed = { at: now, bytes: connection.receivedBytes }
      const ageMs = known ? now - connection.acceptedAt : 0
      speeds.push({
        id: connection.id,
        bytesPerSecond,
        ageMs,
        remaining: connection.end - connection.position,
      })
    }
    const id = slowest(speeds, { minAgeMs: 5_000, ratio: 0.1 })
    if (id !== null) this.#live.get(id)?.connection.stop()
  }

  // ---- the end ----

  #end(how: { error: unknown } | 'complete' | 'nothing'): void {
    if (this.#ended !== null) return
    this.#ended = how
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const { connection } of this.#live.values()) connection.stop()
    this.#finish()
  }

  #finish(): void {
    if (this.#live.size > 0 || this.#ended === null) return
    const ended = this.#ended
    if (typeof ended === 'string') this.#settle?.(ended)
    else this.#reject?.(ended.error)
  }
}
