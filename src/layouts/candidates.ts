/** Files in the caches of other programs that may be the one that is wanted. Nothing is hashed here. */
import type { Dirent } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readRegularFile } from '../files/atomic.js'
import { repositoryFolder } from './hf-cache.js'
import type { KnownCaches } from './known-caches.js'

/** What is looked for. */
export interface Wanted {
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
export interface Candidate {
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
const repository = /^(?:models|datasets|spaces)--/

/** The likeliest come first. What can't be read is left out. */
export async function* findCandidates(wanted: Wanted, caches: KnownCaches): AsyncGenerator<Candidate> {
  for (const root of caches.hub) yield* inHub(wanted, root)
  for (const root of caches.ollama) {
    const found = await fileAt(join(root, 'blobs', `sha256-${wanted.sha256}`), wanted, 'Ollama')
    if (found !== null) yield found
  }
  if (wanted.size === null || wanted.filename === null) return
  for (const root of caches.lmStudio) yield* inLmStudio(wanted, wanted.filename, root)
  for (const root of caches.llamaCpp) yield* inLlamaCpp(wanted, wanted.filename, root)
}

async function* inHub(wanted: Wanted, root: string): AsyncGenerator<Candidate> {
  const names = (await list(root)).map(({ name }) => name).filter((name) => repository.test(name))
  const first = wanted.repository === null ? '' : repositoryFolder('models', wanted.repository)
  names.sort((a, b) => Number(b === first) - Number(a === first))
  for (const name of names) {
    const found = await fileAt(join(root, name, 'blobs', wanted.sha256), wanted, 'Hugging Face')
    if (found !== null) yield found
  }
}

/** `publisher/model/file`. */
async function* inLmStudio(wanted: Wanted, filename: string, root: string): AsyncGenerator<Candidate> {
  const name = lastOf(filename)
  for (const publisher of await list(root)) {
    for (const model of await list(join(root, publisher.name))) {
      const found = await fileAt(join(root, publisher.name, model.name, name), wanted, 'LM Studio')
      if (found !== null) yield found
    }
  }
}

/** `owner_name_file`, beside it what its server called the content: `….etag` or `….json`. */
async function* inLlamaCpp(wanted: Wanted, filename: string, root: string): AsyncGenerator<Candidate> {
  const flat = filename.replaceAll('/', '_')
  for (const { name } of await list(root)) {
    if (/\.(?:json|etag|tmp|downloadInProgress)$/.test(name)) continue
    const found = await fileAt(join(root, name), wanted, 'llama.cpp')
    if (found === null) continue
    const told = await digestBeside(found.path)
    const isNamed = name === flat || name.endsWith(`_${flat}`) || name === lastOf(filename)
    if (told === null ? isNamed : told === wanted.sha256) yield found
  }
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

async function fileAt(path: string, { size }: Wanted, cache: string): Promise<Candidate | null> {
  try {
    const stats = await lstat(path)
    return stats.isFile() && (size === null || stats.size === size) ? { path, size: stats.size, cache } : null
  } catch {
    return null
  }
}

async function list(folder: string): Promise<Dirent[]> {
  try {
    return (await readdir(folder, { withFileTypes: true })).slice(0, maxEntries)
  } catch {
    return []
  }
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
