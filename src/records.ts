/** Making and comparing download records. Pure. */
import { hash } from 'node:crypto'
import type { Download } from './download.js'
import { DownloadError } from './errors.js'
import type { ResolvedDownloadOptions } from './options.js'
import type { DownloadRequest } from './request.js'
import { isActive } from './states.js'
import type { DownloadRecord } from './store/store.js'

/** The record of a download that was just asked for. */
export function newRecord(
  wanted: ResolvedDownloadOptions,
  place: Pick<DownloadRecord, 'directory' | 'layout' | 'mode' | 'filename' | 'named' | 'sequence'>,
): DownloadRecord {
  return {
    version: 1,
    id: hash('sha256', wanted.url),
    url: wanted.url,
    urls: wanted.urls ?? [],
    spread: wanted.spread ?? false,
    ...place,
    cache: null,
    adopt: wanted.adopt ?? false,
    state: 'queued',
    sha256: wanted.sha256 ?? null,
    size: wanted.size ?? null,
    headers: wanted.headers,
    priority: wanted.priority,
    connections: wanted.connections ?? null,
    maxBytesPerSecond: wanted.maxBytesPerSecond ?? null,
    remote: wanted.remote,
    force: wanted.force,
    downloaded: 0,
    total: wanted.size ?? null,
    error: null,
    resultSha256: null,
    verified: false,
    stamp: null,
    include: wanted.include ?? [],
    exclude: wanted.exclude ?? [],
    group: null,
    createdAt: new Date().toISOString(),
    startedAt: null,
    finishedAt: null,
  }
}

/**
 * Asking again must mean the same file.
 *
 * @throws DownloadError `CONFLICT` when folder, layout, file name, mode, digest, size or globs differ from what is known; also for a digest or
 * size where none was given, once the transfer runs: it would end without having looked at them.
 */
export function requireSame(
  known: Download,
  wanted: ResolvedDownloadOptions,
  place: Pick<DownloadRequest, 'directory' | 'mode' | 'given'>,
): void {
  const { record } = known
  const differs = (name: string) =>
    new DownloadError('CONFLICT', `This URL is known already with another ${name}; remove it first.`)
  if (wanted.layout !== undefined && wanted.layout !== record.layout) throw differs('layout')
  // A cache has no modes.
  if (place.mode !== undefined && record.layout === 'flat' && place.mode !== record.mode)
    throw differs('mode')
  if (place.directory !== undefined && place.directory !== record.directory) throw differs('directory')
  if (place.given !== null && place.given !== record.filename) throw differs('file name')
  if (wanted.sha256 !== undefined && record.sha256 !== null && wanted.sha256 !== record.sha256)
    throw differs('sha256')
  if (wanted.size !== undefined && record.size !== null && wanted.size !== record.size) throw differs('size')
  if (wanted.include !== undefined && !sameList(wanted.include, record.include)) throw differs('include')
  if (wanted.exclude !== undefined && !sameList(wanted.exclude, record.exclude)) throw differs('exclude')
  if (isActive(known.state) && isStricter(record, wanted)) {
    throw new DownloadError('CONFLICT', 'This URL is being fetched already without that sha256 or size.')
  }
}

/**
 * A plain URL is one file.
 *
 * @throws DownloadError `INVALID_OPTIONS` for globs.
 */
export function requireNoGlobs({ include, exclude }: ResolvedDownloadOptions): void {
  if (include === undefined && exclude === undefined) return
  const path = include === undefined ? 'exclude' : 'include'
  const message = 'goes with a ref that means several files'
  throw new DownloadError('INVALID_OPTIONS', `download options: ${path}: ${message}`, {
    issues: [{ path, message }],
  })
}

/** Whether two lists, such as globs, are the same. */
export function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

/** Whether a call expects something of the file that nobody did before. */
export function isStricter(record: DownloadRecord, wanted: ResolvedDownloadOptions): boolean {
  return (
    (wanted.sha256 !== undefined && record.sha256 === null) ||
    (wanted.size !== undefined && record.size === null)
  )
}

/** What the file must be, by what is recorded and what was said now. */
export function expectations(
  record: DownloadRecord,
  wanted: ResolvedDownloadOptions,
): Pick<DownloadRecord, 'sha256' | 'size'> {
  return { sha256: wanted.sha256 ?? record.sha256, size: wanted.size ?? record.size }
}

/** What changes in a settled record when it is asked for again; null when nothing new was said. */
export function renewal(
  record: DownloadRecord,
  wanted: ResolvedDownloadOptions | null,
): Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>> {
  const fresh = { error: null, finishedAt: null, startedAt: null, verified: false, downloaded: 0 }
  if (wanted === null) return fresh
  return {
    ...fresh,
    ...expectations(record, wanted),
    force: wanted.force,
    adopt: wanted.adopt ?? record.adopt,
    // Who asks last answers for it: a trusted caller may lead it anywhere, a remote one no further than its grant.
    remote: wanted.remote,
    urls: wanted.urls ?? record.urls,
    spread: wanted.spread ?? record.spread,
    connections: wanted.connections ?? record.connections,
    maxBytesPerSecond:
      wanted.maxBytesPerSecond === undefined ? record.maxBytesPerSecond : wanted.maxBytesPerSecond,
    headers: Object.keys(wanted.headers).length === 0 ? record.headers : wanted.headers,
    priority: wanted.priority,
  }
}
