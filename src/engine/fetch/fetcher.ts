/**
 * Fetches one version of one file: sends requests, evaluates responses, manages connections and retries until every
 * byte is written. A problem that another request can't solve is thrown as a {@link StartOver} or a
 * `DownloadError`.
 */
import { asDownloadError, isOutOfHandles } from '../../disk/errors.js'
import { type DownloadError } from '../../errors.js'
import { isNetworkFailure, withoutWait } from '../../net/errors.js'
import type { ResponseHead } from '../../net/exchange.js'
import type { Timer } from '../../util/clock.js'
import type { PartFile } from '../part/part-file.js'
import { StartOver } from '../part/start-over.js'
import { ConnectionPool, type LiveConnection, Requests } from './connection-pool.js'
import { BodyEnds } from './body-end.js'
import type { Outcome } from './outcome.js'
import type { FetcherInit } from './contract.js'
import { isAnswer, judgeFailure } from './failure-rules.js'
import { MirrorSet } from './mirror-set.js'
import type { Mirror } from './mirror.js'
import { LimitedGrowth } from './pool-size.js'
import { heed, Refusals } from './refusals.js'
import { readLimit, refuseSize } from './remote-bounds.js'
import { judge, protocolError, type Verdict } from './response-rules.js'

/** A connection that failed before it received this many bytes counts as refused by the server. */
const refusalBytes = 64 * 1024

/** Fetches one version of one file. Can be run once. */
export class Fetcher {
  readonly #init: FetcherInit
  readonly #pool: ConnectionPool
  readonly #requests: Requests
  readonly #growth: LimitedGrowth
  readonly #refusals: Refusals
  readonly mirrors: MirrorSet
  #part: PartFile | null
  /** Only one connection is used until bytes arrive. */
  #probing = true
  #notBefore = 0
  #timer: Timer | null = null
  #opening = 0
  readonly #bodyEnds = new BodyEnds()
  #ended: { error: unknown } | 'complete' | 'nothing' | null = null
  #settle: ((outcome: 'complete' | 'nothing') => void) | null = null
  #reject: ((error: unknown) => void) | null = null

  constructor(init: FetcherInit) {
    this.#init = init
    this.#part = init.kept?.part ?? null
    this.mirrors = new MirrorSet(init)
    this.#growth = new LimitedGrowth(init.context.buckets)
    this.#pool = new ConnectionPool(init.context, {
      onHead: (live, head) => this.#onHead(live, head),
      onBytes: ({ mirror }) => {
        this.mirrors.noteBytes(mirror)
        if (!this.#probing && !this.#adapt()) return
        this.#probing = false
        this.#pump()
      },
      onRangeEnd: (live) => this.#extend(live),
      onClose: (live, outcome) => this.#onClose(live, outcome),
    })
    const { minDelayMs } = init.tuning
    this.#refusals = new Refusals({
      mirrors: this.mirrors,
      sized: init.spec.size !== null,
      midWay: () => this.#part !== null,
      askAgain: (pause) => {
        if (pause) this.#notBefore = init.context.clock.now() + minDelayMs
        this.#pump()
      },
      ruleOut: (mirror, why) => this.#ruleOut(mirror, why),
      log: (message) => this.#log('info', message),
    })
    this.#requests = new Requests(this.#pool, this.mirrors, init)
  }

  /** Number of connections that are receiving. */
  get connections(): number {
    return this.#pool.receiving
  }

  /** Bytes received over the network. */
  get fetchedBytes(): number {
    return this.#pool.fetchedBytes
  }

  /** Whether a rate limit or the disk holds a connection back. */
  get heldBack(): boolean {
    return this.#pool.heldBack
  }

  /** Size of the file in bytes, or null while unknown. */
  get total(): number | null {
    return this.#part?.identity.total ?? null
  }

  /** Resolves when every byte is written (`complete`), or when nothing needs to be fetched (`nothing`). */
  run(): Promise<'complete' | 'nothing'> {
    return new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#reject = reject
      this.#pump()
    })
  }

  /** Stops fetching. {@link run} rejects with the error once all connections are closed. */
  stop(error: DownloadError | StartOver): void {
    this.#end({ error })
  }

  /** Runs the timers; to be called a few times a second. */
  tick(now: number): void {
    this.#pool.tick(now, this.#isIdle)
    if (this.#part !== null) this.#init.retryBudget.noteBytes(this.#part.writtenBytes, now)
    const { limited } = this.#growth
    const replaced = this.mirrors.sampleSpeeds(this.#part, now, limited)
    if (replaced !== null) this.#pool.stop(replaced)
    // A window moves with every byte.
    const mayHaveMoved = this.#part?.fillsGaps === true
    const hasRoom = this.#adapt(now) || this.mirrors.grow(now)
    if (hasRoom || limited || mayHaveMoved || this.mirrors.all.length > 1) this.#pump()
  }

  /** Returns whether there may be more connections now, or should be fewer. */
  #adapt(now = this.#init.context.clock.now()): boolean {
    return !this.#probing && this.mirrors.adapt(this.#pool, this.#growth.limited, now)
  }

  /** Whether there is nothing to fetch for more connections, which could be open. */
  get #isIdle(): boolean {
    const part = this.#part
    if (part === null || this.#probing || this.#growth.limited) return false
    return this.#pool.size < this.mirrors.connections && this.#pool.isAllAssigned(part)
  }

  // ---- choosing requests ----

  #pump(): void {
    if (this.#ended !== null || this.#opening > 0) return
    if (this.#part !== null && this.#part.writtenBytes === this.total) {
      this.#end('complete')
      return
    }
    const now = this.#init.context.clock.now()
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

  /** A connection at the end of its range: goes on with the same body if it would be the next to be asked anyway. */
  #extend(live: LiveConnection): number | null {
    const part = this.#part
    const { mirror } = live
    if (this.#ended !== null || part === null || this.#pool.size > this.#desired(mirror)) return null
    if (mirror.access === 'doubted' || this.mirrors.hasMirrors) return null
    if (this.mirrors.choose(part, this.#init.context.clock.now()) !== mirror) return null
    return this.#requests.extend(live, part)
  }

  #desired(mirror: Mirror): number {
    if (this.#part === null || this.#probing) return 1
    return mirror.joined && this.mirrors.needsSingleStream(mirror, this.#part) ? 1 : this.mirrors.connections
  }

  #schedule(ms: number): void {
    this.#timer?.cancel()
    this.#timer = this.#init.context.clock.timer(() => {
      this.#timer = null
      this.#pump()
    }, Math.ceil(ms))
  }

  // ---- responses ----

  #onHead(live: LiveConnection, received: ResponseHead): void {
    const { connection, start, mirror } = live
    const { digestKnown, spec } = this.#init
    const identity = mirror.expected(this.#part, this.#init.versionSize)
    const head = this.#init.forcedCoding.undo(live, received, this.#part?.writtenBytes ?? 0)
    const { size } = spec
    const verdict = judge({ start, end: connection.end, identity, digestKnown, size }, head)
    switch (verdict.kind) {
      case 'accept':
        live.whole = !verdict.ranges
        live.closeDelimited = verdict.bodyEnd === null && head.headers['transfer-encoding'] === undefined
        if (this.#part !== null && live.plain) {
          mirror.forms.notePlain()
          connection.stop()
        } else if (this.#part === null) void this.#openPart(live, head, verdict)
        else if (verdict.sure || live.overlap !== null || live.from === 0) this.#accept(live, verdict)
        else {
          // The known version has a validator, but this response has none: request again and compare bytes on disk.
          mirror.compareBytes = true
          connection.stop()
        }
        return
      case 'empty':
        if (this.#part !== null) {
          this.#pastEnd(live, 0)
          return
        }
        void this.#openPart(live, head, { ...verdict, kind: 'accept', bodyEnd: 0, ranges: false, sure: true })
        return
      case 'past-end':
        this.#pastEnd(live, verdict.total)
        return
      case 'whole':
        this.#onWhole(live, verdict.sure)
        return
      case 'changed':
        this.#onChanged(live, verdict)
        return
      case 'expired':
        // An address that has never worked can't have expired. One that serves another connection may only allow few.
        if ((mirror.identity ?? this.#init.versionSize) !== null && !live.beside) {
          this.#probing = true
          this.#refusals.onExpired(mirror, verdict.error)
          // Requests without a response were sent to the old address, and say nothing about the new one.
          this.#pool.stopUnanswered(mirror)
        } else {
          if (mirror.access === 'open') mirror.access = 'doubted'
          this.#refuse(live, verdict.error)
        }
        return
      case 'retry':
        this.#refuse(live, heed(this.#init, live.connection, head, verdict.error))
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
      const peek = (bytes: number) => connection.peek(identity.total === 0 ? 0 : bytes)
      const first = { identity, head, url: connection.hop.url, asked: mirror.url, peek }
      const part = await this.#init.host.open(first)
      if (this.#ended !== null) return
      if (part === null) {
        this.#end('nothing')
        return
      }
      this.#part = part
      if (connection.isDecoded) part.forgoResuming()
      if (!mirror.noteFirst(head, { plain: live.plain, ranges: verdict.ranges, single: this.#init.single }))
        this.#log('warn', 'The server does not serve ranges: this is one stream, which cannot be resumed.')
      if (part.writtenBytes > 0) {
        // A part from an earlier run was found once the file had a name: request only the missing bytes.
        this.mirrors.useKeptPart(part)
        connection.stop()
      } else {
        this.#accept(live, verdict)
      }
    } catch (error) {
      // Without a file handle for the part, close the connection so that its handle becomes free.
      if (isOutOfHandles(error))
        connection.stop({ kind: 'failed', error: asDownloadError(error), local: false })
      // If the connection ended while its first bytes were read, its end has been dealt with.
      else if (this.#part !== null || !connection.isClosed) this.#end({ error })
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
    if (this.#isTooLarge(identity.total)) return
    if (connection.isDecoded) part.forgoResuming()
    if (!mirror.joined && !live.compareOnly) {
      if (part.writtenBytes > 0 || this.#pool.size > 1) {
        connection.stop()
        return
      }
      // There is nothing to compare with, so the version at this address is the one to fetch.
      this.mirrors.adopt(mirror)
      part.adopt(identity, mirror.url)
    }
    mirror.identity = identity
    mirror.address.useHop(connection.hop)
    const { origin } = connection.hop.url
    this.#init.context.gate.noteServed(origin, this.#init.context.clock.now())
    this.mirrors.noteOrigin(origin)
    mirror.evidence.noteAccepted()
    if (mirror.access === 'doubted') mirror.access = 'limited'
    const { total } = identity
    if (total !== null && part.identity.total === null) part.setTotal(total)
    let { end } = connection
    if (end === null && total !== null) end = this.#requests.next(mirror, part, live)?.end ?? total
    if (bodyEnd !== null) end = Math.min(end ?? bodyEnd, bodyEnd)
    const limit = readLimit(this.#init.spec.bounds)
    const { connections } = this.mirrors
    connection.accept(part, { end, limit, bodyEnd, overlap: live.overlap, connections })
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

  #onWhole(live: LiveConnection, sure: boolean): void {
    const { mirror, connection } = live
    const error = protocolError('The server no longer serves ranges of this file.')
    // It may only say that the validator, which is doubted already, does not match.
    const meaningless = live.conditional && mirror.evidence.validatorChanged
    const meaning = meaningless ? 'look-again' : mirror.evidence.weighWhole(sure, mirror.live === 1)
    if (meaning === 'refuse') this.#refuse(live, error)
    else if (meaning === 'look-again') connection.stop()
    else this.#ruleOut(mirror, new StartOver(error, meaning))
  }

  #onChanged(live: LiveConnection, { by, seen, error }: Verdict & { kind: 'changed' }): void {
    const { mirror, connection } = live
    const meaning = mirror.evidence.weigh(by, seen, mirror.live === 1)
    if (meaning === 'refuse') this.#refuse(live, error)
    else if (meaning === 'look-again') connection.stop()
    else {
      // What the complete file says outranks what ranges of it say, so no more of them are requested.
      const trigger = live.plain && this.#part !== null ? 'no-ranges' : 'changed'
      this.#ruleOut(mirror, new StartOver(error, trigger, true))
    }
  }

  /** Excludes an address. The others continue; if there are none, the fetch ends. */
  #ruleOut(mirror: Mirror, why: DownloadError | StartOver): void {
    this.mirrors.ruleOut(mirror, why)
    const error = this.mirrors.finalError()
    if (error !== null && !this.mirrors.revive()) {
      this.#end({ error })
      return
    }
    this.#pool.stop(mirror)
    if (this.#pool.size === 0) this.#probing = true
    this.#pump()
  }

  // ---- ends of connections ----

  #onClose(live: LiveConnection, outcome: Outcome): void {
    const { connection, mirror } = live
    const { retryBudget, context } = this.#init
    const part = this.#part
    if (part !== null) retryBudget.noteBytes(part.writtenBytes, context.clock.now())
    if (connection.receivedBytes > 0) mirror.address.noteBytes()
    if (this.#ended !== null || this.#isTooLarge(connection.position)) {
      this.#finish()
      return
    }
    if (outcome.kind === 'failed') this.#onFailed(live, outcome)
    else if (outcome.kind === 'done' && live.compareOnly) mirror.joined = true
    else if (outcome.kind === 'done') this.#onBodyEnd(live)
    this.#pump()
  }

  #onBodyEnd(live: LiveConnection): void {
    const { connection, mirror, whole, closeDelimited, from } = live
    const { position, receivedBytes, isMessageEnd } = connection
    const { size } = this.#init.spec
    const meaning = this.#bodyEnds.weigh({
      ...{ whole, closeDelimited, from, position, receivedBytes, isMessageEnd, size },
      servesRanges: mirror.ranges,
      total: this.total,
    })
    if (meaning === 'complete') this.#part?.setTotal(position)
    else if (meaning !== 'more') this.#onFailed(live, { kind: 'failed', error: meaning, local: false })
  }

  #onFailed(live: LiveConnection, { error, local }: Outcome & { kind: 'failed' }): void {
    const { connection, mirror } = live
    if (local) {
      this.#end({ error })
      return
    }
    // The address is excluded already.
    if (mirror.out !== null) return
    if (connection.isDecoded && connection.receivedBytes > 0) {
      this.#ruleOut(mirror, error.retryable ? new StartOver(error, 'ranges-lost') : error)
      return
    }
    if (error.code === 'SOURCE_CHANGED' && connection.acceptedAt !== null) {
      const meaning = mirror.evidence.weighBytes(live.whole)
      if (meaning === 'changed') this.#ruleOut(mirror, new StartOver(error, 'changed'))
      if (meaning !== 'refuse') return
    }
    const { retryBudget, context, host, tuning } = this.#init
    const now = context.clock.now()
    const { several } = this.mirrors
    const { forms, live: others } = mirror
    const meaning = judgeFailure(
      error,
      { others, beside: live.beside, several, forms },
      tuning.maxRetryAfterMs,
    )
    if (meaning === 'crowded') {
      if (others === 0 || connection.receivedBytes < refusalBytes)
        mirror.poolSize.refused(Math.max(others, 1), now)
      return
    }
    if (meaning !== 'retry') {
      if (meaning === 'busy') this.#ruleOut(mirror, error)
      else this.#refusals.onRefused(mirror, error)
      return
    }
    this.mirrors.noteFailure(mirror, now)
    if (error.code === 'STALLED' && connection.answerMs === null) mirror.silences += 1
    if (isNetworkFailure(error) || error.code === 'STALLED') this.mirrors.forgetRefusals(mirror)
    // The server behind the redirect may be down: follow the redirects again from the URL that the caller gave.
    mirror.address.noteDelay()
    if (this.#pool.size > 0) return
    this.#probing = true
    if (this.mirrors.shouldTryAnother(now)) {
      this.#log('warn', `${mirror.name} failed: ${error.message}`)
      return
    }
    // With several addresses, each one waits for its own Retry-After.
    const { origin } = connection.hop.url
    const hasServed = (since: number) => context.gate.hasServedSince(origin, since)
    const verdict = retryBudget.failed(several ? withoutWait(error) : error, now, hasServed)
    if (verdict.kind === 'give-up') {
      this.#end({ error: this.mirrors.lastResort() ?? error })
      return
    }
    if (isAnswer(error) && !several)
      forms.afterFailure(verdict.attempt, tuning.maxAttempts, this.#part !== null)
    this.#notBefore = now + verdict.delayMs
    host.emit({ type: 'retrying', attempt: verdict.attempt, delayMs: verdict.delayMs, error: error.toJSON() })
  }

  /** Ends the fetch if a file with at least that many bytes is too large for its caller. */
  #isTooLarge(bytes: number | null): boolean {
    const error = refuseSize(bytes, this.#init.spec.bounds)
    if (error !== null) this.#end({ error })
    return error !== null
  }

  #log(level: 'info' | 'warn', message: string): void {
    this.#init.host.emit({ type: 'log', level, message })
  }

  // ---- the end ----

  #end(how: { error: unknown } | 'complete' | 'nothing'): void {
    if (this.#ended !== null) return
    this.#ended = how
    this.#timer?.cancel()
    this.#pool.stop()
    this.#finish()
  }

  /** Settles {@link run}, once all connections are closed and no part is being opened, which its owner must close. */
  #finish(): void {
    const ended = this.#ended
    if (this.#pool.size > 0 || this.#opening > 0 || ended === null) return
    if (typeof ended === 'string') this.#settle?.(ended)
    else this.#reject?.(ended.error)
  }
}
