/** Finds the files in a folder of models. */
import { basename, join } from 'node:path'
import { isMissing } from '../disk/errors.js'
import { readdir } from '../disk/fs.js'
import { repositoryOfFolder } from '../layouts/hf-paths.js'
import { Slices } from '../util/slices.js'

/** Far more files than a folder of models has. */
export const maxWalkedFiles = 200_000

/** Deeper folders are not looked into; it also keeps paths within what systems can open. */
const maxDepth = 64

/** What looking at one entry costs, in units of {@link Slices}. */
const entryUnits = 200

/** What a folder holds. Paths are absolute. */
export interface Walked {
  files: string[]
  /** Folders of repositories in the layout of the Hugging Face cache. Their content is not among the files. */
  repositories: string[]
  /** Folders that can't be read. */
  unreadable: string[]
  /** Whether there are more files than were listed. */
  isCut: boolean
}

/**
 * Lists the regular files below some folders, which may be links themselves. Symbolic links, hidden files and folders, and
 * `node_modules` are left out. A missing folder is empty.
 */
export async function walk(roots: readonly string[], maxFiles = maxWalkedFiles): Promise<Walked> {
  const walked: Walked = { files: [], repositories: [], unreadable: [], isCut: false }
  const slices = new Slices()
  const isRepository = (path: string) => repositoryOfFolder(basename(path)) !== null
  walked.repositories.push(...roots.filter(isRepository))
  const folders = roots.filter((path) => !isRepository(path)).map((path) => ({ path, depth: 0 }))
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const { path, depth } = folder
    const entries = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
      // One that was deleted in the meantime is not there to be read.
      if (!isMissing(error)) walked.unreadable.push(path)
      return []
    })
    for (const entry of entries) {
      const { name } = entry
      slices.spend(entryUnits)
      if (slices.isOver) await slices.rest()
      if (name.startsWith('.') || name === 'node_modules') continue
      const inner = join(path, name)
      if (entry.isDirectory()) {
        if (isRepository(inner)) walked.repositories.push(inner)
        else if (depth < maxDepth) folders.push({ path: inner, depth: depth + 1 })
        else walked.isCut = true
      } else if (entry.isFile()) {
        if (walked.files.length === maxFiles) {
          walked.isCut = true
          return walked
        }
        walked.files.push(inner)
      }
    }
  }
  return walked
}
