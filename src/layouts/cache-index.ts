/**
 * Finds files in other programs' caches that may be the wanted one. Nothing is hashed here.
 *
 * The caches are listed once for all files of a download, because a repository may have thousands of files,
 * and so may a cache.
 */
import { join, relative } from 'node:path'
import { readRegularFile } from '../disk/atomic.js'
import { lstat, readdir } from '../disk/fs.js'
import { entriesBelow } from '../disk/walk.js'
import { type Clock, systemClock } from '../util/clock.js'
import { type CacheSpec, repositoryFolder, snapshotPath } from './hf-paths.js'
import type { KnownCaches } from './known-caches.js'

/** The file to search for. */
export interface WantedFile {
  /** Lower-case hex SHA-256. */
  sha256: string
  /** Size in bytes; null if unknown, in which case only caches that name files by digest are searched. */
  size: number | null
  /** Name that its source uses, which may be a path; null if it has none. */
  filename: string | null
  /** Repository of the file, such as `owner/name`, which is searched first; null if it has none. */
  repository: string | null
}

/** A file that may be the wanted one. */
export interface CachedFile {
  /** Absolute path. */
  path: string
  /** Size in bytes. */
  size: number
  /** Name of the cache, for display. */
  cache: string
}

/** Maximum number of entries read per folder, more than any cache has; it also bounds a loop of links. */
const maxEntries = 20_000

const maxSidecarBytes = 4_096

/** Milliseconds after which the caches are listed again. */
const maxAgeMs = 10_000

const repository = /^(?:models|datasets|spaces)--/

const digestName = /^[0-9a-f]{64}$/

/** Files by the last part of their name, with their repository and the path in it. */
type NamedFiles = Map<string, { path: string; repository: string; inside: string }[]>

/** Contents of the caches when they were listed. */
interface Listing {
  /** Blobs by digest, with the folder of their repository. */
  hub: Map<string, { path: string; repository: string }[]>
  /** Files of snapshots that are no links, by name: where links are refused, a snapshot has the bytes themselves. */
  snapshots: NamedFiles
  /** Blobs by digest. */
  ollama: Map<string, string[]>
  /** Files by name. */
  lmStudio: Map<string, string[]>
  /** Files by name, with their repository and the path in it. */
  modelScope: NamedFiles
  llamaCpp: { path: string; name: string; size: number }[]
}

/** Index of the caches, which are listed when a file is first searched for. */
export class CacheIndex {
  readonly #caches: KnownCaches
  readonly #clock: Clock
  #listing: Promise<Listing> | null = null
  #listedAt = 0

  constructor(caches: KnownCaches, clock: Clock = systemClock) {
    this.#caches = caches
    this.#clock = clock
  }

  /** Finds candidates, the most likely ones first. Files that can't be read are skipped. */
  async *find(wanted: WantedFile): AsyncGenerator<CachedFile> {
    const { hub, snapshots, ollama, lmStudio, modelScope, llamaCpp } = await this.#current()
    const { sha256, size, filename } = wanted
    for (const path of inHub(hub.get(sha256), wanted)) yield* fileAt(path, wanted, 'Hugging Face')
    for (const path of ollama.get(sha256) ?? []) yield* fileAt(path, wanted, 'Ollama')
    if (size === null || filename === null) return
    const inSnapshots = { filename, repository: hubFolderOf(wanted) }
    for (const path of alikeFirst(snapshots.get(lastOf(filename)), inSnapshots))
      yield* fileAt(path, wanted, 'Hugging Face')
    for (const path of lmStudio.get(lastOf(filename)) ?? []) yield* fileAt(path, wanted, 'LM Studio')
    for (const path of alikeFirst(modelScope.get(lastOf(filename)), wanted))
      yield* fileAt(path, wanted, 'ModelScope')
    for (const entry of llamaCpp) {
      if (entry.size === size && (await mayMatch(entry, sha256, filename)))
        yield* fileAt(entry.path, wanted, 'llama.cpp')
    }
  }

  #current(): Promise<Listing> {
    const now = this.#clock.now()
    if (this.#listing === null || now - this.#listedAt > maxAgeMs) {
      this.#listing = listAll(this.#caches)
      this.#listedAt = now
    }
    return this.#listing
  }
}

/**
 * Finds the file of a place in a cache where another program has stored it without a blob, because links are refused:
 * in its snapshot. It is a candidate like any other, because nothing tells whether it is whole.
 */
export function inSnapshot({ root, ...place }: CacheSpec): Pick<CacheIndex, 'find'> {
  return { find: (wanted) => fileAt(join(root, ...snapshotPath(place)), wanted, 'Hugging Face') }
}

async function listAll(caches: KnownCaches): Promise<Listing> {
  const [{ hub, snapshots }, ollama, lmStudio, modelScope, llamaCpp] = await Promise.all([
    listHub(caches.hub),
    listOllama(caches.ollama),
    listLmStudio(caches.lmStudio),
    listModelScope(caches.modelScope ?? []),
    listLlamaCpp(caches.llamaCpp),
  ])
  return { hub, snapshots, ollama, lmStudio, modelScope, llamaCpp }
}

async function listHub(roots: readonly string[]): Promise<Pick<Listing, 'hub' | 'snapshots'>> {
  const hub: Listing['hub'] = new Map()
  const snapshots: NamedFiles = new Map()
  for (const root of roots) {
    for (const name of (await list(root)).filter((entry) => repository.test(entry))) {
      const folder = join(root, name, 'blobs')
      for (const digest of await list(folder)) {
        if (digestName.test(digest)) add(hub, digest, { path: join(folder, digest), repository: name })
      }
      const commits = join(root, name, 'snapshots')
      for (const path of await listDeep(commits)) {
        const inside = path.slice(path.indexOf('/') + 1)
        add(snapshots, lastOf(path), { path: join(commits, path), repository: name, inside })
      }
    }
  }
  return { hub, snapshots }
}

async function listOllama(roots: readonly string[]): Promise<Listing['ollama']> {
  const blobs: Listing['ollama'] = new Map()
  for (const root of roots) {
    const folder = join(root, 'blobs')
    for (const name of await list(folder)) {
      if (name.startsWith('sha256-')) add(blobs, name.slice('sha256-'.length), join(folder, name))
    }
  }
  return blobs
}

/** LM Studio stores files as `publisher/model/file`. */
async function listLmStudio(roots: readonly string[]): Promise<Listing['lmStudio']> {
  const files: Listing['lmStudio'] = new Map()
  for (const root of roots) {
    for (const publisher of await list(root)) {
      for (const model of await list(join(root, publisher))) {
        const folder = join(root, publisher, model)
        for (const name of await list(folder)) add(files, name, join(folder, name))
      }
    }
  }
  return files
}

/** Folders in a cache of ModelScope that are not owners of models. Those of unfinished files begin with a dot. */
const notOwners = new Set(['hub', 'models', 'datasets'])

/**
 * ModelScope stores files as `owner/name/path`, with `___` for each dot in the name. Files that begin with a dot are its
 * own notes (`.msc`, `.mv`).
 */
async function listModelScope(roots: readonly string[]): Promise<Listing['modelScope']> {
  const files: Listing['modelScope'] = new Map()
  for (const root of roots) {
    for (const owner of (await list(root)).filter((name) => !name.startsWith('.') && !notOwners.has(name))) {
      for (const name of await list(join(root, owner))) {
        const folder = join(root, owner, name)
        const repository = `${owner}/${name.replaceAll('___', '.')}`
        for (const inside of await listDeep(folder)) {
          const last = inside.slice(inside.lastIndexOf('/') + 1)
          if (!last.startsWith('.')) add(files, last, { path: join(folder, inside), repository, inside })
        }
      }
    }
  }
  return files
}

/** Returns the paths of all files below a folder, with slashes. */
async function listDeep(folder: string): Promise<string[]> {
  const entries = await entriesBelow(folder).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .slice(0, maxEntries)
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
}

/** Returns files, those of the wanted repository and path first. */
function alikeFirst(
  found: readonly { path: string; repository: string; inside: string }[] = [],
  wanted: Pick<WantedFile, 'filename' | 'repository'>,
): string[] {
  const likeness = ({ repository, inside }: { repository: string; inside: string }) =>
    Number(repository === wanted.repository) * 2 + Number(inside === wanted.filename)
  return [...found].sort((a, b) => likeness(b) - likeness(a)).map(({ path }) => path)
}

async function listLlamaCpp(roots: readonly string[]): Promise<Listing['llamaCpp']> {
  const files: Listing['llamaCpp'] = []
  for (const root of roots) {
    for (const name of await list(root)) {
      if (/\.(?:json|etag|tmp|downloadInProgress)$/.test(name)) continue
      const path = join(root, name)
      const stats = await lstat(path).catch(() => null)
      if (stats?.isFile() === true) files.push({ path, name, size: stats.size })
    }
  }
  return files
}

function hubFolderOf({ repository }: WantedFile): string {
  return repository === null ? '' : repositoryFolder('models', repository)
}

/** Returns blobs, those of the wanted repository first. */
function inHub(found: readonly { path: string; repository: string }[] = [], wanted: WantedFile): string[] {
  const first = hubFolderOf(wanted)
  const own = found.filter((blob) => blob.repository === first)
  return [...own, ...found.filter((blob) => blob.repository !== first)].map(({ path }) => path)
}

/**
 * Whether a file of llama.cpp may be the wanted one. It is named `owner_name_file`, and `….etag` or `….json`
 * beside it holds the ETag of its server.
 */
async function mayMatch(
  { path, name }: { path: string; name: string },
  sha256: string,
  filename: string,
): Promise<boolean> {
  const digest = await digestBeside(path)
  if (digest !== null) return digest === sha256
  const flat = filename.replaceAll('/', '_')
  return name === flat || name.endsWith(`_${flat}`) || name === lastOf(filename)
}

/** Returns the digest in a sidecar file; null if there is none. */
async function digestBeside(path: string): Promise<string | null> {
  for (const ending of ['.etag', '.json']) {
    const read = await readRegularFile(path + ending, maxSidecarBytes).catch(() => null)
    const digest = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/.exec(etagIn(read?.data.toString('utf8') ?? ''))
    if (digest !== null) return digest[0]
  }
  return null
}

/**
 * Returns the text that contains the ETag. In JSON that is only its member, because the URL may contain other
 * digests.
 */
function etagIn(text: string): string {
  return text.trimStart().startsWith('{') ? (/"etag"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? '') : text
}

async function* fileAt(path: string, { size }: WantedFile, cache: string): AsyncGenerator<CachedFile> {
  const stats = await lstat(path).catch(() => null)
  if (stats?.isFile() === true && (size === null || stats.size === size))
    yield { path, size: stats.size, cache }
}

async function list(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).slice(0, maxEntries)
  } catch {
    return []
  }
}

function add<T>(map: Map<string, T[]>, key: string, value: T): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
