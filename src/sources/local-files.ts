/** The source for files and folders of this machine, such as a drive that was carried to a machine without a network. */
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { fsError } from '../disk/errors.js'
import { type BigIntStats, readdir, realpath, stat } from '../disk/fs.js'
import { isPartName } from '../disk/part-paths.js'
import { DownloadError, isDownloadError } from '../errors.js'
import { localEtag } from '../net/local-file.js'
import { Slices } from '../util/slices.js'
import { selector } from './globs.js'
import type { ResolveContext, ResolvedFile, Source } from './source.js'
import { badRef } from './support.js'

const example = 'file:///folder/model.gguf or, for all files of a folder, file:///folder/'

/** Twice as many files as a group may have. */
const maxListed = 20_000

/** Deeper than any repository. A folder that contains a link to itself ends here at the latest. */
const maxDepth = 64

/** Folders of this package, which hold no models. */
const ownFolders = new Set(['.model-downloader'])

/** What looking at one entry costs, in units of {@link Slices}. */
const entryUnits = 1_000

/**
 * Creates the source for `file:` URLs of a file, and of a folder with everything in it. Remote callers can't use it.
 * Unfinished downloads and the notes of this package are left out of a folder.
 */
export function localFiles(): Source {
  return {
    name: 'local-files',
    local: true,
    match: (ref) => /^file:/i.test(ref),
    filenameOf: (ref) => {
      const path = pathOf(ref)
      return /[/\\]$/.test(path) ? null : (path.split(/[/\\]/).at(-1) ?? null)
    },
    resolve: async (ref, context) => {
      const path = pathOf(ref)
      const stats = await lookAt(path)
      if (stats.isFile()) return { files: [fileOf(path, nameIn(path), stats)] }
      if (!stats.isDirectory()) {
        throw new DownloadError('NOT_FOUND', 'The source is neither a file nor a folder.')
      }
      const files = await filesIn(path, context)
      if (files.length === 0) throw new DownloadError('NOT_FOUND', 'The folder has no matching files.')
      return { name: nameIn(path), files }
    },
  }
}

/**
 * The path of a `file:` URL. On Windows, its host is a server that shares a folder; elsewhere there are no such paths.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function pathOf(ref: string, windows = process.platform === 'win32'): string {
  const absolute = windows ? /^file:\/\/[^/?#]*\//i : /^file:\/\/(?:localhost)?\//i
  if (!absolute.test(ref)) throw badRef('The path must be absolute.', example)
  try {
    const url = new URL(ref)
    if (url.search === '' && url.hash === '') return fileURLToPath(url, { windows })
  } catch {
    // Whatever is wrong with it, it is no path.
  }
  throw badRef('The path is not valid; ?, # and % in it are written as %3F, %23 and %25.', example)
}

function nameIn(path: string): string {
  return path.split(/[/\\]/).findLast((part) => part !== '') ?? 'files'
}

async function lookAt(path: string): Promise<BigIntStats> {
  try {
    return await stat(path, { bigint: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new DownloadError('NOT_FOUND', 'There is no such file or folder on this machine.', {
        cause: error,
      })
    }
    throw fsError(error, 'reading the source')
  }
}

/** A link that leads nowhere or to itself, or a file that has just gone, is none. Any other failure would leave one out. */
function nullIfNowhere(error: unknown): null {
  const cause = (error as Error).cause as NodeJS.ErrnoException | undefined
  if (isDownloadError(error, 'NOT_FOUND') || cause?.code === 'ELOOP') return null
  throw error
}

function fileOf(path: string, filename: string, stats: BigIntStats): ResolvedFile {
  return {
    filename,
    urls: [pathToFileURL(path).href],
    size: Number(stats.size),
    revision: localEtag(stats).slice(1, -1),
    headers: {},
  }
}

async function filesIn(root: string, { include, exclude, signal }: ResolveContext): Promise<ResolvedFile[]> {
  const slices = new Slices()
  const isWanted = selector(include, exclude, slices)
  const files: ResolvedFile[] = []
  /** @param above - the real paths of the folders around this one, for links that lead back to one of them. */
  const read = async (folder: string, prefix: string, above: readonly string[]): Promise<void> => {
    const real = await realpath(folder)
    if (above.includes(real) || above.length >= maxDepth) return
    const names = (await readdir(folder)).sort()
    for (const name of names) {
      if (signal.aborted) throw new DownloadError('CANCELED', 'The request was canceled.')
      const path = join(folder, name)
      const shown = prefix + name
      const stats = await lookAt(path).catch(nullIfNowhere)
      if (stats?.isDirectory() === true && !ownFolders.has(name)) {
        await read(path, `${shown}/`, [...above, real])
      } else if (stats?.isFile() === true && !isPartName(name) && isWanted(shown)) {
        files.push(fileOf(path, shown, stats))
        if (files.length > maxListed) throw tooMany()
      }
      slices.spend(entryUnits)
      if (slices.isOver) await slices.rest()
    }
  }
  try {
    await read(root, '', [])
  } catch (error) {
    throw fsError(error, 'reading the folder of the source')
  }
  return files
}

function tooMany(): DownloadError {
  const message = `names more than ${maxListed} files; choose some with include or exclude`
  return new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
}
