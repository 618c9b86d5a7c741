/** What differs for a file that goes into a cache of the Hugging Face libraries: its blob is the target. */
import { join } from 'node:path'
import { blobFolder, type CachePlace } from '../layouts/hf-cache.js'
import { linkSnapshot, pointRef, requireInside } from '../layouts/hf-publish.js'
import type { TransferResult, TransferSpec } from './protocol.js'

/** Where in which cache a file goes. */
export interface CacheSpec extends CachePlace {
  /** Absolute path of the cache. */
  root: string
}

/** Those that have or want a blob, by its path: two paths of a repository may have the same content. */
const turns = new Map<string, Promise<unknown>>()

/**
 * Waits until nobody else in this thread works on the blob, and checks that the way to it stays in the cache.
 *
 * @returns what is to be called at the end.
 * @throws DownloadError `TARGET_NOT_REGULAR`; what the signal is aborted with.
 */
export async function enterCache(spec: TransferSpec, aborted: AbortSignal): Promise<() => void> {
  const cache = spec.cache ?? null
  if (cache === null) return () => undefined
  const key = join(cache.root, ...blobFolder(cache), cache.blob)
  const before = turns.get(key)
  let leave: () => void = () => undefined
  const turn = Promise.all([before, new Promise<void>((resolve) => (leave = resolve))])
  turns.set(key, turn)
  const end = () => {
    leave()
    if (turns.get(key) === turn) turns.delete(key)
  }
  try {
    await unlessAborted(before ?? Promise.resolve(), aborted)
    await requireInside(cache.root, blobFolder(cache))
    return end
  } catch (error) {
    end()
    throw error
  }
}

async function unlessAborted(wait: Promise<unknown>, aborted: AbortSignal): Promise<void> {
  let onAbort: () => void = () => undefined
  const stop = new Promise<void>((resolve) => (onAbort = resolve))
  aborted.addEventListener('abort', onAbort)
  if (aborted.aborted) onAbort()
  await Promise.race([wait, stop])
  aborted.removeEventListener('abort', onAbort)
  aborted.throwIfAborted()
}

/** What a file is called by those who use it: its name tells the format. */
export function shownName({ cache = null }: TransferSpec, filename: string): string {
  return cache === null ? filename : cache.path.slice(cache.path.lastIndexOf('/') + 1)
}

/**
 * Links a published blob into its snapshot, and names the commit. Answers the file as people open it.
 *
 * @throws DownloadError; done again, it goes on from there.
 */
export async function placeResult(
  { cache = null }: TransferSpec,
  result: TransferResult,
): Promise<TransferResult> {
  if (cache === null) return result
  const { root, path: inside } = cache
  const path = await linkSnapshot(root, cache)
  await pointRef(root, cache)
  return { ...result, path, filename: inside.slice(inside.lastIndexOf('/') + 1) }
}
