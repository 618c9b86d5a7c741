/**
 * How several managers share one folder of records without a cluster. The first one holds the lock `manager.lock`, and
 * all records without a mark are its own. Each further one holds a lock of its own, and marks its records with the name
 * of that lock. A record that has not settled belongs to whoever holds its lock, so the records of a manager that has
 * died can be taken as soon as its lock can.
 */
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { makeFolder } from '../disk/atomic.js'
import { acquireLock, type FileLock } from '../disk/lock.js'
import { isDownloadError } from '../errors.js'
import type { Clock, Timer } from '../util/clock.js'

/** The mark of the records of the first manager, which are stored without one. */
export const firstMark = ''

/** Field of a record that names its manager; see {@link FolderShare}. */
export const markKey = 'manager'

const markPattern = /"manager":"([0-9a-f]{16})"\}\s*$/

/** How often to look whether another manager has died, in milliseconds. */
const lookMs = 5_000

/** The mark at the end of a stored record. */
export function markIn(text: string): string {
  return markPattern.exec(text.slice(-64))?.[1] ?? firstMark
}

/** The locks that one manager holds in a folder of records. */
export class FolderShare {
  readonly #folder: string
  readonly #clock: Clock
  readonly #held = new Map<string, FileLock>()
  /** Marks of managers that were alive when they were last looked at. */
  readonly #others = new Set<string>()
  #own: Promise<string> | null = null
  #timer: Timer | null = null
  #looking: Promise<void> = Promise.resolve()
  #closed = false
  /** Called once, when another manager of the folder is seen. */
  onOther: () => void = () => undefined
  /** Called when records of managers that have died are ours now. */
  onTaken: () => Promise<void> = () => Promise.resolve()

  constructor(folder: string, clock: Clock) {
    this.#folder = folder
    this.#clock = clock
  }

  /** The mark of this manager's records. Takes its lock, which needs the folder. */
  own(): Promise<string> {
    this.#own ??= this.#join()
    return this.#own
  }

  /** Whether the records of a mark are ours: it is our own, or its manager has died and we have taken its lock. */
  async has(mark: string): Promise<boolean> {
    if (mark === (await this.own()) || this.#held.has(mark)) return true
    return await this.#take(mark)
  }

  /** Releases all locks. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#own?.catch(() => undefined)
    await this.#looking
    await Promise.all([...this.#held.values()].map((lock) => lock.release()))
    this.#held.clear()
  }

  async #join(): Promise<string> {
    if (await this.#take(firstMark)) return firstMark
    const mark = randomBytes(8).toString('hex')
    await this.#take(mark)
    return mark
  }

  async #take(mark: string): Promise<boolean> {
    if (this.#closed) return true
    const name = mark === firstMark ? 'manager.lock' : `manager-${mark}.lock`
    try {
      // Only this folder is private: its parent holds the models.
      await makeFolder(dirname(this.#folder))
      await makeFolder(this.#folder, 0o700)
      this.#held.set(mark, await acquireLock(join(this.#folder, name), this.#clock))
    } catch (error) {
      // Where no lock can be had, as on a read-only disk, nothing can be written either.
      if (!isDownloadError(error, 'TARGET_LOCKED')) return true
      this.#watch(mark)
      return false
    }
    this.#others.delete(mark)
    return true
  }

  #watch(mark: string): void {
    if (this.#others.size === 0 && this.#timer === null) this.onOther()
    this.#others.add(mark)
    this.#timer ??= this.#clock
      .interval(() => {
        this.#looking = this.#looking.then(() => this.#look()).catch(() => undefined)
      }, lookMs)
      .unref()
  }

  async #look(): Promise<void> {
    let taken = false
    for (const mark of [...this.#others]) {
      if (this.#closed) return
      taken = (await this.#take(mark)) || taken
    }
    if (taken) await this.onTaken()
  }
}
