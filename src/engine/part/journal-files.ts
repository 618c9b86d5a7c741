/** Writes the journal of a part: the file under its name, and the one beside it. */
import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { replaceFile, syncFolder } from '../../disk/atomic.js'
import { fsError } from '../../disk/errors.js'
import { constants } from '../../disk/fs.js'
import { io, usesSyncIo } from '../../disk/io.js'
import { openNoFollow } from '../../disk/no-follow.js'
import { type PartPaths, removeFiles } from '../../disk/part-paths.js'
import { isSame } from '../../disk/stamp.js'
import type { FileStats } from '../../disk/stats.js'
import { bootId, hostId } from '../../disk/system.js'
import { writeFully, writeFullySync } from '../../disk/write.js'
import { encodeJournal, type Journal, parseJournal, readText, type Resumable } from './journal.js'
import { beforeWrites, type Lease } from './lease.js'
import { encodeRecord, isRecordDue, slotBytes } from './live-journal.js'

/** What a part says about itself in a journal. */
export type PartState = Omit<
  Journal,
  'version' | 'bootId' | 'host' | 'epoch' | 'writer' | 'beside' | 'serial'
>

/** The files of one part. Their owner must end them with {@link close}. */
export class JournalFiles {
  readonly #paths: PartPaths
  /** Random id of this run; created with the first journal, which a small file does not need. */
  #writer: string | null = null
  #serial = 0
  /** The run whose journal lies under its name, if that is an earlier one. */
  #beside: string | undefined
  /**
   * What lies under the journal's name. One that may be synced must not be replaced by one that is not: after a power
   * failure the rename may be there and the content not, as on XFS and Btrfs, and with it everything that was synced.
   */
  #journal: 'none' | 'unsynced' | 'synced'
  readonly #live: LiveJournal
  #liveExists: boolean
  /** Length of the newest record, in bytes; null before the first one. */
  #newest: number | null

  readonly #lease: Lease | null
  /** Metadata of the journal that was written last. */
  #seen: FileStats | null = null

  /**
   * @param resume - what this run goes on with.
   * @param lease - the right to write; null if none is needed.
   */
  constructor(paths: PartPaths, resume: Resumable | null, lease: Lease | null) {
    this.#paths = paths
    this.#lease = lease
    this.#beside = resume?.beside
    this.#journal = resume === null ? 'none' : 'synced'
    this.#live = new LiveJournal(paths.recent, lease)
    this.#liveExists = resume !== null
    this.#newest = resume === null ? null : 0
  }

  /** Whether there is a journal under its name. */
  get exist(): boolean {
    return this.#journal !== 'none'
  }

  /** Whether there may be a file beside it. */
  get liveExists(): boolean {
    return this.#liveExists
  }

  /** Whether a journal is of this run, or the one that it goes on with. */
  isOwn({ writer }: Journal): boolean {
    return writer === this.#writer || writer === this.#beside
  }

  /** See {@link isRecordDue}. */
  isDue(unrecorded: number): boolean {
    return isRecordDue(unrecorded, this.#newest)
  }

  #encode(state: PartState): { serial: number; text: string } {
    const serial = this.#serial++
    const writer = (this.#writer ??= randomBytes(8).toString('hex'))
    const { url, sha256, ...rest } = state
    const journal: Journal = {
      ...{ version: 1, url, sha256, bootId: bootId(), host: hostId() },
      ...{ epoch: this.#lease?.epoch, writer, beside: this.#beside, serial },
      ...rest,
    }
    const text = encodeJournal(journal)
    this.#newest = text.length
    return { serial, text }
  }

  /**
   * Replaces the journal.
   *
   * @param how - `sync`: force it to the disk; `last`: leave nothing beside it.
   */
  async replace(state: PartState, { sync, last }: { sync: boolean; last: boolean }): Promise<void> {
    const { journal, recent } = this.#paths
    const { text } = this.#encode(state)
    const how = sync || this.#journal === 'synced' ? 'content' : undefined
    const before = this.#lease === null ? undefined : () => this.#requireOwn()
    try {
      await this.#requireOwn()
      this.#seen = await replaceFile(journal, text, { mode: 0o600, sync: how, before })
    } catch (error) {
      throw fsError(error, 'writing the journal')
    }
    // Without it, a power failure may bring back the last journal, which claims no more than was on the disk by then.
    if (sync) await syncFolder(dirname(journal)).catch(() => undefined)
    this.#journal = how === undefined ? 'unsynced' : 'synced'
    this.#beside = undefined
    if (!last || !this.#liveExists) return
    await this.#live.close()
    this.#lease?.require()
    // If it stays, it is older than the journal, and doesn't count.
    await removeFiles([recent]).catch(() => undefined)
    this.#liveExists = false
  }

  /** Records the state beside the journal. */
  async record(state: PartState): Promise<void> {
    const { serial, text } = this.#encode(state)
    this.#liveExists = true
    try {
      await this.#requireOwn()
      await this.#live.write(encodeRecord(serial, text))
    } catch (error) {
      throw fsError(error, 'writing the journal')
    }
  }

  /**
   * Looks whether somebody else has written the journal, by its metadata, and if so, whether under a later lease.
   *
   * @throws DownloadError `TAKEN_OVER`.
   */
  async #requireOwn(): Promise<void> {
    const lease = this.#lease
    if (lease === null) return
    const found = await io.lstatIfThere(this.#paths.journal)
    const isOurs = found !== null && this.#seen !== null && isSame(found, this.#seen)
    if (found !== null && !isOurs)
      lease.yieldTo(parseJournal((await readText(this.#paths.journal)) ?? '')?.epoch)
    lease.require()
  }

  /** Deletes all of them. */
  async remove(): Promise<void> {
    const { journal, recent } = this.#paths
    await this.close()
    this.#lease?.require()
    // Most files are so small that they never had any.
    if (!this.exist) return
    // The journal goes last: whoever comes after a kill finds the other one by it.
    await removeFiles([recent])
    await removeFiles([journal])
  }

  /** Closes what is open. Nothing must be written afterwards. */
  async close(): Promise<void> {
    await this.#live.close()
  }
}

// ---- Beside it.

/** The file beside the journal. Records must be written one after another. */
class LiveJournal {
  readonly #path: string
  readonly #before: (() => void) | undefined
  #fd: number | null = null
  #next = 0

  constructor(path: string, lease: Lease | null) {
    this.#path = path
    this.#before = beforeWrites(lease)
  }

  /** Writes a record of {@link encodeRecord}. Rejects with the error of the file system. */
  async write(record: string): Promise<void> {
    const bytes = Buffer.from(record)
    if (this.#fd === null || bytes.length > slotBytes) {
      await this.#begin(record)
      return
    }
    const position = this.#next * slotBytes
    if (usesSyncIo) writeFullySync(this.#fd, bytes, position, this.#before)
    else await writeFully(this.#fd, bytes, position, this.#before)
    this.#next = 1 - this.#next
  }

  /** Begins a new file with this record, so that what an earlier run left is whole until then, and gone afterwards. */
  async #begin(record: string): Promise<void> {
    await this.close()
    const before = this.#before
    before?.()
    await replaceFile(this.#path, record, { mode: 0o600, before: async () => before?.() })
    this.#next = 1
    // Without a descriptor, the next record begins a new file again.
    this.#fd = await openNoFollow(this.#path, constants.O_RDWR).catch(() => null)
  }

  /** Closes the file, which stays. */
  async close(): Promise<void> {
    const fd = this.#fd
    this.#fd = null
    if (fd !== null) await io.close(fd)
  }
}
