/** From what a source tells to a group that can be fetched: where its files go, what of them is there, whether they fit. */
import { join } from 'node:path'
import { checkFilename } from '../disk/names.js'
import { isUnchanged } from '../disk/stamp.js'
import type { Download } from '../download/download.js'
import { type Entry, type GroupFileInit, GroupFiles } from '../download/group.js'
import type { DownloadRecord } from '../download/record.js'
import { DownloadError } from '../errors.js'
import { cachePlaceOf } from '../layouts/hf-paths.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'
import { missingFiles, changedFiles, ensureGroupSpace, removeGroupFiles } from './group-disk.js'
import { type Merged, merge, planGroup } from './group-rules.js'
import type { JobHost } from './job.js'

/** The folder of a group whose source has no name for it. */
const fallbackFolder = 'model'

/** A group that is ready to be fetched. */
export interface PreparedGroup {
  group: GroupFiles
  sources: ReadonlyMap<Entry, ResolvedFile>
}

/**
 * See the file's head. The group is the download's from the moment on at which its names are claimed.
 *
 * @param isStopped - asked after each wait; then what is left to look at is left out.
 * @throws DownloadError what {@link planGroup} throws; `INVALID_OPTIONS` when a digest or size was given, which is one
 * file's; `CONFLICT` when another download goes to one of the files; `NO_SPACE`.
 */
export async function prepareGroup(
  host: JobHost,
  resolution: Resolution,
  isStopped: () => boolean,
): Promise<PreparedGroup> {
  const { download } = host
  const { record } = download
  requireNoDigest(record, resolution.files.length)
  const planned = planGroup(resolution.files)
  const before = download.groupFiles
  const laid = merge(planned, before?.toRecord() ?? null)
  const folder = groupFolder(record, resolution)
  const merged = record.layout === 'flat' ? laid : { ...laid, files: inCache(download, resolution, laid) }
  host.claim(planned.map(({ path }) => `${folder}/${path}`))
  const group = new GroupFiles(() => download.path, { ...merged, pinned: true }, 'queued')
  download.beginGroup(folder, group)
  if (before !== null) await tellOutdated(host, before, merged)
  for (const entry of await changedFiles(group.files.filter(({ isDone }) => isDone))) {
    group.lose(entry, 'queued')
  }
  for (const entry of await missingFiles(group.files.filter(({ stale }) => stale))) entry.stale = false
  if (!isStopped()) {
    await host.save()
    await ensureGroupSpace(group.path, group.missing)
  }
  const { files } = resolution
  const sources = new Map<Entry, ResolvedFile>()
  for (const [index, entry] of group.files.entries()) {
    const file = files[index]
    if (file !== undefined) sources.set(entry, file)
  }
  return { group, sources }
}

/** The files with the names of their blobs; the download is told of its snapshot. */
function inCache(download: Download, { files }: Resolution, laid: Merged): GroupFileInit[] {
  const places = files.map(cachePlaceOf)
  const [first] = places
  if (first === undefined || places.some((one) => one.folder !== first.folder || one.commit !== first.commit))
    throw new DownloadError('PROTOCOL_ERROR', 'The files are not of one commit, so they are no snapshot.')
  const { folder, commit } = first
  download.update({ cache: { folder, commit, path: null, blob: null } })
  // Blobs are named by their content: none is of another revision.
  return laid.files.map((file, index) => ({ ...file, stale: undefined, blob: places[index]?.blob }))
}

/**
 * What the folder of a group is called, as long as it is no snapshot of a cache.
 *
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function groupFolder(
  { named, layout, filename }: Pick<DownloadRecord, 'named' | 'layout' | 'filename'>,
  { name = fallbackFolder }: Resolution,
): string {
  return named && layout === 'flat' ? filename : checkFilename(name)
}

/**
 * A digest or a size is that of one file.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function requireNoDigest(
  { sha256, size }: { sha256: string | null; size: number | null },
  count: number,
): void {
  if (sha256 === null && size === null) return
  const path = sha256 === null ? 'size' : 'sha256'
  const message = `is that of one file, and the ref names ${count}`
  throw new DownloadError('INVALID_OPTIONS', `The ${path} ${message}.`, { issues: [{ path, message }] })
}

/** The source has moved on: what it has no more must not lie among the new files, as far as this download brought it. */
async function tellOutdated(host: JobHost, before: GroupFiles, { files, outdated }: Merged): Promise<void> {
  if (outdated.length === 0) return
  const { path: folder } = before
  const wanted = new Set(files.map(({ path }) => path))
  const gone = outdated.filter(({ path }) => !wanted.has(path))
  const changed = outdated.length - gone.length
  host.tell({
    type: 'log',
    level: 'warn',
    message: `The source has changed: ${changed} files are fetched anew, ${gone.length} are there no more.`,
  })
  // Snapshots of other commits lie apart from this one.
  if (!before.pinned || host.download.record.layout !== 'flat') return
  const whole: string[] = []
  for (const { path, fetched, stamp } of gone) {
    const file = join(folder, path)
    if (fetched === true && stamp !== undefined && (await isUnchanged(file, stamp))) whole.push(file)
  }
  const parts = gone.filter(({ done }) => done !== true).map(({ path }) => join(folder, path))
  await removeGroupFiles(folder, { parts, whole })
}
