/** Decides which addresses of a file are still used after the received bytes turned out to be wrong. */
import type { DownloadError, DownloadErrorCode } from '../errors.js'
import type { TransferSpec } from './protocol.js'

/** Errors that mean that the bytes are wrong. */
const wrongBytes = new Set<DownloadErrorCode>(['CHECKSUM_MISMATCH', 'CONTENT_MISMATCH'])

/** Errors that mean that an address does not work. */
const unusable = new Set<DownloadErrorCode>([
  'NOT_FOUND',
  'ACCESS_DENIED',
  'HTTP_ERROR',
  'SSRF_BLOCKED',
  'REDIRECT_BLOCKED',
  'TOO_MANY_REDIRECTS',
  'CONNECT_FAILED',
  'NAME_RESOLUTION',
  'TLS_ERROR',
  'PROTOCOL_ERROR',
  'STALLED',
  'TRUNCATED',
])

/** Tracks which addresses of a file can be trusted, across all fetches of a transfer. */
export class MirrorTrust {
  #urls: readonly string[]
  /** Use one address at a time, so that it is known where the bytes come from. */
  #oneAtATime = false
  #contributors = new Set<string>()
  #kept = false

  /** @param urls - at least one. */
  constructor(urls: readonly string[]) {
    this.#urls = urls
  }

  /** Addresses to fetch from next; at least one. */
  get urls(): readonly string[] {
    return this.#oneAtATime ? this.#urls.slice(0, 1) : this.#urls
  }

  /** Whether there is no other address than that of the file, and the Xet store of its hub at most. */
  isOnlyServer({ url, xet }: Pick<TransferSpec, 'url' | 'xet'>): boolean {
    const { length } = this.urls
    return length === 1 || (length === 2 && this.urls.includes(url) && (xet ?? null) !== null)
  }

  /** Uses the addresses that no bytes came from first: some of those that came from the others were wrong. */
  preferOthers(): void {
    const isOther = (url: string) => !this.#contributors.has(url)
    this.#urls = [...this.#urls.filter(isOther), ...this.#urls.filter((url) => !isOther(url))]
  }

  /** Notes that bytes of an earlier run are used, so that their origin is unknown. */
  noteKept(): void {
    this.#kept = true
  }

  /** Notes the addresses that bytes came from. */
  note(contributors: readonly string[]): void {
    for (const url of contributors) this.#contributors.add(url)
  }

  /** Notes that the bytes have been discarded. */
  forget(): void {
    this.#contributors.clear()
    this.#kept = false
  }

  /**
   * Handles the error of a fetch, excluding an address if it is at fault.
   *
   * @returns whether to fetch again from byte 0 with the remaining addresses.
   */
  shouldRetry(error: DownloadError): boolean {
    if (this.#urls.length < 2) return false
    if (wrongBytes.has(error.code)) return this.#excludeSource()
    if (!this.#oneAtATime || !unusable.has(error.code)) return false
    this.#urls = this.#urls.slice(1)
    return true
  }

  /** Excludes the address that all bytes came from; if they came from several, uses one at a time from now on. */
  #excludeSource(): boolean {
    const [only] = this.#contributors
    if (this.#contributors.size === 1 && !this.#kept) {
      this.#urls = this.#urls.filter((url) => url !== only)
      return true
    }
    if (this.#oneAtATime || this.#contributors.size + Number(this.#kept) === 0) return false
    this.#oneAtATime = true
    return true
  }
}
