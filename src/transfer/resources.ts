import type { HashService } from './hasher.js'
import type { HostGate } from './host-gate.js'
import type { HttpClient } from './http.js'
import type { TransferTuning } from './protocol.js'
import type { TokenBucket } from './rate.js'

/** What all transfers share. */
export interface TransferResources {
  tuning: TransferTuning
  http: HttpClient
  hashes: HashService
  gate: HostGate
  /** The limit over all transfers. */
  bucket: TokenBucket
  /** A bucket for one transfer. */
  makeBucket: (limit: number | null) => TokenBucket
}
