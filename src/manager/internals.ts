/** What of a manager the parts on top of it may use, and users of the package may not. */
import type { Destinations } from '../download/destination.js'
import type { SourceRegistry } from '../sources/source.js'
import type { DownloadStore } from '../store/store.js'

/**
 * Where a manager keeps its {@link ManagerInternals}. The package does not export it, so that only the package itself
 * finds them; it is registered under a name, because there may be two copies of the package in one process.
 */
export const internals: unique symbol = Symbol.for('model-downloader.internals')

/** See the file's head. */
export interface ManagerInternals {
  /** Where downloads, and the documents of a preload, are remembered. */
  readonly store: DownloadStore
  /** Where files go. */
  readonly destinations: Destinations
  /** The host's own sources and those of this package. */
  readonly sources: SourceRegistry
}
