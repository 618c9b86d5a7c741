/** Which addresses of one file are still trusted, when the bytes that came turn out to be wrong. */
import type { DownloadError, DownloadErrorCode } from '../errors.js'

/** The bytes are wrong. */
const wrongBytes = new Set<DownloadErrorCode>(['CHECKSUM_MISMATCH', 'CONTENT_MISMATCH'])

/** An address does not work. */
const unusable = new Set<DownloadErrorCode>([
  ...(['NOT_FOUND', 'ACCESS_DENIED', 'HTTP_ERROR', 'SSRF_BLOCKED', 'REDIRECT_BLOCKED'] as const),
  ...(['TOO_MANY_REDIRECTS', 'CONNECT_FAILED', 'NAME_RESOLUTION', 'TLS_ERROR'] as const),
  ...(['PROTOCOL_ERROR', 'STALLED', 'TRUNCATED'] as const),
])

/** See the file's head. Lives as long as the transfer; fetches come and go. */
export class MirrorTrust {
  #urls: readonly string[]
  /** One address at a time, so that it is clear whose the bytes are. */
  #alone = false
  #contributors = new Set<string>()
  #kept = false

  /** @param urls - at least one. */
  constructor(urls: readonly string[]) {
    this.#urls = urls
  }

  /** Where to fetch from next; at least one. */
  get urls(): readonly string[] {
    return this.#alone ? this.#urls.slice(0, 1) : this.#urls
  }

  /** Bytes of an earlier run are used; nobody knows whose they are. */
  keeps(): void {
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
  hasAnother(error: DownloadError): boolean {
    if (this.#urls.length < 2) return false
    if (wrongBytes.has(error.code)) return this.#blame()
    if (!this.#alone || !unusable.has(error.code)) return false
    this.#urls = this.#urls.slice(1)
    return true
  }

  /** Whoever brought all bytes is asked no more; when they came from several, the next try is with one at a time. */
  #blame(): boolean {
    const [only] = this.#contributors
    if (this.#contributors.size === 1 && !this.#kept) {
      this.#urls = this.#urls.filter((url) => url !== only)
      return true
    }
    if (this.#alone || this.#contributors.size + Number(this.#kept) === 0) return false
    this.#alone = true
    return true
  }
}
