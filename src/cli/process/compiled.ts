/**
 * Loads the command, which is one file of two megabytes. To compile it would take longer than all else that happens before
 * the first request, so the compiled code is kept for the next run. Node does this by itself as of 22.8 for modules, but not
 * for what is compiled after they were loaded.
 */
import { hash, randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { cachedDataVersionTag, getHeapCodeStatistics } from 'node:v8'
import { Script } from 'node:vm'
import { errnoOf, isMissing } from '../../disk/errors.js'
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from '../../disk/fs.js'
import { systemClock } from '../../util/clock.js'

/** What a file of CommonJS exports, and how to make its next start faster. */
export interface LoadedCode {
  readonly exports: unknown
  /** Keeps what was compiled so far, if the next run would have to compile it again. Never throws. */
  readonly keep: () => void
}

/** Length of the digest before the compiled code, in bytes. */
const digestBytes = 32

/** After this many days kept code is deleted; the next run that needs it compiles it again. */
const keptDays = 30

/**
 * What was kept is written anew after a run that had to compile more than this, in bytes of bytecode: the one before may have
 * shown a help text only. A run that had everything compiles about half of it, most of that in Node itself.
 */
const muchBytecode = 400 * 1024

const header = '(function (exports, require, module, __filename, __dirname, ownEsm) {'

/**
 * Loads a file of CommonJS, with the compiled code of an earlier run if there is any.
 *
 * V8 itself checks that the code was compiled by the same version with the same flags, from a source of the same length. A
 * damaged file would crash it. So the name of the file tells from which build the code is, a digest that it is whole, and its
 * owner that nobody else has written it.
 *
 * @param file - absolute path. Instead of `import()`, which such code has not, it is given `ownEsm()`. One of its last lines is
 * a comment with the digest of the rest, `// build …`; without it, nothing is kept.
 * @param folder - absolute path of the folder for compiled code; null to keep none.
 * @param part - which part of the code is used, such as the name of a command; each has compiled code of its own, since most
 * functions are compiled only when they are first called.
 */
export function loadCode(file: string, folder: string | null, part: string): LoadedCode {
  // Text in ASCII, which is read fastest this way.
  const source = readFileSync(file, 'latin1')
  const build = /^\/\/ build ([0-9a-f]{16,64})$/m.exec(source.slice(-200))?.[1]
  const tag = cachedDataVersionTag()
  const kept =
    folder === null || build === undefined
      ? null
      : join(folder, `${part}-${build.slice(0, 16)}-${process.arch}-${tag.toString(16)}.bin`)
  const cachedData = kept === null ? undefined : readKept(kept)
  const script = new Script(`${header}${source}\n})`, {
    filename: file,
    columnOffset: -header.length,
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  const isKnown = cachedData !== undefined && script.cachedDataRejected === false
  const before = bytecodeBytes()
  const module: { exports: unknown } = { exports: {} }
  const run: unknown = script.runInThisContext()
  const ownEsm = (name: string): Promise<unknown> => import(name)
  if (typeof run === 'function')
    run.call(module.exports, module.exports, createRequire(file), module, file, dirname(file), ownEsm)
  return {
    exports: module.exports,
    keep: () => {
      if (kept === null || (isKnown && bytecodeBytes() - before <= muchBytecode)) return
      // The tag is of the version of V8, its flags and the processor; what was made with other flags would be refused.
      if (cachedDataVersionTag() === tag) keep(kept, script.createCachedData())
    },
  }
}

function bytecodeBytes(): number {
  return getHeapCodeStatistics().bytecode_and_metadata_size
}

function readKept(path: string): Buffer | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | ((constants.O_NOFOLLOW as number | undefined) ?? 0))
    try {
      if (!isOwn(fstatSync(fd))) return undefined
      const data = readFileSync(fd)
      const code = data.subarray(digestBytes)
      return data.subarray(0, digestBytes).equals(digestOf(code)) ? code : undefined
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}

/** Whether nobody but this user can have written a file. Windows has no such modes, and keeps the folders of users apart. */
function isOwn(stats: { uid: number; mode: number; isFile: () => boolean }): boolean {
  if (!stats.isFile()) return false
  return process.getuid === undefined || (stats.uid === process.getuid() && (stats.mode & 0o022) === 0)
}

function digestOf(data: Buffer): Buffer {
  return hash('sha256', data, 'buffer')
}

function keep(path: string, code: Buffer): void {
  const temp = `${path}.${randomUUID()}`
  try {
    makeFolder(dirname(path))
    try {
      writeFileSync(temp, Buffer.concat([digestOf(code), code]), { flag: 'wx', mode: 0o600 })
      renameSync(temp, path)
    } catch (error) {
      unlinkSync(temp)
      throw error
    }
    removeOld(dirname(path))
  } catch {
    // The next run compiles again, and that is all.
  }
}

/** Creates a folder and its missing parents. Node's own recursive mkdir never ends where there are no new folders, as in `/proc`. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, 0o700)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    if (!isMissing(error) || path === dirname(path)) throw error
    makeFolder(dirname(path))
    mkdirSync(path, 0o700)
  }
}

function removeOld(folder: string): void {
  const oldest = systemClock.wallNow() - keptDays * 86_400_000
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (statSync(path).mtimeMs < oldest) unlinkSync(path)
  }
}
