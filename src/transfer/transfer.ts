/** Conducts one file: target, kept bytes, fetching, checking, publishing; and starting over where that helps. */
import { deserializeError, DownloadError, isDownloadError, toDownloadError } from '../errors.js'
import { checkHead, formatOf, looksLikeHtml } from '../files/formats.js'
import { chooseFilename } from '../files/names.js'
import { ensureSpace } from '../files/space.js'
import type { ConnectionContext } from './connection.js'
import { Fetcher, StartOver } from './fetcher.js'
import type { FileHash, HashService } from './hasher.js'
import type { HostGate } from './host-gate.js'
import { PartFile, type Leftover } from './part-file.js'
import { Patience } from './patience.js'
import type {
  StopMode,
  TransferCommand,
  TransferEvent,
  TransferResult,
  TransferSpec,
  TransferTuning,
} from './protocol.js'
import type { TokenBucket } from './rate.js'
import { compareIdentity, type Identity, type ResponseHead } from './rules.js'
import { checkExisting, checkFormat, stampOf, Target, wasPublished, type ExistingVerdict } from './target.js'
import { Upkeep } from './upkeep.js'

/** What all transfers share. */
export interface TransferResources {
  tuning: TransferTuning
  http: ConnectionContext['http']
  hashes: HashService
  gate: HostGate
  /** The limit over all transfers. */
  bucket: TokenBucket
  /** A bucket for one transfer. */
  makeBucket: (limit: number | null) => TokenBucket
}

/** How often a transfer begins again at byte 0, by cause. */
const maxStarts = { changed: 1, 'part-lost': 2, checksum: 1 } as const
const replyTimeoutMs = 60_000

type Reply = Extract<TransferCommand, { requestId: number }>

/** Failures after which the bytes on disk are worth nothing. */
const worthless = new Set(['CHECKSUM_MISMATCH', 'CONTENT_MISMATCH'])

/** One transfer. {@link run} it once. */
export class Transfer {
  readonly #spec: TransferSpec
  readonly #shared: TransferResources
  readonly #listener: (event: TransferEvent) => void
  readonly #bucket: TokenBucket
  readonly #patience: Patience
  readonly #aborted = new AbortController()
  readonly #starts = { changed: 0, 'part-lost': 0, checksum: 0 }
  #stopMode: StopMode | null = null
  #publishing = false
  #single = false
  #target: Target | null = null
  #filename: string | null
  #kept: { part: PartFile; identity: Identity } | null = null
  #part: PartFile | null = null
  #hash: FileHash | null = null
  #fetcher: Fetcher | null = null
  #existing: (ExistingVerdict & { kind: 'right' }) | null = null
  #fetchedBytes = 0
  #nextRequest = 1
  readonly #requests = new Map<number, (reply: Reply) => void>()

  constructor(spec: TransferSpec, shared: TransferResources, listener: (event: TransferEvent) => void) {
    this.#spec = spec
    this.#shared = shared
    this.#listener = listener
    this.#filename = spec.filename
    this.#bucket = shared.makeBucket(spec.maxBytesPerSecond)
    this.#patience = new Patience(shared.tuning, performance.now())
  }

  /** Takes a command. */
  send(command: TransferCommand): void {
    if (command.type === 'limit') this.#bucket.limit = command.maxBytesPerSecond
    else if (command.type === 'stop') this.#stop(command.mode)
    else this.#requests.get(command.requestId)?.(command)
  }

  /** Runs to the end; never rejects. */
  async run(): Promise<void> {
    let last: TransferEvent
    try {
      const result = await this.#transfer()
      last = { type: 'completed', result }
    } catch (thrown) {
      last = await this.#fail(thrown)
    }
    this.#listener(last)
  }

  // ---- the way to a file ----

  async #transfer(): Promise<TransferResult> {
    await Promise.resolve()
    this.#emit({ type: 'phase', phase: 'resolving' })
    if (this.#filename !== null) {
      const done = await this.#prepare(this.#filename)
      if (done !== null) return await this.#finish(done)
    }
    for (;;) {
      this.#check()
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

  /** Takes the target and looks at what lies there; answers a result when nothing is left to do. */
  async #prepare(filename: string): Promise<TransferResult | null> {
    const spec = this.#spec
    const target = await Target.take(spec.directory, filename)
    this.#target = target
    this.#filename = filename
    const leftover = await target.leftover(spec)
    const published = wasPublished(target, leftover)
    if (published !== null && (spec.sha256 === null || spec.sha256 === published.sha256)) {
      await target.discardLeftover()
      const { size, sha256 } = published
      return this.#fromExisting({
        kind: 'right',
        size,
        sha256,
        verified: spec.sha256 !== null,
        stamp: published,
      })
    }
    const existing = await checkExisting(target, spec, this.#shared.hashes, this.#aborted.signal)
    if (existing.kind === 'right') {
      if (leftover.found) await target.discardLeftover()
      this.#existing = existing
      return this.#fromExisting(existing)
    }
    await this.#takeUp(target, leftover)
    return null
  }

  /** Opens the kept part when there is a usable one. */
  async #takeUp(target: Target, { resume, found }: Leftover): Promise<void> {
    const { url, sha256, size } = this.#spec
    const wrongSize = size !== null && resume !== null && (resume.identity.total ?? size) !== size
    if (resume === null || wrongSize) {
      if (found) this.#log('warn', 'The bytes left by an earlier run cannot be used; starting over.')
      return
    }
    const part = await PartFile.open({ paths: target.paths, url, sha256, identity: resume.identity, resume })
    this.#kept = { part, identity: resume.identity }
    this.#use(part, resume.identity.total)
    await this.#requireSpace(part, resume.identity.total)
    this.#log('info', `Going on with ${part.writtenBytes} bytes of an earlier run.`)
  }

  async #fetch(): Promise<'complete' | 'nothing'> {
    const { tuning, http, gate, bucket } = this.#shared
    const spec = this.#spec
    const batchBytes = Math.min(1 << 20, Math.max(1 << 18, Math.floor((8 << 20) / spec.connections)))
    const fetcher = new Fetcher({
      spec,
      tuning,
      context: { http, tuning, buckets: [bucket, this.#bucket], proxy: spec.proxy, batchBytes, now },
      gate,
      patience: this.#patience,
      kept: this.#kept,
      single: this.#single,
      host: {
        open: (first) => this.#open(first),
        refresh: (status) => this.#refresh(status),
        emit: (event) => {
          this.#emit(event)
        },
      },
    })
    this.#fetcher = fetcher
    const upkeep = new Upkeep({
      tuning,
      fetcher,
      part: () => this.#part,
      hash: () => this.#hash,
      emit: (event) => {
        this.#emit(event)
      },
      head: (bytes, total) => this.#wrongHead(bytes, total),
    })
    if (this.#part !== null) this.#emit({ type: 'phase', phase: 'downloading' })
    try {
      return await fetcher.run()
    } finally {
      this.#fetcher = null
      this.#fetchedBytes += fetcher.fetchedBytes
      await upkeep.stop()
    }
  }

  /** The first acceptable answer: name, target, room, part. */
  async #open(first: { identity: Identity; head: ResponseHead; url: URL }): Promise<PartFile | null> {
    if (this.#target === null) {
      const disposition = first.head.headers['content-disposition']
      const contentDisposition = typeof disposition === 'string' ? disposition : null
      const filename = chooseFilename({ contentDisposition, finalUrl: first.url })
      await this.#claim(filename)
      const done = await this.#prepare(filename)
      if (done !== null) return null
    }
    const target = this.#target
    if (target === null) throw new DownloadError('INTERNAL', 'There is no target to write to.')
    const kept = this.#kept
    if (kept !== null) {
      const digestKnown = this.#spec.sha256 !== null
      if (compareIdentity(kept.identity, first.identity, digestKnown) !== 'changed') return kept.part
      this.#log('info', 'The file changed on the server since the last run; starting over.')
      await this.#drop()
    }
    const { url, sha256 } = this.#spec
    const { total } = first.identity
    if (total !== null) await ensureSpace(target.paths.directory, total, 0)
    this.#check()
    const part = await PartFile.open({
      paths: target.paths,
      url,
      sha256,
      identity: first.identity,
      resume: null,
    })
    this.#use(part, total)
    this.#emit({ type: 'named', filename: this.#filename ?? '', path: target.paths.target })
    this.#emit({ type: 'phase', phase: 'downloading' })
    return part
  }

  async #requireSpace(part: PartFile, total: number | null): Promise<void> {
    if (total !== null) await ensureSpace(part.paths.directory, total, await part.allocatedBytes())
  }

  #use(part: PartFile, total: number | null): void {
    this.#part = part
    this.#hash = this.#shared.hashes.open(part.fd, total)
  }

  // ---- the end of a file ----

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
    if (spec.size !== null && size !== spec.size) {
      throw new DownloadError(
        'CONTENT_MISMATCH',
        `The file has ${size} bytes, but ${spec.size} are expected.`,
      )
    }
    if (!(await part.isIntact())) throw partLost()
    hash.advance(size)
    const sha256 = await this.#digest(hash, size)
    const head = await part.read(0, Math.min(size, 512))
    if (spec.sha256 !== null && sha256 !== spec.sha256) {
      if (looksLikeHtml(head))
        throw new DownloadError('CONTENT_MISMATCH', 'The server sent a web page, not the file.')
      throw new DownloadError(
        'CHECKSUM_MISMATCH',
        `The SHA-256 is ${sha256}, but ${spec.sha256} is expected.`,
      )
    }
    const wrong = await checkFormat(filename, size, (position, length) => part.read(position, length))
    if (wrong !== null) throw new DownloadError('CONTENT_MISMATCH', wrong)
    await hash.dispose()
    this.#hash = null
    this.#check()
    this.#publishing = true
    const { existing } = target
    const mode = existing === null ? 0o666 & ~process.umask() : existing.mode & 0o777
    const stat = await part.publish({ size, sha256, mode, replaces: existing !== null })
    this.#part = null
    return {
      path: target.paths.target,
      filename,
      size,
      sha256,
      verified: spec.sha256 !== null,
      existed: false,
      fetchedBytes: this.#fetchedBytes,
      stamp: stampOf({ size, ...stat }, sha256),
    }
  }

  async #digest(hash: FileHash, size: number): Promise<string> {
    try {
      return await hash.digest(size)
    } catch (error) {
      this.#check()
      // A file that is shorter than what was written was cut by somebody else.
      if (isDownloadError(error, 'DISK_IO') && this.#part !== null && !(await this.#part.isIntact()))
        throw partLost()
      throw error
    }
  }

  #fromExisting(existing: ExistingVerdict & { kind: 'right' }): TransferResult {
    const { size, sha256, verified, stamp } = existing
    const path = this.#target?.paths.target ?? ''
    return {
      path,
      filename: this.#filename ?? '',
      size,
      sha256,
      verified,
      stamp,
      existed: true,
      fetchedBytes: 0,
    }
  }

  async #finish(result: TransferResult): Promise<TransferResult> {
    this.#emit({ type: 'named', filename: result.filename, path: result.path })
    await this.#close('keep')
    return result
  }

  // ---- trouble ----

  async #startOverOrThrow(thrown: unknown): Promise<void> {
    this.#check()
    const error = thrown instanceof StartOver ? thrown.reason : toDownloadError(thrown)
    const cause =
      thrown instanceof StartOver
        ? thrown.cause_
        : error.code === 'CHECKSUM_MISMATCH'
          ? ('checksum' as const)
          : null
    if (cause === null) throw error
    if (cause === 'ranges-lost') {
      const verdict = this.#patience.failed(error, now())
      if (verdict.kind === 'give-up') throw error
      this.#emit({ type: 'restarted', error: error.toJSON() })
      await this.#drop()
      this.#emit({
        type: 'retrying',
        attempt: verdict.attempt,
        delayMs: verdict.delayMs,
        error: error.toJSON(),
      })
      await this.#sleep(verdict.delayMs)
      return
    }
    this.#starts[cause] += 1
    if (this.#starts[cause] > maxStarts[cause]) throw thrown instanceof StartOver ? thrown : error
    // A second version may come from another node of the same server: one stream then can't mix the two.
    if (cause === 'changed') this.#single = true
    this.#patience.forgetBytes()
    this.#emit({ type: 'restarted', error: error.toJSON() })
    await this.#drop()
  }

  async #fail(thrown: unknown): Promise<TransferEvent> {
    const error = thrown instanceof StartOver ? thrown.reason : toDownloadError(thrown)
    const changed = thrown instanceof StartOver && thrown.cause_ === 'changed' && !thrown.keep
    const drop = this.#stopMode === null ? changed || worthless.has(error.code) : this.#stopMode === 'cancel'
    try {
      if (drop && this.#part === null) await this.#target?.discardLeftover()
      await this.#close(drop ? 'drop' : 'keep')
    } catch (closing) {
      this.#log('warn', `Closing the transfer failed: ${toDownloadError(closing).message}`)
    }
    if (this.#stopMode !== null) return { type: 'stopped', mode: this.#stopMode }
    return { type: 'failed', error: error.toJSON() }
  }

  /** Throws away what is on disk, to begin at byte 0. */
  async #drop(): Promise<void> {
    await this.#hash?.dispose()
    this.#hash = null
    const part = this.#part
    this.#part = null
    this.#kept = null
    await part?.discard()
  }

  async #close(how: 'keep' | 'drop'): Promise<void> {
    const part = this.#part
    try {
      await this.#hash?.dispose()
      this.#part = null
      if (how === 'drop') await part?.discard()
      else if (part !== null && part.writtenBytes === 0) await part.discard()
      else await part?.keep()
    } finally {
      await this.#target?.release({ empty: true })
      this.#target = null
    }
  }

  // ---- small things ----

  #stop(mode: StopMode): void {
    // Past this point the file is as good as there; the answer will be that it is completed.
    if (this.#publishing) return
    if (this.#stopMode !== 'cancel') this.#stopMode = mode
    this.#aborted.abort()
    this.#fetcher?.stop(stopped())
    if (this.#fetcher === null) void this.#hash?.dispose()
  }

  #check(): void {
    if (this.#stopMode !== null && !this.#publishing) throw stopped()
  }

  async #refresh(status: number): Promise<{ url: string; headers: Record<string, string> }> {
    const reply = await this.#ask((requestId) => ({ type: 'refresh', requestId, status }))
    if (reply.type !== 'refreshed')
      throw new DownloadError('INTERNAL', 'The answer does not fit the question.')
    return reply
  }

  async #claim(filename: string): Promise<void> {
    const reply = await this.#ask((requestId) => ({ type: 'claim', requestId, filename }))
    if (reply.type === 'claimed' && reply.error !== null) throw deserializeError(reply.error)
  }

  /** Asks the manager and waits for its answer. */
  #ask(question: (requestId: number) => TransferEvent): Promise<Reply> {
    const requestId = this.#nextRequest++
    return new Promise((resolve, reject) => {
      const { signal } = this.#aborted
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        this.#requests.delete(requestId)
      }
      const onAbort = () => {
        end()
        reject(stopped())
      }
      const timer = setTimeout(() => {
        end()
        reject(new DownloadError('INTERNAL', 'The manager did not answer in time.', { retryable: true }))
      }, replyTimeoutMs)
      signal.addEventListener('abort', onAbort)
      this.#requests.set(requestId, (reply) => {
        end()
        resolve(reply)
      })
      this.#emit(question(requestId))
    })
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#aborted.signal.addEventListener('abort', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** What is wrong with the first bytes, by the name's promise; null when nothing is. */
  #wrongHead(bytes: Uint8Array, total: number | null): DownloadError | null {
    if (this.#filename === null || formatOf(this.#filename) === null) return null
    const wrong = checkHead(this.#filename, bytes, total)
    return wrong === null ? null : new DownloadError('CONTENT_MISMATCH', wrong)
  }

  #log(level: 'info' | 'warn', message: string): void {
    this.#emit({ type: 'log', level, message })
  }

  #emit(event: TransferEvent): void {
    this.#listener(event)
  }
}

function now(): number {
  return performance.now()
}

function stopped(): DownloadError {
  return new DownloadError('CANCELED', 'The transfer was stopped.')
}

function partLost(): StartOver {
  const message = 'The part file was changed or deleted by somebody else.'
  return new StartOver(new DownloadError('DISK_IO', message, { retryable: true }), 'part-lost')
}
