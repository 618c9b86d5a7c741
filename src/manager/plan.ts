/** What a download would do: nothing is started, and nothing is written. */
import { join } from 'node:path'
import pLimit from 'p-limit'
import { io } from '../disk/io.js'
import { chooseFilename } from '../disk/names.js'
import { partPaths } from '../disk/part-paths.js'
import { freeBytes } from '../disk/space.js'
import {
  type Destination,
  destinationOf,
  machineCaches,
  ownName,
  type Destinations,
} from '../download/destination.js'
import type { Download } from '../download/download.js'
import type { ResolvedDownloadOptions } from '../download/options.js'
import type { DownloadRecord } from '../download/record.js'
import {
  type ValidatedRequest,
  expectations,
  newRecord,
  destinationFor,
  requireSame,
} from '../download/request.js'
import { size as sizeOf } from '../engine/part/intervals.js'
import { peekLeftover } from '../engine/part/journal.js'
import type { AdoptSpec } from '../engine/protocol.js'
import { planGroup } from '../job/group-rules.js'
import { groupFolder, requireNoDigest } from '../job/group-start.js'
import { CacheIndex } from '../layouts/cache-index.js'
import { snapshotPath } from '../layouts/hf-paths.js'
import type { KnownCaches } from '../layouts/known-caches.js'
import { statedSize } from '../net/content-range.js'
import type { Resolver } from '../sources/resolver.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'

/** Files that are looked at together. */
const looksAtATime = 16

/** One file of a {@link DownloadPlan}. */
export interface PlannedFile {
  /** Relative to the folder of the download, with slashes. */
  filename: string
  /** Absolute path where it lies or would lie. */
  path: string
  /** Bytes; null where nobody tells. */
  size: number | null
  /** Lower-case hex SHA-256 that it must have; null where nobody tells. */
  sha256: string | null
  /**
   * - `complete`: it lies there, with the right size; its digest is looked at by the download itself.
   * - `partial`: some of its bytes are kept from an earlier run.
   * - `adoptable`: a file that seems to be the same lies in another program's cache; the download hashes it first.
   * - `missing`: all of it would be fetched.
   */
  status: 'missing' | 'partial' | 'complete' | 'adoptable'
  /** Bytes that needn't be fetched. */
  haveBytes: number
  /** The file in another program's cache, as an absolute path, when it is adoptable; else null. */
  from: string | null
}

/** What a download would do; see `DownloadManager.plan`. */
export interface DownloadPlan {
  /** The URL or ref that was asked for. */
  url: string
  /** At least one. */
  files: PlannedFile[]
  /** Bytes of all files; null when the size of one is unknown. */
  totalBytes: number | null
  /** Bytes that would be fetched; null when that can't be told. */
  missingBytes: number | null
  /** Bytes free where the files would go; null when the file system doesn't tell. */
  freeBytes: number | null
  /** Whether what would be fetched fits there; null when that can't be told. */
  fits: boolean | null
}

/** What a plan is made with. */
export interface PlanContext {
  places: Destinations
  resolver: Resolver
  /** The download of that URL, when there is one. */
  known: Download | undefined
  /** Throws when another download has one of the files. */
  requireFree: (place: DownloadRecord, filenames: readonly string[]) => void
  /** Aborted when the manager closes. */
  closed: AbortSignal
}

/** What a file is known to be, and where it would go. */
interface Prospect {
  planned: Pick<PlannedFile, 'filename' | 'path' | 'size' | 'sha256'>
  destination: Destination
  /** In a cache it is the blob that is looked at. */
  adopt: AdoptSpec | null
}

/**
 * Makes a plan.
 *
 * @throws DownloadError what the download would fail with before its first byte.
 */
export async function planDownload(
  request: ValidatedRequest,
  { places, resolver, known, requireFree, closed }: PlanContext,
): Promise<DownloadPlan> {
  const { wanted } = request
  if (known !== undefined) requireSame(known, wanted, request)
  const place = known?.record ?? destinationFor(request)
  const { url, remote, include, exclude } = wanted
  const signal = AbortSignal.any(wanted.signal === undefined ? [closed] : [closed, wanted.signal])
  const root = places.folderOf(place)
  const record = {
    ...newRecord(wanted, { ...destinationFor(request), sequence: 0 }),
    ...place,
    ...pick(known?.record, wanted),
  }
  const resolution =
    resolver.find(url) === null
      ? { files: [await probed(request, resolver, signal)] }
      : await resolver.resolve(url, { remote, signal, include, exclude })
  const caches = machineCaches()
  const { prospects, filenames } = prospectsOf(resolution, record, root, caches)
  // In a cache those who want the same blob share it.
  if (record.layout === 'flat') requireFree(record, filenames)
  const index = new CacheIndex(caches)
  const files = await pLimit(looksAtATime).map(prospects, (prospect) => look(prospect, index, wanted.force))
  return summary(url, files, await freeBytes(root))
}

/** What an earlier call has said of the file holds too. */
function pick(record: DownloadRecord | undefined, wanted: ResolvedDownloadOptions) {
  return { adopt: wanted.adopt ?? false, ...(record === undefined ? {} : expectations(record, wanted)) }
}

async function probed(
  { wanted, given, told }: ValidatedRequest,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<ResolvedFile> {
  const { url, headers, remote } = wanted
  const answer = await resolver.probe(new URL(url), { headers, remote, signal })
  const contentDisposition = answer.headers['content-disposition'] ?? null
  const filename = given ?? told ?? chooseFilename({ contentDisposition, finalUrl: new URL(answer.url) })
  return { filename, urls: [url], headers: {}, size: statedSize(answer) ?? undefined }
}

function prospectsOf(
  resolution: Resolution,
  record: DownloadRecord,
  root: string,
  caches: KnownCaches,
): { prospects: Prospect[]; filenames: string[] } {
  const { files } = resolution
  const [only] = files
  const isGroup = files.length > 1 || only === undefined
  if (isGroup) requireNoDigest(record, files.length)
  const paths = isGroup
    ? planGroup(files).map(({ path }) => path)
    : [record.named ? record.filename : ownName(only)]
  const below = isGroup && record.layout === 'flat' ? groupFolder(record, resolution) : null
  const folder = below === null ? root : join(root, below)
  const filenames = paths.map((path) => (below === null ? path : `${below}/${path}`))
  const prospects = files.map((file, index) => {
    const path = paths[index] ?? ''
    const destination = destinationOf(file, record, { root, folder, path, caches })
    const { cache = null, adopt = null, size, sha256 } = destination
    const open = cache === null ? join(folder, ...path.split('/')) : join(root, ...snapshotPath(cache))
    return { planned: { filename: cache?.path ?? path, path: open, size, sha256 }, destination, adopt }
  })
  return { prospects, filenames }
}

async function look(
  { planned, destination, adopt }: Prospect,
  index: CacheIndex,
  force: boolean,
): Promise<PlannedFile> {
  const { directory, filename, url, urls } = destination
  const { size, sha256 } = planned
  const paths = partPaths(directory, filename)
  const stats = force ? null : await io.lstatIfThere(paths.target)
  if (stats?.isFile() === true && (size === null || size === stats.size))
    return { ...planned, size: stats.size, status: 'complete', haveBytes: stats.size, from: null }
  if (adopt !== null && sha256 !== null && !force) {
    for await (const { path, size: haveBytes } of index.find({ ...adopt, sha256, size })) {
      return { ...planned, size: haveBytes, status: 'adoptable', haveBytes, from: path }
    }
  }
  const { resume } = await peekLeftover(paths, [url, ...(urls ?? [])], sha256)
  const usable = resume !== null && (size === null || (resume.identity.total ?? size) === size)
  const haveBytes = usable ? sizeOf(resume.done) : 0
  return { ...planned, status: haveBytes > 0 ? 'partial' : 'missing', haveBytes, from: null }
}

function summary(url: string, files: PlannedFile[], free: number): DownloadPlan {
  const sum = (parts: readonly (number | null)[]) =>
    parts.reduce((total, part) => (total === null || part === null ? null : total + part), 0)
  const missingBytes = sum(files.map(({ size, haveBytes }) => (size === null ? null : size - haveBytes)))
  const known = Number.isFinite(free) ? free : null
  return {
    url,
    files,
    totalBytes: sum(files.map(({ size }) => size)),
    missingBytes,
    freeBytes: known,
    fits: missingBytes === null || known === null ? null : missingBytes <= known,
  }
}
