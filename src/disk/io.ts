/**
 * The small file operations of the engine. Most take a few microseconds, a fifth of the cost of handing them
 * to libuv's thread pool. A thread that runs nothing but transfers therefore executes them synchronously, see
 * {@link useSyncIo}. Operations that may take long, above all syncing, aren't in here and are always
 * asynchronous.
 */
import { promisify } from 'node:util'
import { patiently } from './busy.js'
import { nullIfMissing } from './errors.js'
import * as fs from './fs.js'
import { FileStats } from './stats.js'

/**
 * File operations. Each rejects with the error of the file system. On Windows, `open`, `rename` and `unlink` are repeated
 * while another program has the file open, see {@link patiently}.
 */
export interface FileIo {
  open(path: string, flags: string | number, mode?: number): Promise<number>
  close(fd: number): Promise<void>
  /** Returns the number of bytes read; 0 at the end of the file. */
  read(fd: number, buffer: Buffer, offset: number, length: number, position: number): Promise<number>
  /** Writes a text to a file that was just opened. */
  writeText(fd: number, text: string): Promise<void>
  fstat(fd: number): Promise<FileStats>
  ftruncate(fd: number, length: number): Promise<void>
  fchmod(fd: number, mode: number): Promise<void>
  lstat(path: string): Promise<FileStats>
  /** Like `lstat`, but null when the path does not exist. */
  lstatIfThere(path: string): Promise<FileStats | null>
  /** Like `lstat`, but of the file that a symbolic link leads to. */
  stat(path: string): Promise<FileStats>
  /** Gives a file a second name; `EEXIST` if there is a file of that name. */
  link(from: string, to: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
}

const read = promisify(fs.read)

const exact = { bigint: true } as const

const stats = {
  fstat: promisify(fs.fstat),
  lstat: promisify(fs.lstatCallback),
  stat: promisify(fs.statCallback),
}

const lstat = async (path: string) => new FileStats(await stats.lstat(path, exact))

const calls = {
  open: promisify(fs.openCallback),
  rename: promisify(fs.renameCallback),
  unlink: promisify(fs.unlinkCallback),
}

const opening = (path: string, flags: string | number) =>
  ({ name: 'open', path, creates: isCreating(flags) }) as const

const renaming = (to: string) => ({ name: 'rename', path: to }) as const

const unlinking = (path: string) => ({ name: 'unlink', path }) as const

function isCreating(flags: string | number): boolean {
  return typeof flags === 'number' ? (flags & fs.constants.O_CREAT) !== 0 : /[wa]/.test(flags)
}

const asyncIo: FileIo = {
  open: (path, flags, mode) => patiently(opening(path, flags), () => calls.open(path, flags, mode)),
  close: promisify(fs.close),
  read: async (...args) => (await read(...args)).bytesRead,
  writeText: promisify(fs.writeFileCallback),
  fstat: async (fd) => new FileStats(await stats.fstat(fd, exact)),
  ftruncate: promisify(fs.ftruncate),
  fchmod: promisify(fs.fchmod),
  lstat,
  async lstatIfThere(path) {
    return await lstat(path).catch(nullIfMissing)
  },
  stat: async (path) => new FileStats(await stats.stat(path, exact)),
  link: promisify(fs.linkCallback),
  rename: (from, to) => patiently(renaming(to), () => calls.rename(from, to)),
  unlink: (path) => patiently(unlinking(path), () => calls.unlink(path)),
}

/** Synchronous versions, for code with many small operations that yields to other work in between. */
export const syncIo: FileIo = {
  open: (path, flags, mode) => patiently(opening(path, flags), () => fs.openSync(path, flags, mode)),
  close: async (fd) => fs.closeSync(fd),
  read: async (...args) => fs.readSync(...args),
  writeText: async (fd, text) => fs.writeFileSync(fd, text),
  fstat: async (fd) => new FileStats(fs.fstatSync(fd, exact)),
  ftruncate: async (fd, length) => fs.ftruncateSync(fd, length),
  fchmod: async (fd, mode) => fs.fchmodSync(fd, mode),
  lstat: async (path) => new FileStats(fs.lstatSync(path, exact)),
  // Creating an error would cost more than the system call.
  lstatIfThere: async (path) => {
    const found = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
    return found === undefined ? null : new FileStats(found)
  },
  stat: async (path) => new FileStats(fs.statSync(path, exact)),
  link: async (from, to) => fs.linkSync(from, to),
  rename: (from, to) => patiently(renaming(to), () => fs.renameSync(from, to)),
  unlink: (path) => patiently(unlinking(path), () => fs.unlinkSync(path)),
}

/** The operations that this thread uses. */
export let io: FileIo = asyncIo

/** Whether this thread uses synchronous operations. */
export let usesSyncIo = false

/**
 * Switches the whole thread to synchronous operations. To be used only where nothing else runs that they
 * could block.
 */
export function useSyncIo(): void {
  usesSyncIo = true
  io = syncIo
}
