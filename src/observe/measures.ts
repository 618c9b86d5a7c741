/** What happens in a manager, as numbers that add up. Knows nothing of where they are kept. */
import type { Download } from '../download/download.js'
import type { DownloadEvents } from '../download/events.js'
import type { DownloadErrorCode } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import type { Clock } from '../util/clock.js'

/** How a download was completed: over the network, from another program's cache, or because the file existed. */
export type Completion = 'fetched' | 'adopted' | 'existed'

/** Receives what has happened. All durations are in seconds. */
export interface Measures {
  waited(seconds: number): void
  verified(seconds: number): void
  retried(code: DownloadErrorCode): void
  failed(code: DownloadErrorCode): void
  completed(how: Completion): void
  canceled(): void
  takenOver(): void
  leaseLost(): void
  writeFenced(): void
}

/** When a download began to do what it does; null if it does not. */
interface Since {
  waiting: number | null
  verifying: number | null
}

/**
 * Reports the events of a manager until the returned function is called. What happened before is not known, except that
 * downloads which wait have waited since now.
 */
export function measure(
  manager: Pick<DownloadManager, 'on' | 'off' | 'list' | typeof internals>,
  clock: Clock,
  measures: Measures,
): () => void {
  const since = new WeakMap<Download, Since>()
  const of = (download: Download): Since => {
    let known = since.get(download)
    if (known === undefined) since.set(download, (known = { waiting: null, verifying: null }))
    return known
  }
  /** In a cluster, each instance tells all events, and counts its own. */
  const isElsewhere = () => manager[internals].cluster?.isEcho === true
  const secondsFrom = (begin: number) => (clock.now() - begin) / 1000
  /** The files of a group may be verified several times; what counts is the time from the first of the last ones. */
  const ended = (download: Download) => {
    const known = of(download)
    if (known.verifying !== null && !isElsewhere()) measures.verified(secondsFrom(known.verifying))
    since.delete(download)
  }
  const moved = ({ download }: { download: Download }) => {
    since.delete(download)
  }
  const listeners = {
    queued: ({ download }) => {
      of(download).waiting ??= clock.now()
    },
    started: ({ download }) => {
      const known = of(download)
      if (known.waiting !== null && !isElsewhere()) measures.waited(secondsFrom(known.waiting))
      since.delete(download)
    },
    downloading: ({ download }) => {
      of(download).verifying = null
    },
    verifying: ({ download }) => {
      of(download).verifying ??= clock.now()
    },
    paused: moved,
    removed: moved,
    retrying: ({ error }) => {
      measures.retried(error.code)
    },
    completed: ({ download, file }) => {
      ended(download)
      if (isElsewhere()) return
      measures.completed(file.adoptedFrom !== null ? 'adopted' : file.existed ? 'existed' : 'fetched')
    },
    failed: ({ download, error }) => {
      ended(download)
      if (!isElsewhere()) measures.failed(error.code)
    },
    canceled: ({ download }) => {
      since.delete(download)
      if (!isElsewhere()) measures.canceled()
    },
    takenOver: () => {
      measures.takenOver()
    },
    leaseLost: () => {
      measures.leaseLost()
    },
    writeFenced: () => {
      measures.writeFenced()
    },
  } satisfies Partial<DownloadEvents>
  // Object.keys loses the type of the keys. The cast is safe because each listener is registered for its own event.
  const names = Object.keys(listeners) as 'queued'[]
  for (const name of names) manager.on(name, listeners[name])
  for (const download of manager.list()) if (download.state === 'queued') of(download).waiting = clock.now()
  return () => {
    for (const name of names) manager.off(name, listeners[name])
  }
}
