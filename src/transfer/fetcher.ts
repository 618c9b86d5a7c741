/**
 * Fetches one version of one file: asks, judges, spreads connections, retries, until every byte is written. What it
 * can't mend by another request, it throws: a {@link StartOver} or a `DownloadError`.
 */
import { toDownloadError, type DownloadError } from '../errors.js'
import { isOutOfHandles } from '../files/fs-errors.js'
import { Address } from './address.js'
import { endedEarly, type Connection, type Outcome } from './connection.js'
import { ConnectionPool, type Live } from './connection-pool.js'
import type { FetcherInit } from './fetcher-init.js'
import { isNetworkFailure } from './network-errors.js'
import type { PartFile } from './part-file.js'
import type { Hop } from './redirects.js'
import {
  hasStrongValidator,
  ifRangeOf,
  judge,
  protocolError,
  type Identity,
  type ResponseHead,
  type Verdict,
} from './rules.js'
import { PacedGrowth, PoolSize } from './pool-size.js'
import { StartOver } from './start-over.js'

/** A connection that broke before this many bytes counts as one that the server didn't want. */
const refusalBytes = 64 * 1024

/** See the file's head. Runs once. */
export class Fetcher {
  readonly #init: FetcherInit
  readonly #pool: ConnectionPool
  /** How many connections it uses. */
  readonly poolSize: PoolSize
  readonly #growth: PacedGrowth
  #identity: Identity | null
  #part: PartFile | null
  readonly #address: Address
  /** Only one connection until bytes flow. */
  #scouting = true
  #ranges = true
  #compareBytes = false
  #notBefore = 0
  #timer: NodeJS.Timeout | null = null
  #opening = 0
  #suspectTotal: number | null = null
  #ended: { error: unknown } | 'complete' | 'nothing' | null = null
  #settle: ((outcome: 'complete' | 'nothing') => void) | null = null
  #reject: ((error: unknown) => void) | null = null

  constructor(init: FetcherInit) {
    this.#init = init
    this.#identity = init.kept?.identity ?? null
    this.#part = init.kept?.part ?? null
    const { url, headers } = init.spec
    this.#address = new Address({ url, headers }, (status) => init.host.refresh(status))
    this.poolSize = new PoolSize(init.single ? 1 : init.spec.connections)
    this.#growth = new PacedGrowth(init.context.buckets)
    this.#pool = new ConnectionPool(init.context, {
      onHead: (live, head) => {
        this.#onHead(live, head)
      },
      onBytes: () => {
        if (!this.#scouting) return
        this.#scouting = false
        this.#pump()
      },
      onClose: (live, outcome) => {
        this.#onClose(live, outcome)
      },
    })
  }

  /** Connections that receive right now. */
  get connections(): number {
    return this.#pool.receiving
  }

  /** Bytes that came over the network. */
  get fetchedBytes(): number {
    return this.#pool.fetchedBytes
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
    this.#pool.tick(now)
    if (this.#part !== null) this.#init.patience.noteBytes(this.#part.writtenBytes, now)
    if (this.poolSize.grow(now) || this.#growth.limited) this.#pump()
  }

  // ---- deciding what to ask for ----

  #pump(): void {
    if (this.#ended !== null || this.#address.refreshing || this.#opening > 0) return
    if (this.#part !== null && this.#part.writtenBytes === this.total) {
      this.#end('complete')
      return
    }
    const now = this.#init.context.now()
    const hop = this.#address.hop()
    const wait = Math.max(this.#notBefore - now, this.#init.gate.wait(hop.url.origin, now))
    if (wait > 0) {
      this.#schedule(wait)
      return
    }
    while (this.#pool.size < this.#desired() && this.#growth.admits(this.#pool.size, now)) {
      const work = this.#work()
      if (work === null) break
      this.#open(hop, work.start, work.end)
    }
  }

  #desired(): number {
    if (this.#identity === null || this.#part === null || this.#scouting || this.#single()) return 1
    return this.poolSize.size
  }

  /** One stream where nothing could tell a mixture of two versions (FAULTS row 10). */
  #single(): boolean {
    return this.total === null || !this.#ranges || this.#needsOverlap()
  }

  /** Whether only a comparison of bytes can tell that the file is still the same (transfer rule 3). */
  #needsOverlap(): boolean {
    if (this.#init.spec.sha256 !== null || this.#identity === null) return false
    return this.#compareBytes || !hasStrongValidator(this.#identity)
  }

  /** What to ask for next; `except` is looked at as if it weren't there. */
  #work(except: Live | null = null): { start: number; end: number | null } | null {
    const total = this.total
    const part = this.#part
    const busy = this.#pool.size - (except === null ? 0 : 1)
    if (total === null || part === null) return busy > 0 ? null : { start: part?.frontier ?? 0, end: null }
    if (this.#single()) return busy > 0 ? null : { start: part.frontier, end: total }
    const { minSegmentBytes } = this.#init.tuning
    return this.#pool.next(
      { total, written: part.written, connections: this.poolSize.size, minSegmentBytes },
      except,
    )
  }

  #open(hop: Hop, start: number, end: number | null): void {
    const identity = this.#identity
    const compareWith = start > 0 && this.#needsOverlap() ? this.#part : null
    const vouched = identity === null || this.#init.spec.sha256 !== null || compareWith !== null
    this.#pool.open({ hop, start, end, ifRange: vouched ? null : ifRangeOf(identity), compareWith })
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
        else {
          // Ours has a validator, the answer has none: ask again, with some kept bytes to compare.
          this.#compareBytes = true
          connection.stop()
        }
        return
      case 'empty':
        void this.#openPart(live, head, { ...verdict, kind: 'accept', bodyEnd: 0, ranges: false, sure: true })
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
        this.#onExpired(verdict.error)
        return
      case 'retry':
        this.#retry(connection, head, verdict.error)
        return
      case 'fail':
        if (this.#pool.size > 1) live.connection.stop({ kind: 'failed', error: verdict.error, local: false })
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
      // Without a handle for the part, that of the connection is better given back than held.
      if (isOutOfHandles(error))
        connection.stop({ kind: 'failed', error: toDownloadError(error), local: false })
      else this.#end({ error })
    } finally {
      this.#opening -= 1
      this.#pump()
      this.#finish()
    }
  }

  #accept(live: Live, verdict: Verdict & { kind: 'accept' }): void {
    const { connection } = live
    const part = this.#part
    if (part === null) return
    this.#identity = verdict.identity
    this.#address.settle(connection.hop)
    this.#suspectTotal = null
    const total = verdict.identity.total
    if (total !== null && part.identity.total === null) part.setTotal(total)
    let end = connection.end
    if (end === null && total !== null) end = this.#work(live)?.end ?? total
    if (verdict.bodyEnd !== null) end = Math.min(end ?? verdict.bodyEnd, verdict.bodyEnd)
    connection.accept(part, { end, bodyEnd: verdict.bodyEnd, overlap: live.overlap })
    if (total === 0) this.#end('complete')
  }

  #pastEnd(live: Live, total: number): void {
    const part = this.#part
    const complete = part !== null && part.frontier === total && part.writtenBytes === total
    if (!complete) {
      const error = protocolError('The server says that the file ends here, but it does not.')
      live.connection.stop({ kind: 'failed', error, local: false })
      return
    }
    this.#setTotal(total)
    this.#end('complete')
  }

  #retry(connection: Connection, head: ResponseHead, refusal: DownloadError): void {
    const { gate, context, tuning } = this.#init
    const times = { now: context.now(), maxMs: tuning.maxRetryAfterMs }
    const error = gate.heed(connection.hop.url.origin, head, refusal, times)
    connection.stop({ kind: 'failed', error, local: false })
  }

  #setTotal(total: number): void {
    if (this.#identity !== null) this.#identity = { ...this.#identity, total }
    this.#part?.setTotal(total)
  }

  #onWhole(live: Live): void {
    const error = protocolError('The server no longer serves ranges of this file.')
    if (this.#pool.size > 1) live.connection.stop({ kind: 'failed', error, local: false })
    else this.#end({ error: new StartOver(error, 'ranges-lost') })
  }

  #onChanged(live: Live, verdict: Verdict & { kind: 'changed' }): void {
    // One odd size among several connections may be a single bad node: believe it when it is seen twice.
    const odd = verdict.by === 'total' && this.#pool.size > 1 && this.#suspectTotal !== verdict.total
    if (!odd) {
      this.#end({ error: new StartOver(verdict.error, 'changed', verdict.by === 'total') })
      return
    }
    this.#suspectTotal = verdict.total
    live.connection.stop({ kind: 'failed', error: verdict.error, local: false })
  }

  #onExpired(error: DownloadError): void {
    this.#scouting = true
    this.#address.refresh(error).then(
      (fresh) => {
        if (!fresh) return
        const message = `${error.message} Asked for the address anew.`
        this.#init.host.emit({ type: 'log', level: 'info', message })
        this.#pump()
      },
      (failure: unknown) => this.#end({ error: failure }),
    )
    // What has no answer yet was asked of the old address: its refusals would say nothing of the new one.
    this.#pool.stopUnanswered()
  }

  // ---- ends of connections ----

  #onClose(live: Live, outcome: Outcome): void {
    const { connection } = live
    const { patience, context } = this.#init
    const part = this.#part
    if (part !== null) patience.noteBytes(part.writtenBytes, context.now())
    if (connection.receivedBytes > 0) this.#address.works()
    if (this.#ended !== null) {
      this.#finish()
      return
    }
    if (outcome.kind === 'failed') this.#onFailed(connection, outcome)
    else if (outcome.kind === 'done' && live.whole && this.total === null) this.#onStreamEnd(connection)
    this.#pump()
  }

  /** The end of a body without length is the end of the file (RFC 9112 section 6.3), unless more is expected. */
  #onStreamEnd(connection: Connection): void {
    const { size } = this.#init.spec
    if (size === null || connection.position >= size) this.#setTotal(connection.position)
    else this.#onFailed(connection, { kind: 'failed', error: endedEarly(), local: false })
  }

  #onFailed(connection: Connection, { error, local }: Outcome & { kind: 'failed' }): void {
    if (error.code === 'SOURCE_CHANGED' && connection.acceptedAt !== null) {
      this.#end({ error: new StartOver(error, 'changed') })
      return
    }
    const alone = this.#pool.size === 0
    if (local || (alone && !error.retryable)) {
      this.#end({ error })
      return
    }
    const { patience, context, host } = this.#init
    const now = context.now()
    if (!alone) {
      if (connection.receivedBytes < refusalBytes) this.poolSize.refused(this.#pool.size, now)
      return
    }
    const verdict = patience.failed(error, now)
    if (verdict.kind === 'give-up') {
      this.#end({ error })
      return
    }
    if (isNetworkFailure(error) || error.code === 'STALLED') this.poolSize.forgive()
    // The address may have gone stale with its server: begin again at the one that the caller gave.
    this.#address.unsettle()
    this.#scouting = true
    this.#notBefore = now + verdict.delayMs
    host.emit({ type: 'retrying', attempt: verdict.attempt, delayMs: verdict.delayMs, error: error.toJSON() })
  }

  // ---- the end ----

  #end(how: { error: unknown } | 'complete' | 'nothing'): void {
    if (this.#ended !== null) return
    this.#ended = how
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#pool.stop()
    this.#finish()
  }

  /** Not before a part that is being opened is there: its owner must close it. */
  #finish(): void {
    const ended = this.#ended
    if (this.#pool.size > 0 || this.#opening > 0 || ended === null) return
    if (typeof ended === 'string') this.#settle?.(ended)
    else this.#reject?.(ended.error)
  }
}
