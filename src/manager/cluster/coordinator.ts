/**
 * The seam between a manager and others that share its downloads. By default there are none, see `solo.ts`. In a
 * cluster, each manager has a replica of all records, and runs and changes a download only while it holds its lease.
 */
import type { Download, DownloadOwner } from '../../download/download.js'
import type { SafeEmitter } from '../../download/events.js'
import type { DownloadOptions } from '../../download/options.js'
import type { DownloadRecord } from '../../download/record.js'
import type { TransferEngine } from '../../engine/protocol.js'
import type { HostGates } from '../../net/host-gate.js'
import type { DownloadStore } from '../../store/store.js'
import type { Clock } from '../../util/clock.js'
import type { ClusterInsight } from './insight.js'

/** What a caller asks of a download, in a form that can be sent to the manager that runs it. */
export type ClusterCommand =
  | { type: 'pause' | 'resume' | 'cancel' | 'retry' }
  | { type: 'remove'; deleteFile: boolean }
  | { type: 'pin'; pinned: boolean }
  | { type: 'adjust'; maxBytesPerSecond?: number | null; priority?: number }
  /** Another request for the same URL. */
  | { type: 'download'; options: DownloadOptions }

/** What a coordinator needs of the registry of its manager; see `Registry`. */
export interface HostRegistry {
  get(url: string): Download | undefined
  list(): Download[]
  targetsOf(download: Download): string[]
  mirror(record: DownloadRecord): Download
  adoptNew(): Promise<Download[]>
  save(download: Download): Promise<void>
  drop(download: Download): void
}

/** What a coordinator needs of the scheduler of its manager; see `Scheduler`. */
export interface HostScheduler {
  enqueue(download: Download): void
  offer(download: Download): void
  withdraw(download: Download): void
  abandon(download: Download): Promise<void>
  isRunning(download: Download): boolean
}

/** What a coordinator needs of its manager. */
export interface CoordinatorHost {
  readonly directory: string
  readonly clock: Clock
  readonly registry: HostRegistry
  readonly scheduler: HostScheduler
  readonly owner: DownloadOwner
  readonly emitter: SafeEmitter
  readonly gates: HostGates
  /** Number of slots of this manager. */
  readonly concurrency: number
  /** Does what a caller of another manager asks of a download. */
  execute(url: string, command: ClusterCommand): Promise<void>
  /** Limits all transfers of this manager together, besides its own limit; null for no limit. */
  limit(maxBytesPerSecond: number | null): void
}

/** What a scheduler asks of others before it runs a download. */
export interface RunCoordinator {
  /**
   * Whether the queue is elsewhere: the download is then offered to the scheduler of some manager once it is its turn.
   */
  readonly hasQueue: boolean
  /** Takes the right to run a download. False if another manager runs it or it has to wait. Never rejects. */
  begin(download: Download): Promise<boolean>
  /** Must be called when the run has ended and its record is saved, or if it has not been started. Never rejects. */
  end(download: Download): Promise<void>
  /**
   * Whether this manager still has the right to change a download, which it must have got for a command. Asked once more
   * before files are deleted.
   *
   * @throws DownloadError `STORE_ERROR` (retryable) while nobody can tell.
   */
  confirm(download: Download): Promise<boolean>
  /** The engine for a run, which stops when the right to run ends. */
  engine(download: Download, engine: TransferEngine): TransferEngine
}

/** A {@link DownloadStore} that several managers may use at the same time. */
export interface SharedStore extends DownloadStore {
  /**
   * Stores the record of a new download, unless there is one of its URL.
   *
   * @returns false if there is one; the download then has become its replica.
   * @throws DownloadError `CONFLICT` if another download has claimed its file; `STORE_ERROR`.
   */
  insert(download: Download): Promise<boolean>
}

/** Documents that several managers read, and one of them writes. */
export interface SharedDocuments {
  /** Takes or keeps the right to write a document. It ends by itself if it is not taken again, and with the manager. */
  lead(name: string): Promise<boolean>
  /** Gives it up. */
  resign(name: string): Promise<void>
  read(name: string): Promise<unknown>
  write(name: string, value: unknown): Promise<void>
  /**
   * Calls the listener whenever a document was written, with its name. What it returns resolves once it has taken note.
   * Returns how to stop that.
   */
  onChange(listener: (name: string) => Promise<void>): () => void
}

/** Coordinates a manager with others. */
export interface Coordinator {
  /** Where the records are kept. */
  readonly store: DownloadStore | SharedStore
  /** Null if downloads run without asking others. */
  readonly runs: RunCoordinator | null
  /** Null if nobody else uses the documents of the store. */
  readonly documents: SharedDocuments | null
  /** What is known about the others; null if there are none. */
  readonly insight: ClusterInsight | null
  /** Called before the store is loaded. */
  attach(host: CoordinatorHost): void
  /** Called when the manager has loaded the store, and queued what has to run. */
  loaded(): void
  /**
   * Runs a task that changes a download, or has the manager that runs the download do so.
   *
   * @param command - what the task does.
   * @throws DownloadError the error of the task; `STORE_ERROR` (retryable) while the others can't be reached.
   */
  control(download: Download, command: ClusterCommand, task: () => Promise<void>): Promise<void>
  /**
   * Resolves once this manager knows all that any manager had stored before, or has waited for a second; null if there
   * are no others. Never rejects.
   */
  readonly catchUp: (() => Promise<void>) | null
  /** True if no other manager has anything to do; otherwise false, once something has ended. */
  idle(): Promise<boolean>
}

/** A cluster, as it is given to a manager; made by `bullmqCluster` of `model-downloader/bullmq`. */
export interface Cluster {
  /** @internal */
  join(options: { clock: Clock; directory: string }): Coordinator
}
