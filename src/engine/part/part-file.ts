/** The part file and its journal: the order of writes and syncs, and publishing. Transfer rules 8 to 10. */
import pLimit from 'p-limit'
import type { LimitFunction } from 'p-limit'
import { syncFolder } from '../../disk/atomic.js'
import { fsError } from '../../disk/errors.js'
import { fstatSync } from '../../disk/fs.js'
import { usesSyncIo, io } from '../../disk/io.js'
import { discardLeftover, type PartPaths } from '../../disk/part-paths.js'
import { type FileStats, isSameInode } from '../../disk/stats.js'
import { writeFully, writeFullySync } from '../../disk/write.js'
import { DownloadError, isDownloadError } from '../../errors.js'
import type { RemoteGrant } from '../../net/address-policy.js'
import { sha256HexOf } from '../../util/digest.js'
import { Latest } from '../../util/schedule.js'
import { mirrorId } from '../protocol.js'
import { unsizedBytes } from './allocation.js'
import { DataSync, notSynced } from './data-sync.js'
import { extend, type Extended } from './extend.js'
import type { Identity } from './identity.js'
import { add, clip, frontier, type IntervalSet, size, subtract } from './intervals.js'
import { type Journal, parseJournal, readText, statPart } from './journal.js'
import { JournalFiles, type PartState } from './journal-files.js'
import { beforeWrites, type Lease } from './lease.js'
import { giveName, lookAtPart, openKept, openNew, readBack, takenOver } from './part-io.js'
import type { PartInit } from './part-init.js'
import { PublishRefusals } from './publish-refusals.js'
import { partLost, StartOver } from './start-over.js'

/** Bytes cut off the part when the disk is full, to make room for the journal; more than any journal needs. */
const journalRoomBytes = 64 * 1024

/** What the next write of the journal must include. */
interface JournalDemand {
  /** Force the journal to the disk. */
  sync: boolean
  /** The last one of this run, which should leave nothing beside it. */
  last: boolean
  publishing: Journal['publishing']
}

const noDemand: JournalDemand = { sync: false, last: false, publishing: null }

/** An open part file. Its owner must end it with {@link close}, {@link keep}, {@link publish} or {@link discard}. */
export class PartFile {
  readonly paths: PartPaths
  readonly fd: number
  /** Whether the file was extended to its full length when it was opened. */
  readonly #sized: boolean
  /** Whether the file system fills the space before a write far ahead with zeros. */
  readonly fillsGaps: boolean
  #inode: string | null = null
  readonly #url: string
  readonly #sha256: string | null
  // The kernel allows one write to a file at a time. More of them would only occupy threads that others need.
  #writers: LimitFunction | null = null
  #identity: Identity
  #mirror: string | undefined
  readonly #untrusted: boolean
  #written: IntervalSet
  #synced: IntervalSet
  #writtenBytes: number
  readonly #journals: JournalFiles
  /** How many of the written bytes the newest journal knows, or one that is being written. */
  #recordedBytes: number
  readonly #remote: RemoteGrant | null
  readonly #lease: Lease | null
  readonly #before: (() => void) | undefined
  #dirty = false
  readonly #journalWrites = new Latest(() => this.#saveNow())
  // Not one after another with the journal, which may have to wait for the disk.
  readonly #recordWrites = new Latest(() => this.#recordNow())
  #demand: JournalDemand = noDemand
  #resumable = true
  #closed = false
  /** Another program has truncated the part, which its length does not show any more. */
  #truncated = false
  readonly #dataSync: DataSync
  /** Digest of the file, if it was written with a single write. */
  #wholeSha256: string | null = null

  private constructor(fd: number, { sized, filling }: Extended, init: PartInit) {
    this.fd = fd
    this.#dataSync = new DataSync(fd)
    this.#sized = sized
    this.fillsGaps = filling
    this.paths = init.paths
    this.#url = init.url
    this.#sha256 = init.sha256
    this.#identity = init.identity
    this.#mirror = init.mirror
    this.#untrusted = init.untrusted === true || init.resume?.untrusted === true
    this.#written = init.resume?.done ?? []
    this.#synced = init.resume?.synced ?? []
    this.#writtenBytes = size(this.#written)
    this.#remote = init.remote ?? null
    this.#lease = init.lease ?? null
    this.#before = beforeWrites(this.#lease)
    this.#journals = new JournalFiles(init.paths, init.resume, this.#lease)
    this.#recordedBytes = this.#writtenBytes
  }

  /**
   * Opens the existing part, or creates a new one with a new inode, so that a writer that still has the old one
   * open can't change it (transfer rule 12).
   *
   * @throws DownloadError `NO_SPACE`, `PERMISSION`, `READ_ONLY`, `TARGET_NOT_REGULAR`, `TAKEN_OVER`, `DISK_IO`.
   */
  static async open(init: PartInit): Promise<PartFile> {
    const { paths, resume, lease = null } = init
    let fd: number | null = null
    try {
      lease?.require()
      fd = await (resume === null ? openNew(paths, lease) : openKept(paths))
      // With the full length from the start, the size alone shows whether the part was truncated.
      const extended = await extend(fd, init.identity.total, resume === null, { before: beforeWrites(lease) })
      const part = new PartFile(fd, extended, init)
      // From now on, whoever has held an earlier lease finds that it is over.
      if (lease !== null) await part.#saveState(null, (state) => part.#journals.replace(state, noDemand))
      return part
    } catch (error) {
      if (fd !== null) await io.close(fd).catch(() => undefined)
      throw fsError(error, 'opening the part file')
    }
  }

  /** Bytes that have been handed to the kernel. */
  get written(): IntervalSet {
    return this.#written
  }

  /** The version of the file that the part belongs to. */
  get identity(): Identity {
    return this.#identity
  }

  /** The `mirrorId` of the address that {@link identity} comes from. */
  get mirror(): string {
    return this.#mirror ?? mirrorId(this.#url)
  }

  /** Number of {@link written} bytes. */
  get writtenBytes(): number {
    return this.#writtenBytes
  }

  /** SHA-256 of the file, if it was written with a single write and need not be read back; null otherwise. */
  get wholeSha256(): string | null {
    return this.#wholeSha256
  }

  /** Number of contiguous bytes from the start of the file. */
  get frontier(): number {
    return frontier(this.#written)
  }

  /** Takes over the version at another address. Only allowed while nothing is written. */
  adopt(identity: Identity, address: string): void {
    this.#identity = { ...identity, total: this.#identity.total ?? identity.total }
    this.#mirror = address === this.#url ? undefined : mirrorId(address)
  }

  /** Sets the total size, once it is known for a response without a length. */
  setTotal(total: number): void {
    this.#identity = { ...this.#identity, total }
    this.#written = clip(this.#written, total)
    this.#writtenBytes = size(this.#written)
  }

  /**
   * Writes a complete buffer at a position, and marks the interval as written once the kernel has it.
   *
   * @throws DownloadError `NO_SPACE`, `DISK_IO` and others; the interval is not marked then.
   */
  write(buffer: Buffer, position: number): Promise<void> {
    this.#writers ??= pLimit(2)
    return this.#writers(() => this.#write(buffer, position))
  }

  /** Whether {@link writeNow} should be used instead of {@link write}. */
  get blocks(): boolean {
    return usesSyncIo
  }

  async #write(buffer: Buffer, position: number): Promise<void> {
    const { length } = buffer
    if (this.#mayHideTruncation(position, length)) {
      const expected = this.#length()
      if (!this.#fits((await this.#stat()).size, expected)) this.#truncated = true
    }
    this.#noteWhole(buffer, position)
    try {
      await writeFully(this.fd, buffer, position, this.#before)
    } catch (error) {
      throw fsError(error, 'writing the part file')
    }
    this.#noteWritten(position, length)
  }

  /** Synchronous version of {@link write}, for threads that may block. */
  writeNow(buffer: Buffer, position: number): void {
    const { length } = buffer
    try {
      if (this.#mayHideTruncation(position, length))
        this.#truncated ||= !this.#fits(fstatSync(this.fd).size, this.#length())
      this.#noteWhole(buffer, position)
      writeFullySync(this.fd, buffer, position, this.#before)
    } catch (error) {
      throw fsError(error, 'writing the part file')
    }
    this.#noteWritten(position, length)
  }

  /**
   * Whether a write would hide that another program has truncated the part: a write at the end extends it to the
   * expected length, leaving a hole.
   */
  #mayHideTruncation(position: number, length: number): boolean {
    return position > 0 && position + length >= this.#length()
  }

  #noteWhole(buffer: Buffer, position: number): void {
    if (position > 0 || buffer.length !== this.#identity.total || buffer.length > unsizedBytes) return
    this.#wholeSha256 = sha256HexOf(buffer)
  }

  #noteWritten(position: number, length: number): void {
    // After a failed sync it is unknown whether this write was affected.
    if (this.#dataSync.hasFailed) return
    this.#setWritten(add(this.#written, position, position + length))
    if (!this.#journals.isDue(this.#writtenBytes - this.#recordedBytes)) return
    // If that fails, it is tried again at the next interval, where it can be reported.
    this.#recordedBytes = this.#writtenBytes
    this.saveJournal().catch(() => undefined)
  }

  async #stat(): Promise<FileStats> {
    // The descriptor may belong to another file by now.
    if (this.#closed) throw new DownloadError('DISK_IO', 'The part file is closed.')
    return await io.fstat(this.fd)
  }

  /**
   * Whether the part is still the file that was opened, with the expected length.
   *
   * @throws DownloadError `TARGET_LOCKED`, `TAKEN_OVER` when another run took the part over.
   */
  async isIntact(): Promise<boolean> {
    return (await this.#statIfIntact()) !== null
  }

  /** Metadata of the part; null if it is not intact. */
  async #statIfIntact(): Promise<FileStats | null> {
    const length = this.#length()
    const own = await this.#stat()
    const path = await lookAtPart(own, this.paths.part)
    if (path === null || !isSameInode(own, path)) {
      const journal = parseJournal((await readText(this.paths.journal)) ?? '')
      this.#lease?.yieldTo(journal?.epoch)
      if (journal !== null && !this.#journals.isOwn(journal) && path !== null) throw takenOver()
      return null
    }
    return this.#truncated || !this.#fits(own.size, length) ? null : own
  }

  /** Length of the file, see {@link #fits}. To be read before looking at it, as writes that end meanwhile increase it. */
  #length(): number {
    return (this.#sized ? this.#identity.total : null) ?? this.#written.at(-1)?.[1] ?? 0
  }

  /** Whether the file is as long as it must be at least, or exactly if it was extended to its full length. */
  #fits(bytes: number, length: number): boolean {
    return this.#sized ? bytes === length : bytes >= length
  }

  /** The bytes can't be continued by a later run, so they are neither recorded nor kept. */
  forgoResuming(): void {
    this.#resumable = false
  }

  /**
   * Records the written bytes in the journal or beside it; does nothing if nothing has changed. This also happens by
   * itself, whenever many bytes have been written.
   */
  async saveJournal(): Promise<void> {
    await (this.#journals.exist ? this.#recordWrites : this.#journalWrites).ask()
  }

  /** Forces the data to the disk, then records that in the journal and forces that to the disk as well. */
  async sync(): Promise<void> {
    const before = this.#written
    // What is not known to be on the disk must not be claimed: a power failure may take it.
    if (!(await this.#datasync())) {
      await this.saveJournal()
      return
    }
    this.#synced = before
    this.#demand = { ...this.#demand, sync: true }
    await this.#journalWrites.ask()
  }

  async #saveNow(): Promise<void> {
    const demand = this.#demand
    this.#demand = noDemand
    const { sync, last, publishing } = demand
    if (this.#closed || !(this.#dirty || sync || (last && this.#journals.liveExists))) return
    if (!this.#resumable && publishing === null) return
    await this.#saveState(publishing, (state) => this.#journals.replace(state, { sync, last }))
  }

  async #recordNow(): Promise<void> {
    if (this.#closed || !this.#dirty || !this.#resumable) return
    await this.#saveState(null, (state) => this.#journals.record(state))
  }

  /** Has the state of the part written. */
  async #saveState(
    publishing: Journal['publishing'],
    write: (state: PartState) => Promise<void>,
  ): Promise<void> {
    this.#inode ??= String((await this.#stat()).ino)
    // If publishing fails after all, the next journal must no longer announce it.
    this.#dirty = publishing !== null
    this.#recordedBytes = this.#writtenBytes
    try {
      await write({
        url: this.#url,
        sha256: this.#sha256,
        identity: this.#identity,
        mirror: this.#mirror,
        remote: this.#remote,
        untrusted: this.#untrusted ? true : undefined,
        inode: this.#inode,
        written: this.#written,
        synced: this.#synced,
        publishing,
      })
    } catch (error) {
      this.#dirty = true
      throw error
    }
  }

  /** Forgets bytes that have proved to be wrong, so that they are fetched again. */
  async forget(wrong: IntervalSet): Promise<void> {
    this.#wholeSha256 = null
    for (const [start, end] of wrong) {
      this.#synced = subtract(this.#synced, start, end)
      this.#setWritten(subtract(this.#written, start, end))
    }
    await this.saveJournal()
  }

  /** Bytes that the file already occupies on the disk. */
  async allocatedBytes(): Promise<number> {
    const { blocks } = await this.#stat()
    return blocks * 512
  }

  /** Reads bytes back from the part; fewer than `length` at the end of the file. */
  read(position: number, length: number): Promise<Buffer> {
    return readBack(this.fd, position, length)
  }

  /**
   * Publishes the part under its final name: syncs it, renames it, syncs the folder and deletes the journal. The
   * content must have been verified before.
   *
   * Only what makes the file whole can fail: after the rename it is complete, whatever the file system refuses then.
   *
   * @param options - `mode`: permission bits of the final file; `replaces`: whether a file exists under the final
   * name, in which case the journal first records the file that is about to replace it.
   * @returns metadata of the file, and the first refusal that did not matter.
   * Those that any file of the folder would meet are returned once per folder.
   */
  async publish(options: { size: number; sha256: string; mode: number; replaces: boolean }): Promise<{
    mtimeMs: number
    ino: bigint
    refusal: DownloadError | null
  }> {
    const { paths } = this
    const refusals = new PublishRefusals(paths.directory)
    const attempt = refusals.attempt.bind(refusals)
    try {
      // Some file systems have no permissions, or let only their owner change them. A part that can't be written could not
      // be resumed if it is not published after all.
      const setMode = (mode: number) =>
        refusals.attemptCourtesy('setting the permissions of the file', () => io.fchmod(this.fd, mode))
      this.#lease?.require()
      await setMode(options.mode | 0o200)
      if (!(await this.#datasync())) refusals.add(notSynced())
      if (options.replaces) {
        const publishing = { size: options.size, sha256: options.sha256 }
        this.#demand = { sync: true, last: false, publishing }
        await attempt('writing the journal', () => this.#journalWrites.ask())
      }
      await this.#lease?.confirm()
      const stat = await this.#statIfIntact()
      if (stat?.size !== options.size) throw partLost()
      await giveName(this.fd, paths, this.#lease)
      if ((options.mode & 0o200) === 0 && this.#lease?.isHeld !== false) await setMode(options.mode)
      await refusals.attemptCourtesy('syncing the folder', () => syncFolder(paths.directory))
      await attempt('deleting the journal', () => this.#removeJournal())
      await attempt('closing the file', () => this.close())
      // Whoever has the lease now finds the file under its name.
      this.#lease?.require()
      const { mtimeMs, ino } = stat
      return { mtimeMs, ino, refusal: refusals.take() }
    } catch (error) {
      throw error instanceof StartOver ? error : fsError(error, 'publishing the file')
    }
  }

  async #removeJournal(): Promise<void> {
    // Writes ask for journals by themselves, and one that is on its way must not arrive afterwards.
    await this.#journalWrites.settled()
    await this.#recordWrites.settled()
    await this.#journals.remove()
  }

  /**
   * Writes the journal and closes the file, so that a later run can resume it, if that is possible. Once the lease is
   * lost, the file is only closed.
   */
  async keep(): Promise<void> {
    if (this.#lease?.isHeld === false) {
      await this.close()
      return
    }
    if (!this.#resumable) {
      await this.discard()
      return
    }
    try {
      // The next run has another lease, and believes what was synced.
      if (this.#lease !== null) await this.sync().catch(() => undefined)
      await this.#saveLast().catch((error: unknown) => this.#keepWithoutTail(error))
    } finally {
      await this.close()
    }
  }

  async #saveLast(): Promise<void> {
    await this.#recordWrites.settled()
    this.#demand = { ...this.#demand, last: true }
    await this.#journalWrites.ask()
  }

  /** On a full disk there is no room for the journal: cuts off the last bytes, so that the others can be resumed. */
  async #keepWithoutTail(error: unknown): Promise<void> {
    const end = (this.#written.at(-1)?.[1] ?? 0) - journalRoomBytes
    if (!isDownloadError(error, 'NO_SPACE') || end <= 0) throw error
    this.#setWritten(clip(this.#written, end))
    this.#synced = clip(this.#synced, end)
    await this.#lease?.confirm()
    await io.ftruncate(this.fd, end)
    await this.#saveLast()
  }

  /** Returns false if the file system refuses to sync. */
  async #datasync(): Promise<boolean> {
    try {
      return await this.#dataSync.run()
    } finally {
      if (this.#dataSync.hasFailed) this.#setWritten(this.#synced)
    }
  }

  /** Replaces the set of written bytes. */
  #setWritten(written: IntervalSet): void {
    this.#written = written
    this.#writtenBytes = size(written)
    this.#dirty = true
  }

  /**
   * Closes the file and deletes it together with its journal, unless another run has taken it over.
   *
   * @throws DownloadError `TAKEN_OVER`, in which case it is closed as well.
   */
  async discard(): Promise<void> {
    const [own, path] = await Promise.all([
      this.#stat().catch(() => null),
      statPart(this.paths.part).catch(() => null),
    ])
    const ours = path === null || (own !== null && isSameInode(own, path))
    await this.close()
    await this.#lease?.confirm()
    if (ours) await discardLeftover(this.paths)
  }

  /** Closes the file. Does nothing when closed. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#journalWrites.settled()
    await this.#recordWrites.settled()
    // Nothing stays open, whichever of the two can't be closed.
    await this.#journals.close().finally(() => io.close(this.fd))
  }
}
