/** What a command remembers between its runs: groups that have begun, so that the next run goes on with the same revision. */
import { rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DownloadRecord } from '../download/record.js'
import { toDownloadError } from '../errors.js'
import { createFileStore } from '../store/file.js'
import type { DownloadStore } from '../store/store.js'

/**
 * A store of groups that have begun and not ended. Of everything else nobody reads a record: what makes a later run resume
 * is the journal beside the file. It lies apart from the list of a server of the same directory, and is gone when the
 * groups are complete.
 *
 * @param directory - absolute; where the files go to.
 * @param name - whose notes they are: folders, one in the other.
 * @param urls - of this run; the records of others stay as they are.
 */
export function begunGroups(
  directory: string,
  name: readonly string[],
  urls: ReadonlySet<string>,
): DownloadStore {
  const folder = join(directory, '.model-downloader', ...name)
  const store = createFileStore(folder)
  /** Those that lie there, or may. */
  const kept = new Set<string>()
  let used = false
  const forget = async (id: string) => {
    if (kept.delete(id)) await store.remove(id)
  }
  return {
    async load() {
      // Where nothing can be read, the files themselves tell why.
      const { records, problems } = await store.load().catch((error: unknown) => ({
        records: [],
        problems: [toDownloadError(error).message],
      }))
      const mine = records.filter(({ url }) => urls.has(url))
      for (const { id } of mine) kept.add(id)
      used = mine.length > 0
      // As one that has failed it is asked for again, and goes on from what is there.
      return { records: mine.map((record) => ({ ...record, state: 'failed' as const })), problems }
    },
    async save(record) {
      if (record.group === null || record.state === 'completed' || record.state === 'canceled') {
        await forget(record.id)
        return
      }
      kept.add(record.id)
      used = true
      // What was given may hold a token; the next run is given its own.
      await store.save({ ...record, headers: {} })
    },
    remove: forget,
    async close() {
      await store.close?.()
      if (!used) return
      // A folder that isn't empty stays, whoever it is that uses it.
      for (let made = folder; made !== directory; made = dirname(made)) {
        await rmdir(made).catch(() => undefined)
      }
    },
  }
}

// ---- finished-store

/**
 * A directory's store for a command that may work beside a server of the same directory: it knows only what is complete,
 * and writes down only that. So the server's list of what is still to be done stays its own, and yet both know which
 * files were checked. What makes an interrupted run of the command go on is the journal beside the file; of groups also
 * a note of its own.
 *
 * @param store - the one that servers of the directory use.
 * @param begun - of groups that this command has begun.
 */
export function finishedOnly(store: DownloadStore, begun: DownloadStore): DownloadStore {
  return {
    async load() {
      const [known, notes] = await Promise.all([store.load(), begun.load()])
      const newer = new Set(notes.records.map(({ id }) => id))
      const records = known.records.filter((record) => isFinished(record) && !newer.has(record.id))
      return { records: [...records, ...notes.records], problems: [...known.problems, ...notes.problems] }
    },
    async save(record) {
      if (isFinished(record)) await store.save(record)
      await begun.save(record)
    },
    // What is asked for anew takes the old record's place when it is there.
    remove: (id) => begun.remove(id),
    async close() {
      await begun.close?.()
      await store.close?.()
    },
  }
}

function isFinished(record: DownloadRecord): boolean {
  return record.state === 'completed'
}
