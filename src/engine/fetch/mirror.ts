/** One of the addresses of a file, and what this download knows about it. */
import type { DownloadError } from '../../errors.js'
import type { HostSecrets } from '../../net/host-secrets.js'
import type { ResponseHead } from '../../net/exchange.js'
import { firstHop, type Hop } from '../../net/redirects.js'
import { type Identity, sizeOnly } from '../part/identity.js'
import type { PartFile } from '../part/part-file.js'
import type { StartOver } from '../part/start-over.js'
import { nameOfAddress } from '../protocol.js'
import { ChangeEvidence } from './change-evidence.js'
import { type MirrorHealth, unknownHealth } from './mirror-choice.js'
import { PoolSize } from './pool-size.js'
import { RequestForms } from './request-form.js'

/** What the mirrors of a file share. */
export interface MirrorSettings {
  connections: number
  plain: boolean
  renewable: boolean
  /** See {@link firstHop}. */
  secrets: HostSecrets | null
  /** It is the Xet store. */
  isXet: boolean
}

/** The store slows down clients with more connections, which are of little use for it. */
const maxXetConnections = 6

/** The parts of the Xet store are larger than the segments of other servers, by this factor. */
const xetSegmentFactor = 32

/** One of the addresses of a file. */
export class Mirror {
  /** Position in the list of addresses. */
  readonly index: number
  readonly url: string
  readonly address: Address
  readonly poolSize: PoolSize
  /**
   * Its version of the file, once a response has been accepted. Validators are only comparable within one address.
   */
  identity: Identity | null = null
  /** Its bytes may be combined with those on disk: they came from this address, or have been compared. */
  joined = false
  /** Whether the server supports range requests. */
  ranges = true
  /** The server does not always send its validator, so bytes must be compared. */
  compareBytes = false
  readonly evidence = new ChangeEvidence()
  readonly forms: RequestForms
  /** It is the Xet store of the hub, which the other addresses of the file know nothing of. */
  readonly isXet: boolean
  /** How many of the smallest segments of other servers its smallest segment has. */
  readonly segmentFactor: number
  /**
   * What refusals of further connections mean. `doubted`: the address may have expired, which the next request shows.
   * `limited`: requests were accepted afterwards, so the server only allows few connections.
   */
  access: 'open' | 'doubted' | 'limited' = 'open'
  health: MirrorHealth = unknownHealth
  /** Number of open connections. */
  live = 0
  /** How many requests in a row got no response in time; the next one is given more. */
  silences = 0
  /** Bytes received from it. */
  receivedBytes = 0
  /** Why the address is excluded; a {@link StartOver} if a download from byte 0 could still use it. */
  out: DownloadError | StartOver | null = null

  constructor(
    index: number,
    given: FreshAddress,
    { connections, plain, renewable, secrets, isXet }: MirrorSettings,
    ask: (status: number) => Promise<FreshAddress>,
  ) {
    this.index = index
    this.url = given.url
    this.address = new Address(given, ask, renewable, secrets)
    this.isXet = isXet
    this.segmentFactor = isXet ? xetSegmentFactor : 1
    this.poolSize = new PoolSize(this.#limited(connections))
    this.forms = new RequestForms(plain ? 'plain' : 'range')
  }

  /** Changes how many connections it may have. */
  widen(connections: number): void {
    this.poolSize.max = this.#limited(connections)
  }

  #limited(connections: number): number {
    return this.isXet ? Math.min(connections, maxXetConnections) : connections
  }

  /**
   * The version that its next response must match: its own, else any of the known size; null if none is known.
   *
   * @param size - the size of the version that an earlier fetch began, or null.
   */
  expected(part: PartFile | null, size: number | null): Identity | null {
    const total = part === null ? size : part.identity.total
    if (this.identity === null) return part === null && size === null ? null : sizeOnly({ total })
    const { etag, lastModified, lastModifiedStrong } = this.evidence.validatorChanged
      ? unvalidated
      : this.identity
    const { digests } = this.identity
    return { total: this.identity.total ?? total, etag, lastModified, lastModifiedStrong, digests }
  }

  /**
   * Notes what the first accepted response shows of the server.
   *
   * @param request - `plain`: without a range; `ranges`: the response was one; `single`: no other will be requested.
   * @returns whether the server did not refuse ranges for good, so that the download can be resumed.
   */
  noteFirst(
    { headers }: ResponseHead,
    { plain, ranges, single }: { plain: boolean; ranges: boolean; single: boolean },
  ): boolean {
    const { forms } = this
    const offered = /\bbytes\b/i.test(String(headers['accept-ranges'] ?? ''))
    // A server that has refused or ignored ranges may still claim to serve them.
    this.ranges = ranges || (plain && offered && !forms.refusesRanges && !single)
    const resumable = !(plain && forms.refusesRanges)
    forms.noteFirst()
    return resumable
  }

  /** The host, for log messages; the rest of the URL may contain secrets. */
  get name(): string {
    return nameOfAddress(this.url)
  }
}

const unvalidated = sizeOnly({ total: null })

// ---- Where a file is fetched from: the URL that the caller gave, and the URL that it redirects to.

/** A URL that is currently valid, with the headers to send. */
export interface FreshAddress {
  url: string
  headers: Record<string, string>
}

/** How often a new address may be requested in a row without receiving any bytes. */
const maxRefreshes = 2

/** Where requests for a file are sent. */
export class Address {
  readonly #ask: (status: number) => Promise<FreshAddress>
  readonly #secrets: HostSecrets | null
  #given: FreshAddress
  #redirected: Hop | null = null
  #refreshes = 0
  #refreshing = false
  /** The manager may know a fresher address than the given one, as long as that has not worked here. */
  #hasFresher: boolean
  /** Whether the given one may have expired without ever having worked. */
  #renewable: boolean

  /**
   * @param ask - requests a new address from the manager.
   * @param renewable - whether the manager may have another one than the given one.
   * @param secrets - see {@link firstHop}.
   */
  constructor(
    given: FreshAddress,
    ask: (status: number) => Promise<FreshAddress>,
    renewable = false,
    secrets: HostSecrets | null = null,
  ) {
    this.#given = given
    this.#secrets = secrets
    this.#ask = ask
    this.#hasFresher = renewable
    this.#renewable = renewable
  }

  /** Whether a new address has been requested and not received yet. */
  get refreshing(): boolean {
    return this.#refreshing
  }

  /** How often a new address has been requested since bytes were last received. */
  get refreshes(): number {
    return this.#refreshes
  }

  /** Where the next request is sent. */
  hop(): Hop {
    return this.#redirected ?? firstHop(new URL(this.#given.url), this.#given.headers, this.#secrets)
  }

  /** Sends further requests directly to the URL that an earlier one was redirected to. */
  useHop(hop: Hop): void {
    this.#redirected = hop
  }

  /** Notes that bytes were received, so the address works. */
  noteBytes(): void {
    this.#refreshes = 0
    this.#hasFresher = false
    this.#renewable = false
  }

  /**
   * Notes that a request has failed and is sent again later: follows the redirects again from the URL that the caller
   * gave, because the last target may no longer be valid, and takes a refusal for a sign that the address has expired.
   */
  noteDelay(): void {
    this.#redirected = null
    this.#renewable = this.#hasFresher
  }

  /**
   * Requests a new address after access was refused to one that had worked: signed URLs expire.
   *
   * @returns false if a new address has already been requested.
   * @throws DownloadError `error` itself, after two new addresses in a row that did not work.
   */
  async refresh(error: DownloadError): Promise<boolean> {
    this.#redirected = null
    if (this.#refreshing) return false
    this.#refreshes += 1
    if (this.#refreshes > maxRefreshes) throw error
    this.#given = await this.#askOnce(error.status ?? 0)
    return true
  }

  /** Whether a refusal of the first request may only mean that the token or the signature has expired meanwhile. */
  mayBeStale(status: number | undefined): boolean {
    return this.#renewable && !this.#refreshing && this.#refreshes === 0 && expiryStatuses.has(status ?? 0)
  }

  /**
   * Requests a fresher address than the given one, which has been refused without ever having worked. Done once, and once more
   * after each {@link noteDelay}.
   *
   * @returns false if there is none, so that the refusal counts.
   */
  async renew(status: number): Promise<boolean> {
    this.#renewable = false
    this.#redirected = null
    const before = this.#given
    this.#given = await this.#askOnce(status)
    return !isSameAddress(before, this.#given)
  }

  async #askOnce(status: number): Promise<FreshAddress> {
    this.#refreshing = true
    try {
      return await this.#ask(status)
    } finally {
      this.#refreshing = false
    }
  }
}

/** Statuses of servers when a token or a signed URL has expired; some stores answer 400. */
const expiryStatuses = new Set([400, 401, 402, 403, 404, 410])

function isSameAddress(a: FreshAddress, b: FreshAddress): boolean {
  const [names, others] = [Object.keys(a.headers), Object.keys(b.headers)]
  return (
    a.url === b.url &&
    names.length === others.length &&
    names.every((name) => a.headers[name] === b.headers[name])
  )
}
