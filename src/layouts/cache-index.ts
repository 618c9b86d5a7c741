/**
 * Files in the caches of other programs that may be the one that is wanted. Nothing is hashed here.
 *
 * The caches are listed once for all files of a download: a repository may have thousands of files, and so may a cache.
 */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readRegularFile } from '../disk/atomic.js'
import { repositoryFolder } from './hf-paths.js'
import type { KnownCaches } from './known-caches.js'

/** What is looked for. */
export interface WantedFile {
  /** Lower-case hex SHA-256. */
  sha256: string
  /** Bytes, or null when nobody has told. Without it only caches that name files by digest are looked at. */
  size: number | null
  /** What its source calls it; the last segment of a path counts. Null when it has no name. */
  filename: string | null
  /** Repository that it is of, such as `owner/name`, to be looked at first. */
  repository: string | null
}

/** A file that may be the one. */
export interface CachedFile {
  /** Absolute. */
  path: string
  /** Bytes. */
  size: number
  /** Whose cache it lies in, for people. */
  cache: string
}

/** No cache has as many; a loop of links ends here. */
const maxEntries = 20_000

const maxSidecarBytes = 4_096

/** What was listed longer ago, in milliseconds, is listed again. */
const maxAgeMs = 10_000

const repository = /^(?:models|datasets|spaces)--/

const digestName = /^[0-9a-f]{64}$/

/** What lies in the caches, as it was when they were listed. */
interface Listing {
  /** Folders of repositories with the blob of that digest. */
  hub: Map<string, { path: string; repository: string }[]>
  /** Blobs of that digest. */
  ollama: Map<string, string[]>
  /** Files of that name. */
  lmStudio: Map<string, string[]>
  llamaCpp: { path: string; name: string; size: number }[]
}

/** The caches, listed when a file is first looked for. */
export class CacheIndex {
  readonly #caches: KnownCaches
  #listing: Promise<Listing> | null = null
  #listedAt = 0

  constructor(caches: KnownCaches) {
    this.#caches = caches
  }

  /** The likeliest come first. What can't be read is left out. */
  async *find(wanted: WantedFile): AsyncGenerator<CachedFile> {
    const { hub, ollama, lmStudio, llamaCpp } = await this.#current()
    const { sha256, size, filename } = wanted
    for (const path of inHub(hub.get(sha256), wanted)) yield* fileAt(path, wanted, 'Hugging Face')
    for (const path of ollama.get(sha256) ?? []) yield* fileAt(path, wanted, 'Ollama')
    if (size === null || filename === null) return
    for (const path of lmStudio.get(lastOf(filename)) ?? []) yield* fileAt(path, wanted, 'LM Studio')
    for (const entry of llamaCpp) {
      if (entry.size === size && (await seemsRight(entry, sha256, filename)))
        yield* fileAt(entry.path, wanted, 'llama.cpp')
    }
  }

  #current(): Promise<Listing> {
    const now = performance.now()
    if (this.#listing === null || now - this.#listedAt > maxAgeMs) {
      this.#listing = listAll(this.#caches)
      this.#listedAt = now
    }
    return this.#listing
  }
}

async function listAll(caches: KnownCaches): Promise<Listing> {
  const [hub, ollama, lmStudio, llamaCpp] = await Promise.all([
    listHub(caches.hub),
    listOllama(caches.ollama),
    listLmStudio(caches.lmStudio),
    listLlamaCpp(caches.llamaCpp),
  ])
  return { hub, ollama, lmStudio, llamaCpp }
}

async function listHub(roots: readonly string[]): Promise<Listing['hub']> {
  const blobs: Listing['hub'] = new Map()
  for (const root of roots) {
    for (const name of (await list(root)).filter((entry) => repository.test(entry))) {
      const folder = join(root, name, 'blobs')
      for (const digest of await list(folder)) {
        if (digestName.test(digest)) add(blobs, digest, { path: join(folder, digest), repository: name })
      }
    }
  }
  return blobs
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

/** `publisher/model/file`. */
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

/** Those of the wanted repository first. */
function inHub(found: readonly { path: string; repository: string }[] = [], wanted: WantedFile): string[] {
  const first = wanted.repository === null ? '' : repositoryFolder('models', wanted.repository)
  const own = found.filter((blob) => blob.repository === first)
  return [...own, ...found.filter((blob) => blob.repository !== first)].map(({ path }) => path)
}

/** `owner_name_file`, beside it what its server called the content: `….etag` or `….json`. */
async function seemsRight(
  { path, name }: { path: string; name: string },
  sha256: string,
  filename: string,
): Promise<boolean> {
  const told = await digestBeside(path)
  if (told !== null) return told === sha256
  const flat = filename.replaceAll('/', '_')
  return name === flat || name.endsWith(`_${flat}`) || name === lastOf(filename)
}

/** The digest that a sidecar tells of; null when it tells none. */
async function digestBeside(path: string): Promise<string | null> {
  for (const ending of ['.etag', '.json']) {
    const read = await readRegularFile(path + ending, maxSidecarBytes).catch(() => null)
    const digest = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/.exec(etagIn(read?.data.toString('utf8') ?? ''))
    if (digest !== null) return digest[0]
  }
  return null
}

/** Of JSON the member alone: its URL may hold other digests. */
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
