/** Where the files of a ref are, for one run of its download. */
import type { Download } from '../download/download.js'
import { isDownloadError, toDownloadError } from '../errors.js'
import type { Resolver, ResolveRequest } from '../sources/resolver.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'

/** How long a fresh address is sought in the middle of a transfer; it waits for a minute. In milliseconds. */
const refreshMs = 45_000

/** Hears what goes on. */
export interface RefListener {
  onRetry: NonNullable<ResolveRequest['onRetry']>
  onLog: (message: string) => void
}

/** See the file's head. */
export class RefAddress {
  readonly #resolver: Resolver
  readonly #download: Pick<Download, 'record' | 'groupFiles'>
  readonly #listener: RefListener
  /** As they were told last, by their path there. */
  readonly #files = new Map<string, ResolvedFile>()
  #revision: string | undefined
  #asking: Promise<void> | null = null

  constructor(resolver: Resolver, download: Pick<Download, 'record' | 'groupFiles'>, listener: RefListener) {
    this.#resolver = resolver
    this.#download = download
    this.#listener = listener
  }

  /**
   * Finds out what the ref means. A group that has begun goes on with the revision that it began with, as long as the
   * source has it.
   *
   * @throws DownloadError what the source throws.
   */
  async resolve(signal: AbortSignal): Promise<Resolution> {
    const { groupFiles: group } = this.#download
    const pinned = group?.pinned === true ? (group.revision ?? undefined) : undefined
    let resolution: Resolution
    try {
      resolution = await this.#ask(pinned, signal)
    } catch (error) {
      if (pinned === undefined || !isDownloadError(error, 'NOT_FOUND')) throw error
      this.#listener.onLog('The source no longer has the revision that was begun with.')
      resolution = await this.#ask(undefined, signal)
    }
    for (const file of resolution.files) this.#files.set(file.filename, file)
    this.#revision = resolution.files[0]?.revision
    return resolution
  }

  /**
   * An address that works now, of the very file that is being fetched. When the source can't be asked, or has another
   * file by now, it is the address as it was: that is bound to its revision where there is one. Of many that ask at a
   * time, one asks the source.
   *
   * @param file - as it was told; nothing is asked when a newer answer is there.
   */
  async refresh(file: ResolvedFile, signal: AbortSignal): Promise<ResolvedFile> {
    const latest = () => this.#files.get(file.filename) ?? file
    if (latest() !== file) return latest()
    this.#asking ??= this.#askAgain(signal).finally(() => {
      this.#asking = null
    })
    await this.#asking
    return latest()
  }

  async #askAgain(signal: AbortSignal): Promise<void> {
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(refreshMs)])
      const { files } = await this.#ask(this.#revision, within)
      for (const file of files) {
        const last = this.#files.get(file.filename)
        if (last === undefined) continue
        if (isSame(file, last)) this.#files.set(file.filename, file)
        else if (sameOrigin(file, last)) this.#files.set(file.filename, { ...last, headers: file.headers })
      }
    } catch (error) {
      this.#listener.onLog(`Asking for a fresh address failed: ${toDownloadError(error).message}`)
    }
  }

  #ask(revision: string | undefined, signal: AbortSignal): Promise<Resolution> {
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
