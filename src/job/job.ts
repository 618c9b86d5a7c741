/** What a {@link DownloadRun} runs: the transfer of one file, or those of a group. */
import type { Download, DownloadedFile } from '../download/download.js'
import type { LogEvent } from '../download/events.js'
import type { DownloadRecord } from '../download/record.js'
import type { StopMode, TransferEngine, TransferPhase, TransferSpec } from '../engine/protocol.js'
import type { DownloadError, SerializedDownloadError } from '../errors.js'
import type { KnownCaches } from '../layouts/known-caches.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Clock } from '../util/clock.js'
import type { JobSpace } from './space.js'

/** Outcome of a job. */
export type JobOutcome =
  | {
      type: 'completed'
      /** Changes to the record. */
      patch: Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>>
      run: Pick<DownloadedFile, 'existed' | 'fetchedBytes' | 'adoptedFrom'>
    }
  | { type: 'failed'; error: SerializedDownloadError }
  | { type: 'stopped'; mode: StopMode }

/** Events of a job. The last one is always its outcome, which is emitted only once. */
export type JobEvent =
  | { type: 'phase'; phase: TransferPhase }
  | { type: 'progress'; downloaded: number; total: number | null; connections: number }
  /** The job waits `delayMs` milliseconds, then tries again. */
  | { type: 'retrying'; error: DownloadError; attempt: number; delayMs: number }
  | { type: 'log'; level: LogEvent['level']; message: string }
  | JobOutcome

/** Settings and services that a job needs. */
export interface JobHost {
  readonly download: Download
  /** A listener that throws ends the download. */
  readonly engine: Pick<TransferEngine, 'start'>
  readonly tuning: TransferTuning
  readonly clock: Clock
  /** Null if there is no disk budget. */
  readonly space: JobSpace | null
  /** Folder below which no folder may be a symbolic link; see `Destinations.rootOf`. */
  readonly root: string
  /** Returns the fields that the specs of all transfers of the download have in common. */
  spec(): Omit<TransferSpec, 'filename' | 'known'>
  /** Returns the caches of this machine, as the environment named them when the manager first read it. */
  caches(): KnownCaches
  /** Claims file names; throws when another download has claimed one of them. */
  claim(filenames: readonly string[]): void
  /** Saves the record. Never rejects. */
  save(): Promise<void>
  emit(event: JobEvent): void
  /** Ends the download with an error that nothing else has handled. */
  crash(error: unknown): void
}

/** A running job. */
export interface Job {
  /** Requests the job to stop, without waiting for its end. */
  stop(mode: StopMode): void
  /** Changes the speed limit of the running transfers, in bytes per second; null for none. */
  limit(maxBytesPerSecond: number | null): void
}
