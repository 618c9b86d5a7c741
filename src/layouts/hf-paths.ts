/**
 * The cache of the Hugging Face libraries: what lies where. Pure.
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
 * How files lie below their folder.
 *
 * - `flat`: `<mode>/<filename>`.
 * - `hf-cache`: as the Hugging Face libraries keep them, so that those, llama.cpp and vLLM find them; for refs of that hub.
 */
export type Layout = 'flat' | 'hf-cache'

// ---- The cache of the Hugging Face libraries: what lies where. Pure.  ``` models--owner--name/ blobs/<id>                      the bytes, named by their SHA-256 or, when git keeps them, by git's object name snapshots/<commit>/<path>       a relative link to the blob refs/<branch or tag>            the commit, without a line feed ```

/** Where one file goes, in a cache. */
export interface CachePlace {
  /** Folder of the repository: `models--owner--name`. */
  folder: string
  /** 40 hex digits. */
  commit: string
  /** Path in the repository, with slashes. */
  path: string
  /** Name of the blob: 64 hex digits, or git's 40. */
  blob: string
  /** What was asked for and points to the commit, such as `main`; null when that is the commit itself. */
  ref: string | null
}

const commitPattern = /^[0-9a-f]{40}$/

const blobPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/

const repositoryPattern = /^[A-Za-z0-9_.-]{1,96}(?:\/[A-Za-z0-9_.-]{1,96})?$/

/** The folder of a repository, such as `models--owner--name`. */
export function repositoryFolder(type: string, name: string): string {
  return [type, ...name.split('/')].join('--')
}

/** What a source tells of a file of the hub. */
export interface HubFile {
  filename: string
  sha256?: string | undefined
  gitOid?: string | undefined
  revision?: string | undefined
  repository?: { type: 'models' | 'datasets' | 'spaces'; name: string; revision: string } | undefined
}

/**
 * Where a file goes.
 *
 * @throws DownloadError `INVALID_OPTIONS` when the source doesn't say of which repository it is; `PROTOCOL_ERROR` when
 * it doesn't say commit and blob, as some mirrors; `UNSAFE_FILENAME`.
 */
export function cachePlaceOf(file: HubFile): CachePlace {
  const { repository, revision, filename } = file
  if (repository === undefined) {
    throw invalidOption('layout', 'hf-cache takes refs of the Hugging Face hub only')
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
      'The hub does not say which commit and blob this is, so it cannot go into a cache; use the flat layout.',
    )
  }
  // Names stay as they are in the repository: whoever looks for them spells them that way.
  for (const segment of filename.split('/')) checkFilename(segment)
  return { folder: repositoryFolder(type, name), commit: revision, path: filename, blob, ref }
}

function hasDots(path: string): boolean {
  return path.split('/').some((segment) => segment === '.' || segment === '..')
}

/** Whether a name of a branch or tag can be a path: no empty segment, none that climbs, nothing that Windows refuses. */
function isRefPath(ref: string): boolean {
  return (
    ref.length <= 255 &&
    !hasDots(ref) &&
    ref.split('/').every((segment) => segment !== '' && !/[\p{Cc}\p{Cs}\\:<>"|?*]/u.test(segment))
  )
}

/** The folder of the blobs, below the root, as segments. */
export function blobFolder({ folder }: Pick<CachePlace, 'folder'>): readonly string[] {
  return [folder, 'blobs']
}

/** The file that people open, below the root, as segments. */
export function snapshotPath({
  folder,
  commit,
  path,
}: Pick<CachePlace, 'folder' | 'commit' | 'path'>): readonly string[] {
  return [folder, 'snapshots', commit, ...path.split('/')]
}

/** The file that names the commit, below the root, as segments; null when there is nothing to name. */
export function refPath({ folder, ref }: CachePlace): readonly string[] | null {
  return ref === null ? null : [folder, 'refs', ...ref.split('/')]
}

/** What a snapshot's link holds: `../../blobs/<id>`, with one more `../` for each folder of the path. */
export function linkTarget({ path, blob }: Pick<CachePlace, 'path' | 'blob'>): string {
  return `${'../'.repeat(path.split('/').length + 1)}blobs/${blob}`
}

/** The folder of the repository that a snapshot's folder is of. */
export function repositoryOf(snapshot: string): string {
  return snapshot.replace(/[\\/]snapshots[\\/][^\\/]+[\\/]*$/, '')
}

/** Where in which cache a file goes. */
export interface CacheSpec extends CachePlace {
  /** Absolute path of the cache. */
  root: string
}
