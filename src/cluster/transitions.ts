import type { Download } from '../download/download.js'
import type { SafeEmitter } from '../download/events.js'
import { type DownloadState, isActive, isSettled } from '../download/states.js'
import { DownloadError } from '../errors.js'

/**
 * Emits the events of what another instance has done with a download, as if this one had.
 *
 * @param from - its state before; undefined if it was not known.
 */
export function tellTransition(
  emitter: SafeEmitter,
  download: Download,
  from: DownloadState | undefined,
): void {
  const { state: to } = download
  if (isActive(to) && (from === undefined || !isActive(from))) emitter.emit('started', { download })
  if (to === from) {
    // Nothing comes after the end of a download but another one of it.
    if (!isSettled(to)) emitter.emit('progress', { download, progress: download.current })
    return
  }
  switch (to) {
    case 'queued':
      if (from === 'paused') emitter.emit('resumed', { download })
      emitter.emit('queued', { download })
      return
    case 'verifying':
      emitter.emit('verifying', { download })
      return
    case 'paused':
      emitter.emit('paused', { download })
      return
    case 'completed':
      if (download.file !== null) emitter.emit('completed', { download, file: download.file })
      return
    case 'failed':
      emitter.emit('failed', {
        download,
        error: download.error ?? new DownloadError('INTERNAL', 'The download failed without a reason.'),
      })
      return
    case 'canceled':
      emitter.emit('canceled', { download })
      return
    case 'resolving':
    case 'downloading':
      emitter.emit('progress', { download, progress: download.current })
  }
}
