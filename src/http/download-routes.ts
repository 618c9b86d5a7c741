import { toFullWire, toWireMap } from '../download/wire.js'
import { lstat } from '../disk/fs.js'
import { isInside } from '../disk/inside.js'
import type { Download } from '../download/download.js'
import { sentenceError } from '../download/error-text.js'
import type { DownloadOptions } from '../download/options.js'
import { isSettled } from '../download/states.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { pageOf } from './downloads/paging.js'
import { type Route, route, type Services } from './route.js'
import {
  type ControlResult,
  type DownloadList,
  type DownloadRequest,
  type DownloadStarted,
  type DownloadStatus,
  eventsQuery,
  removeQuery,
  type RemoveResult,
  type StartMessage,
  statusQuery,
} from './schemas.js'
import type { WireDisk } from './disk-schemas.js'
import { eventStream } from './sse.js'

/**
 * Maximum time to wait for the check of an existing file, in milliseconds: `plain` if the check needs no
 * hashing (the disk may be slow), `hashing` otherwise.
 */
const checkMs = { plain: 2_000, hashing: 250 }

async function start(services: Services, wanted: DownloadRequest): Promise<DownloadStarted> {
  const { manager, admission, remote } = services
  const { url } = wanted
  await manager.ready
  const before = admission.isEntering(url) ? 'queued' : manager.get(url)?.state
  const isLive = before !== undefined && !isSettled(before)
  const adds = !isLive && before !== 'completed'
  const download = await admission.enter(url, adds, () =>
    manager.download({ ...downloadOptions(wanted), remote }),
  )
  const message: StartMessage = isLive
    ? 'Download already in progress'
    : (await isThereAlready(manager, download))
      ? 'File already exists'
      : 'Download started'
  return { success: true, url, filename: download.filename, mode: download.mode, message }
}

/** The download options of a request, without those that it leaves out. `connections` is up to the server. */
function downloadOptions(wanted: DownloadRequest): DownloadOptions {
  const options: DownloadOptions = { url: wanted.url }
  if (wanted.urls !== undefined) options.urls = wanted.urls
  if (wanted.filename !== undefined) options.filename = wanted.filename
  if (wanted.mode !== undefined) options.mode = wanted.mode
  if (wanted.sha256 !== undefined) options.sha256 = wanted.sha256
  if (wanted.digest !== undefined) options.digest = wanted.digest
  if (wanted.size !== undefined) options.size = wanted.size
  if (wanted.priority !== undefined) options.priority = wanted.priority
  if (wanted.include !== undefined) options.include = wanted.include
  if (wanted.exclude !== undefined) options.exclude = wanted.exclude
  return options
}

/**
 * Whether the file already existed. If the check needs only a look at the file system, this waits for it, so
 * that a caller that requests the status next finds the download completed. It does not wait for a longer
 * check, such as hashing a large file, nor for the download of a file whose size is wrong.
 */
async function isThereAlready(manager: DownloadManager, download: Download): Promise<boolean> {
  const { record } = download
  const { destinations, clock } = manager[internals]
  const limit = (await destinations.holds(record)) ? checkMs.plain : checkMs.hashing
  const stat = await lstat(download.path).catch(() => null)
  if (stat?.isFile() !== true || (record.size ?? stat.size) !== stat.size) return false
  const checked = new AbortController()
  const over = clock.sleep(limit, checked.signal).then(() => null)
  const file = await Promise.race([download.finished.catch(() => null), over])
  checked.abort()
  return file?.existed === true
}

/** @throws DownloadError `UNKNOWN_DOWNLOAD`. */
export async function known(manager: DownloadManager, url: string): Promise<Download> {
  await manager.ready
  const download = manager.get(url)
  if (download !== undefined) return download
  throw sentenceError('UNKNOWN_DOWNLOAD', 'unknownDownload', [])
}

/** The path of a download, which callers may know if it is below the folder of the manager; otherwise null. */
function pathIn({ directory }: DownloadManager, { path }: Download): string | null {
  return isInside(directory, path) ? path : null
}

/**
 * Callers may delete files below the folder of the manager only. The host application may have chosen any other
 * folder for a download, such as a cache that other programs use.
 *
 * @throws DownloadError `ACCESS_DENIED` with status 403.
 */
function requireOwnFile(manager: DownloadManager, url: string): void {
  const download = manager.get(url)
  if (download === undefined || pathIn(manager, download) !== null) return
  throw sentenceError('ACCESS_DENIED', 'outsideFolder', [], { status: 403 })
}

/** Creates one of the four control routes. */
function control(name: 'pause' | 'resume' | 'cancel' | 'retry', summary: string): Route {
  return route({
    method: 'POST',
    path: `/api/models/download/${name}`,
    action: 'downloads:manage',
    summary,
    body: 'ControlRequest',
    answer: 'ControlResult',
    errors: [400, 404, 409, 413, 415],
    handle: async ({ services, body, voice }): Promise<ControlResult> => ({
      success: true,
      download: toFullWire(await services.manager[name](body.url), voice),
    }),
  })
}

/** The routes below `/api/models/download`. */
export const downloadRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/api/models/download',
    action: 'downloads:manage',
    summary:
      'Start a download, or join the existing one of this URL. Responds without waiting for the network.',
    body: 'DownloadRequest',
    answer: 'DownloadStarted',
    errors: [400, 409, 413, 415, 429],
    handle: ({ services, body }) => start(services, body),
  }),
  route({
    method: 'DELETE',
    path: '/api/models/download',
    action: 'downloads:manage',
    summary:
      'Remove a download from the list; an active one is canceled first. Does nothing when it is unknown.',
    query: removeQuery,
    answer: 'RemoveResult',
    errors: [400],
    handle: async ({ services, query }): Promise<RemoveResult> => {
      const { manager } = services
      const deleteFile = query.delete_file ?? false
      await manager.ready
      if (deleteFile) requireOwnFile(manager, query.url)
      await manager.remove(query.url, { deleteFile })
      return { success: true, url: query.url }
    },
  }),
  route({
    method: 'GET',
    path: '/api/models/download/status',
    action: 'downloads:read',
    summary:
      'Status of one download by its URL, or of all downloads, page by page if there are more than 1,000.',
    query: statusQuery,
    answer: 'DownloadStatusOrList',
    errors: [400, 404],
    handle: async ({ services, query, voice }): Promise<DownloadStatus | DownloadList> => {
      const { manager, downloadLogs } = services
      const { url, state, mode, limit, cursor } = query
      if (url !== undefined) {
        const download = await known(manager, url)
        const place = query.with_path === true ? { path: pathIn(manager, download) } : {}
        const logs = query.with_log === true ? { logs: downloadLogs.of(download.url, voice) } : {}
        return { success: true, download: toFullWire(download, voice), ...place, ...logs }
      }
      await manager.ready
      const matching = manager
        .list()
        .filter((each) => (state ?? each.state) === each.state && (mode ?? each.mode) === each.mode)
      const { items, next } = pageOf(matching, query, ({ record }) => record)
      const downloads = toWireMap(items, voice)
      // A list that needs no pages looks as it did before there were any.
      const isPaged = limit !== undefined || cursor !== undefined || next !== null
      return { success: true, downloads, ...(isPaged ? { next_cursor: next } : {}) }
    },
  }),
  control('pause', 'Stop a download and keep its data.'),
  control('resume', 'Resume a paused download.'),
  control('cancel', 'Stop a download and delete its data.'),
  control('retry', 'Start a failed or canceled download again, from the data kept on disk if there is any.'),
  route({
    method: 'GET',
    path: '/api/models/download/events',
    action: 'downloads:read',
    summary: 'Server-sent events: `snapshot` first, then `progress`, `state`, `log` and `removed`.',
    query: eventsQuery,
    answer: 'event stream',
    errors: [400, 404],
    handle: async ({ services: { manager, downloadEvents }, request, query, caller, voice }) => {
      if (query.url !== undefined) await known(manager, query.url)
      else await manager.ready
      return eventStream(downloadEvents[voice.locale], request, query.url ?? null, caller)
    },
  }),
  route({
    method: 'GET',
    path: '/api/models/disk',
    action: 'downloads:read',
    summary: 'What takes the disk space of the server, model by model, and its limits.',
    answer: 'Disk',
    errors: [],
    handle: async ({ services: { manager } }): Promise<WireDisk> => ({
      success: true,
      ...(await manager.disk()),
    }),
  }),
]
