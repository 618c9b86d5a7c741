/**
 * Recalls the files of a ref without its source: from the record of the last time, from a Hugging Face cache, and from
 * the name in the ref. It serves downloads while the network must not be used, or the source can't be reached.
 */
import { join } from 'node:path'
import pLimit from 'p-limit'
import { io } from '../disk/io.js'
import type { GroupEntry, GroupFiles } from '../download/group.js'
import type { DownloadRecord } from '../download/record.js'
import { DownloadError } from '../errors.js'
import { findInCache } from '../layouts/hf-lookup.js'
import { blobFolder, repositoryOfFolder } from '../layouts/hf-paths.js'
import type { CachedRef, HubRepository, Resolution, ResolvedFile } from '../sources/source.js'

/** Files that a ref stood for when its source was last asked. */
export interface Recalled {
  /** Its files have no addresses. */
  resolution: Resolution
  /** Whether all files exist, as far as that is known without reading them. */
  complete: boolean
  /** Whether the digest of a single file comes from the source, or from the caller. */
  verifies: boolean
  /** Whether the source has once stated a digest or a revision. */
  isDescribed: boolean
  /** Whether the ref names a revision whose content never changes, so that the source has nothing newer. */
  pinned: boolean
}

/** Where the files of a download are, and what its ref says about them. */
export interface RecallPlace {
  /** Absolute path of the download's folder, or of the cache. */
  folder: string
  /** See `Source.cachedFile`. */
  cached: CachedRef | null
  /** Hugging Face caches that the file may be adopted from. */
  caches: readonly string[]
}

/** Maximum number of files that are looked at at the same time. */
const maxParallelLooks = 16

/**
 * Recalls the files of a ref.
 *
 * @param group - the files of the download, if it was a group.
 * @returns null if it is unknown which files belong to the ref.
 */
export async function recall(
  record: DownloadRecord,
  group: GroupFiles | null,
  place: RecallPlace,
): Promise<Recalled | null> {
  if (group !== null) return await recallGroup(record, group)
  return record.layout === 'flat' ? await recallFlat(record, place) : await recallCached(record, place)
}

async function recallGroup(record: DownloadRecord, group: GroupFiles): Promise<Recalled | null> {
  const { files, revision, isIncomplete } = group
  if (files.length === 0 || isIncomplete) return null
  const repository = record.cache === null ? undefined : repositoryIn(record.cache)
  const present = await pLimit(maxParallelLooks).map(files, isPresent)
  return {
    resolution: {
      name: record.filename,
      files: files.map(({ filename, size, expected, blob }) => ({
        ...nowhere,
        filename,
        ...(size === null ? {} : { size }),
        ...digestOf(expected ?? blob),
        ...(revision === null ? {} : { revision }),
        ...(repository === undefined ? {} : { repository }),
      })),
    },
    complete: present.every(Boolean),
    verifies: true,
    isDescribed: revision !== null || files.some(({ expected }) => expected !== null),
    pinned: isPinned(record, revision),
  }
}

/** Whether the file of an entry exists, and is not one of another revision. */
async function isPresent({ written, size, stale }: GroupEntry): Promise<boolean> {
  if (stale) return false
  const found = await sizeOf(written)
  return found !== null && (size === null || size === found)
}

async function recallFlat(
  record: DownloadRecord,
  { folder, cached, caches }: RecallPlace,
): Promise<Recalled | null> {
  const { filename, named, sha256, size, sourceSha256, resultSha256, revision } = record
  if (!named) return null
  const found = await sizeOf(join(folder, filename))
  // Without the file and a digest, there is no telling whether the ref stands for a single file.
  const elsewhere = found === null ? await digestInCaches(cached, caches) : null
  const known = sourceSha256 ?? resultSha256 ?? elsewhere
  if (found === null && known === null && sha256 === null) return null
  return {
    resolution: {
      files: [
        {
          ...nowhere,
          filename,
          // The caller's digest decides, even if the file was another one the last time.
          ...digestOf(sha256 === null ? known : null),
          ...(revision === undefined ? {} : { revision }),
        },
      ],
    },
    complete: found !== null && (size === null || size === found),
    verifies: sha256 !== null || sourceSha256 !== undefined || elsewhere !== null,
    isDescribed: sourceSha256 !== undefined || revision !== undefined,
    pinned: isPinned(record, revision ?? null),
  }
}

/** The digest of a file that a cache names by it; null if none does. */
async function digestInCaches(cached: CachedRef | null, caches: readonly string[]): Promise<string | null> {
  if (cached === null) return null
  for (const root of caches) {
    const { sha256 = null } = digestOf((await findInCache(root, cached))?.blob ?? null)
    if (sha256 !== null) return sha256
  }
  return null
}

async function recallCached(
  record: DownloadRecord,
  { folder: root, cached }: RecallPlace,
): Promise<Recalled | null> {
  const { cache } = record
  const { path: inside = null, blob: id = null } = cache ?? {}
  const recorded =
    cache === null || inside === null || id === null ? null : { ...cache, path: inside, blob: id }
  const isThere =
    recorded !== null && (await sizeOf(join(root, ...blobFolder(recorded), recorded.blob))) !== null
  // The recorded version may be one that was never fetched completely; the branch then points to the one before it.
  const found = isThere || cached === null ? null : await findInCache(root, cached)
  const place = found ?? recorded
  if (place === null) return null
  const { blob, commit, path } = place
  const file: ResolvedFile = {
    ...nowhere,
    filename: path,
    ...digestOf(blob),
    revision: commit,
    repository: repositoryIn(place),
  }
  return {
    resolution: { files: [file] },
    complete: isThere || found !== null,
    verifies: true,
    isDescribed: true,
    pinned: isPinned(record, commit),
  }
}

/**
 * Checks that the answer of a source describes the files, if it once did. The page of a captive portal, to which a
 * request for a single file was redirected, has neither digest nor revision.
 *
 * @throws DownloadError `PROTOCOL_ERROR`.
 */
export function requireDescribed({ files }: Resolution, recalled: Recalled): void {
  const isDescribed = ({ sha256, gitOid, revision }: ResolvedFile) =>
    (sha256 ?? gitOid ?? revision) !== undefined
  if (files.some(isDescribed) || !recalled.isDescribed) return
  throw new DownloadError('PROTOCOL_ERROR', 'The answer does not describe the file as the source once did.')
}

/** What has no address is never requested. */
const nowhere = { urls: [], headers: {} } as const

/** A digest by its length: a SHA-256, or the id of an object of git. */
function digestOf(digest: string | null): Pick<ResolvedFile, 'sha256' | 'gitOid'> {
  if (digest === null) return {}
  return digest.length === 64 ? { sha256: digest } : { gitOid: digest }
}

/**
 * The repository of a folder such as `models--owner--name`. Its revision is the commit, so that no branch is pointed
 * back to it: another program may have fetched a newer one since.
 */
function repositoryIn({ folder, commit }: { folder: string; commit: string }): HubRepository {
  // Records and places in a cache have only folders of this form.
  const { type = 'models', name = folder } = repositoryOfFolder(folder) ?? {}
  return { type, name, revision: commit }
}

function isPinned({ url }: DownloadRecord, revision: string | null): boolean {
  return revision !== null && url.includes(revision)
}

/** Size of a regular file in bytes; null if there is none. */
async function sizeOf(path: string): Promise<number | null> {
  const stats = await io.lstatIfThere(path).catch(() => null)
  return stats?.isFile() === true ? stats.size : null
}
