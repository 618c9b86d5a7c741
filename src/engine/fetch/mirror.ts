/** One of the addresses of a file, with what is known of it in this download. */
import type { DownloadError } from '../../errors.js'
import { firstHop, type Hop } from '../../net/redirects.js'
import { type Identity, sizeOnly } from '../part/identity.js'
import type { PartFile } from '../part/part-file.js'
import type { StartOver } from '../part/start-over.js'
import { type MirrorHealth, unknownHealth } from './mirror-choice.js'
import { PoolSize } from './pool-size.js'

/** See the file's head. */
export class Mirror {
  /** Place in the list. */
  readonly index: number
  readonly url: string
  readonly address: Address
  readonly poolSize: PoolSize
  /** Its version of the file, once an answer was accepted. Validators mean nothing at another address. */
  identity: Identity | null = null
  /** Its bytes may be put beside those that are there: they are its own, or were compared. */
  joined = false
  /** Whether it serves ranges. */
  ranges = true
  /** It doesn't send its validator each time, so that bytes are compared. */
  compareBytes = false
  /** A total that one of its answers stated and that isn't the known one. */
  unconfirmedTotal: number | null = null
  health: MirrorHealth = unknownHealth
  /** Its connections. */
  live = 0
  /** Bytes that it brought. */
  receivedBytes = 0
  /** Why it is asked no more; a {@link StartOver} when it would do for a download that begins at byte 0. */
  out: DownloadError | StartOver | null = null

  constructor(
    index: number,
    given: FreshAddress,
    connections: number,
    ask: (status: number) => Promise<FreshAddress>,
  ) {
    this.index = index
    this.url = given.url
    this.address = new Address(given, ask)
    this.poolSize = new PoolSize(connections)
  }

  /** The version that its next answer must be of: its own, else one of the known size; null while nothing is known. */
  expected(part: PartFile | null): Identity | null {
    const total = part?.identity.total ?? null
    if (this.identity === null) return part === null ? null : sizeOnly({ total })
    return { ...this.identity, total: this.identity.total ?? total }
  }

  /** For logs: the host alone. */
  get name(): string {
    return new URL(this.url).host
  }
}

// ---- Where a file is fetched from: the address that the caller gave, and where its redirects led.

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
  #redirected: Hop | null = null
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
    return this.#redirected ?? firstHop(new URL(this.#given.url), this.#given.headers)
  }

  /** Further requests go straight to where the redirects of one led. */
  useHop(hop: Hop): void {
    this.#redirected = hop
  }

  /** Bytes came: it works. */
  noteBytes(): void {
    this.#refreshes = 0
  }

  /** It may have gone stale: begin again at the address that the caller gave. */
  resetHop(): void {
    this.#redirected = null
  }

  /**
   * Access was refused to what had worked: signed addresses expire. Asks for a fresh one.
   *
   * @returns whether to go on; false when that is under way already.
   * @throws DownloadError the error given, when that has been tried in vain.
   */
  async refresh(error: DownloadError): Promise<boolean> {
    this.#redirected = null
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
