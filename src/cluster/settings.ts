import type { ClusterBackend, ClusterQueue } from './backend.js'

/** Settings of a `ClusterCoordinator`. */
export interface ClusterSettings {
  backend: ClusterBackend
  /** Null if each instance takes what it sees waiting. */
  queue: ClusterQueue | null
  clusterConcurrency: number | null
  clusterMaxBytesPerSecond: number | null
  secret: string | null
  /** What a running download does when its lease runs out while the store is away. */
  onStoreLost: 'stop' | 'continue'
  /** The folder that all instances share, which is tried at the start. Default: each node has its own. */
  sharedFolder?: string
}
