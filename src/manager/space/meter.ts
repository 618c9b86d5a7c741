import { type Volume, volumeOf } from '../../disk/space.js'
import type { Destinations } from '../../download/destination.js'
import type { Download } from '../../download/download.js'
import type { Clock } from '../../util/clock.js'
import { type CountedFile, countFiles } from './measure.js'

/** What was on the disk at one time. */
export interface Measurement {
  files: readonly CountedFile[]
  /** File systems of the folders of the manager, by their ids. */
  volumes: ReadonlyMap<string, Volume>
  /** File system of the manager's own folder. */
  home: Volume
  /** Number of the {@link DiskMeter.event} before which it began. */
  beganAt: number
}

/** How long a measurement is used, in milliseconds, unless this manager knows that something has changed. */
const maxAgeMs = 2_000

/** Measuring may take at most one part in this many of the time. */
const share = 4

/** Measures the disk usage of a manager, and remembers it for a while, since walking through folders costs time. */
export class DiskMeter {
  readonly #places: Destinations
  readonly #downloads: () => readonly Download[]
  readonly #isWriting: (target: string) => boolean
  readonly #clock: Clock
  #last: Measurement | null = null
  #endedAt = -Infinity
  #tookMs = 0
  #events = 0
  #running: Promise<Measurement> | null = null

  /**
   * @param downloads - returns the downloads of the manager.
   * @param isWriting - see {@link countFiles}.
   */
  constructor(
    places: Destinations,
    downloads: () => readonly Download[],
    isWriting: (target: string) => boolean,
    clock: Clock,
  ) {
    this.#places = places
    this.#downloads = downloads
    this.#isWriting = isWriting
    this.#clock = clock
  }

  /** Numbers a moment, to tell which measurements began after it. */
  event(): number {
    this.#events += 1
    return this.#events
  }

  /**
   * Returns a measurement of the last seconds.
   *
   * @param since - number of an {@link event} that it must have begun after. Default: any.
   */
  async measure(since = 0): Promise<Measurement> {
    for (;;) {
      const last = this.#last
      const age = this.#clock.now() - this.#endedAt
      const isRecent = age < Math.max(maxAgeMs, share * this.#tookMs)
      if (last !== null && isRecent && last.beganAt >= since) return last
      // One that is in progress may have begun too early.
      this.#running ??= this.#measure().finally(() => (this.#running = null))
      const measured = await this.#running
      if (measured.beganAt >= since) return measured
    }
  }

  async #measure(): Promise<Measurement> {
    const idleMs = this.#endedAt + (share - 1) * this.#tookMs - this.#clock.now()
    if (idleMs > 0) await this.#clock.sleep(idleMs)
    const beganAt = this.#events
    const began = this.#clock.now()
    const files = await countFiles(this.#places, this.#downloads(), this.#isWriting)
    const folders = new Set(this.#places.modeFolders.map(({ folder }) => folder))
    for (const { record } of this.#downloads()) folders.add(this.#places.folderOf(record))
    const volumes = new Map<string, Volume>()
    // Read after the files, which may grow in the meantime: what is free then is rather too little than too much.
    for (const folder of folders) {
      const volume = await volumeOf(folder)
      volumes.set(volume.id, volume)
    }
    const home = await volumeOf(this.#places.directory)
    this.#endedAt = this.#clock.now()
    this.#tookMs = this.#endedAt - began
    this.#last = { files, volumes, home, beganAt }
    return this.#last
  }
}
