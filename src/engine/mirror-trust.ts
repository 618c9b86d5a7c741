/** Which addresses of one file are still trusted, when the bytes that came turn out to be wrong. */
import type { DownloadError, DownloadErrorCode } from '../errors.js'

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

/** See the file's head. Lives as long as the transfer; fetches come and go. */
export class MirrorTrust {
  #urls: readonly string[]
  /** One address at a time, so that it is clear whose the bytes are. */
  #oneAtATime = false
  #contributors = new Set<string>()
  #kept = false

  /** @param urls - at least one. */
  constructor(urls: readonly string[]) {
    this.#urls = urls
  }

  /** Where to fetch from next; at least one. */
  get urls(): readonly string[] {
    return this.#oneAtATime ? this.#urls.slice(0, 1) : this.#urls
  }

  /** Bytes of an earlier run are used; nobody knows whose they are. */
  noteKept(): void {
    this.#kept = true
  }

  /** Bytes came from these. */
  note(contributors: readonly string[]): void {
    for (const url of contributors) this.#contributors.add(url)
  }

  /** The bytes are gone. */
  forget(): void {
    this.#contributors.clear()
    this.#kept = false
  }

  /** A fetch failed; whether another one, from byte 0, makes sense because there are other addresses. */
  shouldRetry(error: DownloadError): boolean {
    if (this.#urls.length < 2) return false
    if (wrongBytes.has(error.code)) return this.#excludeSource()
    if (!this.#oneAtATime || !unusable.has(error.code)) return false
    this.#urls = this.#urls.slice(1)
    return true
  }

  /** Whoever brought all bytes is asked no more; when they came from several, the next try is with one at a time. */
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
