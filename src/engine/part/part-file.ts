/** The part file and its journal: write order, sync order, publish. Transfer rules 8 to 10. */
import { hash, randomBytes } from 'node:crypto'
import { fstatSync, type Stats } from 'node:fs'
import pLimit from 'p-limit'
import type { LimitFunction } from 'p-limit'
import { replaceFile, syncFolder } from '../../disk/atomic.js'
import { fsError } from '../../disk/errors.js'
import { usesSyncIo, io } from '../../disk/io.js'
import { discardLeftover, type PartPaths, removeFiles } from '../../disk/part-paths.js'
import { bootId } from '../../disk/system.js'
import { DownloadError, isDownloadError, toDownloadError } from '../../errors.js'
import { Latest } from '../../util/schedule.js'
import { mirrorId } from '../protocol.js'
import type { Identity } from './identity.js'
import { add, clip, frontier, type IntervalSet, size } from './intervals.js'
import { encodeJournal, type Journal, parseJournal, readText, type Resumable, statPart } from './journal.js'
import { datasync, isSameInode, openKept, openNew, takenOver, writeFully, writeFullySync } from './part-io.js'
import { partLost, StartOver } from './start-over.js'

/** Up to here a new part isn't given its length beforehand. */
const unsizedBytes = 256 * 1024

/** Given up on a full disk: more than any journal takes. */
const journalRoomBytes = 64 * 1024

/** What a part is opened with. */
export interface PartInit {
  paths: PartPaths
  url: string
  sha256: string | null
  identity: Identity
  /** Whose the identity is, as a journal says it; undefined for `url`. */
  mirror?: string | undefined
  resume: Resumable | null
}

interface JournalDemand {
  /** Force it to the disk. */
  sync: boolean
  publishing: Journal['publishing']
}

/** An open part file. One owner, closed by {@link close}, {@link publish} or {@link discard}. */
export class PartFile {
  readonly paths: PartPaths
  readonly fd: number
  /** The file was given its full length when it was opened. */
  readonly #sized: boolean
  /** Drawn when the first journal is written: a small file needs none. */
  #writer: string | null = null
  readonly #url: string
  readonly #sha256: string | null
  // The kernel lets one writer at a time into a file; more would only spin for it, and hold threads that others need.
  #writers: LimitFunction | null = null
  #identity: Identity
  #mirror: string | undefined
  #written: IntervalSet
  #synced: IntervalSet
  #writtenBytes: number
  #journalExists: boolean
  #dirty = false
  readonly #journalWrites = new Latest(() => this.#saveNow())
  /** What the next write of the journal must do besides noting what is written. */
  #demand: JournalDemand = { sync: false, publishing: null }
  #closed = false
  /** Somebody has cut the part short; its length doesn't show it any more. */
  #truncated = false
  #syncError: DownloadError | null = null
  /** Digest of the file, when a single write brought all of it. */
  #wholeSha256: string | null = null

  private constructor(fd: number, sized: boolean, init: PartInit) {
    this.fd = fd
    this.#sized = sized
    this.paths = init.paths
    this.#url = init.url
    this.#sha256 = init.sha256
    this.#identity = init.identity
    this.#mirror = init.mirror
    this.#written = init.resume?.done ?? []
    this.#synced = init.resume?.synced ?? []
    this.#writtenBytes = size(this.#written)
    this.#journalExists = init.resume !== null
  }

  /**
   * Opens the kept part, or begins a new one under a new inode: a writer that still holds the old one can then
   * not touch it (transfer rule 12).
   */
  static async open(init: PartInit): Promise<PartFile> {
    const { paths, resume } = init
    let fd: number | null = null
    try {
      fd = await (resume === null ? openNew(paths) : openKept(paths))
      // The full length at once: a part that somebody cuts short is then seen by its size alone. One that a single write
      // fills has no use for that.
      const { total } = init.identity
      const sized = total !== null && (resume !== null || total > unsizedBytes)
      if (sized) await io.ftruncate(fd, total)
      return new PartFile(fd, sized, init)
    } catch (error) {
      if (fd !== null) await io.close(fd).catch(() => undefined)
      throw fsError(error, 'opening the part file')
    }
  }

  /** Bytes handed to the kernel. */
  get written(): IntervalSet {
    return this.#written
  }

  /** The version that the part is of. */
  get identity(): Identity {
    return this.#identity
  }

  /** Whose version that is: the `mirrorId` of an address. */
  get mirror(): string {
    return this.#mirror ?? mirrorId(this.#url)
  }

  /** How many bytes that is. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  /** SHA-256 of the file, when a single write brought all of it and it needn't be read back; null otherwise. */
  get wholeSha256(): string | null {
    return this.#wholeSha256
  }

  /** Bytes from the start without a hole. */
  get frontier(): number {
    return frontier(this.#written)
  }

  /** Nothing is written yet, and all will come from another address: its version of the file is the one. */
  adopt(identity: Identity, address: string): void {
    this.#identity = { ...identity, total: this.#identity.total ?? identity.total }
    this.#mirror = address === this.#url ? undefined : mirrorId(address)
  }

  /** Completes the identity once the total of a stream without length is known. */
  setTotal(total: number): void {
    this.#identity = { ...this.#identity, total }
    this.#written = clip(this.#written, total)
    this.#writtenBytes = size(this.#written)
  }

  /**
   * Writes a buffer at a position, all of it, and notes the interval as written when the kernel has it.
   *
   * @throws DownloadError `NO_SPACE`, `DISK_IO` …; the interval is then not noted.
   */
  write(buffer: Buffer, position: number): Promise<void> {
    this.#writers ??= pLimit(2)
    return this.#writers(() => this.#write(buffer, position))
  }

  /** Whether {@link writeNow} is to be used. */
  get blocks(): boolean {
    return usesSyncIo
  }

  async #write(buffer: Buffer, position: number): Promise<void> {
    const { length } = buffer
    if (this.#mayHideTruncation(position, length))
      this.#truncated ||= !this.#fits((await this.#stat()).size, this.#length())
    this.#noteWhole(buffer, position)
    try {
      await writeFully(this.fd, buffer, position)
    } catch (error) {
      throw fsError(error, 'writing the part file')
    }
    this.#noteWritten(position, length)
  }

  /** The same as {@link write}, done when it returns. For threads that may block. */
  writeNow(buffer: Buffer, position: number): void {
    const { length } = buffer
    try {
      if (this.#mayHideTruncation(position, length))
        this.#truncated ||= !this.#fits(fstatSync(this.fd).size, this.#length())
      this.#noteWhole(buffer, position)
      writeFullySync(this.fd, buffer, position)
    } catch (error) {
      throw fsError(error, 'writing the part file')
    }
    this.#noteWritten(position, length)
  }

  /** Whether a write would hide that somebody has cut the part short: at the end it makes it as long as it was, with a hole. */
  #mayHideTruncation(position: number, length: number): boolean {
    return position > 0 && position + length >= this.#length()
  }

  #noteWhole(buffer: Buffer, position: number): void {
    if (position > 0 || buffer.length !== this.#identity.total || buffer.length > unsizedBytes) return
    this.#wholeSha256 = hash('sha256', buffer)
  }

  #noteWritten(position: number, length: number): void {
    // Whether it came before or after a sync that failed is not known here.
    if (this.#syncError === null) this.#setWritten(add(this.#written, position, position + length))
  }

  async #stat(): Promise<Stats> {
    // By now the number may be another file's.
    if (this.#closed) throw new DownloadError('DISK_IO', 'The part file is closed.')
    return await io.fstat(this.fd)
  }

  /**
   * Whether the part is still the file that we opened, at its length.
   *
   * @throws DownloadError `TARGET_LOCKED` when another run took the part over.
   */
  async isIntact(): Promise<boolean> {
    return (await this.#statIfIntact()) !== null
  }

  /** What the part looks like; null when it isn't intact. */
  async #statIfIntact(): Promise<Stats | null> {
    // Taken first: writes that end meanwhile make it longer.
    const length = this.#length()
    const [own, path] = await Promise.all([this.#stat(), statPart(this.paths.part)])
    if (path === null || !isSameInode(own, path)) {
      const journal = parseJournal((await readText(this.paths.journal)) ?? '')
      if (journal !== null && journal.writer !== this.#writer && path !== null) throw takenOver()
      return null
    }
    return this.#truncated || !this.#fits(own.size, length) ? null : own
  }

  /** Bytes that the file must have by now. */
  #length(): number {
    return (this.#sized ? this.#identity.total : null) ?? this.#written.at(-1)?.[1] ?? 0
  }

  #fits(bytes: number, length: number): boolean {
    return this.#sized ? bytes === length : bytes >= length
  }

  /** Notes in the journal what is written; nothing to do when nothing is new. */
  async saveJournal(): Promise<void> {
    await this.#journalWrites.ask()
  }

  /** Forces the data to the disk, then notes that in the journal, forced too. */
  async sync(): Promise<void> {
    const before = this.#written
    await this.#datasync()
    this.#synced = before
    this.#demand.sync = true
    await this.#journalWrites.ask()
  }

  async #saveNow(): Promise<void> {
    const { sync, publishing } = this.#demand
    this.#demand = { sync: false, publishing: null }
    if (this.#closed || !(this.#dirty || sync)) return
    // A part that is not published after all gets a journal that doesn't say so.
    this.#dirty = publishing !== null
    await this.#writeJournal({ sync, publishing })
  }

  /** Bytes that the file takes up on the disk already. */
  async allocatedBytes(): Promise<number> {
    const { blocks } = await this.#stat()
    return blocks * 512
  }

  /** Reads kept bytes back. */
  async read(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length)
    try {
      let filled = 0
      while (filled < length) {
        const bytesRead = await io.read(this.fd, buffer, filled, length - filled, position + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return buffer.subarray(0, filled)
    } catch (error) {
      throw fsError(error, 'reading the part file back')
    }
  }

  /**
   * Puts the part under the final name: sync, rename, sync of the folder, journal dropped. The content must have been
   * checked before.
   *
   * @param mode - permission bits of the final file.
   * @param replaces - whether a file lies there already; the journal then says what is about to replace it.
   */
  async publish(options: { size: number; sha256: string; mode: number; replaces: boolean }): Promise<{
    mtimeMs: number
    ino: number
  }> {
    const { paths } = this
    try {
      await io.fchmod(this.fd, options.mode)
      await this.#datasync()
      if (options.replaces) {
        this.#demand = { sync: true, publishing: { size: options.size, sha256: options.sha256 } }
        await this.#journalWrites.ask()
      }
      const stat = await this.#statIfIntact()
      if (stat?.size !== options.size) throw partLost()
      await io.rename(paths.part, paths.target)
      await syncFolder(paths.directory)
      const { mtimeMs, ino } = stat
      if (this.#journalExists) await removeFiles([paths.journal])
      await this.close()
      return { mtimeMs, ino }
    } catch (error) {
      throw error instanceof StartOver ? error : fsError(error, 'publishing the file')
    }
  }

  /** Closes the file and keeps it, with a journal that is current. */
  async keep(): Promise<void> {
    try {
      await this.saveJournal().catch((error: unknown) => this.#keepWithoutTail(error))
    } finally {
      await this.close()
    }
  }

  /** A full disk has no room for the journal either: gives the last bytes up, so that the others are of use. */
  async #keepWithoutTail(error: unknown): Promise<void> {
    const end = (this.#written.at(-1)?.[1] ?? 0) - journalRoomBytes
    if (!isDownloadError(error, 'NO_SPACE') || end <= 0) throw error
    this.#setWritten(clip(this.#written, end))
    this.#synced = clip(this.#synced, end)
    await io.ftruncate(this.fd, end)
    await this.saveJournal()
  }

  async #datasync(): Promise<void> {
    // The kernel tells a failure once and then forgets: whatever was not on the disk before may be lost, in this boot
    // too, and a later sync that succeeds proves nothing.
    if (this.#syncError !== null) throw this.#syncError
    try {
      await datasync(this.fd)
    } catch (error) {
      this.#syncError = toDownloadError(error)
      this.#setWritten(this.#synced)
      throw error
    }
  }

  /** No other bytes than these are there. */
  #setWritten(written: IntervalSet): void {
    this.#written = written
    this.#writtenBytes = size(written)
    this.#dirty = true
  }

  /** Closes the file and deletes it, with its journal; not when another run has taken it over. */
  async discard(): Promise<void> {
    const [own, path] = await Promise.all([
      this.#stat().catch(() => null),
      statPart(this.paths.part).catch(() => null),
    ])
    const ours = path === null || (own !== null && isSameInode(own, path))
    await this.close()
    if (ours) await discardLeftover(this.paths)
  }

  /** Closes the file. Harmless when closed. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#journalWrites.settled()
    await io.close(this.fd)
  }

  async #writeJournal(options: JournalDemand): Promise<void> {
    const { ino } = await this.#stat()
    const journal: Journal = {
      version: 1,
      url: this.#url,
      sha256: this.#sha256,
      identity: this.#identity,
      mirror: this.#mirror,
      bootId: bootId(),
      writer: (this.#writer ??= randomBytes(8).toString('hex')),
      inode: String(ino),
      written: this.#written,
      synced: this.#synced,
      publishing: options.publishing,
    }
    try {
      await replaceFile(this.paths.journal, encodeJournal(journal), { mode: 0o600, sync: options.sync })
      this.#journalExists = true
      if (options.sync) await syncFolder(this.paths.directory)
    } catch (error) {
      this.#dirty = true
      throw fsError(error, 'writing the journal')
    }
  }
}
