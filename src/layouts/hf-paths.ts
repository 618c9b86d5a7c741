/**
 * Structure of the cache of the Hugging Face libraries. Pure.
 *
 * ```
 * models--owner--name/
 *   blobs/<id>                      the bytes, named by their SHA-256 or, when git keeps them, by git's object name
 *   snapshots/<commit>/<path>       a relative link to the blob
 *   refs/<branch or tag>            the commit, without a line feed
 * ```
 */
import { checkFilename } from '../disk/names.js'
import { DownloadError, invalidOption } from '../errors.js'

/**
 * How files are arranged below their folder.
 *
 * - `flat`: `<mode>/<filename>`.
 * - `hf-cache`: as in the cache of the Hugging Face libraries, where these libraries, llama.cpp and vLLM find
 *   them; for refs of the Hugging Face Hub.
 */
export type Layout = 'flat' | 'hf-cache'

// ---- Paths in the cache.

/** Place of one file in a cache. */
export interface CachePlace {
  /** Folder of the repository: `models--owner--name`. */
  folder: string
  /** Commit, 40 hex digits. */
  commit: string
  /** Path in the repository, with slashes. */
  path: string
  /** Name of the blob: 64 hex digits of its SHA-256, or 40 of its git object name. */
  blob: string
  /**
   * Requested branch or tag that points to the commit, such as `main`; null if the commit itself was
   * requested.
   */
  ref: string | null
}

const commitPattern = /^[0-9a-f]{40}$/

const blobPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/

const repositoryPattern = /^[A-Za-z0-9_.-]{1,96}(?:\/[A-Za-z0-9_.-]{1,96})?$/

/** Returns the folder of a repository, such as `models--owner--name`. */
export function repositoryFolder(type: string, name: string): string {
  return [type, ...name.split('/')].join('--')
}

/** A repository whose files are in a cache. */
export interface CachedRepository {
  type: 'models' | 'datasets' | 'spaces'
  /** `owner/name`, or `name` alone. */
  name: string
}

/** Returns the repository of a folder such as `models--owner--name`; null if it is not the folder of one. */
export function repositoryOfFolder(folder: string): CachedRepository | null {
  const match = /^(models|datasets|spaces)--([^/\\\0]+)$/.exec(folder)
  const [, type, rest = ''] = match ?? []
  if (type !== 'models' && type !== 'datasets' && type !== 'spaces') return null
  return { type, name: rest.replace('--', '/') }
}

/** What a source reports about a file of the Hub. */
export interface HubFile {
  filename: string
  sha256?: string | undefined
  gitOid?: string | undefined
  revision?: string | undefined
  repository?: { type: 'models' | 'datasets' | 'spaces'; name: string; revision: string } | undefined
}

/**
 * Returns the place of a file.
 *
 * @throws DownloadError `INVALID_OPTIONS` when the source does not report its repository; `PROTOCOL_ERROR`
 * when it does not report commit and blob, like some mirrors; `UNSAFE_FILENAME`.
 */
export function cachePlaceOf(file: HubFile): CachePlace {
  const { repository, revision, filename } = file
  if (repository === undefined) {
    throw invalidOption('layout', 'hf-cache supports only refs of the Hugging Face Hub')
  }
  const blob = file.sha256 ?? file.gitOid ?? ''
  const { type, name, revision: asked } = repository
  const ref = asked === revision ? null : asked
  const usable =
    blobPattern.test(blob) &&
    commitPattern.test(revision ?? '') &&
    repositoryPattern.test(name) &&
    !hasDots(name) &&
    (ref === null || isRefPath(ref))
  if (revision === undefined || !usable) {
    throw new DownloadError(
      'PROTOCOL_ERROR',
      'The Hub does not report the commit and blob of this file, so it cannot be stored in a cache; use the flat layout.',
    )
  }
  // Names stay as they are in the repository, because other programs look files up under them.
  for (const segment of filename.split('/')) checkFilename(segment)
  return { folder: repositoryFolder(type, name), commit: revision, path: filename, blob, ref }
}

const folderPattern = /^(?:models|datasets|spaces)(?:--[A-Za-z0-9_.-]{1,96}){1,2}$/

/** Whether a place that was stored is one that {@link cachePlaceOf} can return. */
export function isCachePlace({
  folder,
  commit,
  path,
  blob,
}: {
  folder: string
  commit: string
  path: string | null
  blob: string | null
}): boolean {
  return (
    folderPattern.test(folder) &&
    commitPattern.test(commit) &&
    (blob === null || blobPattern.test(blob)) &&
    (path === null || isSafePath(path))
  )
}

function isSafePath(path: string): boolean {
  try {
    for (const segment of path.split('/')) checkFilename(segment)
    return true
  } catch {
    return false
  }
}

function hasDots(path: string): boolean {
  return path.split('/').some((segment) => segment === '.' || segment === '..')
}

/**
 * Whether the name of a branch or tag can be a path: it has no empty segment, no `.` or `..`, and no
 * character that Windows rejects.
 */
function isRefPath(ref: string): boolean {
  return (
    ref.length <= 255 &&
    !hasDots(ref) &&
    ref.split('/').every((segment) => segment !== '' && !/[\p{Cc}\p{Cs}\\:<>"|?*]/u.test(segment))
  )
}

/** Returns the folder of the blobs, below the root, as segments. */
export function blobFolder({ folder }: Pick<CachePlace, 'folder'>): readonly string[] {
  return [folder, 'blobs']
}

/** Returns the file that users open, below the root, as segments. */
export function snapshotPath({
  folder,
  commit,
  path,
}: Pick<CachePlace, 'folder' | 'commit' | 'path'>): readonly string[] {
  return [folder, 'snapshots', commit, ...path.split('/')]
}

/** Returns the file of the ref, below the root, as segments; null if there is no ref. */
export function refPath({ folder, ref }: CachePlace): readonly string[] | null {
  return ref === null ? null : [folder, 'refs', ...ref.split('/')]
}

/**
 * Returns the target of a snapshot's link: `../../blobs/<id>`, with one more `../` for each folder of the
 * path.
 */
export function linkTarget({ path, blob }: Pick<CachePlace, 'path' | 'blob'>): string {
  return `${'../'.repeat(path.split('/').length + 1)}blobs/${blob}`
}

/** Returns the folder of the repository that a snapshot belongs to. */
export function repositoryOf(snapshot: string): string {
  return snapshot.replace(/[\\/]snapshots[\\/][^\\/]+[\\/]*$/, '')
}

/** Place of a file, including the cache. */
export interface CacheSpec extends CachePlace {
  /** Absolute path of the cache. */
  root: string
}
