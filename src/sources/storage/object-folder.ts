/** Makes a group of the objects below a prefix, of any object store. */
import { DownloadError } from '../../errors.js'
import { Slices } from '../../util/slices.js'
import { selector } from '../globs.js'
import type { Resolution, ResolveContext, ResolvedFile } from '../source.js'
import { folderOf, maxObjects, type ObjectRef, pathInPrefix, tooManyObjects } from './object-ref.js'

/** How a store lists its objects. */
export interface Listing<Entry, Listed extends { key: string; size: number }> {
  /** The entries of each page. */
  pages: AsyncIterable<readonly Entry[]>
  /** What reading an entry costs, in units of {@link Slices}. */
  entryUnits: number
  /** @throws DownloadError if an entry is not what the store should answer. */
  objectOf: (entry: Entry) => Listed
  /** The file of an object; `path` is where it lies below the prefix. */
  fileOf: (object: Listed, path: string) => ResolvedFile | Promise<ResolvedFile>
  /** What the store calls its buckets and objects, for messages. */
  words: { bucket: string; objects: string }
}

/**
 * Lists the objects below a prefix that the globs of the caller choose.
 *
 * @throws DownloadError `NOT_FOUND` if there are none; `INVALID_OPTIONS` if there are far more than a group may have.
 */
export async function groupOfObjects<Entry, Listed extends { key: string; size: number }>(
  ref: ObjectRef,
  { include, exclude }: Pick<ResolveContext, 'include' | 'exclude'>,
  { pages, entryUnits, objectOf, fileOf, words }: Listing<Entry, Listed>,
): Promise<Resolution> {
  const slices = new Slices()
  const isWanted = selector(include, exclude, slices)
  const found: { path: string; object: Listed }[] = []
  let total = 0
  for await (const page of pages) {
    const wanted = await slices.flatMap(page, entryUnits, (entry) => {
      total += 1
      const object = objectOf(entry)
      if (!isWanted(object.key.slice(ref.key.length))) return []
      const path = pathInPrefix(ref.key, object)
      return path === null ? [] : [{ path, object }]
    })
    for (const one of wanted) found.push(one)
    if (found.length > maxObjects) throw tooManyObjects()
  }
  if (found.length === 0) {
    const where =
      ref.key === '' ? `The ${words.bucket} ${ref.bucket}` : `The prefix ${JSON.stringify(ref.key)}`
    throw new DownloadError('NOT_FOUND', `${where} has no ${total === 0 ? '' : 'matching '}${words.objects}.`)
  }
  const files: ResolvedFile[] = []
  for (const { path, object } of found) {
    files.push(await fileOf(object, path))
    slices.spend(entryUnits)
    if (slices.isOver) await slices.rest()
  }
  return { name: folderOf(ref), files }
}
