import { join } from 'node:path'
import { pathBelow, type Place } from '../download/destination.js'
import { Download, type DownloadOwner } from '../download/download.js'
import type { LogEvent } from '../download/events.js'
import { isSettled } from '../download/states.js'
import { DownloadError, toDownloadError } from '../errors.js'
import { type DownloadStore, storeError } from '../store/store.js'

/** The downloads that a manager knows: by URL, by the file that they go to, and in the store. */
export class Registry {
  readonly #store: DownloadStore
  readonly #log: (event: LogEvent) => void
  readonly #byUrl = new Map<string, Download>()
  /** Who goes to a file, by its path in lower case: many file systems take names that differ in case for one. */
  readonly #byTarget = new Map<string, Download>()
  /** The same the other way round. */
  readonly #targetsOf = new Map<Download, Set<string>>()
  #sequence = 0

  constructor(store: DownloadStore, log: (event: LogEvent) => void) {
    this.#store = store
    this.#log = log
  }

  /**
   * Reads the store. Unfinished downloads come back queued, or paused without `autoResume`.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  async load(owner: DownloadOwner, autoResume: boolean): Promise<void> {
    let loaded
    try {
      loaded = await this.#store.load()
    } catch (error) {
      throw storeError(error, 'The store could not be read.')
    }
    for (const message of loaded.problems) this.#log({ level: 'warn', message })
    for (const record of loaded.records) {
      // Two processes over one store may have given the same number.
      const sequence = Math.max(record.sequence, this.#sequence)
      this.#sequence = sequence + 1
      const live = !isSettled(record.state) && record.state !== 'paused'
      const state = live ? (autoResume ? 'queued' : 'paused') : record.state
      const download = new Download({ ...record, sequence, state }, owner)
      this.#byUrl.set(download.url, download)
      if (download.named && state !== 'failed' && state !== 'canceled')
        this.#setTargets(download, keysOf(record, download.targets))
    }
  }

  /** A number for the next arrival. */
  nextSequence(): number {
    return this.#sequence++
  }

  /** The download of a URL. */
  get(url: string): Download | undefined {
    return this.#byUrl.get(url)
  }

  /** Whether a download is still known: its URL may be another one's by now. */
  has(download: Download): boolean {
    return this.#byUrl.get(download.url) === download
  }

  /** All, in order of arrival. */
  list(): Download[] {
    return [...this.#byUrl.values()].sort((a, b) => a.record.sequence - b.record.sequence)
  }

  /**
   * Claims files for a download. Two URLs must not meet in one file: the second would be told that its file is
   * there already. One that failed or was canceled gives its claims up.
   *
   * @param filenames - in the folder of the download; those of a group with its own folder before them.
   * @throws DownloadError `CONFLICT`; nothing is claimed then.
   */
  claim(download: Download, filenames: readonly string[]): void {
    this.#setTargets(download, this.requireFree(download.record, filenames, download))
  }

  /**
   * The keys of files that could be claimed.
   *
   * @param place - of the download that they would be of; its own file name doesn't count.
   * @param own - whose claims are in nobody's way.
   * @throws DownloadError `CONFLICT`.
   */
  requireFree(place: Place, filenames: readonly string[], own: Download | undefined): string[] {
    const keys = keysOf(place, filenames)
    for (const [index, key] of keys.entries()) {
      const other = this.#byTarget.get(key)
      const taken = other !== undefined && other !== own && this.has(other)
      if (taken && other.state !== 'failed' && other.state !== 'canceled') {
        const message = `Another download goes to the file ${filenames[index] ?? ''}; give a filename.`
        throw new DownloadError('CONFLICT', message)
      }
    }
    return keys
  }

  #setTargets(download: Download, keys: readonly string[]): void {
    const known = this.#targetsOf.get(download) ?? new Set()
    for (const key of keys) {
      this.#byTarget.set(key, download)
      known.add(key)
    }
    this.#targetsOf.set(download, known)
  }

  /**
   * Adds a download, and claims its file when that has a name.
   *
   * @throws DownloadError `CONFLICT`.
   */
  add(download: Download): void {
    if (download.named) this.claim(download, download.targets)
    this.#byUrl.set(download.url, download)
  }

  /** Takes a download out, without a word to the store. */
  drop(download: Download): void {
    if (this.has(download)) this.#byUrl.delete(download.url)
    for (const key of this.#targetsOf.get(download) ?? []) {
      if (this.#byTarget.get(key) === download) this.#byTarget.delete(key)
    }
    this.#targetsOf.delete(download)
  }

  /**
   * Writes a record for the first time.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  async insert(download: Download): Promise<void> {
    try {
      await this.#store.save(download.toRecord())
    } catch (error) {
      throw storeError(error, 'The download could not be stored.')
    }
  }

  /** Writes a record. A transfer goes on without it; what is lost is that it would be taken up again by itself. */
  async save(download: Download): Promise<void> {
    if (!this.has(download)) return
    try {
      await this.#store.save(download.toRecord())
    } catch (error) {
      const message = `The record could not be saved: ${toDownloadError(error).message}`
      this.#log({ download, level: 'error', message })
    }
  }

  /**
   * Forgets a download for good.
   *
   * @throws DownloadError `STORE_ERROR`; it is known as before then.
   */
  async forget(download: Download): Promise<void> {
    try {
      await this.#store.remove(download.record.id)
    } catch (error) {
      throw storeError(error, 'The download could not be taken out of the store.')
    }
    this.drop(download)
  }

  /**
   * Closes the store.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  async close(): Promise<void> {
    try {
      await this.#store.close?.()
    } catch (error) {
      throw storeError(error, 'The store could not be closed.')
    }
  }
}

function keysOf(place: Place, filenames: readonly string[]): string[] {
  return filenames.map((filename) => keyOf({ ...place, filename }))
}

function keyOf(place: Place): string {
  const { directory, mode } = place
  // Joined, so that a mode and a folder of that name are the same.
  return join(directory ?? '', mode ?? '', ...pathBelow(place)).toLowerCase()
}
