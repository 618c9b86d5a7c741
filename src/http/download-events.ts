/** Server-sent events of the downloads of a manager. */
import type { Download } from '../download/download.js'
import { retryText, type Voice } from '../download/error-text.js'
import type { DownloadEvents } from '../download/events.js'
import { logText } from '../download/log-text.js'
import { type DownloadState, isSettled } from '../download/states.js'
import { publicMessage, toFullWire, toWire, toWireMap } from '../download/wire.js'
import type { DownloadManager } from '../manager/manager.js'
import { redactUrls } from '../util/redact.js'
import { pageOf } from './downloads/paging.js'
import type { DownloadSseEvents, WireLog } from './schemas.js'
import type { SnapshotPart, SseMessage, SseSource } from './sse.js'

/** Source of the events of `GET /api/models/download/events` in one language; the topic is the URL. */
export function downloadEvents(manager: DownloadManager, voice: Voice): SseSource {
  return {
    subscribe: (publish) => {
      const listeners = listenersFor(publish, voice)
      // Object.keys loses the type of the keys. The cast is safe because each listener is registered for its
      // own event.
      const names = Object.keys(listeners) as 'queued'[]
      for (const name of names) manager.on(name, listeners[name])
      return () => {
        for (const name of names) manager.off(name, listeners[name])
      }
    },
    snapshot: (url, cursor) => {
      if (url === null) return snapshotOf(manager.list(), cursor, voice)
      const download = manager.get(url)
      return download === undefined ? null : { event: 'snapshot', data: toFullWire(download, voice) }
    },
  }
}

/** The most characters that the URLs of one page may have together; each is there twice. */
const maxUrlLength = 2 * 1024 * 1024

/** The snapshot of all downloads, or a page of it. */
function snapshotOf(all: readonly Download[], cursor: string | null, voice: Voice): SnapshotPart {
  const page = pageOf(all, { cursor: cursor ?? undefined }, ({ record }) => record, fitting)
  const { items, next } = page
  const downloads = toWireMap(items, voice)
  const isPaged = cursor !== null || next !== null
  return {
    event: cursor === null ? 'snapshot' : 'snapshot_page',
    data: isPaged ? { downloads, next_cursor: next } : { downloads },
    next,
    topics: cursor === null ? [] : items.map(({ url }) => url),
  }
}

/** How many of the downloads fit into one event; addresses that are signed may be very long. */
function fitting(downloads: readonly Download[]): number {
  let length = 0
  const over = downloads.findIndex(({ url }) => (length += url.length) > maxUrlLength)
  return over === -1 ? downloads.length : Math.max(1, over)
}

type Publish = (message: SseMessage) => void

/** What a page learns by other events, and what concerns operators alone. */
type Unsent = 'evicted' | 'takenOver' | 'leaseLost' | 'writeFenced'

function listenersFor(publish: Publish, voice: Voice): Omit<DownloadEvents, Unsent> {
  /** Last published state of each unsettled download. */
  const published = new Map<string, DownloadState>()

  const publishDownload = (event: keyof DownloadSseEvents, download: Download) => {
    publish({
      event,
      data: toWire(download, voice),
      topic: download.url,
      replaceable: event === 'progress',
      ...(download.group === null ? {} : { detail: () => toFullWire(download, voice) }),
    })
  }
  const publishState = (download: Download) => {
    const { url, state } = download
    if (published.get(url) === state) return
    if (isSettled(state)) published.delete(url)
    else published.set(url, state)
    publishDownload('state', download)
  }
  const log = ({ url }: Download, level: WireLog['level'], message: string) => {
    const data: WireLog = { url, at: new Date().toISOString(), level, message: redactUrls(message) }
    publish({ event: 'log', data, topic: url })
  }
  const moved = ({ download }: { download: Download }) => {
    publishState(download)
  }

  return {
    queued: moved,
    started: moved,
    resumed: moved,
    paused: moved,
    downloading: moved,
    verifying: moved,
    completed: moved,
    failed: moved,
    canceled: moved,
    progress: ({ download }) => {
      // The end of the download has its own event, after this one.
      if (!isSettled(download.state)) publishState(download)
      publishDownload('progress', download)
    },
    retrying: ({ download, error, delayMs }) => {
      const seconds = (delayMs / 1000).toFixed(1)
      log(download, 'warn', retryText(publicMessage(error, voice), seconds, voice))
    },
    log: ({ download, level, message }) => {
      // Messages about the server itself are meant for the host application only.
      if (download !== undefined) log(download, level, logText(message, voice))
    },
    removed: ({ download }) => {
      published.delete(download.url)
      publishDownload('removed', download)
    },
  }
}
