/** One of the addresses of a file, with what is known of it in this download. */
import type { DownloadError } from '../errors.js'
import { Address, type FreshAddress } from './address.js'
import { unknownHealth, type MirrorHealth } from './mirrors.js'
import type { PartFile } from './part-file.js'
import { PoolSize } from './pool-size.js'
import { sizeOnly, type Identity } from './rules.js'
import type { StartOver } from './start-over.js'

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
  suspectTotal: number | null = null
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
