/** Deletes folders with everything in them. */
import { join } from 'node:path'
import { isMissing, nullIfMissing } from './errors.js'
import { lstat, readdir, rmdir } from './fs.js'
import { io } from './io.js'

/**
 * Deletes a folder with everything in it, or a file. Links are deleted and not followed; what is missing is ignored.
 *
 * @throws the error of the file system.
 */
export async function removeTree(path: string): Promise<void> {
  const stats = await lstat(path).catch(nullIfMissing)
  if (stats === null) return
  if (!stats.isDirectory()) {
    await ignoreMissing(io.unlink(path))
    return
  }
  const names = (await readdir(path).catch(nullIfMissing)) ?? []
  for (const name of names) await removeTree(join(path, name))
  await ignoreMissing(rmdir(path))
}

async function ignoreMissing(done: Promise<void>): Promise<void> {
  await done.catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
}
