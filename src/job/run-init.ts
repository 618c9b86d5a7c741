import type { Download } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import type { RemoteBounds, TransferEngine } from '../engine/protocol.js'
import type { ProxySetting } from '../net/proxies.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Resolver } from '../sources/resolver.js'
import type { Clock } from '../util/clock.js'
import type { JobHost } from './job.js'
import type { RunSpace } from './space.js'

/** Settings and services that a `DownloadRun` needs. */
export interface DownloadRunInit {
  download: Download
  engine: TransferEngine
  resolver: Resolver
  tuning: TransferTuning
  clock: Clock
  /** Folder that the file is stored in. */
  directory: string
  /** See {@link JobHost.root}. */
  root: string
  connections: number
  /** Bounds of the download if its caller is remote. */
  remoteBounds: RemoteBounds
  proxy: ProxySetting
  /** Null if there is no disk budget. */
  space: ((stopped: AbortSignal) => RunSpace) | null
  emitter: SafeEmitter
  caches: JobHost['caches']
  save: () => Promise<void>
  /** Claims file names; throws when another download has claimed one of them. */
  claim: (filenames: readonly string[]) => void
}
