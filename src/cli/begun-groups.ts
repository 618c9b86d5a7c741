/** What a command remembers between its runs: groups that have begun, so that the next run goes on with the same revision. */
import { rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
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
