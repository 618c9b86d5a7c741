/** What a repository in a cache of the Hugging Face libraries takes up, and what can be removed from it. Pure. */
import type { CachedRepository } from './hf-paths.js'

/** One file of a snapshot. */
export interface SnapshotFile {
  /** Path in the repository, with slashes. */
  path: string
  /** The blob that it leads to; null for a copy, and for a link that leads to no blob of the repository. */
  blob: string | null
  /** Bytes that it takes up itself: 0 for a link. */
  ownBytes: number
  /** Whether it leads to bytes at all. False for a link to a blob that does not exist, and for one out of the repository. */
  isThere: boolean
}

/** The files of one commit. */
export interface CacheRevision {
  /** Name of the folder below `snapshots`. */
  commit: string
  files: readonly SnapshotFile[]
}

/** A repository in a cache, as it lies on disk. */
export interface CacheRepository extends CachedRepository {
  /** Name of its folder, such as `models--owner--name`. */
  folder: string
  revisions: readonly CacheRevision[]
  /** The commits that branches and tags point to, also those without a snapshot. */
  refs: ReadonlyMap<string, string>
  /** Complete files by name. */
  blobs: ReadonlyMap<string, BlobFile>
  /** Bytes of downloads that did not end, and everything else among the blobs, by file name. */
  unfinished: ReadonlyMap<string, BlobFile>
}

/** A file among the blobs. */
export interface BlobFile {
  size: number
  /** Milliseconds since the epoch. */
  modifiedMs: number
}

/** What a repository takes up, in bytes. */
export interface CacheUsage {
  /** Complete files, each counted once. */
  size: number
  /** Of these, files that no snapshot leads to. */
  orphaned: number
  /** Downloads that did not end. */
  unfinished: number
  /** When a file was last written, in milliseconds since the epoch; null if there is none. */
  modifiedMs: number | null
}

/** What is to be removed from a repository. */
export interface CacheRemoval {
  /** Commits whose snapshots are removed. */
  commits: string[]
  /** Branches and tags that are removed. */
  refs: string[]
  /** Blobs that are removed. */
  blobs: string[]
  /** Files of unfinished downloads that are removed. */
  unfinished: string[]
  /** Whether nothing of the repository is left. */
  isWhole: boolean
  /** Bytes that are freed. */
  freedBytes: number
}

/** Returns what a repository takes up. */
export function usageOf(repository: CacheRepository): CacheUsage {
  const used = blobsOf(repository.revisions)
  let [size, orphaned, unfinished] = [0, 0, 0]
  for (const [name, blob] of repository.blobs) {
    size += blob.size
    if (!used.has(name)) orphaned += blob.size
  }
  for (const { files } of repository.revisions) size += ownBytesOf(files)
  for (const { size: bytes } of repository.unfinished.values()) unfinished += bytes
  let modifiedMs: number | null = null
  for (const blob of [...repository.blobs.values(), ...repository.unfinished.values()])
    modifiedMs = Math.max(modifiedMs ?? blob.modifiedMs, blob.modifiedMs)
  return { size, orphaned, unfinished, modifiedMs }
}

/** Bytes that the files of a revision have, whether or not it shares them with others. */
export function revisionBytes({ blobs }: CacheRepository, { files }: CacheRevision): number {
  let bytes = ownBytesOf(files)
  for (const name of blobsOf([{ files }])) bytes += blobs.get(name)?.size ?? 0
  return bytes
}

/** When a file of a revision was last written, in milliseconds since the epoch; null if none of its blobs exists. */
export function revisionModifiedMs({ blobs }: CacheRepository, { files }: CacheRevision): number | null {
  let latest: number | null = null
  for (const name of blobsOf([{ files }])) {
    const at = blobs.get(name)?.modifiedMs
    if (at !== undefined) latest = Math.max(latest ?? at, at)
  }
  return latest
}

/** Branches and tags that point to a commit, in alphabetical order. */
export function refsTo({ refs }: Pick<CacheRepository, 'refs'>, commit: string): string[] {
  return [...refs].flatMap(([ref, target]) => (target === commit ? [ref] : [])).sort()
}

/** Plans the removal of some revisions, with the refs to them and the blobs that no other revision uses. */
export function planRemoval(repository: CacheRepository, commits: readonly string[]): CacheRemoval {
  const removed = new Set(commits)
  const [gone, kept] = split(repository.revisions, ({ commit }) => removed.has(commit))
  const used = blobsOf(kept)
  const isWhole = kept.length === 0
  // Without revisions there is no use for anything else that the folder has.
  const blobs = isWhole
    ? [...repository.blobs.keys()]
    : [...blobsOf(gone)].filter((name) => repository.blobs.has(name) && !used.has(name))
  const refs = [...repository.refs].flatMap(([ref, commit]) => (isWhole || removed.has(commit) ? [ref] : []))
  const unfinished = isWhole ? [...repository.unfinished.keys()] : []
  return removalOf(repository, { gone, refs, blobs, unfinished, isWhole })
}

/**
 * Plans the removal of what nothing refers to: revisions that no branch or tag points to, refs to revisions that are not
 * there, and blobs that no remaining revision uses.
 *
 * @param unfinished - whether the bytes of unfinished downloads are removed as well.
 */
export function planPrune(repository: CacheRepository, unfinished = false): CacheRemoval {
  const pointed = new Set(repository.refs.values())
  const [kept, gone] = split(repository.revisions, ({ commit }) => pointed.has(commit))
  const there = new Set(kept.map(({ commit }) => commit))
  const used = blobsOf(kept)
  const blobs = [...repository.blobs.keys()].filter((name) => !used.has(name))
  // While a download has not ended, its ref may point to a revision that does not exist yet.
  const isFetching = repository.unfinished.size > 0 && !unfinished
  const refs = isFetching
    ? []
    : [...repository.refs].flatMap(([ref, commit]) => (there.has(commit) ? [] : [ref]))
  const isWhole = kept.length === 0 && !isFetching
  return removalOf(repository, {
    gone,
    refs,
    blobs,
    unfinished: unfinished ? [...repository.unfinished.keys()] : [],
    isWhole,
  })
}

/** Whether a removal removes nothing. */
export function isNothing({ commits, refs, blobs, unfinished, isWhole }: CacheRemoval): boolean {
  return !isWhole && [commits, refs, blobs, unfinished].every(({ length }) => length === 0)
}

function removalOf(
  repository: CacheRepository,
  {
    gone,
    ...rest
  }: { gone: readonly CacheRevision[] } & Pick<CacheRemoval, 'refs' | 'blobs' | 'unfinished' | 'isWhole'>,
): CacheRemoval {
  let freedBytes = gone.reduce((sum, { files }) => sum + ownBytesOf(files), 0)
  for (const name of rest.blobs) freedBytes += repository.blobs.get(name)?.size ?? 0
  for (const name of rest.unfinished) freedBytes += repository.unfinished.get(name)?.size ?? 0
  return { commits: gone.map(({ commit }) => commit), ...rest, freedBytes }
}

function blobsOf(revisions: readonly Pick<CacheRevision, 'files'>[]): Set<string> {
  const names = new Set<string>()
  for (const { files } of revisions) for (const { blob } of files) if (blob !== null) names.add(blob)
  return names
}

function ownBytesOf(files: readonly SnapshotFile[]): number {
  return files.reduce((sum, { ownBytes }) => sum + ownBytes, 0)
}

function split<T>(items: readonly T[], isFirst: (item: T) => boolean): [T[], T[]] {
  const parts: [T[], T[]] = [[], []]
  for (const item of items) parts[isFirst(item) ? 0 : 1].push(item)
  return parts
}

// ---- Names of what is removed

/** What a caller names: a repository, and perhaps a revision of it. */
export interface CacheTarget {
  /** Null if it is not stated. */
  type: CachedRepository['type'] | null
  /** `owner/name`; null if only a commit is named. */
  name: string | null
  /** Branch, tag, commit, or the beginning of a commit; null for all. */
  revision: string | null
}

const types: Readonly<Record<string, CachedRepository['type']>> = {
  model: 'models',
  models: 'models',
  dataset: 'datasets',
  datasets: 'datasets',
  space: 'spaces',
  spaces: 'spaces',
}

/**
 * Parses what a caller names: `owner/name`, `hf:owner/name`, `datasets/owner/name`, `models--owner--name`, each with
 * `@revision` if wanted; or a commit alone, of at least 7 digits. Null for anything else.
 */
export function parseCacheTarget(text: string): CacheTarget | null {
  const bare = text.replace(/^(?:hf|huggingface):(?:\/\/)?/i, '')
  if (/^[0-9a-f]{7,64}$/.test(bare) && bare === text) return { type: null, name: null, revision: bare }
  const at = bare.indexOf('@')
  const place = at === -1 ? bare : bare.slice(0, at)
  const revision = at === -1 ? null : bare.slice(at + 1)
  if (revision === '') return null
  const segments = place.includes('--') && !place.includes('/') ? place.split('--') : place.split('/')
  const type = segments.length > 1 ? (types[segments[0] ?? ''] ?? null) : null
  const name = (type === null ? segments : segments.slice(1)).join('/')
  const isName = /^[A-Za-z0-9_.-]{1,96}(?:\/[A-Za-z0-9_.-]{1,96})?$/.test(name)
  return isName && !name.split('/').some((part) => part === '.' || part === '..')
    ? { type, name, revision }
    : null
}

/**
 * Finds the revisions that a caller names.
 *
 * @returns the commits by repository; `all` for a whole repository. Empty if there are none.
 */
export function findTarget(
  repositories: readonly CacheRepository[],
  { type, name, revision }: CacheTarget,
): Map<CacheRepository, readonly string[] | 'all'> {
  const found = new Map<CacheRepository, readonly string[] | 'all'>()
  for (const repository of repositories) {
    if (type !== null && repository.type !== type) continue
    if (name !== null && repository.name !== name) continue
    if (revision === null) {
      found.set(repository, 'all')
      continue
    }
    const pointed = repository.refs.get(revision)
    const commits = repository.revisions
      .map(({ commit }) => commit)
      .filter((commit) => commit === pointed || (revision.length >= 7 && commit.startsWith(revision)))
    if (commits.length > 0) found.set(repository, commits)
  }
  return found
}
