import { DownloadError } from '../errors.js'
import type { DownloadList, PreloadLog, PreloadStatus, WireDownload, WireSnapshot } from '../http/schemas.js'
import type { Subject } from './follow.js'
import { protocolError } from './http.js'

/** One piece of news about all downloads. */
export type DownloadsChange =
  /** All there are, keyed by URL; forget what you knew. */
  | { type: 'snapshot'; downloads: Record<string, WireDownload> }
  /** One is new, or is other than it was. */
  | { type: 'changed'; download: WireDownload }
  /** One was forgotten; this is how it was. */
  | { type: 'removed'; download: WireDownload }

/** Lines of a preload's log that are kept, as many as the server keeps. */
const maxLogLines = 500

/** One download: how it is, whenever that is news. */
export function oneDownload(
  events: string,
  ask: (signal: AbortSignal) => Promise<WireDownload>,
): Subject<WireDownload> {
  let last = ''
  const isLast = ({ status }: WireDownload) => status !== 'downloading'
  const news = (download: WireDownload) => {
    const before = last
    last = JSON.stringify(download)
    return last === before ? [] : [download]
  }
  return {
    events,
    read(name, data) {
      if (!isAboutOne(name) && name !== 'snapshot' && name !== 'removed') return []
      const download = known<WireDownload>(data, 'url')
      if (name === 'removed' && !isLast(download))
        throw new DownloadError('UNKNOWN_DOWNLOAD', 'The download was removed.')
      return news(download)
    },
    poll: async (signal) => news(await ask(signal)),
    isLast,
  }
}

/** All downloads: a snapshot, then what changes. */
export function allDownloads(
  events: string,
  ask: (signal: AbortSignal) => AsyncIterable<DownloadList>,
): Subject<DownloadsChange> {
  let polled: Record<string, WireDownload> | null = null
  return {
    events,
    read(name, data) {
      if (name === 'snapshot') {
        return [{ type: 'snapshot', downloads: known<WireSnapshot>(data, 'downloads').downloads }]
      }
      if (name !== 'removed' && !isAboutOne(name)) return []
      const download = known<WireDownload>(data, 'url')
      return [{ type: name === 'removed' ? 'removed' : 'changed', download }]
    },
    async poll(signal) {
      const downloads: Record<string, WireDownload> = {}
      for await (const page of ask(signal)) Object.assign(downloads, page.downloads)
      const before = polled
      polled = downloads
      return before === null ? [{ type: 'snapshot', downloads }] : difference(before, downloads)
    },
    isLast: () => false,
  }
}

function difference(
  before: Record<string, WireDownload>,
  now: Record<string, WireDownload>,
): DownloadsChange[] {
  const changes: DownloadsChange[] = []
  for (const [url, download] of Object.entries(before))
    if (!(url in now)) changes.push({ type: 'removed', download })
  for (const [url, download] of Object.entries(now))
    if (JSON.stringify(download) !== JSON.stringify(before[url])) changes.push({ type: 'changed', download })
  return changes
}

/** A preload: how it is, with its log, whenever that is news. */
export function preload(
  events: string,
  ask: (signal: AbortSignal) => Promise<PreloadStatus>,
  endless: boolean,
): Subject<PreloadStatus> {
  let last: PreloadStatus | null = null
  const news = (status: PreloadStatus) => {
    const before = last
    last = status
    return JSON.stringify(status) === JSON.stringify(before) ? [] : [status]
  }
  return {
    events,
    read(name, data) {
      if (name === 'status') return news(known(data, 'logs'))
      if (name !== 'log' || last === null) return []
      const { line } = known<PreloadLog>(data, 'line')
      return news({ ...last, logs: [...last.logs, line].slice(-maxLogLines) })
    },
    poll: async (signal) => news(await ask(signal)),
    isLast: ({ running }) => !running && !endless,
  }
}

const isAboutOne = (name: string) => name === 'progress' || name === 'state'

/**
 * Data as what the server promises it to be; the rest of it is trusted.
 *
 * @throws DownloadError `PROTOCOL_ERROR` unless it has the member that tells it from something else.
 */
function known<T>(data: object, member: keyof T & string): T {
  if (member in data) return data as T
  throw protocolError(undefined)
}
