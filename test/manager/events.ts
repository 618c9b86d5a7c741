/** What the tests of the manager share. */
import type { Download, DownloadEvents, DownloadManager, LogEvent } from '../../src/index.js'

/** Every event that is about a download; `log` may be about the manager. */
export const names = [
  'queued',
  'started',
  'progress',
  'paused',
  'resumed',
  'retrying',
  'verifying',
  'completed',
  'failed',
  'canceled',
  'removed',
] as const satisfies readonly (keyof DownloadEvents)[]

/** Records every event of a manager. */
export class EventLog {
  readonly #entries: { name: string; download: Download }[] = []
  /** Messages of the `log` event. */
  readonly logs: LogEvent[] = []

  constructor(manager: DownloadManager) {
    for (const name of names) {
      manager.on(name, ({ download }: { download: Download }) => {
        this.#entries.push({ name, download })
      })
    }
    manager.on('log', (event) => {
      this.logs.push(event)
    })
  }

  /** The events of a download (default: of all) by name, without `progress`. */
  names(download?: Download): string[] {
    return this.#entries
      .filter((entry) => entry.name !== 'progress' && (download ?? entry.download) === entry.download)
      .map((entry) => entry.name)
  }

  /** All events of a download, runs of equal ones as one. */
  runs(download: Download): string[] {
    return this.#entries
      .filter((entry) => entry.download === download)
      .map((entry) => entry.name)
      .filter((name, index, all) => name !== all[index - 1])
  }

  /** The URLs' last segments in the order of an event. */
  order(name: string): string[] {
    return this.#entries
      .filter((entry) => entry.name === name)
      .map(({ download }) => download.url.slice(download.url.lastIndexOf('/') + 1))
  }

  /** How often an event came. */
  count(name: string): number {
    return this.#entries.filter((entry) => entry.name === name).length
  }
}
