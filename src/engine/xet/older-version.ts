/** The older version of a file that is on disk, from which the new one takes what both have in common. */
import { io } from '../../disk/io.js'
import { openNoFollow, readOnly } from '../../disk/no-follow.js'
import { isSame } from '../../disk/stamp.js'
import type { OlderVersion } from '../protocol.js'

/** An older version that is open for reading. It stays readable when the file is replaced. */
export class OlderFile {
  readonly hash: string
  readonly size: number
  /** Bytes that were read. */
  readBytes = 0
  readonly #fd: number
  #isClosed = false

  private constructor(fd: number, { hash, stamp }: OlderVersion) {
    this.#fd = fd
    this.hash = hash
    this.size = stamp.size
  }

  /** Opens it, if it is still what was verified; null otherwise. */
  static async open(version: OlderVersion): Promise<OlderFile | null> {
    const fd = await openNoFollow(version.path, readOnly).catch(() => null)
    if (fd === null) return null
    const file = new OlderFile(fd, version)
    const stat = await io.fstat(fd).catch(() => null)
    if (stat !== null && stat.isFile() && isSame(stat, version.stamp)) return file
    await file.close()
    return null
  }

  /** Reads bytes; null if there are not as many, or they can't be read. */
  async read(position: number, length: number): Promise<Buffer | null> {
    if (this.#isClosed) return null
    const buffer = Buffer.allocUnsafe(length)
    const count = await io.read(this.#fd, buffer, 0, length, position).catch(() => 0)
    this.readBytes += count === length ? length : 0
    return count === length ? buffer : null
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await io.close(this.#fd).catch(() => undefined)
  }
}
