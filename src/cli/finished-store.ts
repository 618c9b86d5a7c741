import type { DownloadRecord, DownloadStore } from '../store/store.js'

/**
 * A directory's store for a command that may work beside a server of the same directory: it knows only what is complete,
 * and writes down only that. So the server's list of what is still to be done stays its own, and yet both know which
 * files were checked. What makes an interrupted run of the command go on is the journal beside the file.
 *
 * @param store - the one that servers of the directory use.
 */
export function finishedOnly(store: DownloadStore): DownloadStore {
  return {
    async load() {
      const { records, problems } = await store.load()
      return { records: records.filter(isFinished), problems }
    },
    async save(record) {
      if (isFinished(record)) await store.save(record)
    },
    // What is asked for anew takes the old record's place when it is there.
    remove: () => Promise.resolve(),
    async close() {
      await store.close?.()
    },
  }
}

function isFinished(record: DownloadRecord): boolean {
  return record.state === 'completed'
}
