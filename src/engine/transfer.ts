/**
 * Runs the transfer of one file: target, resuming, fetching, verifying, publishing, and starting over if that
 * helps.
 */
import { asDownloadError, nullIfMissing } from '../disk/errors.js'
import { DownloadError, isDownloadError } from '../errors.js'
import { enterCache, placeResult, shownName } from '../layouts/hf-files.js'
import { formatBytes } from '../util/format.js'
import { Checkpoints } from './checkpoints.js'
import { openConnections } from './connections.js'
import { type ExistingVerdict, findFile, resultOf, wasPublished } from './existing.js'
import type { ServerDigest } from '../net/server-digests.js'
import type { FirstAnswer, KeptPart } from './fetch/contract.js'
import { Fetcher } from './fetch/fetcher.js'
import { ForcedCoding } from './fetch/forced-coding.js'
import { refuseSize } from './fetch/remote-bounds.js'
import { RetryBudget } from './fetch/retry-budget.js'
import { algorithmsOf, checksOf, isDecided } from './hash/expected.js'
import type { FileHash } from './hash/hasher.js'
import { MirrorTrust } from './mirror-trust.js'
import type { Leftover } from './part/journal.js'
import { Lease } from './part/lease.js'
import { PartFile } from './part/part-file.js'
import { isWorthless, Restarts, StartOver } from './part/start-over.js'
import {
  addressesOf,
  type LeaseTerm,
  mirrorId,
  type StopMode,
  strongerStop,
  type TransferCommand,
  type TransferEvent,
  type TransferResult,
  type TransferSpec,
} from './protocol.js'
import { mendPieces } from './pieces.js'
import { partInitOf, publish } from './publish.js'
import { ManagerRequests } from './requests-to-manager.js'
import { type AskForSpace, Reservation } from './reservation.js'
import { nameOfAnswer } from './server-name.js'
import type { Share, TransferResources } from './shared.js'
import { requireAllowedSize, requireNetwork } from './permission.js'
import { lockWait, Target } from './target.js'
import { headCheck, type Verified, verify } from './verify.js'
import { withXetHash } from './xet-client.js'

/** One transfer. {@link run} must be called once. */
export class Transfer {
  #spec: TransferSpec
  readonly #shared: TransferResources
  readonly #listener: (event: TransferEvent) => void
  readonly #share: Share
  readonly #retryBudget: RetryBudget
  readonly #forcedCoding = new ForcedCoding((message) => this.#log('warn', message))
  readonly #aborted = new AbortController()
  readonly #requests: ManagerRequests
  readonly #space: Reservation
  /** Null if the transfer needs no right to write. */
  readonly #lease: Lease | null
  readonly #restarts = new Restarts()
  #stopMode: StopMode | null = null
  #publishing = false
  #single = false
  #plain = false
  /** Size of the version whose bytes were dropped only because they could not be completed; null if none. */
  #versionSize: number | null = null
  #target: Target | null = null
  #filename: string | null
  readonly #mirrorTrust: MirrorTrust
  #kept: KeptPart | null = null
  #part: PartFile | null = null
  #hash: FileHash | null = null
  #fetcher: Fetcher | null = null
  #existing: (ExistingVerdict & { kind: 'right' }) | null = null
  #fetchedBytes = 0
  /** What the server says about the digest of the file. */
  #stated: readonly ServerDigest[] = []

  constructor(spec: TransferSpec, shared: TransferResources, listener: (event: TransferEvent) => void) {
    this.#spec = spec
    this.#shared = shared
    this.#listener = listener
    this.#requests = new ManagerRequests(listener, this.#aborted.signal, shared.clock)
    const ask: AskForSpace = (wish) => this.#requests.reserve(this.#target?.paths.target ?? '', wish)
    this.#space = new Reservation(spec.reserves === true ? ask : null, shared.clock)
    this.#lease = spec.lease === undefined ? null : this.#leaseOf(spec.lease)
    this.#mirrorTrust = new MirrorTrust(addressesOf(spec))
    this.#filename = spec.filename
    this.#share = shared.shares.enter(spec)
    this.#retryBudget = new RetryBudget(shared.tuning, shared.clock.now())
  }

  /** Bytes received over the network so far. */
  get receivedBytes(): number {
    return this.#fetchedBytes + (this.#fetcher?.fetchedBytes ?? 0)
  }

  /** Handles a command of the manager. */
  send(command: TransferCommand): void {
    if (command.type === 'limit') this.#share.bucket.limit = command.maxBytesPerSecond
    else if (command.type === 'connections') this.#widen(command.connections)
    else if (command.type === 'stop') this.#stop(command.mode)
    else if (command.type === 'lease') this.#lease?.renew(command.validForMs)
    else this.#requests.answer(command)
  }

  /** Runs the transfer to its end. Never rejects. */
  async run(): Promise<void> {
    let last: TransferEvent
    let leave: (() => void) | null = null
    try {
      leave = await enterCache(this.#spec, this.#aborted.signal)
      last = { type: 'completed', result: await this.#transfer() }
    } catch (thrown) {
      last = await this.#fail(thrown)
    }
    leave?.()
    this.#lease?.end()
    this.#requests.end()
    await this.#share.leave().catch(this.#warn.bind(this, 'Closing the transfer failed:'))
    this.#listener(last)
  }

  // ---- preparing and fetching ----

  async #transfer(): Promise<TransferResult> {
    await Promise.resolve()
    this.#lease?.require()
    this.#emit({ type: 'phase', phase: 'resolving' })
    if (this.#filename !== null) {
      const done = await this.#prepare(this.#filename)
      if (done !== null) return await this.#finish(done)
    }
    this.#throwIfStopped()
    requireNetwork(this.#spec)
    requireAllowedSize(this.#spec, this.#spec.size)
    for (;;) {
      this.#throwIfStopped()
      try {
        const outcome = await this.#fetch()
        if (outcome === 'nothing' && this.#existing !== null)
          return await this.#finish(this.#fromExisting(this.#existing))
        return await this.#finish(await this.#verifyAndPublish())
      } catch (thrown) {
        await this.#startOverOrThrow(thrown)
      }
    }
  }

  /** Locks the target and checks what exists there. Returns a result if nothing is left to do. */
  async #prepare(filename: string): Promise<TransferResult | null> {
    const spec = this.#spec
    const wait = lockWait(filename, this.#aborted.signal, this.#log.bind(this))
    const options = { root: spec.root, wait, lease: this.#lease }
    const target = await Target.take(spec.directory, filename, this.#shared.clock, options)
    this.#target = target
    this.#filename = filename
    const leftover = await target.leftover(spec)
    const published = wasPublished(target, leftover, spec)
    if (published !== null) {
      await this.#tidy(target)
      return this.#fromExisting(published)
    }
    const common = { hashes: this.#shared.hashes, share: this.#share, space: this.#space, lease: this.#lease }
    const existing = await findFile(target, spec, common, this.#aborted.signal, this.#listener)
    if (existing.kind === 'right') {
      if (leftover.found) await this.#tidy(target)
      this.#existing = existing
      return this.#fromExisting(existing)
    }
    this.#throwIfStopped()
    // Before anything of an earlier run is touched: the next one, with the network, resumes from there.
    requireNetwork(this.#spec)
    target.requireWritable()
    await target.requireFree()
    requireAllowedSize(this.#spec, spec.size ?? leftover.resume?.identity.total ?? null)
    await this.#openKept(target, leftover)
    return null
  }

  /** Deletes what an earlier run left beside a file that is complete. */
  async #tidy(target: Target): Promise<void> {
    await target.discardLeftover().catch((error: unknown) => {
      this.#warn('The file is complete.', error)
    })
  }

  /** Opens the part file of an earlier run, if there is a usable one. */
  async #openKept(target: Target, { resume, found, partExists }: Leftover): Promise<void> {
    const { url, size } = this.#spec
    const wrongSize = size !== null && resume !== null && (resume.identity.total ?? size) !== size
    if (resume === null || wrongSize) {
      if (found) this.#log('warn', "The bytes from an earlier run can't be used; starting over.")
      // Delete a journal without a part, because a small new part may be published without ever replacing it.
      if (found && !partExists) await target.discardLeftover()
      return
    }
    const { identity } = resume
    const mirror = resume.mirror === mirrorId(url) ? undefined : resume.mirror
    const init = { ...partInitOf(this.#spec, target.paths, identity, this.#lease), mirror, resume }
    const part = await PartFile.open(init).catch(nullIfMissing)
    // Another program has deleted it meanwhile.
    if (part === null) {
      await target.discardLeftover()
      return
    }
    this.#kept = { part, identity }
    this.#mirrorTrust.noteKept()
    const { total } = identity
    this.#use(part, total)
    const have = { written: part.writtenBytes, allocated: await part.allocatedBytes() }
    await this.#space.secure(part.paths.directory, total, have)
    this.#log('info', `Resuming with ${formatBytes(part.writtenBytes)} from an earlier run.`)
  }

  async #fetch(): Promise<'complete' | 'nothing'> {
    const { tuning, clock } = this.#shared
    const spec = this.#spec
    const connections = openConnections({
      spec,
      shared: this.#shared,
      share: this.#share,
      requests: this.#requests,
      fresh: this.#restarts.hadWrongBytes,
      warn: (message) => this.#log('warn', message),
    })
    const fetcher = new Fetcher({
      spec,
      digestKnown: isDecided(spec),
      urls: this.#mirrorTrust.urls,
      tuning,
      context: connections.context,
      retryBudget: this.#retryBudget,
      forcedCoding: this.#forcedCoding,
      kept: this.#kept,
      single: this.#single,
      plain: (spec.connections === 1 && this.#mirrorTrust.isOnlyServer(spec)) || this.#plain,
      versionSize: this.#versionSize,
      host: {
        open: (first) => this.#open(first),
        refresh: (status) => this.#requests.refresh(status),
        emit: this.#listener,
      },
    })
    this.#fetcher = fetcher
    const checkpoints = new Checkpoints({
      tuning,
      clock,
      fetcher,
      size: spec.size,
      pace: this.#share.pace,
      space: this.#space,
      part: () => this.#part,
      hash: () => this.#hash,
      emit: this.#listener,
      head: () => headCheck(this.#filename === null ? null : shownName(spec, this.#filename), spec),
    })
    if (this.#part !== null) this.#emit({ type: 'phase', phase: 'downloading' })
    try {
      return await fetcher.run()
    } finally {
      this.#fetcher = null
      this.#fetchedBytes += fetcher.fetchedBytes - connections.copiedBytes
      this.#mirrorTrust.note(fetcher.mirrors.contributors)
      this.#stated = this.#part?.identity.digests ?? fetcher.mirrors.digests ?? []
      await connections.close()
      await checkpoints.stop()
    }
  }

  /**
   * Handles the first acceptable response: chooses the name, locks the target, checks the free space, opens the
   * part.
   */
  async #open(first: FirstAnswer): Promise<PartFile | null> {
    if (this.#target === null) {
      const filename = await nameOfAnswer(first, this.#spec.url)
      await this.#requests.claim(filename)
      const done = await this.#prepare(filename)
      if (done !== null) return null
    }
    const target = this.#target
    if (target === null) throw new DownloadError('INTERNAL', 'There is no target to write to.')
    // Whether its bytes still belong to the file is decided by the answers to the requests for the missing ones.
    if (this.#kept !== null) return this.#kept.part
    const { total } = first.identity
    requireAllowedSize(this.#spec, total)
    await this.#space.secure(target.paths.directory, total)
    this.#throwIfStopped()
    const part = await PartFile.open({
      ...partInitOf(this.#spec, target.paths, first.identity, this.#lease),
      resume: null,
    })
    this.#use(part, total)
    const filename = shownName(this.#spec, this.#filename ?? '')
    this.#emit({ type: 'named', filename, path: target.paths.target })
    this.#emit({ type: 'phase', phase: 'downloading' })
    return part
  }

  #use(part: PartFile, total: number | null): void {
    this.#part = part
    const checks = checksOf(this.#spec, part.identity.digests)
    this.#hash = this.#shared.hashes.open(part.fd, total, null, algorithmsOf(checks))
  }

  // ---- verifying and publishing ----

  async #verifyAndPublish(): Promise<TransferResult> {
    const part = this.#part
    const target = this.#target
    const hash = this.#hash
    const filename = this.#filename
    if (part === null || target === null || hash === null || filename === null) {
      throw new DownloadError('INTERNAL', 'There is nothing to publish.')
    }
    this.#emit({ type: 'phase', phase: 'verifying' })
    const spec = this.#spec
    const size = part.identity.total ?? part.writtenBytes
    await this.#space.settle(size)
    let verified: Verified
    try {
      const { hashes } = this.#shared
      const init = { part, hash, hashes, size, expected: spec, stated: this.#stated }
      verified = await verify({ ...init, filename: shownName(spec, filename) })
    } catch (error) {
      this.#throwIfStopped()
      throw error
    }
    await hash.dispose()
    this.#hash = null
    this.#throwIfStopped()
    this.#publishing = true
    const { refusal, ...published } = await publish(part, target, { size, spec, verified })
    this.#part = null
    if (refusal !== null) this.#warn('The file is complete.', refusal)
    return { ...published, filename, fetchedBytes: this.#fetchedBytes }
  }

  #fromExisting(existing: ExistingVerdict & { kind: 'right' }): TransferResult {
    return resultOf(existing, this.#filename ?? '', this.#target?.paths.target ?? '')
  }

  async #finish(published: TransferResult): Promise<TransferResult> {
    this.#lease?.require()
    const result = await placeResult(this.#spec, withXetHash(this.#spec, published), (error) => {
      this.#warn('The file is complete.', error)
    })
    this.#emit({ type: 'named', filename: result.filename, path: result.path })
    await this.#close('done').catch((error: unknown) => {
      this.#warn('Closing the transfer failed:', error)
    })
    return result
  }

  // ---- failures ----

  async #startOverOrThrow(thrown: unknown): Promise<void> {
    this.#publishing = false
    this.#throwIfStopped()
    if (thrown === this.#share.pace?.error) throw thrown
    const mended = await mendPieces(thrown, this.#part, this.#spec, this.#restarts)
    if (mended !== null) {
      this.#log('warn', mended.message)
      this.#mirrorTrust.preferOthers()
      this.#retryBudget.forgetBytes()
      await this.#hash?.dispose()
      this.#kept = { part: mended.part, identity: mended.part.identity }
      this.#use(mended.part, mended.part.identity.total)
      return
    }
    if (isDownloadError(thrown) && this.#mirrorTrust.shouldRetry(thrown)) {
      this.#emit({ type: 'restarted', error: thrown.toJSON() })
      this.#versionSize = null
      await this.#drop()
      this.#retryBudget.forgetBytes()
      return
    }
    const again = StartOver.of(thrown)
    if (again === null) throw thrown
    const error = again.reason.toJSON()
    const { trigger } = again
    // The failure that made another range request necessary explains more than the missing ranges.
    const earlier = this.#retryBudget.lastError
    const verdict =
      trigger === 'ranges-lost' ? this.#retryBudget.failed(again.reason, this.#shared.clock.now()) : null
    if (verdict?.kind === 'give-up') throw earlier ?? again
    if (trigger !== 'ranges-lost' && !this.#restarts.allow(trigger)) throw again
    // Different versions may come from different nodes of the same server. A single stream can't mix them, and it
    // needs no ranges, which the server may support only for the beginning of a file.
    if (trigger === 'changed' || trigger === 'ranges-lost' || trigger === 'no-ranges') this.#single = true
    if (trigger === 'no-ranges') this.#plain = true
    this.#versionSize = again.isSameVersion ? (this.#part?.identity.total ?? this.#versionSize) : null
    this.#emit({ type: 'restarted', error })
    await this.#drop()
    if (verdict?.kind === 'wait') {
      const { attempt, delayMs } = verdict
      this.#emit({ type: 'retrying', attempt, delayMs, error })
      await this.#shared.clock.sleep(delayMs, this.#aborted.signal)
      return
    }
    this.#retryBudget.forgetBytes()
  }

  async #fail(thrown: unknown): Promise<TransferEvent> {
    const error = thrown instanceof StartOver ? thrown.reason : asDownloadError(thrown)
    // Without the bytes of somebody else, a file that has proved too large only fills the disk.
    const tooLarge = this.#kept === null && refuseSize(this.#part?.writtenBytes, this.#spec.bounds) !== null
    const useless = tooLarge || isWorthless(thrown, error)
    const drop = this.#stopMode === null ? useless : this.#stopMode === 'cancel'
    const isLost = this.#lease?.isHeld === false
    try {
      if (drop && !isLost && this.#part === null) await this.#target?.discardLeftover()
      await this.#close(isLost ? 'leave' : drop ? 'drop' : 'keep')
    } catch (closing) {
      this.#warn('Closing the transfer failed:', closing)
    }
    const lost = this.#lease?.error ?? null
    if (this.#stopMode !== null) return { type: 'stopped', mode: this.#stopMode }
    const whole = error === this.#share.pace?.error
    return { type: 'failed', error: (lost ?? error).toJSON(), ...(whole ? { whole } : {}) }
  }

  #warn(what: string, error: unknown): void {
    this.#log('warn', `${what} ${asDownloadError(error).message}`)
  }

  /** Discards the bytes on disk, to start over at byte 0. */
  async #drop(): Promise<void> {
    await this.#hash?.dispose()
    this.#hash = null
    const part = this.#part
    this.#part = null
    this.#kept = null
    this.#mirrorTrust.forget()
    await part?.discard()
  }

  /** @param how - `leave`: the files are another instance's now, and are only closed. */
  async #close(how: 'keep' | 'drop' | 'leave' | 'done'): Promise<void> {
    const part = this.#part
    try {
      await this.#hash?.dispose()
      this.#part = null
      if (how === 'drop') await part?.discard()
      else if (how === 'leave') await part?.close()
      else if (part !== null && part.writtenBytes === 0) await part.discard()
      else await part?.keep()
    } finally {
      await this.#target?.release({ empty: how !== 'done' })
      this.#target = null
    }
  }

  // ---- commands and events ----

  #leaseOf(term: LeaseTerm): Lease {
    const { clock } = this.#shared
    const confirm = () => this.#requests.confirmLease()
    const onLost = () => this.#halt(this.#lease?.error ?? stopped())
    return new Lease(term, { clock, confirm, onLost })
  }

  /** Changes the number of connections. */
  #widen(connections: number): void {
    this.#spec = { ...this.#spec, connections }
    if (this.#fetcher !== null && !this.#single) this.#fetcher.mirrors.widen(connections)
  }

  #stop(mode: StopMode): void {
    // While the file is being published it is too late to stop; the transfer will be reported as completed.
    if (this.#publishing) return
    this.#stopMode = strongerStop(this.#stopMode, mode)
    this.#halt(stopped())
  }

  #halt(error: DownloadError): void {
    this.#aborted.abort()
    this.#fetcher?.stop(error)
    if (this.#fetcher === null) void this.#hash?.dispose()
  }

  #throwIfStopped(): void {
    this.#lease?.require()
    if (this.#stopMode !== null && !this.#publishing) throw stopped()
  }

  #log(level: 'info' | 'warn', message: string): void {
    this.#emit({ type: 'log', level, message })
  }

  #emit(event: TransferEvent): void {
    this.#listener(event)
  }
}

function stopped(): DownloadError {
  return new DownloadError('CANCELED', 'The transfer was stopped.')
}
