/** The addresses of one fetch, with their failures and speeds. The decisions are made in `mirror-choice.ts`. */
import type { DownloadError } from '../../errors.js'
import { hasStrongValidator, type Identity } from '../part/identity.js'
import type { Interval } from '../part/intervals.js'
import type { PartFile } from '../part/part-file.js'
import { StartOver } from '../part/start-over.js'
import { headersFor, mirrorId, xetUrl } from '../protocol.js'
import { ConnectionRamp } from './connection-ramp.js'
import type { FetcherInit } from './contract.js'
import {
  afterBytes,
  afterFailure,
  afterSample,
  afterTrial,
  chooseTrial,
  isFaster,
  type MirrorCandidate,
  pick,
  shares,
  shouldTryAnother,
} from './mirror-choice.js'
import { Mirror } from './mirror.js'

/** Fewer bytes on disk than this are not compared with another address while more are still arriving. */
const minComparedBytes = 64 * 1024

/** An address is slow below this total speed, whatever its speed was before. */
const slowBytesPerSecond = 1024 * 1024

/** After how many samples a trial is decided: if it has received bytes, and if it has not. */
const trialSamples = { receiving: 2, silent: 5 }

/** With `spread`, an address backs off if its speed per connection is below this share of the best one's. */
const laggingShare = 0.1

/** How often to look whether another number of connections would do better, in milliseconds. */
const adaptEveryMs = 10

/** What the connections of a fetch do. */
export interface PoolReading {
  readonly fetchedBytes: number
  readonly receiving: number
  readonly answerMs: number
  readonly heldBack: boolean
}

/** The addresses of one fetch. */
export class MirrorSet {
  readonly all: readonly Mirror[]
  readonly #init: FetcherInit
  #connections: number
  readonly #ramp: ConnectionRamp
  #adaptAt = 0
  /** A rate limit decides how many connections there are. */
  #isLimited = false
  /** Where the bytes come from. */
  #origin: string | null = null
  readonly #spread: boolean
  readonly #sampleIntervalMs: number
  #current: Mirror
  #failuresInARow = 0
  #hasRevived = false
  #sampledAt = 0
  #sampledBytes = new Map<Mirror, number>()
  #trial: { mirror: Mirror; samples: number; bytesBefore: number } | null = null

  constructor(init: FetcherInit) {
    const { spec, urls, kept, single, plain, tuning } = init
    this.#init = init
    this.#connections = single ? 1 : spec.connections
    this.#ramp = new ConnectionRamp(this.#connections, tuning.initialConnections)
    const store = xetUrl(spec)
    this.#spread = spec.spread === true && urls.filter((url) => url !== store).length > 1
    this.#sampleIntervalMs = tuning.lowSpeedTimeMs / 10
    const make = (url: string, index: number) => {
      const given = { url, headers: headersFor(url, spec) }
      const ask = (status: number) => (url === spec.url ? init.host.refresh(status) : Promise.resolve(given))
      const renewable = spec.renewable === true && url === spec.url
      const { secrets } = init.context.http
      const settings = {
        connections: this.#connections,
        // The Xet store always serves ranges.
        plain: plain && kept === null && url !== store,
        renewable,
        secrets,
        isXet: url === store,
      }
      return new Mirror(index, given, settings, ask)
    }
    const [first = spec.url, ...others] = urls
    this.#current = make(first, 0)
    this.all = [this.#current, ...others.map((url, index) => make(url, index + 1))]
    if (kept !== null) this.useKeptPart(kept.part)
  }

  /** Changes the number of connections. */
  widen(connections: number): void {
    this.#connections = connections
    this.#ramp.max = connections
    for (const mirror of this.all) mirror.widen(connections)
  }

  /** Notes from where the bytes come; what is known of that server decides how many connections there are at first. */
  noteOrigin(origin: string): void {
    if (origin === this.#origin) return
    this.#origin = origin
    const found = this.#init.context.found.of(origin)
    if (found !== null) this.#ramp.begin(found)
  }

  /** After a failure of the network: earlier refusals may have had the same cause, and speeds no longer count. */
  forgetRefusals(mirror: Mirror): void {
    mirror.poolSize.reset()
    this.#ramp.forget()
  }

  /**
   * Measures whether the connections are worth it; to be called often.
   *
   * @returns whether their number has changed.
   */
  adapt(pool: PoolReading, limited: boolean, now: number): boolean {
    if (now < this.#adaptAt) return false
    this.#adaptAt = now + adaptEveryMs
    this.#isLimited = limited
    const { fetchedBytes: bytes, receiving, answerMs, heldBack } = pool
    const hasChanged = this.#ramp.take({ now, bytes, receiving, answerMs, isHeldBack: limited || heldBack })
    const { proven } = this.#ramp
    if (proven !== null && this.#origin !== null) this.#init.context.found.note(this.#origin, proven)
    return hasChanged
  }

  /**
   * Lets each address have one more connection when it has not refused one for a while.
   *
   * @returns whether anything has changed.
   */
  grow(now: number): boolean {
    return this.all.filter(({ poolSize }) => poolSize.grow(now)).length > 0
  }

  /** How many connections may be open at once. */
  get connections(): number {
    if (this.#spread) return this.#worthwhile
    return Math.min(this.#worthwhile, this.#current.poolSize.size) + (this.#trial === null ? 0 : 1)
  }

  /** As many connections as have proven to make the fetch faster. */
  get #worthwhile(): number {
    return this.#isLimited ? this.#connections : this.#ramp.size
  }

  /** Whether more than one address can be used. */
  get several(): boolean {
    return this.all.length > 1 && this.all.filter(({ out }) => out === null).length > 1
  }

  /** Whether more than one server can be used; the Xet store is only the other way to the hub. */
  get hasMirrors(): boolean {
    return this.several && this.all.filter(({ isXet, out }) => !isXet && out === null).length > 1
  }

  /**
   * Uses addresses again that were excluded because there was the Xet store, once that is excluded, too: another form of
   * request may help them, which was not tried. Done once.
   *
   * @returns whether there is one.
   */
  revive(): boolean {
    const { all } = this
    if (this.#hasRevived || !all.some(({ isXet, out }) => isXet && out !== null)) return false
    this.#hasRevived = true
    const others = all.filter(({ isXet, out }) => !isXet && out !== null && !(out instanceof StartOver))
    for (const mirror of others) mirror.out = null
    return others.length > 0
  }

  /** URLs that bytes were received from. */
  get contributors(): readonly string[] {
    return this.all.filter(({ receivedBytes }) => receivedBytes > 0).map(({ url }) => url)
  }

  /** What the servers of the version that is fetched say about its digest. */
  get digests(): Identity['digests'] {
    return this.all.find(({ joined, identity }) => joined && identity?.digests !== undefined)?.identity
      ?.digests
  }

  /** Whether only comparing bytes can show that the address still has the same version (transfer rule 3). */
  needsOverlap(mirror: Mirror): boolean {
    if (this.#init.digestKnown || mirror.identity === null) return false
    return mirror.compareBytes || mirror.evidence.validatorChanged || !hasStrongValidator(mirror.identity)
  }

  /**
   * Whether a single stream must be used, because a mixture of two versions could not be detected (FAULTS row 10).
   */
  needsSingleStream(mirror: Mirror, part: PartFile | null): boolean {
    return (part?.identity.total ?? null) === null || !mirror.ranges || this.needsOverlap(mirror)
  }

  /** The address to use next, or how many milliseconds to wait until one is available. */
  choose(part: PartFile | null, now: number): Mirror | number {
    if (this.all.length === 1) {
      const waitMs = this.#waitMs(this.#current, now)
      return waitMs > 0 ? waitMs : this.#current
    }
    const candidates = this.#candidates(part, now)
    const trial = this.#trial?.mirror
    if (trial?.live === 0 && (candidates[trial.index]?.waitMs ?? 0) <= 0) return trial
    const choice = pick(candidates, { now, current: this.#current.index, spread: this.#spread })
    const mirror = 'index' in choice ? this.all[choice.index] : undefined
    if (mirror === undefined) return 'waitMs' in choice ? choice.waitMs : Infinity
    if (!this.#spread && mirror !== this.#current) this.#switchTo(mirror)
    return mirror
  }

  /**
   * The end of the bytes on disk to compare with an address before its own bytes are combined with them.
   *
   * @returns null while there is nothing to compare with.
   */
  comparisonEnd(part: PartFile, idle: boolean): number | null {
    const length = ([start, end]: Interval) => end - start
    const longest = part.written.reduce<Interval | null>(
      (best, run) => (best === null || length(run) > length(best) ? run : best),
      null,
    )
    if (longest === null || (!idle && length(longest) < minComparedBytes)) return null
    return longest[1]
  }

  /** Notes that bytes were received from an address. */
  noteBytes(mirror: Mirror): void {
    this.#failuresInARow = 0
    mirror.health = afterBytes(mirror.health)
  }

  /** Notes a failure of an address that may be temporary. */
  noteFailure(mirror: Mirror, now: number): void {
    mirror.health = afterFailure(mirror.health, now)
    this.#failuresInARow += 1
    if (this.#trial?.mirror === mirror) this.#trial = null
  }

  /** Whether to try another address at once after a failure; otherwise the retry budget decides. */
  shouldTryAnother(now: number): boolean {
    const elsewhere = shouldTryAnother(this.#candidates(null, now), {
      now,
      failuresInARow: this.#failuresInARow,
    })
    if (!elsewhere) this.#failuresInARow = 0
    return elsewhere
  }

  /** Excludes an address from this download. */
  ruleOut(mirror: Mirror, why: DownloadError | StartOver): void {
    if (mirror.out !== null) return
    mirror.out = why
    if (this.#trial?.mirror === mirror) this.#trial = null
    if (this.all.length === 1) return
    const { message } = why instanceof StartOver ? why.reason : why
    this.#log('warn', `No longer fetching from ${mirror.name}: ${message}`)
  }

  /**
   * The error of the fetch once every address is excluded: a {@link StartOver} if there is one, else the first
   * error.
   */
  finalError(): DownloadError | StartOver | null {
    if (this.all.some(({ out }) => out === null)) return null
    const reasons = this.all.map(({ out }) => out)
    const changed = reasons.find((out) => out instanceof StartOver && out.trigger === 'changed')
    return changed ?? reasons.find((out) => out instanceof StartOver) ?? reasons[0] ?? null
  }

  /**
   * A {@link StartOver} for an address without ranges, which could still serve the file from byte 0; null if none.
   */
  lastResort(): StartOver | null {
    const found = this.all.find(({ out }) => out instanceof StartOver && out.trigger === 'ranges-lost')?.out
    return found instanceof StartOver ? new StartOver(found.reason, 'mirror', true) : null
  }

  /** Takes over the part file of an earlier run. */
  useKeptPart({ identity, mirror }: PartFile): void {
    for (const each of this.all) {
      each.joined = this.#isVouched(each.url, mirror)
      each.identity = each.joined ? identity : null
    }
  }

  /** Makes the version at one address the one to fetch; all others have to be compared with it again. */
  adopt(mirror: Mirror): void {
    for (const other of this.all) {
      if (other === mirror) continue
      other.joined = false
      other.identity = null
    }
    mirror.joined = true
  }

  /**
   * Measures the speeds; to be called a few times a second.
   *
   * @returns the address whose connections must be stopped, because another one fetches the rest; null if none.
   */
  sampleSpeeds(part: PartFile | null, now: number, limited: boolean): Mirror | null {
    if (this.all.length === 1 || now - this.#sampledAt < this.#sampleIntervalMs) return null
    const elapsedMs = now - this.#sampledAt
    this.#sampledAt = now
    const earlier = this.#sampledBytes
    this.#sampledBytes = new Map(this.all.map((mirror) => [mirror, mirror.receivedBytes]))
    // Under a rate limit the speed says nothing about the server.
    if (limited || part === null) return null
    for (const [mirror, before] of earlier) {
      const bytes = mirror.receivedBytes - before
      // A fast address may be between two segments at the time of a sample.
      if (mirror.live === 0 && bytes === 0) continue
      const bytesPerSecond = (bytes * 1000) / elapsedMs
      mirror.health = afterSample(mirror.health, {
        bytesPerSecond,
        connections: mirror.live,
        slowBytesPerSecond,
      })
    }
    if (this.#spread) {
      this.#backOffLagging(now)
      return null
    }
    return this.#trial === null ? this.#try(part, now) : this.#judge(this.#trial, now)
  }

  /**
   * Whether bytes on disk may be combined with those of an address without comparing: they came from it, or it is
   * the only address and the digest is known.
   */
  #isVouched(url: string, keptFrom: string): boolean {
    const store = xetUrl(this.#init.spec)
    const isOnly = this.all.length === (store === null ? 1 : 2) && url !== store
    return (isOnly && this.#init.spec.sha256 !== null) || keptFrom === mirrorId(url)
  }

  #try(part: PartFile, now: number): null {
    const { total } = part.identity
    if (total === null) return null
    const index = chooseTrial(this.#candidates(part, now), {
      now,
      current: this.#current.index,
      remaining: total - part.writtenBytes,
      sampleIntervalMs: this.#sampleIntervalMs,
    })
    const mirror = index === null ? undefined : this.all[index]
    if (mirror === undefined) return null
    this.#log('info', `${this.#current.name} is slow; trying ${mirror.name} in parallel.`)
    this.#trial = { mirror, samples: 0, bytesBefore: mirror.receivedBytes }
    return null
  }

  #judge(trial: { mirror: Mirror; samples: number; bytesBefore: number }, now: number): Mirror | null {
    const { mirror } = trial
    trial.samples += 1
    const due = mirror.receivedBytes > trial.bytesBefore ? trialSamples.receiving : trialSamples.silent
    if (trial.samples < due) return null
    this.#trial = null
    const previous = this.#current
    if (due === trialSamples.receiving && isFaster(mirror.health, previous.health)) {
      previous.health = { ...afterTrial(previous.health, now, this.#sampleIntervalMs), slowSamples: 0 }
      this.#switchTo(mirror)
      return previous
    }
    mirror.health = afterTrial(mirror.health, now, this.#sampleIntervalMs)
    return mirror
  }

  #backOffLagging(now: number): void {
    const best = Math.max(...this.all.map(({ health, live }) => (live > 0 ? health.speedOfOne : 0)))
    for (const mirror of this.all) {
      const { health, live } = mirror
      if (live === 0 || health.speed === null || health.speedOfOne >= best * laggingShare) continue
      mirror.health = { ...health, backoffUntil: now + this.#sampleIntervalMs * 10 }
    }
  }

  #switchTo(mirror: Mirror): void {
    this.#current = mirror
    this.#log('info', `Now fetching from ${mirror.name}.`)
  }

  #candidates(part: PartFile | null, now: number): MirrorCandidate[] {
    const idle = this.all.every(({ live }) => live === 0)
    const caps = this.#spread && part !== null ? this.#shares(part, now) : null
    return this.all.map((mirror) => {
      const { health, out, live } = mirror
      const waitMs = this.#waitMs(mirror, now)
      return { health, usable: out === null, waitMs, live, room: this.#room(mirror, part, idle, caps) }
    })
  }

  #waitMs({ address }: Mirror, now: number): number {
    return address.refreshing ? Infinity : this.#init.context.gate.wait(address.hop().url.origin, now)
  }

  #room(mirror: Mirror, part: PartFile | null, idle: boolean, caps: readonly number[] | null): number {
    if (part === null || idle) return 1
    if (!mirror.joined) return mirror.live === 0 && this.comparisonEnd(part, false) !== null ? 1 : 0
    return caps === null ? Infinity : (caps[mirror.index] ?? 0) - mirror.live
  }

  #shares(part: PartFile, now: number): number[] {
    const solo = this.all.some(
      (mirror) => mirror.live > 0 && mirror.joined && this.needsSingleStream(mirror, part),
    )
    const limits = this.all.map((mirror) => {
      const rests = mirror.health.backoffUntil > now && mirror.live === 0
      const apart = mirror.identity !== null && this.needsSingleStream(mirror, part)
      return solo || apart || rests || mirror.out !== null ? 0 : mirror.poolSize.size
    })
    return shares(limits, this.#worthwhile)
  }

  #log(level: 'info' | 'warn', message: string): void {
    this.#init.host.emit({ type: 'log', level, message })
  }
}
