/** Hashes several files at the same time, each in a worker, and writes nothing. */
import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import pLimit from 'p-limit'
import { read } from '../disk/fs.js'
import { io } from '../disk/io.js'
import { openNoFollow, readOnly } from '../disk/no-follow.js'
import type { FileStats } from '../disk/stats.js'
import { stepBytes } from '../engine/hash/hash-job.js'
import { HashService } from '../engine/hash/hasher.js'
import { DownloadError } from '../errors.js'
import { isOfWrongSize, type Expected, type Found } from './stored.js'

const readAsync = promisify(read)

/** More readers than this make most disks slower, not faster. */
const maxDefaultLanes = 4

/** Maximum number of files that can be hashed at the same time. */
export const maxLanes = 16

/** How many files are hashed at the same time by default. */
export function defaultLanes(): number {
  return Math.max(1, Math.min(maxDefaultLanes, availableParallelism()))
}

/** A number of hash workers, which are started when there is something for them to do. */
export class HashPool {
  readonly #free: HashService[] = []
  readonly #all: HashService[] = []
  readonly #slots: ReturnType<typeof pLimit>

  /** @param lanes - how many files are hashed at the same time. */
  constructor(lanes: number) {
    this.#slots = pLimit(lanes)
  }

  /**
   * Reads a file and computes what is needed to judge it. One of the wrong size is not read.
   *
   * @param path - the file. Links are not followed.
   * @param onBytes - called with the number of bytes that were hashed since the last call.
   * @throws DownloadError `TARGET_NOT_REGULAR`, `CANCELED`; the error of the file system.
   */
  async examine(
    path: string,
    expected: Expected,
    { signal, onBytes }: { signal: AbortSignal; onBytes: (bytes: number) => void },
  ): Promise<Found> {
    return await this.#slots(async () => {
      if (signal.aborted) throw canceled()
      const fd = await openNoFollow(path, readOnly)
      try {
        const before = await io.fstat(fd)
        if (!before.isFile()) throw new DownloadError('TARGET_NOT_REGULAR', 'Expected a regular file.')
        const { size } = before
        const unread = { size, sha256: null, gitOid: null, changed: false }
        if (isOfWrongSize(expected, size)) return unread
        const isGit = expected.sha256 === null && expected.gitOid !== null
        const digests = isGit
          ? { sha256: null, gitOid: await gitBlobOid(fd, size, { signal, onBytes }) }
          : { sha256: await this.#sha256(fd, size, { signal, onBytes }), gitOid: null }
        return { size, ...digests, changed: hasChanged(before, await io.fstat(fd)) }
      } catch (error) {
        if (error instanceof DownloadError && error.code === 'TRUNCATED')
          return { size: (await io.fstat(fd)).size, sha256: null, gitOid: null, changed: true }
        throw error
      } finally {
        await io.close(fd)
      }
    })
  }

  /** Stops the workers. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((service) => service.close()))
  }

  async #sha256(
    fd: number,
    size: number,
    { signal, onBytes }: { signal: AbortSignal; onBytes: (bytes: number) => void },
  ): Promise<string> {
    const service = this.#take()
    let told = 0
    const hash = service.open(fd, size, (position) => {
      onBytes(position - told)
      told = position
    })
    const stop = () => void hash.dispose()
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    try {
      const hex = await hash.digest(size)
      onBytes(size - told)
      return hex
    } finally {
      signal.removeEventListener('abort', stop)
      await hash.dispose()
      this.#free.push(service)
    }
  }

  #take(): HashService {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const service = new HashService()
    this.#all.push(service)
    return service
  }
}

function canceled(): DownloadError {
  return new DownloadError('CANCELED', 'The check was stopped.')
}

function hasChanged(before: FileStats, after: FileStats): boolean {
  return before.size !== after.size || before.mtimeMs !== after.mtimeMs
}

/** Git's id for a blob: SHA-1 over its length and its bytes. Only small files are kept in git. */
async function gitBlobOid(
  fd: number,
  size: number,
  { signal, onBytes }: { signal: AbortSignal; onBytes: (bytes: number) => void },
): Promise<string> {
  const hash = createHash('sha1').update(`blob ${size}\0`)
  const buffer = Buffer.allocUnsafe(Math.min(stepBytes, size))
  for (let at = 0; at < size;) {
    if (signal.aborted) throw canceled()
    const { bytesRead } = await readAsync(fd, buffer, 0, Math.min(stepBytes, size - at), at)
    if (bytesRead === 0) throw new DownloadError('TRUNCATED', 'The file ends too early.')
    hash.update(buffer.subarray(0, bytesRead))
    onBytes(bytesRead)
    at += bytesRead
  }
  return hash.digest('hex')
}
