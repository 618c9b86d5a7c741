/**
 * The small file operations of the engine. Most take a few microseconds, a fifth of what it costs to hand them to
 * another thread: a thread that serves nobody but transfers does them on the spot, see {@link useSyncIo}. What
 * may take long, syncing above all, isn't here: it is asynchronous everywhere.
 */
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { nullIfMissing } from './errors.js'

/** File operations. Each throws what the file system throws. */
export interface FileIo {
  open(path: string, flags: string | number, mode?: number): Promise<number>
  close(fd: number): Promise<void>
  /** Answers how many bytes were read; 0 at the end. */
  read(fd: number, buffer: Buffer, offset: number, length: number, position: number): Promise<number>
  /** Writes all of a text at the beginning of a file that was just opened. */
  writeText(fd: number, text: string): Promise<void>
  fstat(fd: number): Promise<fs.Stats>
  ftruncate(fd: number, length: number): Promise<void>
  fchmod(fd: number, mode: number): Promise<void>
  lstat(path: string): Promise<fs.Stats>
  /** The same; null when nothing lies there. */
  lstatIfThere(path: string): Promise<fs.Stats | null>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
}

const read = promisify(fs.read)

const lstat = promisify(fs.lstat)

const handedOver: FileIo = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  read: async (...args) => (await read(...args)).bytesRead,
  writeText: promisify(fs.writeFile),
  fstat: promisify(fs.fstat),
  ftruncate: promisify(fs.ftruncate),
  fchmod: promisify(fs.fchmod),
  lstat,
  async lstatIfThere(path) {
    return await lstat(path).catch(nullIfMissing)
  },
  rename: promisify(fs.rename),
  unlink: promisify(fs.unlink),
}

/** The operations on the spot, for who has many small ones to do and stops in between for others. */
export const syncIo: FileIo = {
  open: async (...args) => fs.openSync(...args),
  close: async (fd) => fs.closeSync(fd),
  read: async (...args) => fs.readSync(...args),
  writeText: async (fd, text) => fs.writeFileSync(fd, text),
  fstat: async (fd) => fs.fstatSync(fd),
  ftruncate: async (fd, length) => fs.ftruncateSync(fd, length),
  fchmod: async (fd, mode) => fs.fchmodSync(fd, mode),
  lstat: async (path) => fs.lstatSync(path),
  // Without an error: making one costs more than the look.
  lstatIfThere: async (path) => fs.lstatSync(path, { throwIfNoEntry: false }) ?? null,
  rename: async (from, to) => fs.renameSync(from, to),
  unlink: async (path) => fs.unlinkSync(path),
}

/** The operations as this thread does them. */
export let io: FileIo = handedOver

/** Whether this thread does them on the spot. */
export let usesSyncIo = false

/** Says that nothing else waits for this thread, so that file operations may hold it up. For the whole thread. */
export function useSyncIo(): void {
  usesSyncIo = true
  io = syncIo
}
