import { join } from 'node:path'
import { makeFolder, uniqueSuffix, writeNew } from './atomic.js'
import { errnoOf } from './errors.js'
import { io } from './io.js'

const mode = 0o600

/**
 * Tries what programs on several machines need of a folder that they share: a file that only one of them can make, a sync,
 * a rename, and reading back what was written. The folder is made if it is missing; what is written is deleted again.
 *
 * @param folder - absolute path.
 * @returns the first thing that does not work, with the reason, in English; null if everything does. Never rejects.
 */
export async function findSharingFault(folder: string): Promise<string | null> {
  const made = join(folder, `.sharing-probe.${uniqueSuffix()}`)
  const renamed = `${made}.renamed`
  const text = uniqueSuffix()
  let what = 'no file can be made there'
  try {
    await makeFolder(folder)
    await writeNew(made, text, { mode })
    what = 'files are not made exclusively there'
    if (!(await isExclusive(made))) return what
    what = 'files can not be synced there'
    await writeNew(renamed, text, { mode, sync: 'content' })
    what = 'files can not be renamed there'
    await io.rename(made, renamed)
    what = 'what was written can not be read back there'
    return (await readBack(renamed, text.length + 1)) === text ? null : what
  } catch (error) {
    return `${what} (${errnoOf(error) ?? String(error)})`
  } finally {
    for (const path of [made, renamed]) await io.unlink(path).catch(() => undefined)
  }
}

/** Whether a file that exists can't be made once more. */
async function isExclusive(path: string): Promise<boolean> {
  try {
    await writeNew(path, '', { mode })
    return false
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return true
    throw error
  }
}

async function readBack(path: string, length: number): Promise<string> {
  const fd = await io.open(path, 'r')
  try {
    const buffer = Buffer.alloc(length)
    return buffer.subarray(0, await io.read(fd, buffer, 0, length, 0)).toString()
  } finally {
    await io.close(fd)
  }
}
