import { join } from 'node:path'
import { asDownloadError } from '../disk/errors.js'
import { compactRecord } from '../download/compact.js'
import { pathBelow, type Place } from '../download/destination.js'
import { Download, type DownloadOwner } from '../download/download.js'
import { sentenceError } from '../download/error-text.js'
import type { LogEvent } from '../download/events.js'
import type { DownloadRecord } from '../download/record.js'
import { isSettled } from '../download/states.js'
import { DownloadError, isDownloadError } from '../errors.js'
import { FileStore } from '../store/file.js'
import { createMemoryStore } from '../store/memory.js'
import { FolderShare } from '../store/folder-share.js'
import { byArrival, type DownloadStore, storeError } from '../store/store.js'
import type { Clock } from '../util/clock.js'
import { type ModeFolder, restoreLost } from './lost-records.js'
import type { SharedStore } from './cluster/coordinator.js'
import type { ResolvedManagerOptions } from './options.js'

/** How records become downloads; see {@link Registry.load}. */
interface LoadOptions {
  owner: DownloadOwner
  autoResume: boolean | null
  problemOf: (record: DownloadRecord) => string | null
}

/** Downloads of a manager: by URL, by the files that they write, and in the store. */
export class Registry {
  readonly #store: DownloadStore | SharedStore
  readonly #log: (event: LogEvent) => void
  readonly #byUrl = new Map<string, Download>()
  /**
   * Download that claimed a file, by its path in lower case, because many file systems treat names that
   * differ only in case as the same.
   */
  readonly #byTarget = new Map<string, Download>()
  /** Keys in `#byTarget` of each download, mostly one. */
  readonly #targetsOf = new Map<Download, string | readonly string[]>()
  #sequence = 0
  #loading: LoadOptions | null = null

  constructor(store: DownloadStore | SharedStore, log: (event: LogEvent) => void) {
    this.#store = store
    this.#log = log
  }

  /**
   * Loads the store. Unfinished downloads are restored as queued, or as paused without `autoResume`.
   *
   * @param autoResume - null to restore them in the states that were stored.
   * @param options - `folders`: where the files of damaged records may be; `problemOf`: returns why a record can't be
   * used, or null; see `recordProblem`.
   * @throws DownloadError `STORE_ERROR`.
   */
  async load(
    owner: DownloadOwner,
    autoResume: boolean | null,
    {
      folders = [],
      problemOf = () => null,
    }: { folders?: readonly ModeFolder[]; problemOf?: (record: DownloadRecord) => string | null } = {},
  ): Promise<void> {
    this.#loading = { owner, autoResume, problemOf }
    let loaded
    try {
      loaded = await this.#store.load()
    } catch (error) {
      throw storeError(error, 'The store could not be read.')
    }
    for (const message of loaded.problems) this.#log({ level: 'warn', message })
    const restored = await restoreLost(this.#store instanceof FileStore ? this.#store.lost : [], folders)
    for (const { filename } of restored) {
      const message = `The download of ${filename} was restored from the journal beside it; headers and other settings are lost.`
      this.#log({ level: 'warn', message })
    }
    this.#restore([...loaded.records, ...restored], this.#loading)
    this.#claimTargets(this.list())
    for (const { url } of restored) {
      const download = this.#byUrl.get(url)
      if (download !== undefined) await this.save(download)
    }
  }

  /**
   * Reads the store again, and adds the unfinished downloads in it that others have left behind.
   *
   * @returns those that are to be queued.
   */
  async adoptNew(): Promise<Download[]> {
    const loading = this.#loading
    if (loading === null) return []
    const { records } = await this.#store.load()
    const left = records.filter(({ url, state }) => !isSettled(state) && this.#isFree(url))
    for (const { url } of left) {
      const failed = this.#byUrl.get(url)
      if (failed !== undefined) this.drop(failed)
    }
    const added = this.#restore(left, loading)
    this.#claimTargets(added)
    return added.filter(({ state }) => state === 'queued')
  }

  /** Whether the record of a URL may be taken from the store: nobody has asked for it here, or its file was locked. */
  #isFree(url: string): boolean {
    const known = this.#byUrl.get(url)
    return known === undefined || (known.state === 'failed' && known.error?.code === 'TARGET_LOCKED')
  }

  /** Adds downloads of records that were stored. */
  #restore(records: readonly DownloadRecord[], { owner, autoResume, problemOf }: LoadOptions): Download[] {
    const added: Download[] = []
    for (const record of records) {
      const problem = problemOf(record)
      if (problem !== null) {
        const message = `The record ${record.id} is not used: ${problem}.`
        this.#log({ level: 'warn', message })
        continue
      }
      // Two processes that share a store may have assigned the same number.
      const sequence = autoResume === null ? record.sequence : Math.max(record.sequence, this.#sequence)
      this.#sequence = Math.max(sequence, this.#sequence) + 1
      // What failed only because the network was not to be used is as unfinished as everything else.
      const wasOffline = autoResume === true && record.state === 'failed' && record.error?.code === 'OFFLINE'
      const live = (!isSettled(record.state) && record.state !== 'paused') || wasOffline
      const state = live && autoResume !== null ? (autoResume ? 'queued' : 'paused') : record.state
      const changed = wasOffline ? { error: null, finishedAt: null } : {}
      const download = new Download(compactRecord({ ...record, sequence, state, ...changed }), owner)
      this.#byUrl.set(download.url, download)
      added.push(download)
    }
    return added
  }

  #claimTargets(downloads: readonly Download[]): void {
    const named = downloads.filter((download) => download.named)
    // Those that have given up their claims come first, because the last one to claim a file holds it.
    for (const claiming of [false, true]) {
      for (const download of named.filter((each) => claims(each) === claiming))
        this.#setTargets(download, keysOf(download.record, download.targets))
    }
  }

  /** The keys of the files that a download claims, which no other download of the same folder may have. */
  targetsOf(download: Download): string[] {
    return download.named && claims(download) ? keysOf(download.record, download.targets) : []
  }

  /** Adds, changes or forgets a download as another manager has stored it. */
  mirror(record: DownloadRecord): Download {
    const known = this.#byUrl.get(record.url)
    if (known === undefined) {
      const [added] = this.#loading === null ? [] : this.#restore([record], this.#loading)
      if (added === undefined) throw new DownloadError('STORE_ERROR', 'A record of the cluster is not valid.')
      this.#claimTargets([added])
      return added
    }
    known.mirror(record)
    this.release(known)
    this.#claimTargets([known])
    return known
  }

  /** Returns the sequence number of the next download. */
  nextSequence(): number {
    return this.#sequence++
  }

  /** Returns the download of a URL. */
  get(url: string): Download | undefined {
    return this.#byUrl.get(url)
  }

  /** Whether a download is still registered; its URL may belong to a newer download by now. */
  has(download: Download): boolean {
    return this.#byUrl.get(download.url) === download
  }

  /** The oldest settled downloads of remote callers, as many as there are more of these than `maxRecords`. */
  beyond(maxRecords: number): Download[] {
    if (this.size <= maxRecords) return []
    const settled = this.list().filter(({ state, record }) => record.remote !== null && isSettled(state))
    return settled.slice(0, Math.max(0, settled.length - maxRecords))
  }

  /** Number of registered downloads. */
  get size(): number {
    return this.#byUrl.size
  }

  /** Returns all downloads in order of arrival. The order of two of them never changes. */
  list(): Download[] {
    const all = [...this.#byUrl.values()]
    // They mostly are in this order, but those of a store that two processes share.
    let last: DownloadRecord | null = null
    for (const { record } of all) {
      if (last !== null && byArrival(last, record) > 0)
        return all.sort((a, b) => byArrival(a.record, b.record))
      last = record
    }
    return all
  }

  /**
   * Claims files for a download. Two URLs must not write to the same file: the second download would find the
   * file of the first one and complete with it. A failed or canceled download gives up its claims.
   *
   * @param filenames - relative to the folder of the download; the files of a group are preceded by the
   * group's own folder.
   * @param place - location of the download, if it is about to change.
   * @throws DownloadError `CONFLICT`; then nothing is claimed.
   */
  claim(download: Download, filenames: readonly string[], place: Place = download.record): void {
    this.#setTargets(download, this.requireFree(place, filenames, download))
  }

  /**
   * Checks that no other download has claimed the files, and returns their keys.
   *
   * @param place - location of the download that would claim them; its own file name is ignored.
   * @param own - download whose own claims do not conflict.
   * @throws DownloadError `CONFLICT`.
   */
  requireFree(place: Place, filenames: readonly string[], own: Download | undefined): string[] {
    const keys = keysOf(place, filenames)
    for (const [index, key] of keys.entries()) {
      const other = this.#holderOf(key)
      if (other !== undefined && other !== own && claims(other)) {
        throw sentenceError('CONFLICT', 'fileTaken', [filenames[index] ?? ''])
      }
    }
    return keys
  }

  /**
   * Returns the download that was the last to claim a file. One that has failed or was canceled has given up
   * its claim, but an earlier run of it may have written the file.
   */
  holderOf(place: Place): Download | undefined {
    return this.#holderOf(keyOf(place))
  }

  #holderOf(key: string): Download | undefined {
    const holder = this.#byTarget.get(key)
    return holder !== undefined && this.has(holder) ? holder : undefined
  }

  #setTargets(download: Download, keys: readonly string[]): void {
    for (const key of keys) this.#byTarget.set(key, download)
    const all = [...new Set([...this.#keysOf(download), ...keys])]
    this.#targetsOf.set(download, all.length === 1 && all[0] !== undefined ? all[0] : all)
  }

  #keysOf(download: Download): readonly string[] {
    const keys = this.#targetsOf.get(download) ?? []
    return typeof keys === 'string' ? [keys] : keys
  }

  /**
   * Adds a download, and claims its file if the name is known.
   *
   * @throws DownloadError `CONFLICT`.
   */
  add(download: Download): void {
    if (download.named) this.claim(download, download.targets)
    this.#byUrl.set(download.url, download)
  }

  /** Removes a download from memory, but not from the store. */
  drop(download: Download): void {
    if (this.has(download)) this.#byUrl.delete(download.url)
    this.release(download)
  }

  /** Gives up all files that a download has claimed. */
  release(download: Download): void {
    for (const key of this.#keysOf(download)) {
      if (this.#byTarget.get(key) === download) this.#byTarget.delete(key)
    }
    this.#targetsOf.delete(download)
  }

  /**
   * Stores the record of a new download. One that can't be stored is forgotten again.
   *
   * @returns false if another manager has requested the URL before; see {@link SharedStore.insert}.
   * @throws DownloadError `STORE_ERROR`; `CONFLICT` if a download of another manager has claimed the file.
   */
  async insert(download: Download): Promise<boolean> {
    try {
      if ('insert' in this.#store) return await this.#store.insert(download)
      await this.#store.save(download.toRecord())
      return true
    } catch (error) {
      this.drop(download)
      if (isDownloadError(error, 'CONFLICT') || isDownloadError(error, 'INVALID_OPTIONS')) throw error
      throw storeError(error, 'The download could not be saved to the store.')
    }
  }

  /**
   * Stores the record of a download. A failure is only logged: the transfer continues, but after a restart it
   * may not be resumed automatically.
   */
  async save(download: Download): Promise<void> {
    if (!this.has(download)) return
    try {
      await this.#store.save(download.toRecord())
    } catch (error) {
      const message = `The record could not be saved: ${asDownloadError(error).message}`
      this.#log({ download, level: 'error', message })
    }
  }

  /**
   * Removes a download from the store and from memory.
   *
   * @throws DownloadError `STORE_ERROR`; then the download stays registered.
   */
  async forget(download: Download): Promise<void> {
    try {
      await this.#store.remove(download.record.id)
    } catch (error) {
      throw storeError(error, 'The download could not be removed from the store.')
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

/** Whether the claims of a download keep others from its files. */
function claims({ state }: Download): boolean {
  return state !== 'failed' && state !== 'canceled'
}

function keysOf(place: Place, filenames: readonly string[]): string[] {
  return filenames.map((filename) => keyOf({ ...place, filename }))
}

function keyOf(place: Place): string {
  const { directory, mode } = place
  // Joined, so that a mode and a folder of the same name are treated as the same folder.
  return join(directory ?? '', mode ?? '', ...pathBelow(place)).toLowerCase()
}

/** Opens the store that the manager options select. */
export function openStore(
  store: ResolvedManagerOptions['store'],
  directory: string,
  clock: Clock,
): DownloadStore {
  if (store === 'file') {
    const folder = join(directory, '.model-downloader')
    return new FileStore(folder, clock, new FolderShare(folder, clock))
  }
  return store === 'memory' ? createMemoryStore() : store
}
