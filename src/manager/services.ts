/** Creates what a manager works with. */
import { createEngine, type EngineOptions } from '../engine/engine.js'
import type { TransferEngine } from '../engine/protocol.js'
import { WorkerEngine } from '../engine/worker.js'
import { HostGates } from '../net/host-gate.js'
import { defaultTuning, type TransferTuning } from '../net/tuning.js'
import { Resolver } from '../sources/resolver.js'
import type { SourceRegistry } from '../sources/source.js'
import type { Clock } from '../util/clock.js'
import type { ManagerServices } from './internals.js'
import type { ResolvedManagerOptions } from './options.js'
import { peerEngine } from './peers/peers.js'

/** Creates the engine and the resolver of refs, which share what servers have asked for. */
export function createServices(
  options: ResolvedManagerOptions,
  sources: SourceRegistry,
  services: Pick<ManagerServices, 'secrets'> & { clock: Clock },
  onLog: NonNullable<EngineOptions['onLog']>,
): { engine: TransferEngine; resolver: Resolver; tuning: TransferTuning; gates: HostGates } {
  const { tuning: overrides, ca, proxy, offline, maxBytesPerSecond, worker } = options
  const network = { ...services, ca, gates: new HostGates() }
  const engineOptions: EngineOptions = { ...network, tuning: overrides, maxBytesPerSecond, onLog }
  const own = worker
    ? new WorkerEngine({ ...engineOptions, fallback: createEngine })
    : createEngine(engineOptions)
  const engine = options.peers === undefined ? own : peerEngine(own, options.peers, onLog)
  const tuning = { ...defaultTuning, ...overrides }
  const remoteTokens = options.remoteTokens ?? false
  const resolver = new Resolver({ ...network, sources, tuning, proxy, remoteTokens, offline })
  return { engine, resolver, tuning, gates: network.gates }
}
