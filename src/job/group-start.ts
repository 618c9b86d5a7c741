/**
 * Prepares a group for its transfers: decides where its files are stored, which of them exist, and whether
 * the rest fits on the disk.
 */
import { join } from 'node:path'
import { requireNoLinks } from '../disk/links.js'
import { cleanFilename } from '../disk/names.js'
import { isUnchanged } from '../disk/stamp.js'
import type { Download } from '../download/download.js'
import { type GroupEntry, type GroupFileInit, GroupFiles } from '../download/group.js'
import type { DownloadRecord } from '../download/record.js'
import { DownloadError } from '../errors.js'
import { cachePlaceOf } from '../layouts/hf-paths.js'
import type { Resolution, ResolvedFile } from '../sources/source.js'
import {
  missingFiles,
  changedFiles,
  ensureGroupSpace,
  removeGroupFiles,
  requireAllowedSizes,
} from './group-disk.js'
import { type Merged, merge, type PlacedFile, planGroup, type RefusedFile } from './group-rules.js'
import type { JobHost } from './job.js'
import { reserveGroup } from './space.js'

/** Folder of a group whose source does not name it. */
const fallbackFolder = 'model'

/** Folders that tools look into on their own: a source must not choose one of these names. */
const unwantedFolder = /^(?:\.|node_modules$|__pycache__$)/i

/** A group that is ready to be fetched. */
export interface PreparedGroup {
  group: GroupFiles
  sources: ReadonlyMap<GroupEntry, ResolvedFile>
}

/**
 * Prepares a group. It belongs to the download from the moment its file names are claimed.
 *
 * @param isStopped - checked after each wait; once it returns true, the remaining checks are skipped.
 * @throws DownloadError the errors of {@link planGroup}; `INVALID_OPTIONS` when a digest or size was given,
 * which applies to a single file only; `CONFLICT` when another download writes to one of the files;
 * `NO_SPACE`, also for a file that is too large for a remote caller.
 */
export async function prepareGroup(
  host: JobHost,
  resolution: Resolution,
  isStopped: () => boolean,
): Promise<PreparedGroup> {
  const { download } = host
  const { record } = download
  const { offline = false } = host.spec()
  requireNoDigest(record, resolution.files.length)
  const { placed: planned, refused } = await planGroup(resolution.files, cleansNames(record))
  const before = download.groupFiles
  const byName = merge(planned, before?.toRecord() ?? null)
  const folder = groupFolder(record, resolution)
  const merged = record.layout === 'flat' ? byName : { ...byName, files: inCache(download, planned, byName) }
  host.claim(planned.map(({ path }) => `${folder}/${path}`))
  const files = [...merged.files, ...refused.map(refusedInit)]
  const group = new GroupFiles(
    () => download.path,
    { ...merged, files, pinned: offline ? before?.pinned === true : true },
    'queued',
  )
  download.beginGroup(folder, group)
  if (before !== null) await handleOutdated(host, before, merged, group)
  // Offline, what was computed when a file was last complete is all that tells whether it is still right.
  const recorded = new Map<GroupEntry, string>()
  for (const entry of await changedFiles(group.files.filter(({ isDone }) => isDone))) {
    if (offline && entry.stamp !== null) recorded.set(entry, entry.stamp.sha256)
    group.lose(entry, 'queued')
  }
  for (const entry of await missingFiles(group.files.filter(({ stale }) => stale))) entry.stale = false
  if (!isStopped()) {
    // Whether a cache has a file shows only when it is looked for.
    if (record.adopt === false) await requireAllowedSizes(group.pending, host.spec().bounds)
    await host.save()
    if (!offline && host.space !== null) await reserveGroup(host.space, group.files, record.force)
    if (!offline) await ensureGroupSpace(group.path, group.pending)
  }
  const sources = new Map<GroupEntry, ResolvedFile>()
  for (const [index, entry] of group.files.entries()) {
    const file = planned[index]?.file
    const digest = recorded.get(entry)
    if (file !== undefined) sources.set(entry, digest === undefined ? file : { sha256: digest, ...file })
  }
  return { group, sources }
}

/** Whether files with unsafe names get cleaned ones. In a cache, other programs look files up under their names. */
export function cleansNames({
  restrictNames = false,
  layout,
}: Pick<DownloadRecord, 'restrictNames' | 'layout'>): boolean {
  return restrictNames && layout === 'flat'
}

function refusedInit({ file, shown, path, reason }: RefusedFile): GroupFileInit {
  const { code, message, retryable } = reason
  const advice = 'It can be stored under another one with restrictNames (--restrict-names).'
  const size = file.size === undefined ? {} : { size: file.size }
  return { path, ...size, refused: shown, error: { code, message: `${message} ${advice}`, retryable } }
}

/** Adds the names of their blobs to the files, and sets the snapshot of the download. */
function inCache(download: Download, planned: readonly PlacedFile[], merged: Merged): GroupFileInit[] {
  const places = planned.map(({ file }) => cachePlaceOf(file))
  const [first] = places
  if (first === undefined || places.some((one) => one.folder !== first.folder || one.commit !== first.commit))
    throw new DownloadError(
      'PROTOCOL_ERROR',
      'The files belong to different commits, so they cannot form one snapshot.',
    )
  const { folder, commit } = first
  download.update({ cache: { folder, commit, path: null, blob: null } })
  // Blobs are named by their content, so none can be of another revision.
  return merged.files.map((file, index) => ({ ...file, stale: undefined, blob: places[index]?.blob }))
}

/** Returns the name of a group's folder, unless the group goes into a cache. The source's name for it is cleaned. */
export function groupFolder(
  { named, layout, filename }: Pick<DownloadRecord, 'named' | 'layout' | 'filename'>,
  { name = fallbackFolder }: Resolution,
): string {
  if (named && layout === 'flat') return filename
  const folder = cleanFilename(name) ?? fallbackFolder
  return unwantedFolder.test(folder) ? `_${folder}` : folder
}

/**
 * Rejects a digest or size, which applies to a single file only.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function requireNoDigest(
  { sha256, digest, checksums, size }: Pick<DownloadRecord, 'sha256' | 'digest' | 'checksums' | 'size'>,
  count: number,
): void {
  const given = { sha256: sha256 ?? undefined, digest, checksums, size: size ?? undefined }
  const path = Object.entries(given).find(([, value]) => value !== undefined)?.[0]
  if (path === undefined) return
  const message = `applies to a single file, but the ref names ${count}`
  throw new DownloadError('INVALID_OPTIONS', `The ${path} ${message}.`, { issues: [{ path, message }] })
}

/**
 * Handles a source that has changed. Files that it no longer has must not stay among the new ones, provided
 * that this download fetched them.
 */
async function handleOutdated(
  host: JobHost,
  before: GroupFiles,
  { files, outdated }: Merged,
  group: GroupFiles,
): Promise<void> {
  if (outdated.length === 0) return
  const { path: folder } = before
  await requireNoLinks(host.root, folder)
  const wanted = new Set(files.map(({ path }) => path))
  const gone = outdated.filter(({ path }) => !wanted.has(path))
  const changed = outdated.length - gone.length
  host.emit({
    type: 'log',
    level: 'warn',
    message: `The source has changed: ${changed} files are downloaded again, ${gone.length} no longer exist there.`,
  })
  // Snapshots of other commits are stored apart from this one.
  if (host.download.record.layout !== 'flat') return
  if (!before.pinned) {
    // These files were complete once, and stay.
    await offerCopies(folder, gone, group.pending)
    return
  }
  const complete: string[] = []
  for (const { path, fetched, stamp } of gone) {
    const file = join(folder, path)
    if (fetched === true && stamp !== undefined && (await isUnchanged(file, stamp))) complete.push(file)
  }
  const parts = gone.filter(({ done }) => done !== true).map(({ path }) => join(folder, path))
  await removeGroupFiles(folder, { parts, complete })
}

/** Lets missing files be copied from those that had the same content, so that a renamed one need not be fetched again. */
async function offerCopies(
  folder: string,
  gone: Merged['outdated'],
  missing: readonly GroupEntry[],
): Promise<void> {
  const byDigest = new Map<string, string>()
  for (const { path, stamp, gitOid } of gone) {
    const file = join(folder, path)
    if (stamp === undefined || !(await isUnchanged(file, stamp))) continue
    byDigest.set(stamp.sha256, file)
    if (gitOid !== undefined) byDigest.set(gitOid, file)
  }
  for (const entry of missing) {
    const file = byDigest.get(entry.expected ?? entry.gitOid ?? '')
    if (file !== undefined) entry.copies = [file]
  }
}
