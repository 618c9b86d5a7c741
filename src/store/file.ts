import { basename, dirname, join, resolve } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import pLimit from 'p-limit'
import { makeFolder, readRegularFile, replaceFile, syncFolder } from '../disk/atomic.js'
import { errnoOf, fsError, isMissing, nullIfMissing } from '../disk/errors.js'
import { readdir } from '../disk/fs.js'
import { type FileIo, io, syncIo } from '../disk/io.js'
import { isSame } from '../disk/stamp.js'
import type { FileStats } from '../disk/stats.js'
import { type DownloadRecord, downloadRecordSchema } from '../download/record.js'
import { type DownloadState, isSettled } from '../download/states.js'
import { asForeign, needsHome } from '../download/stored-record.js'
import { DownloadError, isDownloadError } from '../errors.js'
import { type Clock, systemClock } from '../util/clock.js'
import { LatestByKey } from '../util/schedule.js'
import { firstMark, type FolderShare, markIn, markKey } from './folder-share.js'
import {
  byArrival,
  checkDocumentName,
  type DownloadStore,
  type LoadedDocument,
  type LoadedRecords,
  storeError,
} from './store.js'

const idPattern = /^[0-9a-f]{64}$/

const recordName = /^([0-9a-f]{64})\.json$/

/** Temporary file that a killed writer left behind; see `replaceFile`. */
const recordTemp = /^[0-9a-f]{64}\.json\.[0-9a-z]{6}$/

/**
 * Temporary file of a document. A suffix without a digit, as one in seven has, is not matched and such a file
 * stays, because `preload.json.backup` may be a user's copy.
 */
const documentTemp = /^[a-z][a-z0-9-]{0,31}\.json\.(?=[a-z]*\d)[0-9a-z]{6}$/

/**
 * More than any record needs, even that of a group of ten thousand files; a larger file is treated as
 * corrupt.
 */
const maxRecordBytes = 32 * 1024 * 1024

const parallelReads = 32

/** Milliseconds for which synchronous reads may block the event loop before they yield. */
const maxBlockMs = 5

/** Expected milliseconds per read from the page cache, with a wide margin; the first reads may be slower. */
const cachedReadMs = 0.3

/** Total milliseconds beyond that expectation after which reading counts as slow. */
const slackMs = 250

/**
 * Records that are written at the same time. Each write syncs a file and occupies a thread meanwhile, of which Node has
 * four for all of the host.
 */
const parallelWrites = 3

/**
 * Creates a store that keeps downloads on disk, one file `<id>.json` per download. The files have mode 0600,
 * since headers may contain secrets.
 *
 * @param folder - where the files are kept; created with mode 0700 when the first record is saved, never by
 * loading.
 */
export function createFileStore(folder: string): DownloadStore {
  return new FileStore(resolve(folder))
}

/** Desired content on disk for a record id or for the name of a document, which is always shorter than an id. */
interface Content {
  /** JSON; null for no file. */
  text: string | null
  /** Whether all who wait for it can do without it after a power failure. */
  lazy: boolean
  /** Whether the id of the folder is added, see {@link homeKey}. */
  home: boolean
  /** Whether it belongs to one manager of those that share the folder: it is a download that has not settled. */
  owned: boolean
}

const nothing: Content = { text: null, lazy: true, home: false, owned: false }

/** States that a caller has asked for, and was told that the download has. */
const promised: ReadonlySet<DownloadState> = new Set<DownloadState>(['queued', 'paused', 'canceled'])

/** The store of {@link createFileStore}. */
export class FileStore implements DownloadStore {
  readonly #folder: string
  readonly #clock: Clock
  /** Requested contents that are not being written yet; for each id only the newest. */
  readonly #waiting = new Map<string, Content>()
  readonly #writes = new LatestByKey((id: string) => this.#apply(id))
  readonly #writeSlot = pLimit(parallelWrites)
  /** Resolves when the folder itself is certain to survive a power failure. */
  #anchored: Promise<void> | null = null
  #lost: string[] = []
  #owner: FolderOwner = nobody
  /** How the folder is shared with other managers; null if it is not. */
  readonly share: FolderShare | null
  /** The files that this store has written, by id, to notice what another manager has written since. */
  readonly #written = new Map<string, FileStats>()
  /** Marks of the records that are being loaded, by id, for those that have one. */
  readonly #marks = new Map<string, string>()

  constructor(folder: string, clock: Clock = systemClock, share: FolderShare | null = null) {
    this.#folder = folder
    this.#clock = clock
    this.share = share
  }

  /**
   * Ids of the records that the last {@link load} has set aside. The journals beside the files may know what was in
   * them.
   */
  get lost(): readonly string[] {
    return this.#lost
  }

  async load(): Promise<LoadedRecords> {
    await this.#writes.settled()
    const names = await this.#list()
    const result: LoadedRecords = { records: [], problems: [] }
    this.#lost = []
    if (names.length > 0) this.#owner = await folderOwner(this.#folder).catch(() => nobody)
    const rest = await this.#loadSync(names, result)
    const readSlot = pLimit(parallelReads)
    await readSlot.map(rest, (name) => this.#loadOne(name, result, io))
    await this.#leaveOthers(result)
    result.records.sort(byArrival)
    result.problems.sort()
    return result
  }

  /** Reads the records without changing anything: damaged ones are left out and stay where they are. */
  async peek(): Promise<DownloadRecord[]> {
    const names = (await this.#list()).filter((name) => recordName.test(name))
    if (names.length > 0) this.#owner = await folderOwner(this.#folder).catch(() => nobody)
    const result: LoadedRecords = { records: [], problems: [] }
    await pLimit(parallelReads).map(names, (name) => this.#loadOne(name, result, io, true))
    return result.records.sort(byArrival)
  }

  /**
   * @param options - `lazy`: the old record may come back after a power failure. Default: whether the download is
   * running or has ended by itself.
   */
  async save(
    record: DownloadRecord,
    { lazy = !promised.has(record.state) }: { lazy?: boolean } = {},
  ): Promise<void> {
    if (!idPattern.test(record.id)) {
      throw new DownloadError('STORE_ERROR', 'A record needs an id of 64 hexadecimal digits to be saved.')
    }
    // Serialized now and not when the write starts, because the caller may change the object in between.
    const owned = !isSettled(record.state)
    await this.#write(record.id, { text: JSON.stringify(record), lazy, home: needsHome(record), owned })
  }

  async remove(id: string): Promise<void> {
    if (idPattern.test(id)) await this.#write(id, { ...nothing, lazy: false })
  }

  async readDocument(name: string): Promise<LoadedDocument> {
    const file = `${checkDocumentName(name)}.json`
    await this.#writes.settledOf(name)
    const path = join(this.#folder, file)
    let reason = 'it is not a regular file'
    try {
      const { data, stats } = await readRegularFile(path, maxRecordBytes)
      const parsed = stats.size > maxRecordBytes ? 'it is too large' : parseJson(data)
      if (typeof parsed !== 'string') return { value: parsed.json, problem: null }
      reason = parsed
    } catch (error) {
      if (isMissing(error)) return await this.#noDocument(file)
      if (!isNotAFile(error)) throw diskFailure(error, `reading ${file}`)
    }
    await setAside(path)
    return { value: null, problem: setAsideMessage(file, reason) }
  }

  async #noDocument(file: string): Promise<LoadedDocument> {
    try {
      await refuseFile(this.#folder)
    } catch (error) {
      throw diskFailure(error, `reading ${file}`)
    }
    return { value: null, problem: null }
  }

  async writeDocument(name: string, value: unknown): Promise<void> {
    const text = JSON.stringify(value ?? null)
    await this.#write(checkDocumentName(name), { ...nothing, text, lazy: false })
  }

  async close(): Promise<void> {
    await this.#writes.settled()
    await this.share?.close()
  }

  /** While a write of an id is in progress, only the newest of the waiting contents is written after it. */
  #write(id: string, content: Content): Promise<void> {
    const lazy = content.lazy && this.#waiting.get(id)?.lazy !== false
    this.#waiting.set(id, { ...content, lazy })
    return this.#writes.ask(id)
  }

  async #apply(id: string): Promise<void> {
    const { text, lazy, home, owned } = this.#waiting.get(id) ?? nothing
    this.#waiting.delete(id)
    const path = join(this.#folder, `${id}.json`)
    try {
      if (idPattern.test(id) && (await this.#isAnothers(id, path))) return
      const changed = await this.#writeSlot(() =>
        text === null ? removeFile(path) : this.#replace(path, { text, home, owned }),
      )
      if (this.share !== null && idPattern.test(id)) await this.#note(id, path)
      if (lazy || !changed) return
      await this.#anchor()
      // All who have written meanwhile share a sync of the folder.
      await syncFolder(this.#folder)
    } catch (error) {
      throw diskFailure(error, 'writing to the store')
    }
  }

  /** Leaves out the records of other managers that are alive. */
  async #leaveOthers(result: LoadedRecords): Promise<void> {
    const share = this.share
    if (share === null) return
    const ours = new Set<DownloadRecord>()
    for (const record of result.records)
      if (isSettled(record.state) || (await share.has(this.#marks.get(record.id) ?? firstMark)))
        ours.add(record)
    this.#marks.clear()
    result.records = result.records.filter((record) => ours.has(record))
  }

  /** Whether the record on disk is that of another manager that is alive. */
  async #isAnothers(id: string, path: string): Promise<boolean> {
    if (this.share === null) return false
    const stats = await io.lstatIfThere(path)
    const written = this.#written.get(id)
    if (stats === null || (written !== undefined && isSame(stats, written))) return false
    const { data } = await readRegularFile(path, maxRecordBytes)
    const parsed = parseRecord(data, basename(path))
    if (typeof parsed === 'string' || isSettled(parsed.record.state)) return false
    return !(await this.share.has(markIn(data.toString())))
  }

  async #note(id: string, path: string): Promise<void> {
    const stats = await io.lstatIfThere(path)
    this.#written.delete(id)
    if (stats !== null) this.#written.set(id, stats)
  }

  async #replace(path: string, content: Pick<Content, 'home' | 'owned'> & { text: string }): Promise<true> {
    // Also a lazy write syncs its text: otherwise a power failure could leave an empty file in the place of the record.
    const write = async () => {
      await replaceFile(path, await this.#textOf(content), { mode: 0o600, sync: 'content' })
    }
    try {
      await write()
    } catch (error) {
      if (!isMissing(error)) throw error
      this.#anchored = null
      // Only this folder is private: its parent holds the models.
      await makeFolder(dirname(this.#folder))
      await makeFolder(this.#folder, 0o700)
      await write()
    }
    return true
  }

  /**
   * Syncs the entry of the folder and that of its parent, once: whoever has created them may have been killed before it
   * could, or may be about to.
   */
  #anchor(): Promise<void> {
    const parent = dirname(this.#folder)
    const anchored = (this.#anchored ??= Promise.all([syncFolder(parent), syncFolder(dirname(parent))]).then(
      () => undefined,
    ))
    anchored.catch(() => (this.#anchored = null))
    return anchored
  }

  async #textOf({ text, home, owned }: Pick<Content, 'home' | 'owned'> & { text: string }): Promise<string> {
    const mark = owned && this.share !== null ? await this.share.own() : firstMark
    const added = [
      ...(home ? [[homeKey, (await folderOwner(this.#folder)).id]] : []),
      ...(mark === firstMark ? [] : [[markKey, mark]]),
    ].map(([key = '', value]) => `,"${key}":${JSON.stringify(value)}`)
    return `${added.length === 0 ? text : `${text.slice(0, -1)}${added.join('')}}`}\n`
  }

  async #list(): Promise<string[]> {
    try {
      return await readdir(this.#folder)
    } catch (error) {
      if (isMissing(error)) return []
      throw diskFailure(error, 'reading the stored downloads')
    }
  }

  /**
   * Reads records synchronously, one after another, as long as that is fast: handing a read to the thread
   * pool costs several times as much as a read from the page cache. Yields to the event loop every few
   * milliseconds.
   *
   * @returns the names that remain once reading has become slow, as on a disk that has to seek or on a
   * network file system.
   */
  async #loadSync(names: readonly string[], result: LoadedRecords): Promise<readonly string[]> {
    const clock = this.#clock
    let blockedSince = clock.now()
    let spentMs = 0
    for (const [index, name] of names.entries()) {
      const begin = clock.now()
      if (spentMs > slackMs + index * cachedReadMs) return names.slice(index)
      await this.#loadOne(name, result, syncIo)
      const end = clock.now()
      spentMs += end - begin
      if (end - blockedSince < maxBlockMs) continue
      await setImmediate()
      blockedSince = clock.now()
    }
    return []
  }

  async #loadOne(name: string, result: LoadedRecords, files: FileIo, isPeek = false): Promise<void> {
    const path = join(this.#folder, name)
    if (!recordName.test(name)) {
      if (recordTemp.test(name) || documentTemp.test(name)) await io.unlink(path).catch(() => undefined)
      return
    }
    let record: StoredRecord | string
    try {
      const { data, stats } = await readRegularFile(path, maxRecordBytes, files)
      record = stats.size > maxRecordBytes ? 'it is too large' : parseRecord(data, name)
      if (typeof record !== 'string') {
        record.isOurs = this.#owner.isOurs && isOurs(stats, this.#owner.user)
        const mark = this.share === null ? firstMark : markIn(data.toString())
        if (mark !== firstMark) this.#marks.set(record.record.id, mark)
      }
    } catch (error) {
      if (isMissing(error)) return
      if (!isNotAFile(error)) {
        // The record may be valid and only temporarily unreadable, so it is not set aside.
        result.problems.push(fsError(error, `reading the record ${name}`).message)
        return
      }
      record = 'it is not a regular file'
    }
    if (typeof record !== 'string') {
      const trusted = trustedPart(record, this.#owner)
      if (trusted !== null) result.records.push(trusted)
      else
        result.problems.push(
          `The record ${name} was not written here and names a folder elsewhere or a hidden file; it is not used until that is requested again.`,
        )
      return
    }
    if (isPeek) return
    result.problems.push(setAsideMessage(name, record))
    this.#lost.push(name.slice(0, -'.json'.length))
    await setAside(path)
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Parses JSON. Returns the value, or a description of what is wrong with it. */
function parseJson(data: Buffer): { json: unknown } | string {
  try {
    return { json: JSON.parse(utf8.decode(data)) as unknown }
  } catch {
    return data.length === 0 ? 'it is empty' : 'it is not valid JSON'
  }
}

/** Whether the path is not a regular file, or the file can't be one of this store. */
function isNotAFile(error: unknown): boolean {
  return isDownloadError(error) || ['EISDIR', 'ELOOP', 'ENXIO'].includes(errnoOf(error) ?? '')
}

function setAsideMessage(name: string, reason: string): string {
  return `The record ${name} was set aside as ${name}.corrupt: ${reason}.`
}

/** Parses a record. Returns it, or a description of what is wrong with it. */
function parseRecord(data: Buffer, name: string): StoredRecord | string {
  const content = parseJson(data)
  if (typeof content === 'string') return content
  const parsed = downloadRecordSchema.safeParse(content.json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const where = issue === undefined || issue.path.length === 0 ? 'content' : issue.path.join('.')
    // Neither the value nor zod's message is quoted, because they may contain a secret.
    return `its ${where} is invalid`
  }
  if (`${parsed.data.id}.json` !== basename(name)) return 'its id does not match its file name'
  // Parsed as a record, so it is an object.
  const { [homeKey]: home } = content.json as { [homeKey]?: unknown }
  return { record: parsed.data, home, isOurs: false }
}

// ---- Records that somebody else may have written.

/** A record as it was read. */
interface StoredRecord {
  record: DownloadRecord
  /** See {@link homeKey}. */
  home: unknown
  /** Whether nobody else may have written the file. */
  isOurs: boolean
}

/**
 * Field that is added to a record that {@link needsHome}: the id of the folder that it was written in. It shows
 * that the record was not brought along with the folder, as in an archive or a repository.
 */
const homeKey = 'home'

/** Id of a folder, and whether only this user can write in it. */
interface FolderOwner {
  id: string
  isOurs: boolean
  /** The effective user, asked once for all records. */
  user: number | undefined
}

const nobody: FolderOwner = { id: '', isOurs: false, user: undefined }

async function folderOwner(folder: string): Promise<FolderOwner> {
  const stats = await io.stat(folder)
  const user = process.geteuid?.()
  return { id: String(stats.ino), isOurs: isOurs(stats, user), user }
}

/** Whether only this user, or the administrator, could write a file or folder. */
function isOurs({ uid, mode }: FileStats, self: number | undefined): boolean {
  return self === undefined || ((uid === self || uid === 0) && (mode & 0o022) === 0)
}

/** Returns the record as far as it can be relied on; null if it can't be used at all. */
function trustedPart(
  { record, home, isOurs: ours }: StoredRecord,
  owner: FolderOwner,
): DownloadRecord | null {
  if (needsHome(record) && !(ours && isHome(home, owner))) return null
  return ours ? record : asForeign(record)
}

/** Whether a record was written in this folder. Earlier versions rounded large inodes to 53 bits. */
function isHome(home: unknown, { id }: FolderOwner): boolean {
  return home === id || home === String(Number(id))
}

async function setAside(path: string): Promise<void> {
  try {
    await io.rename(path, `${path}.corrupt`)
  } catch {
    // On a read-only disk the file stays in place, and the next load reports it again.
  }
}

/** Returns whether there was a file to delete. */
async function removeFile(path: string): Promise<boolean> {
  try {
    await io.unlink(path)
    return true
  } catch (error) {
    nullIfMissing(error)
    await refuseFile(dirname(path))
    return false
  }
}

/**
 * Fails when the folder of a missing file is a file itself. On POSIX systems the file operation would have said so
 * (`ENOTDIR`); Windows calls it missing, too.
 */
async function refuseFile(folder: string): Promise<void> {
  const stats = await io.stat(folder).catch(nullIfMissing)
  if (stats === null || stats.isDirectory()) return
  throw Object.assign(new Error(`ENOTDIR: not a directory, stat '${folder}'`), {
    code: 'ENOTDIR',
    syscall: 'stat',
  })
}

/** Wraps a disk failure: it becomes the cause, and its message, which says what was being done, is kept. */
function diskFailure(error: unknown, what: string): DownloadError {
  const cause = fsError(error, what)
  return storeError(cause, cause.message)
}
