/** What the manager tells, as server-sent events. */
import type { Download } from '../download/download.js'
import type { DownloadEvents } from '../download/events.js'
import { type DownloadState, isSettled } from '../download/states.js'
import type { DownloadManager } from '../manager/manager.js'
import { redactUrls } from '../util/redact.js'
import { publicMessage } from './problem.js'
import type { DownloadSseEvents, WireLog } from './schemas.js'
import type { SseMessage, SseSource } from './sse.js'
import { toFullWire, toWire, toWireMap } from './wire.js'

/** The events of `GET /api/models/download/events`; the topic is the URL. */
export function downloadEvents(manager: DownloadManager): SseSource {
  return {
    subscribe: (publish) => {
      const listeners = listenersFor(publish)
      // The type of the keys is lost on the way through Object.keys; each listener stands under its own event.
      const names = Object.keys(listeners) as 'queued'[]
      for (const name of names) manager.on(name, listeners[name])
      return () => {
        for (const name of names) manager.off(name, listeners[name])
      }
    },
    snapshot: (url) => {
      if (url === null) return { event: 'snapshot', data: { downloads: toWireMap(manager.list()) } }
      const download = manager.get(url)
      return download === undefined ? null : { event: 'snapshot', data: toFullWire(download) }
    },
  }
}

type Publish = (message: SseMessage) => void

function listenersFor(publish: Publish): DownloadEvents {
  /** The state that was told last of each download that is not settled. */
  const told = new Map<string, DownloadState>()

  const tell = (event: keyof DownloadSseEvents, download: Download) => {
    publish({
      event,
      data: toWire(download),
      topic: download.url,
      replaceable: event === 'progress',
      ...(download.group === null ? {} : { detail: () => toFullWire(download) }),
    })
  }
  const tellState = (download: Download) => {
    const { url, state } = download
    if (told.get(url) === state) return
    if (isSettled(state)) told.delete(url)
    else told.set(url, state)
    tell('state', download)
  }
  const log = ({ url }: Download, level: WireLog['level'], message: string) => {
    const data: WireLog = { url, at: new Date().toISOString(), level, message: redactUrls(message) }
    publish({ event: 'log', data, topic: url })
  }
  const moved = ({ download }: { download: Download }) => {
    tellState(download)
  }

  return {
    queued: moved,
    started: moved,
    resumed: moved,
    paused: moved,
    verifying: moved,
    completed: moved,
    failed: moved,
    canceled: moved,
    progress: ({ download }) => {
      // Bytes arrive: nothing else tells that it is downloading now. The end has an event of its own, after this one.
      if (!isSettled(download.state)) tellState(download)
      tell('progress', download)
    },
    retrying: ({ download, error, delayMs }) => {
      const seconds = (delayMs / 1000).toFixed(1)
      log(download, 'warn', `${publicMessage(error)} Trying again in ${seconds} s.`)
    },
    log: ({ download, level, message }) => {
      // What concerns the server itself is for its host.
      if (download !== undefined) log(download, level, message)
    },
    removed: ({ download }) => {
      told.delete(download.url)
      tell('removed', download)
    },
  }
}
