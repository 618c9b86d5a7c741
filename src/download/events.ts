import type { DownloadError } from '../errors.js'
import { GuardedEmitter } from '../util/emitter.js'
import type { Download, DownloadedFile } from './download.js'
import type { Progress } from './progress.js'

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

// ---- safe-emitter

/** The emitter of a manager; of a listener that fails its `log` event tells. */
export class SafeEmitter extends GuardedEmitter<DownloadEvents> {
  /** @internal */
  protected override listenerFailed(event: keyof DownloadEvents, reason: string): void {
    // A log listener that throws must not make another log entry, which would throw again.
    if (event === 'log') return
    this.emit('log', { level: 'error', message: `A listener of "${event}" failed: ${reason}` })
  }
}
