/** Asks sources whether finished downloads are still what they have. */
import { join } from 'node:path'
import { lstat } from '../../disk/fs.js'
import type { DownloadRecord } from '../../download/record.js'
import { gitBlobIdOf } from '../../engine/existing.js'
import { type DownloadError, isDownloadError, offlineError, toDownloadError } from '../../errors.js'
import { cleansNames } from '../../job/group-start.js'
import { planGroup } from '../../job/group-rules.js'
import { statedSize } from '../../net/content-range.js'
import type { Resolver } from '../../sources/resolver.js'
import type { ResolvedFile } from '../../sources/source.js'
import {
  type Comparison,
  compareFiles,
  compareVersion,
  type KnownFile,
  type UpstreamChange,
} from './compare.js'

/** Whether a finished download is still what its source has: the result of `DownloadManager.check`. */
export interface UpstreamCheck {
  /** URL or ref of the download. */
  url: string
  /**
   * - `current`: the source has the same files, though it may have another revision.
   * - `outdated`: the source has other files, so that `update` fetches something.
   * - `gone`: the source no longer has what the ref or URL names.
   * - `unknown`: nothing tells, or the source can't be asked.
   */
  status: Comparison['status'] | 'gone'
  /** What tells it: a revision such as a commit, digests, validators (`ETag`, `Last-Modified`), or sizes; null if nothing. */
  by: Comparison['by']
  /** Revision that was downloaded; null if there is none. */
  revision: string | null
  /** Revision that the source has now; null if there is none. */
  latestRevision: string | null
  /** Files that are different, in the order of the source. */
  changes: UpstreamChange[]
  /** Size of the files to fetch, in bytes; null if that of any is unknown. */
  bytes: number | null
  /** Why it is `gone` or `unknown`; otherwise null. */
  error: DownloadError | null
}

/** A Git id is computed of files up to this size only: git itself keeps no large ones. */
const maxGitBytes = 64 * 1024 * 1024

/**
 * Checks a finished download.
 *
 * @param path - absolute path of its file, or of the folder of a group.
 * @throws DownloadError `CANCELED`. Other failures are a part of the result.
 */
export async function checkRecord(
  record: DownloadRecord,
  path: string,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<UpstreamCheck> {
  const { url } = record
  const revision = revisionOf(record)
  try {
    if (resolver.isOffline(url, record.offline)) throw offlineError('The network must not be used.')
    const { latestRevision, ...comparison } =
      resolver.find(url) === null
        ? await checkUrl(record, resolver, signal)
        : await checkRef(record, path, revision, resolver, signal)
    const fetched = comparison.changes.filter(({ change }) => change !== 'removed')
    const bytes = fetched.reduce<number | null>(
      (sum, { size }) => (sum === null || size === null ? null : sum + size),
      0,
    )
    return { url, ...comparison, revision, latestRevision, bytes, error: null }
  } catch (error) {
    if (isDownloadError(error, 'CANCELED')) throw error
    return failedCheck(record, toDownloadError(error))
  }
}

/** The result for a source that can't be asked, or has nothing more to say. */
export function failedCheck(record: DownloadRecord, error: DownloadError): UpstreamCheck {
  const status = error.code === 'NOT_FOUND' ? 'gone' : 'unknown'
  const nothing = { by: null, latestRevision: null, changes: [], bytes: null }
  return { url: record.url, status, revision: revisionOf(record), ...nothing, error }
}

function revisionOf({ group, cache, revision }: DownloadRecord): string | null {
  return group?.revision ?? cache?.commit ?? revision ?? null
}

type Checked = Comparison & { latestRevision: string | null }

async function checkUrl(record: DownloadRecord, resolver: Resolver, signal: AbortSignal): Promise<Checked> {
  const { url, urls, headers, remote, sha256, stamp, total, filename, validator = null } = record
  // Whatever the server has by now, this is what was asked for.
  if (sha256 !== null) return { status: 'current', by: 'digest', changes: [], latestRevision: null }
  const answer = await resolver.probe(new URL(url), { headers, remote, signal })
  const now = {
    etag: answer.headers['etag'] ?? null,
    lastModified: answer.headers['last-modified'] ?? null,
    size: statedSize(answer),
  }
  // The bytes may have come from a mirror, which has validators of its own.
  const known = { validator: urls.length > 0 ? null : validator, size: stamp?.size ?? total }
  return { ...compareVersion(known, now, filename), latestRevision: null }
}

async function checkRef(
  record: DownloadRecord,
  path: string,
  revision: string | null,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<Checked> {
  const { url, remote, include, exclude } = record
  const wanted = { ...(include.length > 0 ? { include } : {}), ...(exclude.length > 0 ? { exclude } : {}) }
  const { files } = await resolver.resolve(url, { remote, signal, ...wanted })
  const isGroup = record.group !== null || files.length > 1
  const placed = isGroup
    ? (await planGroup(files, cleansNames(record))).placed
    : files.map((file) => ({ path: file.filename, file }))
  const listed = placed.map(({ path: filename, file }) => listedFile(filename, file))
  const known = knownFiles(record)
  // Of what git keeps, only its id tells whether it is the same; records do not always have it.
  const byName = new Map(listed.map((file) => [file.filename, file]))
  for (const file of known) {
    const now = record.group === null ? listed[0] : byName.get(file.filename)
    if (
      now === undefined ||
      now.gitOid === null ||
      file.gitOid !== null ||
      (file.sha256 !== null && now.sha256 !== null)
    )
      continue
    file.gitOid = await gitIdOnDisk(record.group === null ? path : join(path, ...file.filename.split('/')))
  }
  const latestRevision = files[0]?.revision ?? null
  return {
    ...compareFiles({ revision, files: known }, { revision: latestRevision, files: listed }),
    latestRevision,
  }
}

function listedFile(filename: string, { size, sha256, gitOid }: ResolvedFile): KnownFile {
  return { filename, size: size ?? null, sha256: sha256 ?? null, gitOid: gitOid ?? null }
}

/** What the record says of the files. What was computed when they were downloaded is as good as what the source said. */
function knownFiles({
  group,
  filename,
  cache,
  sha256,
  sourceSha256,
  resultSha256,
  stamp,
  total,
}: DownloadRecord): KnownFile[] {
  const idOf = (blob: string | null | undefined) => (blob?.length === 40 ? blob : null)
  if (group === null) {
    const digest = stamp?.sha256 ?? resultSha256 ?? sourceSha256 ?? sha256
    return [{ filename, size: stamp?.size ?? total, sha256: digest, gitOid: idOf(cache?.blob) }]
  }
  return group.files.map((file) => ({
    filename: file.path,
    size: file.stamp?.size ?? file.size ?? null,
    sha256: file.stamp?.sha256 ?? file.sha256 ?? null,
    gitOid: file.gitOid ?? idOf(file.blob),
  }))
}

/** Git's id of a file on disk; null if it can't be read. */
async function gitIdOnDisk(path: string): Promise<string | null> {
  try {
    const stats = await lstat(path)
    return stats.isFile() && stats.size <= maxGitBytes ? await gitBlobIdOf(path, stats.size) : null
  } catch {
    return null
  }
}
