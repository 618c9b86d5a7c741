import type { BufferPool } from './buffer-pool.js'
import type { HashService } from './hasher.js'
import type { HostGate } from './host-gate.js'
import type { TransferTuning } from './protocol.js'
import type { TokenBucket } from './rate.js'
import type { Shares } from './shares.js'

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
