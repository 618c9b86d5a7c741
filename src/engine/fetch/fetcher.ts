/**
 * Fetches one version of one file: asks, judges, spreads connections, retries, until every byte is written. What it
 * can't mend by another request, it throws: a {@link StartOver} or a `DownloadError`.
 */
import { isOutOfHandles } from '../../disk/errors.js'
import { type DownloadError, toDownloadError } from '../../errors.js'
import { isNetworkFailure, withoutWait } from '../../net/errors.js'
import type { ResponseHead } from '../../net/http.js'
import type { PartFile } from '../part/part-file.js'
import { StartOver } from '../part/start-over.js'
import { ConnectionPool, type LiveConnection, Requests } from './connection-pool.js'
import { endedEarly, type Outcome } from './connection.js'
import type { FetcherInit } from './contract.js'
import { MirrorSet } from './mirror-set.js'
import type { Mirror } from './mirror.js'
import { LimitedGrowth } from './pool-size.js'
import { judge, protocolError, type Verdict } from './response-rules.js'

/** A connection that broke before this many bytes counts as one that the server didn't want. */
const refusalBytes = 64 * 1024

/** See the file's head. Runs once. */
export class Fetcher {
  readonly #init: FetcherInit
  readonly #pool: ConnectionPool
  readonly #requests: Requests
  readonly #growth: LimitedGrowth
  readonly mirrors: MirrorSet
  #part: PartFile | null
  /** Only one connection until bytes flow. */
  #probing = true
  #notBefore = 0
  #timer: NodeJS.Timeout | null = null
  #opening = 0
  #ended: { error: unknown } | 'complete' | 'nothing' | null = null
  #settle: ((outcome: 'complete' | 'nothing') => void) | null = null
  #reject: ((error: unknown) => void) | null = null

  constructor(init: FetcherInit) {
    this.#init = init
    this.#part = init.kept?.part ?? null
    this.mirrors = new MirrorSet(init)
    this.#growth = new LimitedGrowth(init.context.buckets)
    this.#pool = new ConnectionPool(init.context, {
      onHead: (live, head) => {
        this.#onHead(live, head)
      },
      onBytes: ({ mirror }) => {
        this.mirrors.noteBytes(mirror)
        if (!this.#probing) return
        this.#probing = false
        this.#pump()
      },
      onClose: (live, outcome) => {
        this.#onClose(live, outcome)
      },
    })
    const { minSegmentBytes } = init.tuning
    const digestKnown = init.spec.sha256 !== null
    this.#requests = new Requests(this.#pool, this.mirrors, { minSegmentBytes, digestKnown })
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
    return this.#part?.identity.total ?? null
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
    if (this.#part !== null) this.#init.retryBudget.noteBytes(this.#part.writtenBytes, now)
    const { limited } = this.#growth
    const replaced = this.mirrors.sampleSpeeds(this.#part, now, limited)
    if (replaced !== null) this.#pool.stop(replaced)
    if (this.mirrors.grow(now) || limited || this.mirrors.all.length > 1) this.#pump()
  }

  // ---- deciding what to ask for ----

  #pump(): void {
    if (this.#ended !== null || this.#opening > 0) return
    if (this.#part !== null && this.#part.writtenBytes === this.total) {
      this.#end('complete')
      return
    }
    const now = this.#init.context.now()
    if (this.#notBefore > now) {
      this.#schedule(this.#notBefore - now)
      return
    }
    for (;;) {
      const mirror = this.mirrors.choose(this.#part, now)
      if (typeof mirror === 'number') {
        if (mirror < Infinity) this.#schedule(mirror)
        return
      }
      if (this.#pool.size >= this.#desired(mirror) || !this.#growth.admits(this.#pool.size, now)) return
      const wanted = this.#requests.next(mirror, this.#part)
      if (wanted === null) return
      this.#requests.send(mirror, this.#part, wanted)
    }
  }

  #desired(mirror: Mirror): number {
    if (this.#part === null || this.#probing) return 1
    return mirror.joined && this.mirrors.needsSingleStream(mirror, this.#part) ? 1 : this.mirrors.connections
  }

  #schedule(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#pump()
    }, Math.ceil(ms))
  }

  // ---- answers ----

  #onHead(live: LiveConnection, head: ResponseHead): void {
    const { connection, start, mirror } = live
    const { sha256, size } = this.#init.spec
    const identity = mirror.expected(this.#part)
    const verdict = judge({ start, end: connection.end, identity, digestKnown: sha256 !== null, size }, head)
    switch (verdict.kind) {
      case 'accept':
        live.whole = !verdict.ranges
        if (this.#part === null) void this.#openPart(live, head, verdict)
        else if (verdict.sure || live.overlap !== null || live.from === 0) this.#accept(live, verdict)
        else {
          // Ours has a validator, the answer has none: ask again, with some kept bytes to compare.
          mirror.compareBytes = true
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
        // What has never been there has not expired.
        if (mirror.identity === null) this.#refuse(live, verdict.error)
        else this.#onExpired(mirror, verdict.error)
        return
      case 'retry':
        this.#refuse(live, this.#heed(live, head, verdict.error))
        return
      case 'fail':
        this.#refuse(live, verdict.error)
    }
  }

  #refuse({ connection }: LiveConnection, error: DownloadError): void {
    connection.stop({ kind: 'failed', error, local: false })
  }

  async #openPart(
    live: LiveConnection,
    head: ResponseHead,
    verdict: Verdict & { kind: 'accept' },
  ): Promise<void> {
    const { connection, mirror } = live
    const { identity } = verdict
    this.#opening += 1
    try {
      const first = { identity, head, url: connection.hop.url, asked: mirror.url }
      const part = await this.#init.host.open(first)
      if (this.#ended !== null) return
      if (part === null) {
        this.#end('nothing')
        return
      }
      this.#part = part
      mirror.ranges = verdict.ranges
      if (part.frontier > 0) {
        // Bytes were kept of a file that had no name until now: ask for the rest of it instead.
        this.mirrors.useKeptPart(part)
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

  #accept(live: LiveConnection, verdict: Verdict & { kind: 'accept' }): void {
    const { connection, mirror } = live
    const part = this.#part
    if (part === null) return
    const { identity, bodyEnd } = verdict
    if (!mirror.joined && !live.compareOnly) {
      if (part.writtenBytes > 0 || this.#pool.size > 1) {
        connection.stop()
        return
      }
      // There is nothing to compare with: from now on the file is what this address has.
      this.mirrors.adopt(mirror)
      part.adopt(identity, mirror.url)
    }
    mirror.identity = identity
    mirror.address.useHop(connection.hop)
    mirror.unconfirmedTotal = null
    const { total } = identity
    if (total !== null && part.identity.total === null) part.setTotal(total)
    let { end } = connection
    if (end === null && total !== null) end = this.#requests.next(mirror, part, live)?.end ?? total
    if (bodyEnd !== null) end = Math.min(end ?? bodyEnd, bodyEnd)
    connection.accept(part, { end, bodyEnd, overlap: live.overlap })
    if (total === 0) this.#end('complete')
  }

  #pastEnd(live: LiveConnection, total: number): void {
    const part = this.#part
    const complete = part !== null && part.frontier === total && part.writtenBytes === total
    if (!complete) {
      this.#refuse(live, protocolError('The server says that the file ends here, but it does not.'))
      return
    }
    part.setTotal(total)
    this.#end('complete')
  }

  #onWhole(live: LiveConnection): void {
    const error = protocolError('The server no longer serves ranges of this file.')
    if (live.mirror.live > 1) this.#refuse(live, error)
    else this.#ruleOut(live.mirror, new StartOver(error, 'ranges-lost'))
  }

  #onChanged(live: LiveConnection, { by, total, error }: Verdict & { kind: 'changed' }): void {
    const { mirror } = live
    // One odd size among several connections may be a single bad node: believe it when it is seen twice.
    const odd = by === 'total' && mirror.live > 1 && mirror.unconfirmedTotal !== total
    mirror.unconfirmedTotal = total
    if (odd) this.#refuse(live, error)
    else this.#ruleOut(mirror, new StartOver(error, 'changed', by === 'total'))
  }

  #onExpired(mirror: Mirror, error: DownloadError): void {
    this.#probing = true
    mirror.address.refresh(error).then(
      (fresh) => {
        if (!fresh) return
        const message = `${error.message} Asked for the address anew.`
        this.#init.host.emit({ type: 'log', level: 'info', message })
        this.#pump()
      },
      (failure: unknown) => {
        this.#ruleOut(mirror, toDownloadError(failure))
      },
    )
    // What has no answer yet was asked of the old address: its refusals would say nothing of the new one.
    this.#pool.stopUnanswered(mirror)
  }

  /** An address is asked no more; without it, either the others go on or this is the end. */
  #ruleOut(mirror: Mirror, why: DownloadError | StartOver): void {
    this.mirrors.ruleOut(mirror, why)
    const error = this.mirrors.finalError()
    if (error !== null) {
      this.#end({ error })
      return
    }
    this.#pool.stop(mirror)
    if (this.#pool.size === 0) this.#probing = true
    this.#pump()
  }

  #heed(live: LiveConnection, head: ResponseHead, error: DownloadError): DownloadError {
    const { gate, context, tuning } = this.#init
    const { origin } = live.connection.hop.url
    return gate.heed(origin, head, error, { now: context.now(), maxMs: tuning.maxRetryAfterMs })
  }

  // ---- ends of connections ----

  #onClose(live: LiveConnection, outcome: Outcome): void {
    const { connection, mirror } = live
    const { retryBudget, context } = this.#init
    const part = this.#part
    if (part !== null) retryBudget.noteBytes(part.writtenBytes, context.now())
    if (connection.receivedBytes > 0) mirror.address.noteBytes()
    if (this.#ended !== null) {
      this.#finish()
      return
    }
    if (outcome.kind === 'failed') this.#onFailed(live, outcome)
    else if (outcome.kind === 'done' && live.compareOnly) mirror.joined = true
    else if (outcome.kind === 'done' && live.whole && this.total === null) this.#onStreamEnd(live)
    this.#pump()
  }

  /** The end of a body without length is the end of the file (RFC 9112 section 6.3), unless more is expected. */
  #onStreamEnd(live: LiveConnection): void {
    const { size } = this.#init.spec
    const { position } = live.connection
    if (size === null || position >= size) this.#part?.setTotal(position)
    else this.#onFailed(live, { kind: 'failed', error: endedEarly(), local: false })
  }

  #onFailed({ connection, mirror }: LiveConnection, { error, local }: Outcome & { kind: 'failed' }): void {
    if (local) {
      this.#end({ error })
      return
    }
    // It is asked no more, so that it matters no more.
    if (mirror.out !== null) return
    if (error.code === 'SOURCE_CHANGED' && connection.acceptedAt !== null) {
      this.#ruleOut(mirror, new StartOver(error, 'changed'))
      return
    }
    const { retryBudget, context, host, tuning } = this.#init
    const now = context.now()
    const { several } = this.mirrors
    // A silent address is left with all its connections, where there is another.
    if (mirror.live > 0 && !(several && error.code === 'STALLED')) {
      if (connection.receivedBytes < refusalBytes) mirror.poolSize.refused(mirror.live, now)
      return
    }
    if (!error.retryable || (several && (error.retryAfterMs ?? 0) > tuning.maxRetryAfterMs)) {
      this.#ruleOut(mirror, error)
      return
    }
    this.mirrors.noteFailure(mirror, now)
    if (isNetworkFailure(error) || error.code === 'STALLED') mirror.poolSize.reset()
    // The address may have gone stale with its server: begin again at the one that the caller gave.
    mirror.address.resetHop()
    if (this.#pool.size > 0) return
    this.#probing = true
    if (this.mirrors.shouldTryAnother(now)) {
      host.emit({ type: 'log', level: 'warn', message: `${mirror.name} failed: ${error.message}` })
      return
    }
    // One address that wants to be left alone is waited for by itself.
    const verdict = retryBudget.failed(several ? withoutWait(error) : error, now)
    if (verdict.kind === 'give-up') {
      this.#end({ error: this.mirrors.lastResort() ?? error })
      return
    }
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
