/** Downloads as they travel. Pure, and lean: a list may hold ten thousand. */
import type { Download } from '../download.js'
import type { DownloadState } from '../states.js'
import { publicMessage } from './problem.js'
import type { WireDownload } from './schemas.js'

/** The three values that old clients know; they stop polling on `completed` and `failed`. */
export function coarseStatus(state: DownloadState): WireDownload['status'] {
  if (state === 'completed') return 'completed'
  return state === 'failed' || state === 'canceled' ? 'failed' : 'downloading'
}

/** A download as every route and event tells of it. */
export function toWire(download: Download): WireDownload {
  const { record, current, sha256 } = download
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
    error: state === 'canceled' ? 'canceled' : failure === null ? null : publicMessage(failure),
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
  }
}

/** Several downloads, keyed by URL, in their order. */
export function toWireMap(downloads: Iterable<Download>): Record<string, WireDownload> {
  const result: Record<string, WireDownload> = {}
  for (const download of downloads) result[download.url] = toWire(download)
  return result
}
