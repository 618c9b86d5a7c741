/** Takes files out of a cache of the Hugging Face libraries. */
import type { Dirent } from 'node:fs'
import { readdir, readlink, rmdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readRegularFile } from '../files/atomic.js'
import { errnoOf } from '../files/fs-errors.js'
import { removeFiles } from '../transfer/leftover.js'
import { maxRefBytes } from './hf-publish.js'

/**
 * Deletes blobs to which no snapshot links any more, and what is empty then.
 *
 * @param repository - its folder.
 * @throws DownloadError `PERMISSION`, `READ_ONLY`, `DISK_IO`.
 */
export async function removeBlobs(repository: string, blobs: readonly string[]): Promise<void> {
  const used = await linkedBlobs(join(repository, 'snapshots'))
  const unused = blobs.filter((blob) => !used.has(blob))
  await removeFiles(unused.map((blob) => join(repository, 'blobs', blob)))
  await removeEmpty(repository)
}

async function linkedBlobs(snapshots: string): Promise<Set<string>> {
  const linked = new Set<string>()
  for (const entry of await entriesOf(snapshots)) {
    if (!entry.isSymbolicLink()) continue
    const target = await readlink(join(entry.parentPath, entry.name)).catch(() => '')
    linked.add(basename(target.replaceAll('\\', '/')))
  }
  return linked
}

/** Folders that are empty go, and refs that would lead nowhere. */
async function removeEmpty(repository: string): Promise<void> {
  const snapshots = join(repository, 'snapshots')
  const folders = (await entriesOf(snapshots))
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
  await removeFolders(folders.sort((a, b) => b.length - a.length))
  const commits = new Set((await readdir(snapshots).catch(ifMissing)).map(String))
  for (const entry of (await entriesOf(join(repository, 'refs'))).filter((one) => one.isFile())) {
    const path = join(entry.parentPath, entry.name)
    const read = await readRegularFile(path, maxRefBytes).catch(() => null)
    if (read !== null && !commits.has(read.data.toString('utf8').trim())) await removeFiles([path])
  }
  // Whoever lists a cache expects all three.
  if (commits.size === 0)
    await removeFolders(['snapshots', 'blobs', 'refs', ''].map((name) => join(repository, name)))
}

/** One that isn't empty stays. */
async function removeFolders(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rmdir(path).catch(() => undefined)
}

function entriesOf(folder: string): Promise<Dirent[]> {
  return readdir(folder, { recursive: true, withFileTypes: true }).catch(ifMissing)
}

function ifMissing(error: unknown): never[] {
  if (errnoOf(error) === 'ENOENT') return []
  throw error
}
