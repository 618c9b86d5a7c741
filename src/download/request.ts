/** Validates requests for downloads, and adds the settings of the manager. */
import { resolve } from 'node:path'
import { checkFilename, fallbackFilename } from '../disk/names.js'
import { invalidOption } from '../errors.js'
import type { RemoteGrant } from '../net/address-policy.js'
import type { Layout } from '../layouts/hf-paths.js'
import { identify, parseUrl, provisionalFilename } from '../sources/identify.js'
import type { Resolver } from '../sources/resolver.js'
import { sha256HexOf } from '../util/digest.js'
import { environmentCache, type Destinations } from './destination.js'
import type { XetMode } from './xet.js'
import type { Download } from './download.js'
import { sentenceError } from './error-text.js'
import { checkMirrors, downloadOptionsSchema, parseOptions, type ResolvedDownloadOptions } from './options.js'
import type { DownloadRecord } from './record.js'
import { isActive, isSettled } from './states.js'

/** Settings and services of the manager that validating a request needs. */
export interface DownloadRequestContext {
  places: Destinations
  resolver: Resolver
  /** Layout of downloads that do not set one. */
  layout: Layout
  adopt: boolean | 'copy'
  /** Default `auto`. */
  xet?: XetMode | undefined
  /** Whether the manager's folder serves as the cache in the `hf-cache` layout. */
  ownsCache: boolean
}

/** A validated request. */
export interface ValidatedRequest {
  /** Validated options, with the effective values of `adopt` and `xet`. */
  wanted: ResolvedDownloadOptions
  layout: Layout
  /** Directory that the caller gave; undefined if none. */
  directory: string | null | undefined
  /** Directory of the download if it is new. */
  targetDirectory: string | null
  /** Mode of the download; undefined in a cache, which has no modes. */
  mode: string | null | undefined
  /** File name that the caller gave; otherwise null. */
  givenFilename: string | null
  /** File name derived from the URL or the ref; null if they do not contain one. */
  derivedFilename: string | null
  /** Name until the source or the server has told another, if neither of the others is given. */
  provisionalFilename: string
}

/**
 * Validates a request.
 *
 * @throws DownloadError `INVALID_OPTIONS`, `INVALID_URL`, `UNSAFE_FILENAME`.
 */
export function readRequest(options: unknown, context: DownloadRequestContext): ValidatedRequest {
  const wanted = parseOptions(downloadOptionsSchema, options, 'download options')
  const { places } = context
  const givenFilename = wanted.filename === undefined ? null : checkFilename(wanted.filename)
  const identified = identify(wanted.url, context.resolver, wanted.remote, wanted.restrictNames)
  if (identified.kind === 'url') requireNoGlobs(wanted)
  checkMirrors(wanted.urls ?? [], wanted.remote)
  const checksums = checksumsOf(wanted)
  const layout = layoutOf(wanted, context)
  const inCache = layout === 'hf-cache'
  const directory = wanted.directory === undefined ? undefined : places.directoryOf(wanted.directory)
  const cache = inCache && !context.ownsCache ? places.directoryOf(environmentCache()) : null
  return {
    wanted: {
      ...wanted,
      checksums,
      adopt: wanted.adopt ?? (wanted.remote === null ? context.adopt : false),
      xet: wanted.xet ?? context.xet ?? 'auto',
    },
    layout,
    directory,
    targetDirectory: directory === undefined ? cache : directory,
    mode: inCache ? undefined : places.modeOf(wanted.mode),
    givenFilename,
    derivedFilename: identified.filename,
    provisionalFilename: identified.kind === 'ref' ? provisionalFilename(wanted.url) : fallbackFilename,
  }
}

/**
 * Where the file of checksums is: a URL, or an absolute path.
 *
 * @throws DownloadError `INVALID_URL`; `INVALID_OPTIONS` for a path that a remote caller names.
 */
function checksumsOf({ checksums, remote }: ResolvedDownloadOptions): string | undefined {
  if (checksums === undefined) return undefined
  if (/^https?:/i.test(checksums)) return parseUrl(checksums, remote).href
  if (remote !== null) throw invalidOption('checksums', 'must be an http or https URL')
  return resolve(checksums)
}

/** Returns where a new download is stored, as far as that is known. */
export function destinationFor({
  layout,
  targetDirectory,
  mode = null,
  givenFilename,
  derivedFilename,
  provisionalFilename: provisional,
}: ValidatedRequest): Pick<DownloadRecord, 'layout' | 'directory' | 'mode' | 'filename' | 'named'> {
  const filename = givenFilename ?? derivedFilename ?? provisional
  // In a cache, the commit is part of the path.
  const named = layout === 'flat' && (givenFilename ?? derivedFilename) !== null
  return { layout, directory: targetDirectory, mode, filename, named }
}

function layoutOf(wanted: ResolvedDownloadOptions, { layout, resolver }: DownloadRequestContext): Layout {
  const fits = resolver.find(wanted.url)?.layouts?.includes('hf-cache') === true
  const { mode = null, filename } = wanted
  if (wanted.layout === undefined) {
    return layout === 'hf-cache' && fits && mode === null && filename === undefined ? layout : 'flat'
  }
  if (wanted.layout === 'flat') return 'flat'
  if (!fits) throw invalidOption('layout', 'hf-cache supports only refs of the Hugging Face Hub')
  if (mode !== null) throw invalidOption('mode', 'a cache has no modes; leave it out')
  if (filename !== undefined)
    throw invalidOption('filename', 'a cache keeps the file names of the Hub; leave it out')
  return 'hf-cache'
}

// ---- Creating and comparing download records. Pure.

/** Creates the record of a new download. */
export function newRecord(
  wanted: ResolvedDownloadOptions,
  place: Pick<DownloadRecord, 'directory' | 'layout' | 'mode' | 'filename' | 'named' | 'sequence'>,
): DownloadRecord {
  return {
    version: 1,
    id: sha256HexOf(wanted.url),
    url: wanted.url,
    urls: wanted.urls ?? [],
    spread: wanted.spread ?? false,
    ...place,
    cache: null,
    adopt: wanted.adopt ?? false,
    ...((wanted.xet ?? 'auto') === 'auto' ? {} : { xet: wanted.xet }),
    state: 'queued',
    sha256: wanted.sha256 ?? null,
    ...(wanted.digest === undefined ? {} : { digest: wanted.digest }),
    ...(wanted.checksums === undefined ? {} : { checksums: wanted.checksums }),
    size: wanted.size ?? null,
    headers: wanted.headers,
    priority: wanted.priority,
    connections: wanted.connections ?? null,
    maxBytesPerSecond: wanted.maxBytesPerSecond ?? null,
    remote: wanted.remote,
    checkFormat: wanted.checkFormat,
    restrictNames: wanted.restrictNames,
    ...mirrorTrust(wanted),
    force: wanted.force,
    downloaded: 0,
    total: wanted.size ?? null,
    error: null,
    resultSha256: null,
    verified: false,
    ...(wanted.offline === undefined ? {} : { offline: wanted.offline }),
    stamp: null,
    include: wanted.include ?? [],
    exclude: wanted.exclude ?? [],
    group: null,
    createdAt: new Date().toISOString(),
    startedAt: null,
    finishedAt: null,
  }
}

/** The mark for the record of a remote caller who names mirrors; it stays until a trusted caller replaces it. */
export function mirrorTrust({
  remote,
  urls = [],
  checksums,
}: Pick<ResolvedDownloadOptions, 'remote' | 'urls' | 'checksums'>): Pick<DownloadRecord, 'untrustedMirrors'> {
  // A file of checksums may name mirrors as well.
  return remote !== null && (urls.length > 0 || checksums !== undefined) ? { untrustedMirrors: true } : {}
}

/**
 * Whether a request has more trust than the known download of its URL. Then it does not join that download
 * but replaces it, see {@link replacement}.
 */
export function outranks(
  { remote }: Pick<ResolvedDownloadOptions, 'remote'>,
  known: Pick<DownloadRecord, 'remote'>,
): boolean {
  return remote === null && known.remote !== null
}

/**
 * Returns the record of a trusted request for a URL that only remote callers have requested so far. It
 * consists of what the trusted request says itself: a remote caller's mirrors, digest, size, limits, globs,
 * file name and address policy must not decide what a trusted one gets. Bytes that came from a remote
 * caller's mirrors are fetched again, unless a digest will tell whether they are right.
 */
export function replacement(known: DownloadRecord, request: ValidatedRequest): DownloadRecord {
  const { wanted } = request
  const { createdAt, sequence, stamp, untrustedMirrors = false } = known
  const record = newRecord(wanted, { ...destinationFor(request), sequence })
  return {
    ...record,
    createdAt,
    // It belongs to the file itself, and is compared with it.
    stamp,
    force: record.force || (untrustedMirrors && record.sha256 === null),
  }
}

/**
 * Checks that a repeated request means the same file.
 *
 * @throws DownloadError `CONFLICT` when folder, layout, file name, mode, digest, size or globs differ from
 * the known ones; also for a digest or size where none was given before, once the transfer runs, because it
 * would end without checking them, or if a remote caller would add it to a trusted caller's download.
 */
export function requireSame(
  known: Download,
  wanted: ResolvedDownloadOptions,
  place: Pick<ValidatedRequest, 'directory' | 'mode' | 'givenFilename'>,
): void {
  const { record } = known
  const differs = (name: string) => sentenceError('CONFLICT', 'knownDifferently', [name])
  if (wanted.layout !== undefined && wanted.layout !== record.layout) throw differs('layout')
  // A cache has no modes.
  if (place.mode !== undefined && record.layout === 'flat' && place.mode !== record.mode)
    throw differs('mode')
  if (place.directory !== undefined && place.directory !== record.directory) throw differs('directory')
  if (place.givenFilename !== null && place.givenFilename !== record.filename) throw differs('file name')
  if (wanted.sha256 !== undefined && record.sha256 !== null && wanted.sha256 !== record.sha256)
    throw differs('sha256')
  if (wanted.digest !== undefined && record.digest !== undefined && wanted.digest !== record.digest)
    throw differs('digest')
  if (
    wanted.checksums !== undefined &&
    record.checksums !== undefined &&
    wanted.checksums !== record.checksums
  )
    throw differs('checksums')
  if (wanted.size !== undefined && record.size !== null && wanted.size !== record.size) throw differs('size')
  if (wanted.include !== undefined && !sameList(wanted.include, record.include)) throw differs('include')
  if (wanted.exclude !== undefined && !sameList(wanted.exclude, record.exclude)) throw differs('exclude')
  const stricter = isStricter(record, wanted)
  if (stricter && wanted.remote !== null && record.remote === null && !isSettled(known.state)) {
    throw sentenceError('CONFLICT', 'activeForHost', [])
  }
  if (stricter && isActive(known.state)) {
    throw sentenceError('CONFLICT', 'activeOtherwise', [])
  }
}

/**
 * Rejects globs for a plain URL, which is a single file.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function requireNoGlobs({ include, exclude }: ResolvedDownloadOptions): void {
  if (include === undefined && exclude === undefined) return
  const path = include === undefined ? 'exclude' : 'include'
  throw invalidOption(path, 'applies only to a ref that names several files')
}

/** Whether two lists, such as lists of globs, are equal. */
export function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

/** What a download must be found to be. */
type Expectations = Pick<DownloadRecord, 'sha256' | 'digest' | 'checksums' | 'size'>

/**
 * Whether a digest or size is expected of the file now that was not expected before.
 *
 * @param wanted - the new expectations; null or undefined if not given.
 */
export function isStricter(
  record: Expectations,
  wanted: { [Name in keyof Expectations]?: Expectations[Name] | undefined },
): boolean {
  const { sha256 = null, digest, checksums, size = null } = wanted
  return (
    (sha256 !== null && record.sha256 === null) ||
    (digest !== undefined && record.digest === undefined) ||
    (checksums !== undefined && record.checksums === undefined) ||
    (size !== null && record.size === null)
  )
}

/** Merges the recorded expectations with those of a new request. */
export function expectations(record: DownloadRecord, wanted: ResolvedDownloadOptions): Expectations {
  return {
    sha256: wanted.sha256 ?? record.sha256,
    digest: wanted.digest ?? record.digest,
    checksums: wanted.checksums ?? record.checksums,
    size: wanted.size ?? record.size,
  }
}

/**
 * Returns the changes to a settled record that is requested again.
 *
 * @param wanted - options of the new request; null when there are none, as for a retry.
 */
export function renewal(
  record: DownloadRecord,
  wanted: ResolvedDownloadOptions | null,
): Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>> {
  const fresh = {
    error: null,
    finishedAt: null,
    startedAt: null,
    verified: false,
    stale: undefined,
    downloaded: 0,
  }
  if (wanted === null) return fresh
  const { remote } = wanted
  // Mirrors and headers of one caller must not be used with the rights of another one.
  const alike = remote === null || isSameGrant(remote, record.remote)
  return {
    ...fresh,
    ...expectations(record, wanted),
    checkFormat: wanted.checkFormat,
    restrictNames: wanted.restrictNames ?? record.restrictNames,
    force: wanted.force,
    offline: wanted.offline,
    adopt: wanted.adopt ?? record.adopt,
    xet: wanted.xet === 'auto' ? undefined : (wanted.xet ?? record.xet),
    // The last caller decides: a trusted one may use any address, a remote one only those of its grant.
    remote,
    urls: wanted.urls ?? (alike ? record.urls : []),
    spread: wanted.spread ?? record.spread,
    connections: wanted.connections ?? record.connections,
    maxBytesPerSecond:
      wanted.maxBytesPerSecond === undefined ? record.maxBytesPerSecond : wanted.maxBytesPerSecond,
    headers: Object.keys(wanted.headers).length === 0 && alike ? record.headers : wanted.headers,
    priority: wanted.priority,
  }
}

function isSameGrant(a: RemoteGrant, b: RemoteGrant | null): boolean {
  return (
    b !== null &&
    a.allowPrivateNetwork === b.allowPrivateNetwork &&
    sameList([...a.allowedHosts].sort(), [...b.allowedHosts].sort())
  )
}
