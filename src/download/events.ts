import type { DownloadError } from '../errors.js'
import { GuardedEmitter } from '../util/emitter.js'
import type { Download, DownloadedFile } from './download.js'
import type { Progress } from './progress.js'

/** Events of a {@link DownloadManager}, with the arguments of their listeners. */
export interface DownloadEvents {
  /** The download waits for a slot. */
  queued: (event: { download: Download }) => void
  /** The download got a slot and starts to run. */
  started: (event: { download: Download }) => void
  /**
   * Progress, at most `1000 / tuning.progressIntervalMs` times a second per download, and once more at the
   * end.
   */
  progress: (event: { download: Download; progress: Progress }) => void
  /** The download was stopped by `pause()`; its bytes are kept. */
  paused: (event: { download: Download }) => void
  /** The download was queued again by `resume()`. */
  resumed: (event: { download: Download }) => void
  /**
   * An attempt failed with an error that may be temporary; the next one follows after `delayMs` milliseconds.
   */
  retrying: (event: { download: Download; error: DownloadError; attempt: number; delayMs: number }) => void
  /** The source has been asked, and bytes are being fetched; for a group also after some of its files were verified. */
  downloading: (event: { download: Download }) => void
  /** All bytes have arrived and are being verified. */
  verifying: (event: { download: Download }) => void
  /** The file exists under its final name. */
  completed: (event: { download: Download; file: DownloadedFile }) => void
  /** The download failed. */
  failed: (event: { download: Download; error: DownloadError }) => void
  /** The download was stopped by `cancel()`; its bytes are deleted. */
  canceled: (event: { download: Download }) => void
  /** The download was removed by `remove()`. */
  removed: (event: { download: Download }) => void
  /**
   * The files of a finished download were deleted, `bytes` of them, to make room for another one; see `whenFull`. The
   * download is removed, and `removed` follows.
   */
  evicted: (event: { download: Download; bytes: number; neededFor: Download }) => void
  /**
   * In a cluster: this instance goes on with the download of another one, which has died or lost its lease. `from` names
   * that instance if it is known.
   */
  takenOver: (event: { download: Download; from: string | null }) => void
  /** In a cluster: this instance could not renew its lease of the download in time, and has stopped to write. */
  leaseLost: (event: { download: Download }) => void
  /** In a cluster: a write of this instance was refused, because another one owns the download by now. */
  writeFenced: (event: { download: Download }) => void
  /** A message for users; `download` is missing when it concerns the manager. */
  log: (event: LogEvent) => void
}

/** An entry of the log. */
export interface LogEvent {
  /** The download concerned; missing when the message concerns the manager. */
  download?: Download
  /** Severity. */
  level: 'debug' | 'info' | 'warn' | 'error'
  /** One sentence, without tokens or signed query strings. */
  message: string
}

/** Emitter of a manager. A listener that fails is reported by the `log` event. */
export class SafeEmitter extends GuardedEmitter<DownloadEvents> {
  /** @internal */
  protected override listenerFailed(event: keyof DownloadEvents, reason: string): void {
    // A log listener that throws must not make another log entry, which would throw again.
    if (event === 'log') return
    this.emit('log', { level: 'error', message: `A listener of "${event}" failed: ${reason}` })
  }
}
