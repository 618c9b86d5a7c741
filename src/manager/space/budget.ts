/** The disk space of a manager: what takes it, and who may take more. */
import { join } from 'node:path'
import type { Destinations } from '../../download/destination.js'
import type { Download } from '../../download/download.js'
import type { Clock } from '../../util/clock.js'
import { DiskMeter } from './meter.js'
import { type DiskUsage, type Owner, usageByModel } from './report.js'

/** Settings and services of a {@link DiskBudget}. */
export interface DiskBudgetInit {
  limits: { maxDiskBytes?: number | null | undefined; minFreeBytes?: number | null | undefined }
  places: Destinations
  /** Returns all downloads. */
  downloads: () => readonly Download[]
  clock: Clock
}

/** Measures the disk space of a manager. */
export class DiskBudget {
  readonly #init: DiskBudgetInit
  readonly #meter: DiskMeter
  /** Number of the last event that changed what is on the disk. */
  #changed = 0

  constructor(init: DiskBudgetInit) {
    this.#init = init
    this.#meter = new DiskMeter(init.places, init.downloads, () => false, init.clock)
  }

  /** See {@link DownloadManager.disk}. */
  async usage(): Promise<DiskUsage> {
    const { limits, places, downloads } = this.#init
    const { files, home } = await this.#meter.measure(this.#changed)
    const owners = downloads().flatMap((download) => this.#ownersOf(download))
    return {
      used: files.reduce((sum, { bytes, pending }) => sum + bytes - pending, 0),
      free: Number.isFinite(home.free) ? home.free : null,
      maxDiskBytes: limits.maxDiskBytes ?? null,
      minFreeBytes: limits.minFreeBytes ?? null,
      by: usageByModel(files, owners, places.modeFolders),
    }
  }

  /** Must be called when files have appeared or disappeared. */
  noteChange(): void {
    this.#changed = this.#meter.event()
  }

  #ownersOf(download: Download): Owner[] {
    const { url, mode, filename, record, path } = download
    const owner = { url, mode, filename, pinned: false }
    const { cache, layout } = record
    if (layout === 'flat') return [{ ...owner, path }]
    // In a cache, the files of one repository may belong to several downloads.
    if (cache === null) return []
    return [
      { ...owner, path: join(this.#init.places.folderOf(record), cache.folder), filename: cache.folder },
    ]
  }
}
