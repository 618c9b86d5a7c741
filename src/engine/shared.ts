/** Resources that transfers share: rate limits, connections, and the index of other programs' caches. */
import type { CacheIndex } from '../layouts/cache-index.js'
import type { KnownCaches } from '../layouts/known-caches.js'
import type { HostGates } from '../net/host-gate.js'
import type { HttpClient } from '../net/http.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Clock } from '../util/clock.js'
import type { FoundConnections } from './fetch/connection-ramp.js'
import type { TokenBucket } from './fetch/rate-limit.js'
import { Pace } from './fetch/remote-bounds.js'
import type { HashService } from './hash/hasher.js'
import type { BufferPool } from './part/batch-writer.js'
import type { TransferSpec } from './protocol.js'

/** Resources of one transfer, possibly shared with others, until it calls {@link leave}. */
export interface Share {
  /** Rate limit of the download that the transfer belongs to. */
  readonly bucket: TokenBucket
  /** Measures the speed of the download if it must not be too slow; otherwise null. */
  readonly pace: Pace | null
  /** Index of the caches. All transfers of a download must pass the same ones. */
  index(caches: KnownCaches): CacheIndex
  /** The HTTP client to fetch with; to be released with {@link close}. */
  open(): HttpClient
  /** Closes the HTTP client, unless other transfers use it. */
  close(): Promise<void>
  /** Releases everything after the transfer has ended. */
  leave(): Promise<void>
}

/** Settings of {@link Shares}. */
export interface SharesInit {
  /** HTTP client for URLs of trusted callers, shared by all of them. */
  http: HttpClient
  /** Creates an HTTP client for the download of an untrusted caller, which shares no connections with others. */
  makeRemoteHttp: (remote: NonNullable<TransferSpec['remote']>) => HttpClient
  /** Creates an index of the caches of other programs. */
  makeIndex: (caches: KnownCaches) => CacheIndex
  /** Creates a rate limit, in bytes per second; null for none. */
  makeBucket: (limit: number | null) => TokenBucket
}

/** What all transfers with the same share key use. */
interface Common {
  readonly bucket: TokenBucket
  readonly pace: Pace | null
  http: HttpClient | null
  index: CacheIndex | null
  members: number
}

/** Hands out shares to transfers. */
export class Shares {
  readonly #init: SharesInit
  readonly #common = new Map<string, Common>()

  constructor(init: SharesInit) {
    this.#init = init
  }

  /** Creates the share of a transfer. Transfers with the same `share` key share its resources. */
  enter({ share: key, remote, maxBytesPerSecond, bounds }: TransferSpec): Share {
    const { http, makeRemoteHttp, makeIndex, makeBucket } = this.#init
    const known = key === null ? undefined : this.#common.get(key)
    const least = bounds?.minBytesPerSecond ?? null
    const common = known ?? {
      bucket: makeBucket(maxBytesPerSecond),
      pace: least === null ? null : new Pace(least),
      http: null,
      index: null,
      members: 0,
    }
    common.members += 1
    if (key !== null) this.#common.set(key, common)
    const close = async () => {
      const { http: own } = common
      common.http = null
      await own?.close()
    }
    return {
      bucket: common.bucket,
      pace: common.pace,
      index: (caches) => (common.index ??= makeIndex(caches)),
      open: () => (remote === null ? http : (common.http ??= makeRemoteHttp(remote))),
      close: () => (key === null ? close() : Promise.resolve()),
      leave: async () => {
        common.members -= 1
        if (common.members > 0) return
        if (key !== null) this.#common.delete(key)
        await close()
      },
    }
  }
}

// ---- Resources of the engine.

/** What all transfers share. */
export interface TransferResources {
  tuning: TransferTuning
  clock: Clock
  /** Connections and rate limits of downloads. */
  shares: Shares
  hashes: HashService
  /** Creates an HTTP client without open connections, for a trusted caller (null) or a remote one. */
  makeHttp: (remote: TransferSpec['remote']) => HttpClient
  gates: HostGates
  /** How many connections servers are worth. */
  found: FoundConnections
  /** The pool of buffers for a transfer with the given number of connections. */
  batchesFor: (connections: number) => BufferPool
  /** Rate limit for all transfers together. */
  bucket: TokenBucket
}
