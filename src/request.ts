/** What a caller asks for, checked and with what the manager adds to it. */
import { DownloadError } from './errors.js'
import { checkFilename, fallbackFilename, filenameFromUrl } from './files/names.js'
import {
  checkMirrors,
  downloadOptionsSchema,
  parseOptions,
  parseUrl,
  type Layout,
  type ResolvedDownloadOptions,
} from './options.js'
import { environmentCache } from './placement.js'
import type { Places } from './places.js'
import { requireNoGlobs } from './records.js'
import type { Resolver } from './sources/resolver.js'
import type { DownloadRecord } from './store/store.js'

/** What of a manager a request is read with. */
export interface RequestHouse {
  places: Places
  resolver: Resolver
  /** Of downloads that name none. */
  layout: Layout
  adopt: boolean | 'copy'
  /** Whether the manager's folder is meant to be the cache, should one be wanted. */
  ownsCache: boolean
}

/** See {@link readRequest}. */
export interface DownloadRequest {
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
export function readRequest(options: unknown, house: RequestHouse): DownloadRequest {
  const wanted = parseOptions(downloadOptionsSchema, options, 'download options')
  const { places } = house
  const given = wanted.filename === undefined ? null : checkFilename(wanted.filename)
  const told = filenameIn(wanted, house.resolver)
  checkMirrors(wanted.urls ?? [], wanted.remote)
  const layout = layoutOf(wanted, house)
  const inCache = layout === 'hf-cache'
  const directory = wanted.directory === undefined ? undefined : places.directoryOf(wanted.directory)
  const cache = inCache && !house.ownsCache ? places.directoryOf(environmentCache()) : null
  return {
    wanted: { ...wanted, adopt: wanted.adopt ?? (wanted.remote === null ? house.adopt : false) },
    layout,
    directory,
    home: directory === undefined ? cache : directory,
    mode: inCache ? undefined : places.modeOf(wanted.mode),
    given,
    told,
  }
}

/** Where a new download goes, as far as it is known. */
export function placeOf({
  layout,
  home,
  mode = null,
  given,
  told,
}: DownloadRequest): Pick<DownloadRecord, 'layout' | 'directory' | 'mode' | 'filename' | 'named'> {
  const filename = given ?? told ?? fallbackFilename
  // In a cache the commit is part of the path.
  const named = layout === 'flat' && (given ?? told) !== null
  return { layout, directory: home, mode, filename, named }
}

function layoutOf(wanted: ResolvedDownloadOptions, { layout, resolver }: RequestHouse): Layout {
  const fits = resolver.find(wanted.url)?.layouts?.includes('hf-cache') === true
  const { mode = null, filename } = wanted
  if (wanted.layout === undefined) {
    return layout === 'hf-cache' && fits && mode === null && filename === undefined ? layout : 'flat'
  }
  if (wanted.layout === 'flat') return 'flat'
  if (!fits) throw notInCache('layout', 'hf-cache takes refs of the Hugging Face hub only')
  if (mode !== null) throw notInCache('mode', 'there are none in a cache; leave it out')
  if (filename !== undefined) throw notInCache('filename', 'a cache keeps the names of the hub; leave it out')
  return 'hf-cache'
}

function notInCache(path: string, message: string): DownloadError {
  return new DownloadError('INVALID_OPTIONS', `download options: ${path}: ${message}`, {
    issues: [{ path, message }],
  })
}

/** What the URL or the ref itself calls the file; checks both on the way. */
function filenameIn(wanted: ResolvedDownloadOptions, resolver: Resolver): string | null {
  const { url, remote } = wanted
  const source = resolver.find(url)
  if (source === null) {
    requireNoGlobs(wanted)
    return filenameFromUrl(parseUrl(url, remote))
  }
  const name = source.filenameOf?.(url) ?? null
  return name === null ? null : checkFilename(name)
}
