/**
 * Converts downloads to their JSON form. Pure, and efficient because a list may contain ten thousand
 * downloads.
 */
import type { Download } from '../download/download.js'
import type { Voice } from '../download/error-text.js'
import type { GroupFile } from '../download/group.js'
import type { DownloadState } from '../download/states.js'
import { publicMessage } from './problem.js'
import type { WireDownload, WireFile } from './schemas.js'

/** The three status values that older clients know. They stop polling at `completed` and `failed`. */
export function coarseStatus(state: DownloadState): WireDownload['status'] {
  if (state === 'completed') return 'completed'
  return state === 'failed' || state === 'canceled' ? 'failed' : 'downloading'
}

/**
 * A download in lists and in events of all downloads. A group comes without its files, of which there may be
 * thousands.
 */
export function toWire(download: Download, voice: Voice): WireDownload {
  const { record, current, sha256, group } = download
  const { state, error } = record
  const failure = state === 'failed' ? error : null
  return {
    url: record.url,
    filename: record.filename,
    mode: record.mode,
    status: coarseStatus(state),
    downloaded: current.downloaded,
    total: current.total ?? 0,
    progress: current.percent,
    error: state === 'canceled' ? 'canceled' : failure === null ? null : publicMessage(failure, voice),
    state,
    code: state === 'canceled' ? 'CANCELED' : (failure?.code ?? null),
    bytes_per_second: current.bytesPerSecond,
    eta_seconds: current.etaSeconds,
    connections: current.connections,
    sha256,
    verified: record.verified,
    created_at: record.createdAt,
    started_at: record.startedAt,
    finished_at: record.finishedAt,
    file_count: group?.files.length ?? null,
    files_completed: group?.completed ?? null,
    files: null,
    ...(download.stale ? { stale: true } : {}),
  }
}

/** A download in responses and events about this download alone: with the files of a group. */
export function toFullWire(download: Download, voice: Voice): WireDownload {
  const files = download.group?.files.map((file) => toWireFile(file, voice)) ?? null
  return { ...toWire(download, voice), files }
}

function toWireFile(file: GroupFile, voice: Voice): WireFile {
  const { filename, size, downloaded, state, sha256, verified, error } = file
  return {
    filename,
    size,
    downloaded,
    state,
    sha256,
    verified,
    error: error === null ? null : publicMessage(error, voice),
    code: error?.code ?? null,
  }
}

/** Several downloads by URL, in their order. */
export function toWireMap(downloads: Iterable<Download>, voice: Voice): Record<string, WireDownload> {
  const result: Record<string, WireDownload> = {}
  for (const download of downloads) result[download.url] = toWire(download, voice)
  return result
}
