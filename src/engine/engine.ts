/** The engine in this thread: what all transfers share, and their start. */
import type { AddressResolver } from '../net/guard.js'
import { HttpClient } from '../net/http.js'
import { defaultTuning, type TransferTuning } from '../net/tuning.js'
import { TokenBucket } from './fetch/rate-limit.js'
import { HostGate } from './fetch/retry-budget.js'
import { HashService } from './hash/hasher.js'
import { batchPools } from './part/batch-writer.js'
import type { TransferEngine, TransferEvent, TransferHandle, TransferSpec } from './protocol.js'
import { Shares, type TransferResources } from './shared.js'
import { Transfer } from './transfer.js'

/** What an engine may be given. */
export interface EngineOptions {
  tuning?: Partial<TransferTuning>
  maxBytesPerSecond?: number | null
  /** Hears what concerns no single transfer. */
  onLog?: (level: 'warn', message: string) => void
  /** Resolves names for `remote` transfers, in tests. Default: the system's way. */
  resolve?: AddressResolver
}

/** An engine that works in the calling thread. */
export function createEngine(options: EngineOptions = {}): TransferEngine {
  const tuning: TransferTuning = { ...defaultTuning, ...options.tuning }
  const { connectTimeoutMs } = tuning
  const http = new HttpClient({ connectTimeoutMs })
  const hashes = new HashService({
    onFallback: (reason) => options.onLog?.('warn', `Hashing in the main thread: ${reason}`),
  })
  const shared: TransferResources = {
    tuning,
    shares: new Shares({
      http,
      makeRemoteHttp: (remote) => new HttpClient({ connectTimeoutMs, remote, resolve: options.resolve }),
      makeBucket: (limit) => new TokenBucket(limit),
    }),
    hashes,
    gate: new HostGate(),
    batchesFor: batchPools(),
    bucket: new TokenBucket(options.maxBytesPerSecond ?? null),
  }
  return {
    start(spec: TransferSpec, listener: (event: TransferEvent) => void): TransferHandle {
      const transfer = new Transfer(spec, shared, listener)
      void transfer.run()
      return transfer
    },
    setMaxBytesPerSecond(limit) {
      shared.bucket.limit = limit
    },
    async close() {
      await http.close()
      await hashes.close()
    },
  }
}
