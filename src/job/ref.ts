/** Resolves the addresses of a ref's files during one run of its download. */
import type { Download } from '../download/download.js'
import { DownloadError, isDownloadError, toDownloadError } from '../errors.js'
import type { Resolver, ResolveRequest } from '../sources/resolver.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'
import type { XetToken } from '../sources/xet.js'
import type { Clock } from '../util/clock.js'
import { XetTokens } from './xet-tokens.js'

/**
 * How long a request for a fresh address may take, in milliseconds, besides the waits that the source asks for. It is
 * less than what a transfer waits for it.
 */
const refreshMs = 45_000

/** A source that has just named the same addresses again is not asked another time for so long, in milliseconds. */
const unchangedMs = 10_000

/** Callbacks for retries and log messages. */
export interface RefListener {
  onRetry: NonNullable<ResolveRequest['onRetry']>
  onLog: (message: string) => void
}

/** Addresses of a ref's files during one run. */
export class RefAddress {
  readonly #resolver: Resolver
  readonly #download: Pick<Download, 'record' | 'groupFiles'>
  readonly #listener: RefListener
  /** Latest known version of each file, by its path in the source. */
  readonly #files = new Map<string, ResolvedFile>()
  #revision: string | undefined
  #refreshing: Promise<void> | null = null
  /** When the source last named the same addresses again. */
  #unchangedAt = -Infinity
  readonly #clock: Clock
  readonly #tokens: XetTokens

  constructor(
    resolver: Resolver,
    download: Pick<Download, 'record' | 'groupFiles'>,
    listener: RefListener,
    clock: Clock,
  ) {
    this.#resolver = resolver
    this.#download = download
    this.#listener = listener
    this.#clock = clock
    this.#tokens = new XetTokens(clock)
  }

  /**
   * Resolves the ref. A group that has begun continues with the revision that it began with, as long as the
   * source has it.
   *
   * @param brief - see {@link ResolveRequest.brief}.
   * @throws DownloadError the errors of the source.
   */
  async resolve(signal: AbortSignal, brief = false): Promise<Resolution> {
    const { groupFiles: group } = this.#download
    const pinned = group?.pinned === true ? (group.revision ?? undefined) : undefined
    let resolution: Resolution
    try {
      resolution = await this.#resolveRef(pinned, signal, { brief })
    } catch (error) {
      if (pinned === undefined || !isDownloadError(error, 'NOT_FOUND')) throw error
      this.#listener.onLog(
        'The source no longer has the revision that this download began with; its current revision is used.',
      )
      resolution = await this.#resolveRef(undefined, signal, { brief })
    }
    for (const file of resolution.files) this.#files.set(file.filename, file)
    this.#revision = resolution.files[0]?.revision
    return resolution
  }

  /** The latest known address of a file. */
  latest(file: ResolvedFile): ResolvedFile {
    return this.#files.get(file.filename) ?? file
  }

  /**
   * Returns an address that works now for a file whose address was refused. If the source can't be reached, or
   * has a different file by now, the previous address is returned; it is bound to its revision if the source
   * has revisions. Concurrent calls share one request to the source.
   *
   * @param file - the file as the transfer knows it; if a newer result exists, no request is made.
   */
  async refresh(file: ResolvedFile, signal: AbortSignal): Promise<ResolvedFile> {
    if (this.latest(file) !== file) return this.latest(file)
    if (this.#clock.now() - this.#unchangedAt < unchangedMs) return file
    this.#refreshing ??= this.#refreshFiles(signal).finally(() => {
      this.#refreshing = null
    })
    await this.#refreshing
    return this.latest(file)
  }

  /**
   * Returns a token for the Xet store that has a file.
   *
   * @param refused - the token that the store has refused; null if none was.
   * @throws DownloadError the errors of the source.
   */
  xetToken(file: ResolvedFile, refused: string | null, signal: AbortSignal): Promise<XetToken> {
    const latest = this.latest(file)
    const { xet } = latest
    if (xet === undefined) {
      const message = 'The source no longer says where its Xet store has the file.'
      return Promise.reject(new DownloadError('NOT_FOUND', message))
    }
    return this.#tokens.get(xet.tokenUrl, refused, async () => {
      const limit = new AbortController()
      const timer = this.#clock.timer(() => limit.abort(), refreshMs)
      const { remote } = this.#download.record
      const request = { remote, signal: AbortSignal.any([signal, limit.signal]), brief: true }
      try {
        return await this.#resolver.xetToken(latest, xet, request)
      } finally {
        timer.cancel()
      }
    })
  }

  async #refreshFiles(signal: AbortSignal): Promise<void> {
    const limit = new AbortController()
    const start = (ms: number) =>
      this.#clock.timer(() => {
        limit.abort()
      }, ms)
    let timer = start(refreshMs)
    try {
      const { files } = await this.#resolveRef(this.#revision, AbortSignal.any([signal, limit.signal]), {
        onWait: ({ retryAfterMs }, delayMs) => {
          if (retryAfterMs === undefined) return
          timer.cancel()
          timer = start(delayMs + refreshMs)
        },
      })
      let changed = false
      for (const file of files) {
        const last = this.#files.get(file.filename)
        if (last === undefined) continue
        const fresh = isSame(file, last)
          ? file
          : sameOrigin(file, last)
            ? { ...last, headers: file.headers }
            : last
        if (hasSameAddress(fresh, last)) continue
        this.#files.set(file.filename, fresh)
        changed = true
      }
      if (!changed) this.#unchangedAt = this.#clock.now()
    } catch (error) {
      this.#listener.onLog(`Requesting a fresh address failed: ${toDownloadError(error).message}`)
    } finally {
      timer.cancel()
    }
  }

  #resolveRef(
    revision: string | undefined,
    signal: AbortSignal,
    {
      brief = false,
      onWait,
    }: { brief?: boolean; onWait?: (error: DownloadError, delayMs: number) => void } = {},
  ): Promise<Resolution> {
    const { url, remote, include, exclude } = this.#download.record
    const onRetry: RefListener['onRetry'] = (error, attempt, delayMs) => {
      onWait?.(error, delayMs)
      this.#listener.onRetry(error, attempt, delayMs)
    }
    return this.#resolver.resolve(url, { remote, signal, onRetry, include, exclude, revision, brief })
  }
}

function isSame(a: ResolvedFile, b: ResolvedFile): boolean {
  return (
    a.urls[0] === b.urls[0] ||
    (a.sha256 !== undefined && a.sha256 === b.sha256) ||
    (a.revision !== undefined && a.revision === b.revision && a.filename === b.filename)
  )
}

/** Whether two results lead to the same requests. */
function hasSameAddress(a: ResolvedFile, b: ResolvedFile): boolean {
  const textOf = ({ urls, headers }: ResolvedFile) => JSON.stringify([urls, Object.entries(headers)])
  return textOf(a) === textOf(b)
}

function sameOrigin(a: ResolvedFile, b: ResolvedFile): boolean {
  return new URL(a.urls[0] ?? '').origin === new URL(b.urls[0] ?? '').origin
}
