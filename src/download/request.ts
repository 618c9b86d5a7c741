/** What a caller asks for, checked and with what the manager adds to it. */
import { hash } from 'node:crypto'
import { checkFilename, fallbackFilename } from '../disk/names.js'
import { DownloadError, invalidOption } from '../errors.js'
import type { Layout } from '../layouts/hf-paths.js'
import { identify } from '../sources/identify.js'
import type { Resolver } from '../sources/resolver.js'
import { environmentCache, type Destinations } from './destination.js'
import type { Download } from './download.js'
import { checkMirrors, downloadOptionsSchema, parseOptions, type ResolvedDownloadOptions } from './options.js'
import type { DownloadRecord } from './record.js'
import { isActive } from './states.js'

/** Settings and services of the manager that validating a request needs. */
export interface DownloadRequestContext {
  places: Destinations
  resolver: Resolver
  /** Of downloads that name none. */
  layout: Layout
  adopt: boolean | 'copy'
  /** Whether the manager's folder is meant to be the cache, should one be wanted. */
  ownsCache: boolean
}

/** See {@link readRequest}. */
export interface ValidatedRequest {
  /** `adopt` is decided. */
  wanted: ResolvedDownloadOptions
  layout: Layout
  /** The one that was given; undefined when none was. */
  directory: string | null | undefined
  /** Where it goes when it is new. */
  home: string | null
  /** Undefined where there are none, as in a cache. */
  mode: string | null | undefined
  /** File name that was given; else null. */
  given: string | null
  /** File name by the URL or the ref; null when that doesn't tell. */
  told: string | null
}

/**
 * Reads what a caller asks for.
 *
 * @throws DownloadError `INVALID_OPTIONS`, `INVALID_URL`, `UNSAFE_FILENAME`.
 */
export function readRequest(options: unknown, context: DownloadRequestContext): ValidatedRequest {
  const wanted = parseOptions(downloadOptionsSchema, options, 'download options')
  const { places } = context
  const given = wanted.filename === undefined ? null : checkFilename(wanted.filename)
  const told = filenameIn(wanted, context.resolver)
  checkMirrors(wanted.urls ?? [], wanted.remote)
  const layout = layoutOf(wanted, context)
  const inCache = layout === 'hf-cache'
  const directory = wanted.directory === undefined ? undefined : places.directoryOf(wanted.directory)
  const cache = inCache && !context.ownsCache ? places.directoryOf(environmentCache()) : null
  return {
    wanted: { ...wanted, adopt: wanted.adopt ?? (wanted.remote === null ? context.adopt : false) },
    layout,
    directory,
    home: directory === undefined ? cache : directory,
    mode: inCache ? undefined : places.modeOf(wanted.mode),
    given,
    told,
  }
}

/** Where a new download goes, as far as it is known. */
export function destinationFor({
  layout,
  home,
  mode = null,
  given,
  told,
}: ValidatedRequest): Pick<DownloadRecord, 'layout' | 'directory' | 'mode' | 'filename' | 'named'> {
  const filename = given ?? told ?? fallbackFilename
  // In a cache the commit is part of the path.
  const named = layout === 'flat' && (given ?? told) !== null
  return { layout, directory: home, mode, filename, named }
}

function layoutOf(wanted: ResolvedDownloadOptions, { layout, resolver }: DownloadRequestContext): Layout {
  const fits = resolver.find(wanted.url)?.layouts?.includes('hf-cache') === true
  const { mode = null, filename } = wanted
  if (wanted.layout === undefined) {
    return layout === 'hf-cache' && fits && mode === null && filename === undefined ? layout : 'flat'
  }
  if (wanted.layout === 'flat') return 'flat'
  if (!fits) throw invalidOption('layout', 'hf-cache takes refs of the Hugging Face hub only')
  if (mode !== null) throw invalidOption('mode', 'there are none in a cache; leave it out')
  if (filename !== undefined)
    throw invalidOption('filename', 'a cache keeps the names of the hub; leave it out')
  return 'hf-cache'
}

/** The name that the URL or the ref itself gives the file. Checks both. */
function filenameIn(wanted: ResolvedDownloadOptions, resolver: Resolver): string | null {
  const identified = identify(wanted.url, resolver, wanted.remote)
  if (identified.kind === 'url') requireNoGlobs(wanted)
  return identified.filename
}

// ---- Making and comparing download records. Pure.

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
  place: Pick<ValidatedRequest, 'directory' | 'mode' | 'given'>,
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
  throw invalidOption(path, 'goes with a ref that means several files')
}

/** Whether two lists, such as globs, are the same. */
export function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

/**
 * Whether a digest or a size is expected of the file that nobody expected before.
 *
 * @param wanted - what is expected now; null or undefined where nothing is said.
 */
export function isStricter(
  record: Pick<DownloadRecord, 'sha256' | 'size'>,
  wanted: { sha256?: string | null | undefined; size?: number | null | undefined },
): boolean {
  const { sha256 = null, size = null } = wanted
  return (sha256 !== null && record.sha256 === null) || (size !== null && record.size === null)
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
