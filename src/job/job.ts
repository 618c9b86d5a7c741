/** What a {@link DownloadRun} runs: one file, or the files of a group. */
import type { Download, DownloadedFile } from '../download/download.js'
import type { LogEvent } from '../download/events.js'
import type { DownloadRecord } from '../download/record.js'
import type { StopMode, TransferEngine, TransferPhase, TransferSpec } from '../engine/protocol.js'
import type { DownloadError, SerializedDownloadError } from '../errors.js'
import type { KnownCaches } from '../layouts/known-caches.js'
import type { TransferTuning } from '../net/tuning.js'

/** How a job ended. */
export type JobOutcome =
  | {
      type: 'completed'
      /** What is recorded of it. */
      patch: Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>>
      run: Pick<DownloadedFile, 'existed' | 'fetchedBytes' | 'adoptedFrom'>
    }
  | { type: 'failed'; error: SerializedDownloadError }
  | { type: 'stopped'; mode: StopMode }

/** What a job tells while it runs; the last event is always its outcome, and comes once. */
export type JobEvent =
  | { type: 'phase'; phase: TransferPhase }
  | { type: 'progress'; downloaded: number; total: number | null; connections: number }
  /** Waits, then tries again. */
  | { type: 'retrying'; error: DownloadError; attempt: number; delayMs: number }
  | { type: 'log'; level: LogEvent['level']; message: string }
  | JobOutcome

/** What a job works with, whom it asks, and whom it tells. */
export interface JobHost {
  readonly download: Download
  readonly engine: TransferEngine
  readonly tuning: TransferTuning
  /** What each transfer of the download begins with. */
  spec(): Omit<TransferSpec, 'filename' | 'known'>
  /** The caches of this machine, as the environment named them when the manager first asked. */
  caches(): KnownCaches
  /** Throws when another download has one of the names. */
  claim(filenames: readonly string[]): void
  /** Writes the record. Never rejects. */
  save(): Promise<void>
  tell(event: JobEvent): void
}

/** See the file's head. */
export interface Job {
  /** Asks it to stop; it ends in its own time. */
  stop(mode: StopMode): void
  /** Changes the limit of what runs. */
  limit(maxBytesPerSecond: number | null): void
}
