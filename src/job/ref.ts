/** Resolves the addresses of a ref's files during one run of its download. */
import type { Download } from '../download/download.js'
import { isDownloadError, toDownloadError } from '../errors.js'
import type { Resolver, ResolveRequest } from '../sources/resolver.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'

/**
 * Timeout in milliseconds for requesting a fresh address during a transfer, which waits for it for a minute.
 */
const refreshMs = 45_000

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

  constructor(resolver: Resolver, download: Pick<Download, 'record' | 'groupFiles'>, listener: RefListener) {
    this.#resolver = resolver
    this.#download = download
    this.#listener = listener
  }

  /**
   * Resolves the ref. A group that has begun continues with the revision that it began with, as long as the
   * source has it.
   *
   * @throws DownloadError the errors of the source.
   */
  async resolve(signal: AbortSignal): Promise<Resolution> {
    const { groupFiles: group } = this.#download
    const pinned = group?.pinned === true ? (group.revision ?? undefined) : undefined
    let resolution: Resolution
    try {
      resolution = await this.#resolveRef(pinned, signal)
    } catch (error) {
      if (pinned === undefined || !isDownloadError(error, 'NOT_FOUND')) throw error
      this.#listener.onLog(
        'The source no longer has the revision that this download began with; its current revision is used.',
      )
      resolution = await this.#resolveRef(undefined, signal)
    }
    for (const file of resolution.files) this.#files.set(file.filename, file)
    this.#revision = resolution.files[0]?.revision
    return resolution
  }

  /**
   * Returns an address that works now for the file that is being fetched. If the source can't be reached, or
   * has a different file by now, the previous address is returned; it is bound to its revision if the source
   * has revisions. Concurrent calls share one request to the source.
   *
   * @param file - the file as it was last resolved; if a newer result exists, no request is made.
   */
  async refresh(file: ResolvedFile, signal: AbortSignal): Promise<ResolvedFile> {
    const latest = () => this.#files.get(file.filename) ?? file
    if (latest() !== file) return latest()
    this.#refreshing ??= this.#refreshFiles(signal).finally(() => {
      this.#refreshing = null
    })
    await this.#refreshing
    return latest()
  }

  async #refreshFiles(signal: AbortSignal): Promise<void> {
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(refreshMs)])
      const { files } = await this.#resolveRef(this.#revision, within)
      for (const file of files) {
        const last = this.#files.get(file.filename)
        if (last === undefined) continue
        if (isSame(file, last)) this.#files.set(file.filename, file)
        else if (sameOrigin(file, last)) this.#files.set(file.filename, { ...last, headers: file.headers })
      }
    } catch (error) {
      this.#listener.onLog(`Requesting a fresh address failed: ${toDownloadError(error).message}`)
    }
  }

  #resolveRef(revision: string | undefined, signal: AbortSignal): Promise<Resolution> {
    const { url, remote, include, exclude } = this.#download.record
    const { onRetry } = this.#listener
    return this.#resolver.resolve(url, { remote, signal, onRetry, include, exclude, revision })
  }
}

function isSame(a: ResolvedFile, b: ResolvedFile): boolean {
  return (
    a.urls[0] === b.urls[0] ||
    (a.sha256 !== undefined && a.sha256 === b.sha256) ||
    (a.revision !== undefined && a.revision === b.revision && a.filename === b.filename)
  )
}

function sameOrigin(a: ResolvedFile, b: ResolvedFile): boolean {
  return new URL(a.urls[0] ?? '').origin === new URL(b.urls[0] ?? '').origin
}
