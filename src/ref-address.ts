/** Where the file of a ref is, for one run of its download. */
import { DownloadError, toDownloadError } from './errors.js'
import { checkFilename } from './files/names.js'
import type { ResolveRequest, Resolver } from './sources/resolver.js'
import type { ResolvedFile } from './sources/source.js'
import type { DownloadRecord } from './store/store.js'
import type { TransferSpec } from './transfer/protocol.js'

/** How long a fresh address is sought in the middle of a transfer; it waits for a minute. In milliseconds. */
const refreshMs = 45_000

/** What a source adds to a {@link TransferSpec}. */
export type Destination = Pick<TransferSpec, 'url' | 'headers' | 'sha256' | 'size'> & {
  /** What the file is called there, as one safe path segment. */
  filename: string
}

/** Hears what goes on. */
export interface RefListener {
  onRetry: NonNullable<ResolveRequest['onRetry']>
  onLog: (message: string) => void
}

/** See the file's head. */
export class RefAddress {
  readonly #resolver: Resolver
  readonly #record: () => Readonly<DownloadRecord>
  readonly #listener: RefListener
  #current: ResolvedFile | null = null

  constructor(resolver: Resolver, record: () => Readonly<DownloadRecord>, listener: RefListener) {
    this.#resolver = resolver
    this.#record = record
    this.#listener = listener
  }

  /**
   * Finds out where the file is, and what it must be.
   *
   * @throws DownloadError what the source throws; `INVALID_OPTIONS` for several files; `CHECKSUM_MISMATCH` or
   * `CONTENT_MISMATCH` when the source has another file than the caller expects; `UNSAFE_FILENAME`.
   */
  async resolve(signal: AbortSignal): Promise<Destination> {
    const file = await this.#ask(signal)
    const record = this.#record()
    if (record.sha256 !== null && file.sha256 !== undefined && record.sha256 !== file.sha256) {
      throw new DownloadError(
        'CHECKSUM_MISMATCH',
        `The source has a file with the SHA-256 ${file.sha256}, but ${record.sha256} is expected.`,
      )
    }
    if (record.size !== null && file.size !== undefined && record.size !== file.size) {
      throw new DownloadError(
        'CONTENT_MISMATCH',
        `The source has a file of ${file.size} bytes, but ${record.size} are expected.`,
      )
    }
    this.#current = file
    return {
      ...addressOf(file, record.headers),
      sha256: record.sha256 ?? file.sha256 ?? null,
      size: record.size ?? file.size ?? null,
      filename: checkFilename(file.filename.slice(file.filename.lastIndexOf('/') + 1)),
    }
  }

  /**
   * An address that works now, of the very file that is being fetched. When the source can't be asked, or has another
   * file by now, it is the address as it was: that is bound to its revision where there is one.
   */
  async refresh(signal: AbortSignal): Promise<{ url: string; headers: Record<string, string> }> {
    const last = this.#current
    try {
      const file = await this.#ask(AbortSignal.any([signal, AbortSignal.timeout(refreshMs)]))
      if (last === null || isSame(file, last)) this.#current = file
      else if (sameOrigin(file, last)) this.#current = { ...last, headers: file.headers }
    } catch (error) {
      this.#listener.onLog(`Asking for a fresh address failed: ${toDownloadError(error).message}`)
    }
    const { url, headers } = this.#record()
    return this.#current === null ? { url, headers } : addressOf(this.#current, headers)
  }

  async #ask(signal: AbortSignal): Promise<ResolvedFile> {
    const { url, remote } = this.#record()
    const files = await this.#resolver.resolve(url, { remote, signal, onRetry: this.#listener.onRetry })
    const [file] = files
    if (file === undefined || files.length > 1) {
      const message = `names ${files.length} files; groups are not supported yet; name one file`
      throw new DownloadError(
        'INVALID_OPTIONS',
        `The ref ${message}, such as ${file?.filename ?? 'a path'}.`,
        {
          issues: [{ path: 'url', message }],
        },
      )
    }
    return file
  }
}

function isSame(a: ResolvedFile, b: ResolvedFile): boolean {
  return a.urls[0] === b.urls[0] || (a.sha256 !== undefined && a.sha256 === b.sha256)
}

function sameOrigin(a: ResolvedFile, b: ResolvedFile): boolean {
  return new URL(a.urls[0] ?? '').origin === new URL(b.urls[0] ?? '').origin
}

/** The caller's headers outrank the source's, whatever their case. */
function addressOf(
  file: ResolvedFile,
  given: Readonly<Record<string, string>>,
): { url: string; headers: Record<string, string> } {
  const taken = new Set(Object.keys(given).map((name) => name.toLowerCase()))
  const own = Object.entries(file.headers).filter(([name]) => !taken.has(name.toLowerCase()))
  return { url: file.urls[0] ?? '', headers: { ...Object.fromEntries(own), ...given } }
}
