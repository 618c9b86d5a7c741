/** The messages about downloads that have arrived since somebody first followed the downloads of a client. */
import type { Client, DownloadLog } from '../client/index.js'

/** Number of messages that are kept of one download, and of downloads whose messages are kept. */
const maxMessages = 200

const maxDownloads = 500

/** The logs of the downloads of one client. */
export class DownloadLogs {
  readonly #byUrl = new Map<string, readonly DownloadLog[]>()
  readonly #watchers = new Set<(url: string) => void>()

  /** Keeps a message. When there are too many downloads, the oldest messages are forgotten. */
  readonly add = (log: DownloadLog): void => {
    const before = this.#byUrl.get(log.url) ?? []
    this.#byUrl.delete(log.url)
    this.#byUrl.set(log.url, [...before, log].slice(-maxMessages))
    if (this.#byUrl.size > maxDownloads) {
      const [oldest] = this.#byUrl.keys()
      if (oldest !== undefined) this.#byUrl.delete(oldest)
    }
    for (const notify of [...this.#watchers]) notify(log.url)
  }

  /** The messages about a download, oldest first. */
  of(url: string): readonly DownloadLog[] {
    return this.#byUrl.get(url) ?? []
  }

  /** Calls `notify` with the URL after each message, until the returned function is called. */
  watch(notify: (url: string) => void): () => void {
    this.#watchers.add(notify)
    return () => {
      this.#watchers.delete(notify)
    }
  }
}

const books = new WeakMap<Client, DownloadLogs>()

/** The {@link DownloadLogs} of a client. */
export function downloadLogs(client: Client): DownloadLogs {
  let logs = books.get(client)
  if (logs === undefined) books.set(client, (logs = new DownloadLogs()))
  return logs
}
