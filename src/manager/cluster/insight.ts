/** What a manager can tell about the cluster that it belongs to. */
import type { Download } from '../../download/download.js'
import type { DownloadState } from '../../download/states.js'

/** An instance of a cluster. */
export interface ClusterInstance {
  /** Identifies it; another start of the same server is another instance. */
  id: string
  /** Name of its machine or pod. */
  node: string
  /** Whether it is the one that tells. */
  isSelf: boolean
  /** Whether nothing has been heard of it for a few seconds. */
  isAbsent: boolean
  /** When it was last heard of, in milliseconds since the epoch; null if only its leases are known. */
  seenAt: number | null
  /** Number of downloads that it runs. */
  running: number
  /** Speed of these downloads together, in bytes per second. */
  bytesPerSecond: number
}

/** A download that an instance runs or changes. */
export interface ClusterLease {
  url: string
  filename: string
  state: DownloadState
  /** {@link ClusterInstance.id} of the instance that holds it. */
  instance: string
  /** Number of the lease, which grows each time it is taken. */
  epoch: number
}

/** A cluster, as one of its instances sees it. */
export interface ClusterView {
  /** Whether the store can't be reached, so that this may be out of date. */
  isAway: boolean
  /** This one first, the others by their names. */
  instances: ClusterInstance[]
  leases: ClusterLease[]
  /** Number of downloads that wait. */
  waiting: number
  /** How many downloads run at the same time in the whole cluster; null for no limit. */
  clusterConcurrency: number | null
  /** Limit for all instances together in bytes per second; null for none. */
  clusterMaxBytesPerSecond: number | null
  /** What of this limit is left to this instance, in bytes per second; null without one. */
  share: number | null
  /** How long a lease lasts, in milliseconds. */
  leaseMs: number
}

/** What a manager can tell about its cluster. */
export interface ClusterInsight {
  /** Number of downloads in the whole cluster that wait. */
  readonly waiting: number
  /** Whether the event that is being emitted tells what another instance has done. */
  readonly isEcho: boolean
  /** Whether this instance runs or changes a download at the moment. */
  runsHere(download: Download): boolean
  /** Name of the machine or pod that runs a download; null if none does. */
  nodeOf(download: Download): string | null
  view(): ClusterView
}
