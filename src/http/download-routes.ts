/** The routes below `/api/models/download`. */
import { lstat } from 'node:fs/promises'
import type { Download } from '../download/download.js'
import { isSettled } from '../download/states.js'
import { DownloadError, invalidOption } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
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
import { eventStream } from './sse.js'
import { toFullWire, toWireMap } from './wire.js'

/**
 * How long a request waits at most for a look at a file that lies there already, in milliseconds: for one that needs no
 * hashing, when the disk is slow; and for one that does.
 */
const lookMs = { plain: 2_000, hashing: 250 }

async function start(services: Services, wanted: DownloadRequest): Promise<DownloadStarted> {
  const { manager, admission, remote } = services
  const { url, urls, filename, mode, sha256, size, priority, include, exclude } = wanted
  await manager.ready
  const before = admission.isEntering(url) ? 'queued' : manager.get(url)?.state
  const isLive = before !== undefined && !isSettled(before)
  const adds = !isLive && before !== 'completed'
  const download = await admission.enter(url, adds, () =>
    manager.download({
      url,
      remote,
      ...(urls === undefined ? {} : { urls }),
      ...(filename === undefined ? {} : { filename }),
      ...(mode === undefined ? {} : { mode }),
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(size === undefined ? {} : { size }),
      ...(priority === undefined ? {} : { priority }),
      ...(include === undefined ? {} : { include }),
      ...(exclude === undefined ? {} : { exclude }),
    }),
  )
  const message: StartMessage = isLive
    ? 'Download already in progress'
    : (await isThereAlready(manager, download))
      ? 'File already exists'
      : 'Download started'
  return { success: true, url, filename: download.filename, mode: download.mode, message }
}

/**
 * Whether the file was there already. A look at the disk is all that it takes, so a caller that asks right afterwards
 * finds the download completed; one that takes longer, such as hashing a large file, is not waited for, nor is a
 * file of the wrong size fetched meanwhile.
 */
async function isThereAlready(manager: DownloadManager, download: Download): Promise<boolean> {
  const { record } = download
  const limit = (await manager[internals].destinations.holds(record)) ? lookMs.plain : lookMs.hashing
  const stat = await lstat(download.path).catch(() => null)
  if (stat?.isFile() !== true || (record.size ?? stat.size) !== stat.size) return false
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, limit, null)
  })
  const file = await Promise.race([download.finished.catch(() => null), over])
  clearTimeout(timer)
  return file?.existed === true
}

async function known(manager: DownloadManager, url: string): Promise<Download> {
  await manager.ready
  const download = manager.get(url)
  if (download !== undefined) return download
  throw new DownloadError('UNKNOWN_DOWNLOAD', 'No download of this URL is known.')
}

/** One of the four moves. */
function control(name: 'pause' | 'resume' | 'cancel' | 'retry', summary: string): Route {
  return route({
    method: 'POST',
    path: `/api/models/download/${name}`,
    action: 'downloads:manage',
    summary,
    body: 'ControlRequest',
    answer: 'ControlResult',
    errors: [400, 404, 409, 413, 415],
    handle: async ({ services, body }): Promise<ControlResult> => ({
      success: true,
      download: toFullWire(await services.manager[name](body.url)),
    }),
  })
}

/** See the head of this file. */
export const downloadRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/api/models/download',
    action: 'downloads:manage',
    summary: 'Start a download, or join the one of this URL. Answers without waiting for the network.',
    body: 'DownloadRequest',
    answer: 'DownloadStarted',
    errors: [400, 409, 413, 415, 429],
    handle: ({ services, body }) => start(services, body),
  }),
  route({
    method: 'DELETE',
    path: '/api/models/download',
    action: 'downloads:manage',
    summary: 'Forget a download; a live one is canceled first. Harmless when it is unknown.',
    query: removeQuery,
    answer: 'RemoveResult',
    errors: [400],
    handle: async ({ services, query }): Promise<RemoveResult> => {
      await services.manager.remove(query.url, { deleteFile: query.delete_file ?? false })
      return { success: true, url: query.url }
    },
  }),
  route({
    method: 'GET',
    path: '/api/models/download/status',
    action: 'downloads:read',
    summary: 'One download by its URL, or all of them.',
    query: statusQuery,
    answer: 'DownloadStatusOrList',
    errors: [400, 404],
    handle: async ({ services: { manager }, query }): Promise<DownloadStatus | DownloadList> => {
      const { url, state, mode, limit } = query
      if (url !== undefined) return { success: true, download: toFullWire(await known(manager, url)) }
      await manager.ready
      const matching = manager
        .list()
        .filter((each) => (state ?? each.state) === each.state && (mode ?? each.mode) === each.mode)
      const { items, next } = pageOf(matching, query, ({ record }) => record.sequence)
      const downloads = toWireMap(items)
      return { success: true, downloads, ...(limit === undefined ? {} : { next_cursor: next }) }
    },
  }),
  control('pause', 'Stop a download and keep its bytes.'),
  control('resume', 'Go on with a paused download.'),
  control('cancel', 'Stop a download and delete its bytes.'),
  control('retry', 'Start a failed or canceled download anew, from its kept bytes where there are some.'),
  route({
    method: 'GET',
    path: '/api/models/download/events',
    action: 'downloads:read',
    summary: 'Server-sent events: `snapshot` first, then `progress`, `state`, `log` and `removed`.',
    query: eventsQuery,
    answer: 'event stream',
    errors: [400, 404],
    handle: async ({ services: { manager, downloadEvents }, request, query }) => {
      if (query.url !== undefined) await known(manager, query.url)
      else await manager.ready
      return eventStream(downloadEvents, request, query.url ?? null)
    },
  }),
]

// ---- Pages of a list that changes while it is read. Pure.

/**
 * A cursor names the last entry of its page by its order of arrival, which never changes: whatever is added or removed
 * meanwhile, no page repeats or skips an entry that was there all the time.
 */
export function encodeCursor(sequence: number): string {
  return `s${sequence.toString(36)}`
}

/**
 * The order of arrival that a cursor names.
 *
 * @throws DownloadError `INVALID_OPTIONS` for anything that {@link encodeCursor} did not make.
 */
export function decodeCursor(cursor: string): number {
  const sequence = /^s[0-9a-z]{1,11}$/.test(cursor) ? parseInt(cursor.slice(1), 36) : NaN
  if (!Number.isSafeInteger(sequence) || encodeCursor(sequence) !== cursor) {
    throw invalidOption('cursor', 'is not one that this server gave', 'The query')
  }
  return sequence
}

/** What part of a list is wanted. */
export interface PageRequest {
  limit?: number | undefined
  cursor?: string | undefined
}

/** A part of a list. */
export interface Page<T> {
  items: T[]
  /** Where the next page begins; null when this is the last one. */
  next: string | null
}

/**
 * One page.
 *
 * @param items - in order of arrival.
 * @param sequenceOf - the order of arrival of an item.
 * @throws DownloadError `INVALID_OPTIONS` for a cursor that is none.
 */
export function pageOf<T>(
  items: readonly T[],
  { limit, cursor }: PageRequest,
  sequenceOf: (item: T) => number,
): Page<T> {
  const after = cursor === undefined ? -1 : decodeCursor(cursor)
  const rest = items.filter((item) => sequenceOf(item) > after)
  if (limit === undefined || rest.length <= limit) return { items: rest, next: null }
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  return { items: page, next: last === undefined ? null : encodeCursor(sequenceOf(last)) }
}
