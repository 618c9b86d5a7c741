/**
 * Stores of the commands. They record unfinished groups, so that the next run resumes them with the same
 * revision.
 */
import { dirname, join } from 'node:path'
import { rmdir } from '../disk/fs.js'
import { Destinations } from '../download/destination.js'
import type { DownloadRecord } from '../download/record.js'
import { toDownloadError } from '../errors.js'
import { FileNotes, notesOf } from '../files/notes.js'
import { FileStore } from '../store/file.js'
import type { DownloadStore } from '../store/store.js'

/**
 * A store that records only unfinished groups. Other downloads need no record, because a later run resumes
 * from the journal next to the file. The store is separate from the list of a server that uses the same
 * directory, and it is deleted when the groups are complete.
 *
 * @param directory - absolute path of the folder for the files.
 * @param name - nested folders that identify the owner of the records.
 * @param urls - URLs of this run; records of other URLs are left unchanged.
 */
export function begunGroups(
  directory: string,
  name: readonly string[],
  urls: ReadonlySet<string>,
): DownloadStore {
  const folder = join(directory, '.model-downloader', ...name)
  const store = new FileStore(folder)
  /** IDs of records that exist in the store or may exist. */
  const kept = new Set<string>()
  let used = false
  const forget = async (id: string) => {
    if (kept.delete(id)) await store.remove(id)
  }
  return {
    async load() {
      // If the store cannot be read, the downloads themselves report the reason.
      const { records, problems } = await store.load().catch((error: unknown) => ({
        records: [],
        problems: [toDownloadError(error).message],
      }))
      const mine = records.filter(({ url }) => urls.has(url))
      for (const { id } of mine) kept.add(id)
      used = mine.length > 0
      // With the state `failed`, the download is started again and resumes from the data on disk.
      return { records: mine.map((record) => ({ ...record, state: 'failed' as const })), problems }
    },
    async save(record) {
      if (record.group === null || record.state === 'completed' || record.state === 'canceled') {
        await forget(record.id)
        return
      }
      const isNew = !kept.has(record.id)
      kept.add(record.id)
      used = true
      // Headers may contain a token; the next run gets its own headers.
      // The first one says which revision the files on disk belong to; a later one only how far they are.
      await store.save({ ...record, headers: {} }, { lazy: !isNew })
    },
    remove: forget,
    async close() {
      await store.close()
      if (!used) return
      // rmdir fails if the folder is not empty, because others still use it.
      for (let made = folder; made !== directory; made = dirname(made)) {
        await rmdir(made).catch(() => undefined)
      }
    },
  }
}

/**
 * Adds to a store the records of finished refs, which tell what their files must be while their source can't be reached.
 * They are kept in the user's cache folder and not beside the files, so that nothing but the files is left there. Without
 * that folder, or if it can't be used, nothing is remembered.
 *
 * @param folder - for the records of one folder of files and one set of options; null if there is none.
 * @param refs - the refs of this run.
 */
export function withFinishedRefs(
  begun: DownloadStore,
  folder: string | null,
  refs: ReadonlySet<string>,
): DownloadStore {
  if (folder === null || refs.size === 0) return begun
  const store = new FileStore(folder)
  return {
    async load() {
      const [{ records, problems }, finished] = await Promise.all([
        begun.load(),
        store.load().catch(() => ({ records: [] })),
      ])
      const newer = new Set(records.map(({ id }) => id))
      const known = finished.records.filter(
        (one) => refs.has(one.url) && isFinished(one) && !newer.has(one.id),
      )
      return { records: [...known, ...records], problems }
    },
    async save(record) {
      await begun.save(record)
      // Headers may contain a token.
      if (isFinished(record) && refs.has(record.url))
        await store.save({ ...record, headers: {} }).catch(() => undefined)
    },
    remove: (id) => begun.remove(id),
    async close() {
      await begun.close?.()
      await store.close()
    },
  }
}

/**
 * Adds to a store the notes about the files of completed downloads, by which lists and checks know where a file came from
 * and what its digest is.
 *
 * @param directory - absolute path of the folder for the files.
 */
export function withFileNotes(store: DownloadStore, directory: string): DownloadStore {
  const notes = new FileNotes()
  const places = new Destinations(directory, [], null)
  return {
    load: () => store.load(),
    async save(record) {
      await store.save(record)
      for (const note of notesOf(record, places.pathOf(record))) await notes.write(note)
    },
    remove: (id) => store.remove(id),
    async close() {
      await store.close?.()
    },
  }
}

/**
 * One store of several, each for the records of other URLs.
 *
 * @param stores - the URLs that belong to each of them.
 */
export function storeByUrl(
  stores: readonly (readonly [ReadonlySet<string>, DownloadStore])[],
): DownloadStore {
  const byUrl = new Map<string, DownloadStore>()
  for (const [urls, store] of stores) for (const url of urls) byUrl.set(url, store)
  const byId = new Map<string, DownloadStore>()
  return {
    async load() {
      const loaded = await Promise.all(stores.map(([, store]) => store.load()))
      return {
        records: loaded.flatMap(({ records }) => records),
        problems: [...new Set(loaded.flatMap(({ problems }) => problems))],
      }
    },
    async save(record) {
      const store = byUrl.get(record.url)
      if (store === undefined) return
      byId.set(record.id, store)
      await store.save(record)
    },
    async remove(id) {
      await byId.get(id)?.remove(id)
    },
    async close() {
      for (const [, store] of stores) await store.close?.()
    },
  }
}

/**
 * A store for a command that may run next to a server that uses the same directory. It records only
 * completed downloads in the store of the server, so that both know which files were verified, and the queue
 * of the server stays its own. An interrupted run resumes from the journals next to the files, and for groups
 * from a record of its own.
 *
 * @param store - the store that servers of the directory use.
 * @param begun - records of the unfinished groups of this command; see {@link begunGroups}.
 */
export function finishedOnly(store: DownloadStore, begun: DownloadStore): DownloadStore {
  return {
    async load() {
      const [known, notes] = await Promise.all([store.load(), begun.load()])
      const newer = new Set(notes.records.map(({ id }) => id))
      const records = known.records.filter(
        (record) => (isFinished(record) || wasFinished(record)) && !newer.has(record.id),
      )
      return { records: [...records, ...notes.records], problems: [...known.problems, ...notes.problems] }
    },
    async save(record) {
      if (isFinished(record)) await store.save(record)
      await begun.save(record)
    },
    // A new completed record replaces the old one.
    remove: (id) => begun.remove(id),
    async close() {
      await begun.close?.()
      await store.close?.()
    },
  }
}

/** Whether a download has failed although its files were complete before, such as for want of a network. */
function wasFinished({ state, group, stamp }: DownloadRecord): boolean {
  if (state !== 'failed') return false
  return group === null ? stamp !== null : group.files.every(({ done }) => done === true)
}

function isFinished(record: DownloadRecord): boolean {
  return record.state === 'completed'
}
