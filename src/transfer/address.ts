/** Where a file is fetched from: the address that the caller gave, and where its redirects led. */
import type { DownloadError } from '../errors.js'
import { firstHop, type Hop } from './redirects.js'

/** An address that works now, with its headers. */
export interface FreshAddress {
  url: string
  headers: Record<string, string>
}

/** How often an address may be asked for anew without any byte in between. */
const maxRefreshes = 2

/** See the file's head. */
export class Address {
  readonly #ask: (status: number) => Promise<FreshAddress>
  #given: FreshAddress
  #settled: Hop | null = null
  #refreshes = 0
  #refreshing = false

  /** @param ask - asks the manager for a fresh address. */
  constructor(given: FreshAddress, ask: (status: number) => Promise<FreshAddress>) {
    this.#given = given
    this.#ask = ask
  }

  /** Whether a fresh address is being waited for. */
  get refreshing(): boolean {
    return this.#refreshing
  }

  /** Where the next request goes. */
  hop(): Hop {
    return this.#settled ?? firstHop(new URL(this.#given.url), this.#given.headers)
  }

  /** Further requests go straight to where the redirects of one led. */
  settle(hop: Hop): void {
    this.#settled = hop
  }

  /** Bytes came: it works. */
  works(): void {
    this.#refreshes = 0
  }

  /** It may have gone stale: begin again at the address that the caller gave. */
  unsettle(): void {
    this.#settled = null
  }

  /**
   * Access was refused to what had worked: signed addresses expire. Asks for a fresh one.
   *
   * @returns whether to go on; false when that is under way already.
   * @throws DownloadError the error given, when that has been tried in vain.
   */
  async refresh(error: DownloadError): Promise<boolean> {
    this.#settled = null
    if (this.#refreshing) return false
    this.#refreshes += 1
    if (this.#refreshes > maxRefreshes) throw error
    this.#refreshing = true
    try {
      this.#given = await this.#ask(error.status ?? 0)
      return true
    } finally {
      this.#refreshing = false
    }
  }
}
