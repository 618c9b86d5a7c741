/** Services of a manager that other parts of this package use, and that its users do not see. */
import type { Destinations, Place } from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { DownloadOptions } from '../download/options.js'
import type { ValidatedRequest } from '../download/request.js'
import type { EngineReport } from '../engine/protocol.js'
import type { Layout } from '../layouts/hf-paths.js'
import type { HostSecrets } from '../net/host-secrets.js'
import type { Resolver } from '../sources/resolver.js'
import type { SourceRegistry } from '../sources/source.js'
import type { DownloadStore } from '../store/store.js'
import type { Clock } from '../util/clock.js'
import type { Coordinator, SharedDocuments } from './cluster/coordinator.js'
import type { ClusterInsight } from './cluster/insight.js'

/**
 * Key under which a manager keeps its {@link ManagerInternals}. The package does not export it, so only the
 * package itself can reach them. The symbol is registered globally, because a process may load two copies of
 * the package.
 */
export const internals: unique symbol = Symbol.for('model-downloader.internals')

/** Internal services of a manager. */
export interface ManagerInternals {
  /** Store of the downloads and of the preload documents. */
  readonly store: DownloadStore
  /** The documents that other managers read and write as well; null without a cluster. */
  readonly documents: SharedDocuments | null
  /** What is known about the other instances; null without a cluster. */
  readonly cluster: ClusterInsight | null
  /** See {@link Coordinator.catchUp}. */
  readonly catchUp: Coordinator['catchUp']
  /** Maps downloads to paths on disk. */
  readonly destinations: Destinations
  /** Sources of the host application and of this package. */
  readonly sources: SourceRegistry
  /** Asks sources. */
  readonly resolver: () => Resolver
  /** Times everything that the manager and the parts on top of it do, except transfers in a worker. */
  readonly clock: Clock
  /** Layout of downloads that do not set one. */
  readonly layout: Layout
  /** Validates a request, and says where its files would be stored. */
  readonly read: (options: DownloadOptions) => ValidatedRequest
  /** Aborted when the manager closes. */
  readonly closed: AbortSignal
  /** Returns the download that was the last to claim a file; see `Registry.holderOf`. */
  readonly holderOf: (place: Place) => Download | undefined
  /** Keeps downloads from being evicted, until the returned function is called. */
  readonly protect: (isProtected: (download: Download) => boolean) => () => void
  /** Asks the engine for a report; see `TransferEngine.report`. */
  readonly report: (measure: boolean) => Promise<EngineReport | null>
  /** Whether somebody keeps a download from being evicted by `protect`. */
  readonly isProtected: (download: Download) => boolean
}

/** What the command adds, and tests replace: given as the option {@link internals}, which is not a public one. */
export type ManagerServices = Partial<Pick<ManagerInternals, 'clock'>> & {
  /** What the user sends to hosts. It works in this thread only, without `worker`. */
  secrets?: HostSecrets | undefined
}

/** Options of a manager with services. */
export function withServices<O extends object>(options: O, services: ManagerServices): O {
  return { ...options, [internals]: services }
}

/** The {@link ManagerServices} among the options of a manager. */
export function servicesOf(options: object): ManagerServices {
  // Only this package has the key, and it sets nothing else under it.
  return (options as { [internals]?: ManagerServices })[internals] ?? {}
}
