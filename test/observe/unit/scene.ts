/** A manager that does nothing but tell events, for tests of those who listen. */
import { Download, type DownloadOwner } from '../../../src/download/download.js'
import { SafeEmitter } from '../../../src/download/events.js'
import type { DownloadRecord } from '../../../src/download/record.js'
import type { EngineReport } from '../../../src/engine/protocol.js'
import { internals } from '../../../src/manager/internals.js'
import type { DownloadManager } from '../../../src/manager/manager.js'
import { sampleRecord } from '../../../src/store/sample-record.js'
import { ManualClock } from '../../support/clock.js'

export class Scene extends SafeEmitter {
  readonly clock = new ManualClock()
  readonly closing = new AbortController()
  readonly downloads: Download[] = []
  waiting = 0
  report: () => Promise<EngineReport | null> = () => Promise.resolve(null)
  /** As in a cluster: whether an event tells what another instance has done, and which downloads run here. */
  cluster: { isEcho: boolean; runsHere: (download: Download) => boolean } | null = null

  get [internals]() {
    const { clock, cluster } = this
    return { clock, closed: this.closing.signal, report: () => this.report(), cluster }
  }

  list(): Download[] {
    return this.downloads
  }

  /** Adds a download. */
  add(change: Partial<DownloadRecord> = {}): Download {
    const record = sampleRecord(this.downloads.length, change)
    // Nothing here asks its owner for more.
    const owner = { pathOf: ({ filename }) => `/models/${filename}` } as DownloadOwner
    const download = new Download(record, owner)
    this.downloads.push(download)
    return download
  }

  /** It, as what it stands for. */
  get manager(): DownloadManager {
    return this as unknown as DownloadManager
  }

  /** Tells that a download was completed. */
  complete(download: Download, patch: { existed?: boolean; adoptedFrom?: string } = {}): void {
    const file = {
      ...{ url: download.url, path: download.path, filename: download.filename, size: 7, sha256: null },
      ...{
        verified: true,
        verification: null,
        existed: false,
        fetchedBytes: 7,
        files: null,
        adoptedFrom: null,
        ...patch,
      },
    }
    this.emit('completed', { download, file })
  }
}
