/** The engine in this thread: creates what all transfers share, and starts transfers. */
import { CacheIndex } from '../layouts/cache-index.js'
import type { AddressResolver } from '../net/guard.js'
import { HostGates } from '../net/host-gate.js'
import type { HostSecrets } from '../net/host-secrets.js'
import { HttpClient } from '../net/http.js'
import { defaultTuning, type TransferTuning } from '../net/tuning.js'
import { type Clock, systemClock } from '../util/clock.js'
import { FoundConnections } from './fetch/connection-ramp.js'
import { TokenBucket } from './fetch/rate-limit.js'
import { HashService } from './hash/hasher.js'
import { batchPools } from './part/batch-writer.js'
import { LoopMeter } from './report.js'
import type { TransferEngine, TransferEvent, TransferHandle, TransferSpec } from './protocol.js'
import { Shares, type TransferResources } from './shared.js'
import { Transfer } from './transfer.js'

/** Options of an engine. */
export interface EngineOptions {
  /** Overrides of the default tuning. */
  tuning?: Partial<TransferTuning>
  /** Limit for all transfers together, in bytes per second. Default null, no limit. */
  maxBytesPerSecond?: number | null
  /** Receives log messages that do not belong to a single transfer. */
  onLog?: (level: 'warn', message: string) => void
  /** Resolves host names for `remote` transfers, in tests. Default: the resolver of the system. */
  resolve?: AddressResolver
  /** See `DownloadManagerOptions.ca`. */
  ca?: readonly string[] | undefined
  /** What the user sends to hosts, for trusted callers. Not available in a worker. */
  secrets?: HostSecrets | undefined
  /** Times everything that transfers do. Default: the system clock. */
  clock?: Clock
  /** Servers that asked to wait. Default: none yet. */
  gates?: HostGates
}

/** Creates an engine that runs in the calling thread. */
export function createEngine(options: EngineOptions = {}): TransferEngine {
  const tuning: TransferTuning = { ...defaultTuning, ...options.tuning }
  const { clock = systemClock, resolve, ca, secrets } = options
  const { connectTimeoutMs, bodyReader } = tuning
  const makeHttp: TransferResources['makeHttp'] = (remote) =>
    new HttpClient({
      connectTimeoutMs,
      bodyReader,
      ca,
      clock,
      ...(remote === null ? { secrets } : { remote, resolve }),
    })
  const http = makeHttp(null)
  const hashes = new HashService({
    onFallback: (message) => options.onLog?.('warn', message),
  })
  const shared: TransferResources = {
    tuning,
    clock,
    shares: new Shares({
      http,
      makeRemoteHttp: makeHttp,
      makeIndex: (caches) => new CacheIndex(caches, clock),
      makeBucket: (limit) => new TokenBucket(limit, clock),
    }),
    hashes,
    makeHttp,
    gates: options.gates ?? new HostGates(),
    batchesFor: batchPools(),
    found: new FoundConnections(),
    bucket: new TokenBucket(options.maxBytesPerSecond ?? null, clock),
  }
  const meter = new LoopMeter()
  const running = new Set<Transfer>()
  /** What transfers that have ended had received. */
  let endedBytes = 0
  return {
    report: (measure) => {
      const receivedBytes = [...running].reduce((sum, transfer) => sum + transfer.receivedBytes, endedBytes)
      return Promise.resolve({ thread: 'host', loopDelay: measure ? meter.read() : null, receivedBytes })
    },
    start(spec: TransferSpec, listener: (event: TransferEvent) => void): TransferHandle {
      const transfer = new Transfer(spec, shared, listener)
      running.add(transfer)
      void transfer.run().finally(() => {
        running.delete(transfer)
        endedBytes += transfer.receivedBytes
      })
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
