/** What transfers have in common: a limit, the connections of an untrusted caller, what lies in other programs' caches. */
import { CacheIndex } from '../layouts/cache-index.js'
import type { KnownCaches } from '../layouts/known-caches.js'
import type { HttpClient } from '../net/http.js'
import type { TransferTuning } from '../net/tuning.js'
import type { TokenBucket } from './fetch/rate-limit.js'
import type { HostGate } from './fetch/retry-budget.js'
import type { HashService } from './hash/hasher.js'
import type { BufferPool } from './part/batch-writer.js'
import type { TransferSpec } from './protocol.js'

/** What one transfer may use, alone or with others, until it has {@link leave | left}. */
export interface Share {
  /** The limit of the download that the transfer is of. */
  readonly bucket: TokenBucket
  /** What lies in the caches; all transfers of a download are told of the same ones. */
  index(caches: KnownCaches): CacheIndex
  /** Connections to fetch with; to be given back with {@link close}. */
  open(): HttpClient
  /** Closes what serves nobody else. */
  close(): Promise<void>
  /** The transfer has ended. */
  leave(): Promise<void>
}

/** How {@link Shares} come to what they hand out. */
export interface SharesInit {
  /** For URLs of trusted callers, and open to all of them. */
  http: HttpClient
  /** A client for an untrusted caller's download: its connections serve nobody else, nor others' it. */
  makeRemoteHttp: (remote: NonNullable<TransferSpec['remote']>) => HttpClient
  makeBucket: (limit: number | null) => TokenBucket
}

interface Common {
  readonly bucket: TokenBucket
  http: HttpClient | null
  index: CacheIndex | null
  members: number
}

/** See the file's head. */
export class Shares {
  readonly #init: SharesInit
  readonly #common = new Map<string, Common>()

  constructor(init: SharesInit) {
    this.#init = init
  }

  /** A share for a transfer: with all that name the same one, or its own. */
  enter({ share: key, remote, maxBytesPerSecond }: TransferSpec): Share {
    const { http, makeRemoteHttp, makeBucket } = this.#init
    const known = key === null ? undefined : this.#common.get(key)
    const common = known ?? { bucket: makeBucket(maxBytesPerSecond), http: null, index: null, members: 0 }
    common.members += 1
    if (key !== null) this.#common.set(key, common)
    const close = async () => {
      const { http: own } = common
      common.http = null
      await own?.close()
    }
    return {
      bucket: common.bucket,
      index: (caches) => (common.index ??= new CacheIndex(caches)),
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

// ---- resources

/** What all transfers share. */
export interface TransferResources {
  tuning: TransferTuning
  /** Connections and limits of downloads. */
  shares: Shares
  hashes: HashService
  gate: HostGate
  /** Buffers to collect bytes in, for a transfer over so many connections. */
  batchesFor: (connections: number) => BufferPool
  /** The limit over all transfers. */
  bucket: TokenBucket
}
