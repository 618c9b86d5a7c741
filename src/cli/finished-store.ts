import type { DownloadRecord, DownloadStore } from '../store/store.js'

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
