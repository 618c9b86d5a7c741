/** `node:fs` and `node:fs/promises` as a simulated process sees them. */
import { constants } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { type Inode, systemError } from './disk.js'
import type { SimProcess } from './process.js'

type Callback = (error: Error | null, ...values: unknown[]) => void

interface OpenFile {
  readonly inode: Inode
  readonly path: string
  position: number
}

/** Paths outside the simulated disk, which say who runs where. */
const proc = '/proc/'

const flagsByName: Readonly<Record<string, number>> = {
  r: constants.O_RDONLY,
  'r+': constants.O_RDWR,
  w: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
  wx: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
}

export function statsOf(inode: Inode) {
  const time = new Date(inode.mtimeMs)
  const is = (kind: Inode['kind']) => () => inode.kind === kind
  const never = () => false
  return {
    dev: 1,
    ino: inode.ino,
    mode: inode.mode,
    nlink: inode.nlink,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: inode.size,
    blksize: 4096,
    blocks: inode.allocated.size * 8,
    atimeMs: inode.mtimeMs,
    mtimeMs: inode.mtimeMs,
    ctimeMs: inode.mtimeMs,
    birthtimeMs: inode.mtimeMs,
    atime: time,
    mtime: time,
    ctime: time,
    birthtime: time,
    isFile: is('file'),
    isDirectory: is('folder'),
    isSymbolicLink: is('link'),
    isBlockDevice: never,
    isCharacterDevice: never,
    isFIFO: never,
    isSocket: never,
  }
}

/** The same with integers of 64 bits, as with the option `bigint`. */
export function bigStatsOf(inode: Inode) {
  const { mtime: time, isFile, isDirectory, isSymbolicLink, ...numbers } = statsOf(inode)
  const times = Object.fromEntries(
    ['atime', 'mtime', 'ctime', 'birthtime'].map((name) => [
      `${name}Ns`,
      BigInt(Math.round(inode.mtimeMs * 1_000)) * 1_000n,
    ]),
  )
  const big = Object.entries(numbers).flatMap(([name, value]) =>
    typeof value === 'number' ? [[name, BigInt(Math.trunc(value))] as const] : [],
  )
  return { ...Object.fromEntries(big), ...times, mtime: time, isFile, isDirectory, isSymbolicLink }
}

interface StatOptions {
  bigint?: boolean
  throwIfNoEntry?: boolean
}

const answerOf = (inode: Inode, { bigint = false }: StatOptions = {}): SimStats =>
  // Whoever asks for integers gets them.
  bigint ? (bigStatsOf(inode) as unknown as SimStats) : statsOf(inode)

/** What `stat` and its siblings answer. */
type SimStats = ReturnType<typeof statsOf>

/** The calls themselves, on the disk of the world. Each either returns or throws what the system would. */
export class FileCalls {
  readonly #process: SimProcess
  readonly #open = new Map<number, OpenFile>()
  #next = 10
  /** The next read or write gets half of the bytes. */
  isShort = false

  constructor(process: SimProcess) {
    this.#process = process
  }

  /** Paths of the files that are open. */
  get openPaths(): string[] {
    return [...this.#open.values()].map((file) => file.path)
  }

  get #disk() {
    return this.#process.world.disk
  }

  #file(fd: number, syscall: string): OpenFile {
    const file = this.#open.get(fd)
    if (file === undefined) throw systemError('EBADF', syscall)
    return file
  }

  open(where: string, flags: string | number = 'r', mode = 0o666): number {
    const number = typeof flags === 'number' ? flags : (flagsByName[flags] ?? constants.O_RDONLY)
    const inode = this.#disk.open(where, number, mode)
    const fd = this.#next++
    this.#open.set(fd, { inode, path: where, position: 0 })
    return fd
  }

  close(fd: number): void {
    this.#file(fd, 'close')
    this.#open.delete(fd)
  }

  read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number | null): number {
    const file = this.#file(fd, 'read')
    if (file.inode.kind === 'folder') throw systemError('EISDIR', 'read')
    const at = position ?? file.position
    const count = this.#disk.read(file.inode, buffer.subarray(offset, offset + this.#some(length)), at)
    if (position === null) file.position += count
    return count
  }

  write(fd: number, buffer: Uint8Array, offset: number, length: number, position: number | null): number {
    const file = this.#file(fd, 'write')
    const at = position ?? file.position
    const bytes = buffer.subarray(offset, offset + this.#some(length))
    const count = this.#disk.write(file.inode, bytes, at)
    if (position === null) file.position += count
    return count
  }

  #some(length: number): number {
    const { isShort } = this
    this.isShort = false
    return isShort && length > 1 ? Math.floor(length / 2) : length
  }

  writeFile(where: number | string, text: string | Uint8Array): void {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    const fd = typeof where === 'number' ? where : this.open(where, 'w')
    if (bytes.length > 0 && this.write(fd, bytes, 0, bytes.length, null) < bytes.length)
      throw systemError('ENOSPC', 'write')
    if (typeof where === 'string') this.close(fd)
  }

  readFile(where: string, encoding?: unknown): Buffer | string {
    const data = where.startsWith(proc) ? Buffer.from(this.#process.readProc(where)) : this.#readAll(where)
    return encoding === undefined ? data : data.toString('utf8')
  }

  #readAll(where: string): Buffer {
    const inode = this.#disk.lookup(where, 'open')
    if (inode.kind === 'folder') throw systemError('EISDIR', 'read')
    return Buffer.from(inode.data.subarray(0, inode.size))
  }

  fstat(fd: number, options?: StatOptions): SimStats {
    return answerOf(this.#file(fd, 'fstat').inode, options)
  }

  ftruncate(fd: number, length: number): void {
    this.#disk.setLength(this.#file(fd, 'ftruncate').inode, length)
  }

  fchmod(fd: number, mode: number): void {
    this.#file(fd, 'fchmod').inode.mode = mode
  }

  fsync(fd: number): void {
    this.#disk.sync(this.#file(fd, 'fsync').inode)
  }

  fdatasync(fd: number): void {
    this.fsync(fd)
  }

  lstat(where: string, options: StatOptions = {}): SimStats | undefined {
    const inode = this.#disk.find(where, false)
    if (inode !== null) return answerOf(inode, options)
    if (options.throwIfNoEntry === false) return undefined
    throw systemError('ENOENT', 'lstat', where)
  }

  stat(where: string, options?: StatOptions): SimStats {
    return answerOf(this.#disk.lookup(where, 'stat'), options)
  }

  rename(from: string, to: string): void {
    this.#disk.rename(from, to)
    this.#process.world.renamed(to)
  }

  unlink(where: string): void {
    this.#disk.unlink(where)
  }

  rmdir(where: string): void {
    this.#disk.rmdir(where)
  }

  mkdir(where: string, options: { recursive?: boolean; mode?: number } = {}): string | undefined {
    return this.#disk.mkdir(where, options.recursive === true, options.mode ?? 0o777)
  }

  readdir(where: string, options?: { withFileTypes?: boolean }): unknown[] {
    const inode = this.#disk.lookup(where, 'scandir')
    if (inode.kind !== 'folder') throw systemError('ENOTDIR', 'scandir', where)
    const entries = [...inode.entries].sort(([a], [b]) => (a < b ? -1 : 1))
    return entries.map(([name, child]) =>
      options?.withFileTypes === true ? { ...statsOf(child), name, parentPath: where } : name,
    )
  }

  access(where: string): void {
    this.#disk.lookup(where, 'access')
  }

  chmod(where: string, mode: number): void {
    this.#disk.lookup(where, 'chmod').mode = mode
  }

  link(from: string, to: string): void {
    this.#disk.link(from, to)
  }

  symlink(to: string, where: string): void {
    this.#disk.symlink(to, where)
  }

  realpath(where: string): string {
    this.#disk.lookup(where, 'realpath')
    return path.resolve('/', where)
  }

  readlink(where: string): string {
    if (where.startsWith(proc)) return this.#process.readProc(where)
    return this.#disk.lookup(where, 'readlink', false).data.toString()
  }

  copyFile(from: string, to: string, flags = 0): void {
    const data = this.#readAll(from)
    const create = constants.O_WRONLY | constants.O_CREAT
    const exclusive = (flags & constants.COPYFILE_EXCL) !== 0 ? constants.O_EXCL : constants.O_TRUNC
    const inode = this.#disk.open(to, create | exclusive, 0o666)
    if (data.length > 0 && this.#disk.write(inode, data, 0) < data.length)
      throw systemError('ENOSPC', 'copyfile')
  }

  statfs(where: string): { blocks: bigint; bsize: bigint; bavail: bigint } {
    this.#disk.lookup(where, 'statfs')
    const free = this.#disk.free
    const known = Number.isFinite(free)
    return { blocks: known ? 1_000_000n : 0n, bsize: 4096n, bavail: known ? BigInt(free / 4096) : 0n }
  }

  exists(where: string): boolean {
    return this.#disk.find(where) !== null
  }
}

/** Calls that change the disk, or wait for it; the others only look. */
const names = [
  ...['open', 'close', 'read', 'write', 'writeFile', 'readFile', 'fstat', 'ftruncate', 'fchmod'],
  ...['fsync', 'fdatasync', 'lstat', 'stat', 'rename', 'unlink', 'rmdir', 'mkdir', 'readdir', 'access'],
  ...['chmod', 'link', 'symlink', 'realpath', 'readlink', 'copyFile', 'statfs'],
] as const

/** Name of a file call, for the faults of a world. */
export type FileCall = (typeof names)[number]

type AnyCall = (...given: unknown[]) => unknown

/** Builds `node:fs` for a process. */
export function fileSystemOf(process: SimProcess): Record<string, unknown> {
  const calls = process.files
  const now = (name: FileCall): AnyCall => {
    const call = (calls as unknown as Record<FileCall, AnyCall>)[name]
    return (...given) => call.apply(calls, given)
  }
  const asynchronous = (name: FileCall) => {
    const call = now(name)
    return (...given: unknown[]) =>
      new Promise<unknown>((resolve, reject) => {
        process.diskCall(name, () => call(...given), resolve, reject)
      })
  }
  const fs: Record<string, unknown> = { constants, existsSync: (where: string) => calls.exists(where) }
  const promises: Record<string, unknown> = { constants }
  for (const name of names) {
    const later = asynchronous(name)
    const withCallback = (...given: unknown[]) => {
      const done = given.pop() as Callback
      later(...given).then(
        (value) => {
          done(null, value)
        },
        (error: unknown) => {
          done(error as Error)
        },
      )
    }
    fs[name] =
      name === 'read'
        ? Object.assign(withCallback, {
            [promisify.custom]: async (...given: unknown[]) => ({ bytesRead: await later(...given) }),
          })
        : withCallback
    fs[`${name}Sync`] = (...given: unknown[]) => process.diskCallNow(name, () => now(name)(...given))
    promises[name] = later
  }
  promises['open'] = async (...given: unknown[]) =>
    handleOf((await asynchronous('open')(...given)) as number, asynchronous)
  fs['promises'] = promises
  return fs
}

function handleOf(fd: number, call: (name: FileCall) => AnyCall): Record<string, unknown> {
  const read = async (
    buffer: Buffer,
    offset = 0,
    length = buffer.length - offset,
    position: number | null = null,
  ) => ({
    bytesRead: await call('read')(fd, buffer, offset, length, position),
    buffer,
  })
  const write = async (data: string | Buffer, position: number | null = null) => {
    const bytes = Buffer.from(data as string)
    return { bytesWritten: await call('write')(fd, bytes, 0, bytes.length, position), buffer: bytes }
  }
  return {
    fd,
    read,
    write,
    stat: () => call('fstat')(fd),
    close: () => call('close')(fd),
    sync: () => call('fsync')(fd),
    datasync: () => call('fdatasync')(fd),
    truncate: (length = 0) => call('ftruncate')(fd, length),
  }
}
