import type { Download } from './download.js'
import type { DownloadError } from './errors.js'
import type { GroupFile } from './group/files.js'
import type { Progress } from './progress.js'

/** A finished file. */
export interface DownloadedFile {
  /** The URL that it came from. */
  url: string
  /** Absolute path; of a group, that of its folder. */
  path: string
  /** Last segment of `path`. */
  filename: string
  /** Bytes; of a group, those of all its files. */
  size: number
  /** Lower-case hex SHA-256; null when an existing file was taken as it lay and nothing asked for its digest. */
  sha256: string | null
  /** Whether a digest that was given beforehand matched. */
  verified: boolean
  /** Whether the file was there already, so that nothing was fetched. */
  existed: boolean
  /** Bytes that came over the network in this run. */
  fetchedBytes: number
  /** The files of a group, in the order of the source; then `path` is their folder. Null for a single file. */
  files: readonly GroupFile[] | null
  /** The file of another program's cache that it was taken from instead of being fetched, as an absolute path; else null. */
  adoptedFrom: string | null
}

/** The events of a {@link DownloadManager} and what their listeners get. */
export interface DownloadEvents {
  /** Waits for a slot. */
  queued: (event: { download: Download }) => void
  /** Got a slot and begins to work. */
  started: (event: { download: Download }) => void
  /** At most `1000 / tuning.progressIntervalMs` a second per download, and a last one at the end. */
  progress: (event: { download: Download; progress: Progress }) => void
  /** Stopped by `pause()`; bytes kept. */
  paused: (event: { download: Download }) => void
  /** Queued again by `resume()`. */
  resumed: (event: { download: Download }) => void
  /** Something failed that may work later; waits `delayMs`, then tries again. */
  retrying: (event: { download: Download; error: DownloadError; attempt: number; delayMs: number }) => void
  /** All bytes are there and are being checked. */
  verifying: (event: { download: Download }) => void
  /** The file lies under its final name. */
  completed: (event: { download: Download; file: DownloadedFile }) => void
  /** Gave up. */
  failed: (event: { download: Download; error: DownloadError }) => void
  /** Stopped by `cancel()`; bytes deleted. */
  canceled: (event: { download: Download }) => void
  /** Forgotten by `remove()`. */
  removed: (event: { download: Download }) => void
  /** What a person may want to know; `download` is missing when it concerns the manager. */
  log: (event: LogEvent) => void
}

/** One line of the log. */
export interface LogEvent {
  /** The download that it is about; missing when it is about the manager. */
  download?: Download
  /** How much it matters. */
  level: 'debug' | 'info' | 'warn' | 'error'
  /** One sentence, without tokens or signed query strings. */
  message: string
}
