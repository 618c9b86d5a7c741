/** Plans a download: reports what it would do, without starting or writing anything. */
import { join } from 'node:path'
import pLimit from 'p-limit'
import { io } from '../disk/io.js'
import { extensionFor } from '../disk/model-formats.js'
import { filenameFromServer, madeUpFilename } from '../disk/names.js'
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
import { refuseSize } from '../engine/fetch/remote-bounds.js'
import type { RemoteBounds } from '../engine/protocol.js'
import { type DownloadError, isDownloadError, offlineError } from '../errors.js'
import type { GroupFiles } from '../download/group.js'
import { isUnreachable } from '../net/errors.js'
import { recall, type Recalled, requireDescribed } from '../job/recall.js'
import { planGroup } from '../job/group-rules.js'
import { cleansNames, groupFolder, requireNoDigest } from '../job/group-start.js'
import { type CachedFile, CacheIndex, inSnapshot } from '../layouts/cache-index.js'
import { snapshotPath } from '../layouts/hf-paths.js'
import type { KnownCaches } from '../layouts/known-caches.js'
import { statedSize } from '../net/content-range.js'
import type { Resolver } from '../sources/resolver.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'
import type { Clock } from '../util/clock.js'

/** Maximum number of files that are checked at the same time. */
const maxParallelChecks = 16

/** One file of a {@link DownloadPlan}. */
export interface PlannedFile {
  /** Relative to the folder of the download, with slashes. */
  filename: string
  /** Absolute path where the file is or would be stored. */
  path: string
  /** Size in bytes; null if unknown. */
  size: number | null
  /** Expected SHA-256 in lower-case hex; null if unknown. */
  sha256: string | null
  /**
   * - `complete`: the file exists with the expected size; the download itself checks its digest.
   * - `partial`: some of its bytes were kept by an earlier run.
   * - `adoptable`: another program's cache contains a file that appears to be the same; the download hashes
   *   it first.
   * - `missing`: the complete file would be fetched.
   * - `refused`: the file can't be stored under its name and would be left out, see `restrictNames`; its `path` is
   *   where it would be stored under a cleaned name.
   */
  status: 'missing' | 'partial' | 'complete' | 'adoptable' | 'refused'
  /** Bytes that do not need to be fetched. */
  haveBytes: number
  /** Absolute path of the file in another program's cache if it is adoptable; otherwise null. */
  from: string | null
}

/** What a download would do: the result of `DownloadManager.plan`. */
export interface DownloadPlan {
  /** The requested URL or ref. */
  url: string
  /** The files; at least one. */
  files: PlannedFile[]
  /** Total size of all files that are not refused, in bytes; null if the size of any is unknown. */
  totalBytes: number | null
  /** Bytes that would be fetched; null if unknown. */
  missingBytes: number | null
  /** Free bytes on the file system that the files would go to; null if it does not report them. */
  freeBytes: number | null
  /** Whether the bytes to fetch fit on that file system, and into the disk budget of the manager; null if unknown. */
  fits: boolean | null
  /**
   * True if the source could not be asked, so that these are the files as they were known before; otherwise missing.
   * See {@link Download.stale}.
   */
  stale?: boolean
}

/** Settings and services of the manager that planning needs. */
export interface PlanContext {
  places: Destinations
  resolver: Resolver
  /** The existing download of the URL, if there is one. */
  known: Download | undefined
  /** Throws when another download has claimed one of the files. */
  requireFree: (place: DownloadRecord, filenames: readonly string[]) => void
  /** Whether the disk budget leaves room for so many bytes in a folder. */
  allows: (folder: string, bytes: number) => Promise<boolean>
  /** Aborted when the manager closes. */
  closed: AbortSignal
  /** Bounds if the caller is remote. */
  remoteBounds: RemoteBounds
  clock: Clock
}

/** A file of the plan and its destination. */
interface PlanEntry {
  planned: Pick<PlannedFile, 'filename' | 'path' | 'size' | 'sha256'>
  destination: Destination
}

/**
 * Plans a download.
 *
 * @throws DownloadError the errors that the download itself would fail with before its first byte.
 */
export async function planDownload(
  request: ValidatedRequest,
  { places, resolver, known, requireFree, allows, closed, remoteBounds, clock }: PlanContext,
): Promise<DownloadPlan> {
  const { wanted } = request
  if (known !== undefined) requireSame(known, wanted, request)
  const place = known?.record ?? destinationFor(request)
  const { url, remote } = wanted
  const signal = AbortSignal.any(wanted.signal === undefined ? [closed] : [closed, wanted.signal])
  const root = places.folderOf(place)
  const record = {
    ...newRecord(wanted, { ...destinationFor(request), sequence: 0 }),
    ...place,
    ...adjustments(known?.record, wanted),
  }
  const caches = machineCaches()
  const remembered = () => recallFor(record, known?.groupFiles ?? null, { resolver, folder: root, caches })
  const { resolution, reason, stale }: Answer =
    resolver.find(url) === null
      ? { resolution: { files: [await probeFile(request, resolver, signal)] }, reason: null, stale: false }
      : await resolveOrRecall(request, resolver, {
          signal,
          recalled: wanted.force ? null : await remembered(),
        })
  const { entries, filenames, leftOut } = await planEntries(resolution, record, root, caches)
  // In a cache, downloads of the same blob share it.
  if (record.layout === 'flat') requireFree(record, filenames)
  const index = new CacheIndex(caches, clock)
  const files = await pLimit(maxParallelChecks).map(entries, (entry) =>
    inspect(entry, index, { force: wanted.force, trusted: remote === null }),
  )
  if (reason !== null && files.some(({ status }) => status !== 'complete' && status !== 'adoptable'))
    throw reason
  for (const { size, status } of remote === null ? [] : files) {
    const isFetched = status === 'missing' || status === 'partial'
    const refusal = isFetched ? refuseSize(size, remoteBounds) : null
    if (refusal !== null) throw refusal
  }
  const plan = summary(url, [...files, ...leftOut], await freeBytes(root))
  if (plan.fits !== false && plan.missingBytes !== null && !(await allows(root, plan.missingBytes)))
    plan.fits = false
  return stale ? { ...plan, stale } : plan
}

function recallFor(
  record: DownloadRecord,
  group: GroupFiles | null,
  { resolver, folder, caches }: { resolver: Resolver; folder: string; caches: KnownCaches },
): Promise<Recalled | null> {
  const cached = resolver.find(record.url)?.cachedFile?.(record.url) ?? null
  return recall(record, group, { folder, cached, caches: record.adopt === false ? [] : caches.hub })
}

/** What a ref stands for. */
interface Answer {
  resolution: Resolution
  /** Why it comes from the disk, which is the error of a download that needs more; null if the source has answered. */
  reason: DownloadError | null
  stale: boolean
}

/** Asks the source of a ref, or uses what is known of it if it can't be asked, as the download would. */
async function resolveOrRecall(
  { wanted }: ValidatedRequest,
  resolver: Resolver,
  { signal, recalled }: { signal: AbortSignal; recalled: Recalled | null },
): Promise<Answer> {
  const { url, remote, include, exclude, offline } = wanted
  let reason = offlineError('The files are not complete on disk, and the network must not be used.')
  if (!resolver.isOffline(url, offline)) {
    try {
      const brief = recalled?.complete ?? false
      const resolution = await resolver.resolve(url, { remote, signal, include, exclude, brief })
      if (recalled !== null) requireDescribed(resolution, recalled)
      return { resolution, reason: null, stale: false }
    } catch (error) {
      if (recalled === null || !isDownloadError(error) || !isUnreachable(error)) throw error
      reason = error
    }
  }
  if (recalled === null) throw reason
  return { resolution: recalled.resolution, reason, stale: !recalled.pinned }
}

/** The expectations of an earlier call for the file still apply. */
function adjustments(record: DownloadRecord | undefined, wanted: ResolvedDownloadOptions) {
  return { adopt: wanted.adopt ?? false, ...(record === undefined ? {} : expectations(record, wanted)) }
}

async function probeFile(
  { wanted, givenFilename, derivedFilename }: ValidatedRequest,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<ResolvedFile> {
  const { url, headers, remote, offline } = wanted
  if (resolver.isOffline(url, offline)) {
    const named = givenFilename ?? derivedFilename
    if (named === null)
      throw offlineError('The server names this file, so it is not known whether it exists.')
    return { filename: named, urls: [url], headers: {} }
  }
  const madeUpName = async () => {
    const {
      status,
      text,
      headers: got,
    } = await resolver.probe(new URL(url), { headers, remote, signal }, 'beginning')
    // The body of a refused range is not the file, which is empty.
    const head = Buffer.from(status === 416 ? '' : text, 'latin1')
    const extension = extensionFor(head, got['content-type'] ?? null)
    return madeUpFilename(new URL(url), extension)
  }
  const answer = await resolver.probe(new URL(url), { headers, remote, signal })
  const contentDisposition = answer.headers['content-disposition'] ?? null
  const known =
    givenFilename ??
    derivedFilename ??
    filenameFromServer({ contentDisposition, finalUrl: new URL(answer.url) })
  const filename = known ?? (await madeUpName())
  return { filename, urls: [url], headers: {}, size: statedSize(answer) ?? undefined }
}

async function planEntries(
  resolution: Resolution,
  record: DownloadRecord,
  root: string,
  caches: KnownCaches,
): Promise<{ entries: PlanEntry[]; filenames: string[]; leftOut: PlannedFile[] }> {
  const { files } = resolution
  const [only] = files
  const isGroup = files.length > 1 || only === undefined
  if (isGroup) requireNoDigest(record, files.length)
  const { placed, refused } = isGroup
    ? await planGroup(files, cleansNames(record))
    : {
        placed: [{ path: record.named ? record.filename : ownName(only, record.layout), file: only }],
        refused: [],
      }
  const paths = placed.map(({ path }) => path)
  const below = isGroup && record.layout === 'flat' ? groupFolder(record, resolution) : null
  const folder = below === null ? root : join(root, below)
  const filenames = paths.map((path) => (below === null ? path : `${below}/${path}`))
  const entries = placed.map(({ path, file }) => {
    const destination = destinationOf(file, record, { root, folder, path, caches })
    const { cache = null, size, sha256 } = destination
    const open = cache === null ? join(folder, ...path.split('/')) : join(root, ...snapshotPath(cache))
    return { planned: { filename: cache?.path ?? path, path: open, size, sha256 }, destination }
  })
  const leftOut = refused.map(({ shown, path, file: { size = null, sha256 = null } }): PlannedFile => {
    const nothing = { haveBytes: 0, from: null } as const
    return {
      filename: shown,
      path: join(folder, ...path.split('/')),
      size,
      sha256,
      status: 'refused',
      ...nothing,
    }
  })
  return { entries, filenames, leftOut }
}

async function inspect(
  { planned, destination }: PlanEntry,
  index: CacheIndex,
  { force, trusted }: { force: boolean; trusted: boolean },
): Promise<PlannedFile> {
  const { directory, filename, url, urls } = destination
  const { size, sha256 } = planned
  const paths = partPaths(directory, filename)
  const stats = force ? null : await io.lstatIfThere(paths.target)
  if (stats?.isFile() === true && (size === null || size === stats.size))
    return { ...planned, size: stats.size, status: 'complete', haveBytes: stats.size, from: null }
  const found = force ? null : await findCopy(planned, destination, index)
  if (found !== null) {
    const { path: from, size: haveBytes } = found
    return { ...planned, size: haveBytes, status: 'adoptable', haveBytes, from }
  }
  const { resume } = await peekLeftover(paths, [url, ...(urls ?? [])], sha256, trusted)
  const usable = resume !== null && (size === null || (resume.identity.total ?? size) === size)
  const haveBytes = usable ? sizeOf(resume.done) : 0
  return { ...planned, status: haveBytes > 0 ? 'partial' : 'missing', haveBytes, from: null }
}

/** Finds a copy in the snapshot itself, or in a cache if the caller allows that. Nothing is hashed. */
async function findCopy(
  { sha256, size }: PlanEntry['planned'],
  { cache = null, adopt = null, gitOid = null }: Destination,
  index: CacheIndex,
): Promise<CachedFile | null> {
  const blob = sha256 ?? gitOid
  if (cache !== null && blob !== null) {
    const wanted = { sha256: blob, size, filename: cache.path, repository: null }
    for await (const file of inSnapshot(cache).find(wanted)) return file
  }
  if (adopt !== null && sha256 !== null) {
    for await (const file of index.find({ ...adopt, sha256, size })) return file
  }
  return null
}

function summary(url: string, files: PlannedFile[], free: number): DownloadPlan {
  const sum = (parts: readonly (number | null)[]) =>
    parts.reduce((total, part) => (total === null || part === null ? null : total + part), 0)
  const wanted = files.filter(({ status }) => status !== 'refused')
  const missingBytes = sum(wanted.map(({ size, haveBytes }) => (size === null ? null : size - haveBytes)))
  const known = Number.isFinite(free) ? free : null
  return {
    url,
    files,
    totalBytes: sum(wanted.map(({ size }) => size)),
    missingBytes,
    freeBytes: known,
    fits: missingBytes === null || known === null ? null : missingBytes <= known,
  }
}
