import type { BufferPool } from './buffer-pool.js'
import type { RemoteGrant } from '../network/policy.js'
import type { HashService } from './hasher.js'
import type { HostGate } from './host-gate.js'
import type { HttpClient } from './http.js'
import type { TransferTuning } from './protocol.js'
import type { TokenBucket } from './rate.js'

/** What all transfers share. */
export interface TransferResources {
  tuning: TransferTuning
  /** For URLs of trusted callers. */
  http: HttpClient
  /** A client for one transfer of an untrusted caller: its connections serve nobody else, nor others' it. */
  makeRemoteHttp: (remote: RemoteGrant) => HttpClient
  hashes: HashService
  gate: HostGate
  /** Buffers to collect bytes in, for a transfer over so many connections. */
  batchesFor: (connections: number) => BufferPool
  /** The limit over all transfers. */
  bucket: TokenBucket
  /** A bucket for one transfer. */
  makeBucket: (limit: number | null) => TokenBucket
}
