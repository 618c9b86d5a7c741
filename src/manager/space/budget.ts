/** The disk space of a manager: what takes it, who may take more, who waits for it, and what is evicted. */
import { dirname, join } from 'node:path'
import { limitError, type Volume, volumeOf } from '../../disk/space.js'
import type { Destinations } from '../../download/destination.js'
import type { Download } from '../../download/download.js'
import { isSettled } from '../../download/states.js'
import { DownloadError, type SerializedDownloadError } from '../../errors.js'
import type { RunSpace, SpaceWish } from '../../job/space.js'
import { unlessAborted } from '../../util/abort.js'
import type { Clock, Timer } from '../../util/clock.js'
import { Latest, Serial } from '../../util/schedule.js'
import type { WhenFull } from '../options.js'
import { compareQueued } from '../queue.js'
import { finishEvictions, isEvictable } from './evict.js'
import { type Need, type Shortage, SpaceLedger } from './ledger.js'
import { type CountedFile, writtenFiles } from './measure.js'
import { DiskMeter, type Measurement } from './meter.js'
import { type DiskUsage, type Owner, usageByModel } from './report.js'
import { type Candidate, chooseVictims } from './victims.js'

/** How much a file of unknown size is granted at a time, in bytes. */
const chunkBytes = 64 * 1024 * 1024

/** How often those who wait look whether somebody else has made room, in milliseconds. */
const lookMs = 10_000

/** How long a download waits at least after the disk itself had no room for it, in milliseconds. */
const pauseMs = 30_000

/** Settings and services of a {@link DiskBudget}. */
export interface DiskBudgetInit {
  limits: {
    maxDiskBytes?: number | null | undefined
    minFreeBytes?: number | null | undefined
    whenFull: WhenFull
  }
  places: Destinations
  /** Returns all downloads. */
  downloads: () => readonly Download[]
  clock: Clock
  /** Queues a download that has waited. */
  enqueue: (download: Download) => void
  /**
   * Deletes the files of a finished download and forgets it, unless it is in use by now. Never rejects.
   *
   * @returns whether they were deleted.
   */
  evict: (victim: Download, bytes: number, neededFor: Download) => Promise<boolean>
  /** Deletes the partial bytes of a download that waits. Never rejects. */
  discardParts: (download: Download) => Promise<void>
  /** Called when no download waits for space any more. */
  onNoneWaiting: () => void
}

/** A download that waits for space. */
interface Waiting {
  wishes: readonly SpaceWish[]
  doneBytes: number
  /** Time of the clock before which it is not tried. */
  notBefore: number
}

interface Victim extends Candidate {
  download: Download
}

/** Measures the disk space of a manager, and gives it to downloads one after another. */
export class DiskBudget {
  readonly #init: DiskBudgetInit
  readonly #meter: DiskMeter
  readonly #ledger: SpaceLedger
  /** Whether anything is limited. */
  readonly #isLimited: boolean
  /** Decisions are made one at a time. */
  readonly #turns = new Serial<DiskBudget>()
  /** What was last refused to a running download, by its id. */
  readonly #refused = new Map<string, { wishes: readonly SpaceWish[]; doneBytes: number }>()
  readonly #waiting = new Map<Download, Waiting>()
  readonly #protectors = new Set<(download: Download) => boolean>()
  readonly #waking = new Latest(() => this.#wake())
  #timer: Timer | null = null
  /** Number of the last event that changed what is on the disk. */
  #changed = 0
  /** What {@link usage} was last told of. */
  #reported = ''
  /** Number of the last event after which there may be files that nothing was reserved for. */
  #foundMore = 0
  #isClosed = false

  constructor(init: DiskBudgetInit) {
    this.#init = init
    const { maxDiskBytes = null, minFreeBytes = null, whenFull } = init.limits
    this.#isLimited = maxDiskBytes !== null || minFreeBytes !== null || whenFull !== 'fail'
    this.#ledger = new SpaceLedger({ maxDiskBytes, minFreeBytes: minFreeBytes ?? 0 })
    const isWriting = (target: string) => this.#ledger.isWriting(target)
    this.#meter = new DiskMeter(init.places, init.downloads, isWriting, init.clock)
  }

  /** Finishes what an earlier process has begun. */
  async load(): Promise<void> {
    if (this.#init.limits.whenFull === 'evict') await finishEvictions(this.#init.places)
  }

  /** See {@link DownloadManager.disk}. */
  async usage(): Promise<DiskUsage> {
    const { limits, places, downloads } = this.#init
    // A download has its new state a moment before its run has ended.
    const ends = downloads().map(({ record }) => record.finishedAt ?? '')
    const state = `${ends.length} ${ends.reduce((last, at) => (at > last ? at : last), '')}`
    if (state !== this.#reported) this.noteChange()
    this.#reported = state
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

  /** Whether there is room for so many further bytes in a folder, as far as the limits are concerned. */
  async allows(folder: string, bytes: number): Promise<boolean> {
    if (!this.#isLimited) return true
    const { id: volume } = await volumeOf(folder)
    const needs = [{ path: join(folder, '?'), bytes, volume }]
    return (await this.#shortages('', needs, 0, this.#meter.event())).length === 0
  }

  /** Must be called when files have appeared or disappeared, other than by a run. */
  noteChange(): void {
    this.#changed = this.#meter.event()
    this.#wakeSoon()
  }

  /**
   * Keeps downloads from being evicted.
   *
   * @returns a function that ends this.
   */
  protect(isProtected: (download: Download) => boolean): () => void {
    this.#protectors.add(isProtected)
    return () => void this.#protectors.delete(isProtected)
  }

  /** Returns the space of one run of a download; null if nothing is limited. `signal` is aborted when the run is stopped. */
  runOf(download: Download): ((signal: AbortSignal) => RunSpace) | null {
    if (!this.#isLimited) return null
    const { id } = download.record
    this.#refused.delete(id)
    return (signal) => ({
      reserve: (wishes, doneBytes = 0) => this.#reserve(download, wishes, doneBytes, signal),
      completed: (path) => {
        this.#ledger.release(id, this.#meter.event(), path)
      },
      waitsFor: (error) => this.#isWorthWaiting(error),
    })
  }

  /** Must be called when a run has ended: its download waits for space from now on, or gives back what it has reserved. */
  ended(download: Download): void {
    const { id } = download.record
    const now = this.#meter.event()
    if (download.file?.existed === true) this.#foundMore = now
    this.#ledger.release(id, now)
    const reason = download.waitingFor
    if (reason !== null && !this.#isClosed) {
      const refused = this.#refused.get(id)
      const { clock } = this.#init
      // Where the disk itself had no room, nothing tells how much it would take.
      const waiting = refused ?? { wishes: [], doneBytes: 0 }
      const notBefore = refused === undefined ? clock.now() + pauseMs : 0
      this.#waiting.set(download, { ...waiting, notBefore })
    }
    this.#refused.delete(id)
    this.noteChange()
  }

  /** Number of downloads that wait for space. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Must be called when a download that has no slot is stopped. It does not wait any more. */
  leave(download: Download): void {
    download.waitFor(null)
    this.#ledger.drop(download.record.id)
    if (this.#waiting.delete(download)) this.#wakeSoon()
  }

  /** Stops waiting. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#waiting.clear()
  }

  // ---- reserving

  async #reserve(
    download: Download,
    wishes: readonly SpaceWish[],
    doneBytes: number,
    signal: AbortSignal,
  ): Promise<number> {
    const since = this.#meter.event()
    return await unlessAborted(
      this.#turns.run(this, () => this.#decide(download, wishes, { doneBytes, since, signal })),
      signal,
      () => new DownloadError('CANCELED', 'The download was stopped.'),
    )
  }

  async #decide(
    download: Download,
    wishes: readonly SpaceWish[],
    { doneBytes, since, signal }: { doneBytes: number; since: number; signal: AbortSignal },
  ): Promise<number> {
    const { id } = download.record
    const refuse = (error: DownloadError) => {
      this.#refused.set(id, { wishes, doneBytes })
      return error
    }
    // Those that have space already must be able to end, whoever waits.
    if (!this.#ledger.has(id) && this.#isBehind(download)) throw refuse(behindOthers())
    const { needs, volumes } = await this.#needsOf(wishes)
    const isCovered = needs.every(({ path, bytes }) => this.#ledger.covers(id, path, bytes))
    let shortages = isCovered
      ? this.#tooFull(volumes, wishes)
      : await this.#shortages(id, needs, doneBytes, this.#foundMore)
    // Somebody may have made room since the disk was measured.
    if (shortages.length > 0 && !isCovered)
      shortages = await this.#shortages(id, needs, doneBytes, since, wishes)
    if (shortages.length > 0 && !shortages.some(({ never }) => never)) {
      const reconsider = (after: number) =>
        isCovered ? this.#freshlyTooFull(wishes) : this.#shortages(id, needs, doneBytes, after, wishes)
      shortages = await this.#evictFor(download, shortages, reconsider)
    }
    const [shortage] = shortages
    if (shortage !== undefined) throw refuse(limitError(shortages.find(({ never }) => never) ?? shortage))
    if (signal.aborted) throw new DownloadError('CANCELED', 'The download was stopped.')
    this.#ledger.hold(id, needs)
    return needs.at(-1)?.bytes ?? 0
  }

  async #needsOf(wishes: readonly SpaceWish[]): Promise<{ needs: Need[]; volumes: Volume[] }> {
    const most = this.#init.limits.maxDiskBytes ?? Infinity
    const folders = new Map<string, Volume>()
    const needs: Need[] = []
    for (const { path, size, written } of wishes) {
      const folder = dirname(path)
      const volume = folders.get(folder) ?? (await volumeOf(folder))
      folders.set(folder, volume)
      const chunk = Math.max(1, Math.min(chunkBytes, most - written))
      needs.push({ path, bytes: size ?? written + chunk, volume: volume.id })
    }
    return { needs, volumes: [...folders.values()] }
  }

  /**
   * @param since - number of an event after which the disk must have been measured.
   * @param wishes - what `needs` are made of. A file of unknown size may also have less than a whole chunk, if that is
   * more than it has; `needs` is changed then. Default: it may not.
   */
  async #shortages(
    id: string,
    needs: Need[],
    doneBytes: number,
    since: number,
    wishes: readonly SpaceWish[] = [],
  ): Promise<Shortage[]> {
    this.#ledger.measured(await this.#meter.measure(since))
    const shortages = this.#ledger.shortages(id, needs, doneBytes)
    const [need] = needs
    const [wish] = wishes
    if (shortages.length === 0 || need === undefined || wishes.length !== 1 || wish?.size !== null)
      return shortages
    const bytes = need.bytes + Math.min(...shortages.map(({ needed, available }) => available - needed))
    if (bytes <= 0 || bytes < wish.written) return shortages
    needs[0] = { ...need, bytes }
    return this.#ledger.shortages(id, needs, doneBytes)
  }

  /** Whether others have filled the disk, although what was reserved is still within the budget. */
  #tooFull(volumes: readonly Volume[], wishes: readonly SpaceWish[]): Shortage[] {
    const limit = this.#init.limits.minFreeBytes ?? 0
    const needed = wishes.reduce((sum, { size, written }) => sum + Math.max(0, (size ?? 0) - written), 0)
    return volumes.flatMap(({ id, free }): Shortage[] =>
      free >= limit
        ? []
        : [{ kind: 'free', needed, available: free - limit, limit, volume: id, never: false }],
    )
  }

  async #freshlyTooFull(wishes: readonly SpaceWish[]): Promise<Shortage[]> {
    return this.#tooFull((await this.#needsOf(wishes)).volumes, wishes)
  }

  // ---- evicting

  /** @returns what is still missing. */
  async #evictFor(
    download: Download,
    shortages: Shortage[],
    reconsider: (after: number) => Promise<Shortage[]>,
  ): Promise<Shortage[]> {
    if (this.#init.limits.whenFull !== 'evict') return shortages
    const kept = new Set<Download>()
    let missing = shortages
    while (missing.length > 0) {
      const measured = await this.#meter.measure()
      const candidates = this.#candidates(download, measured).filter((each) => !kept.has(each.download))
      const victims = chooseVictims(candidates, missing)
      if (victims === null) return missing
      for (const victim of victims) {
        if (!(await this.#init.evict(victim.download, victim.bytes, download))) kept.add(victim.download)
      }
      this.noteChange()
      missing = await reconsider(this.#changed)
    }
    return missing
  }

  #candidates(neededFor: Download, { files }: Measurement): Victim[] {
    const { places, downloads } = this.#init
    const byPath = new Map(files.map((file) => [file.path, file]))
    return downloads().flatMap((download): Victim[] => {
      const { record } = download
      const mayEvict = neededFor.record.remote === null || record.remote !== null
      if (download === neededFor || !mayEvict || !isEvictable(places, download) || this.isProtected(download))
        return []
      const own = writtenFiles(places, download).flatMap((path) => byPath.get(path) ?? [])
      const bytes = own.reduce((sum, file) => sum + file.bytes, 0)
      const finished = record.finishedAt === null ? 0 : Date.parse(record.finishedAt)
      const usedAt = own.reduce((latest, { atimeMs }) => Math.max(latest, atimeMs), finished)
      return [{ download, bytes, freeable: freeableOf(own), usedAt, sequence: record.sequence }]
    })
  }

  /** Whether somebody keeps a download from being evicted by {@link protect}. */
  isProtected(download: Download): boolean {
    return [...this.#protectors].some((isProtected) => isProtected(download))
  }

  // ---- waiting

  #isWorthWaiting({ code, retryable }: SerializedDownloadError): boolean {
    return this.#init.limits.whenFull === 'wait' && code === 'NO_SPACE' && retryable && !this.#isClosed
  }

  #isBehind(download: Download): boolean {
    return [...this.#waiting.keys()].some(
      (other) => other !== download && compareQueued(other.record, download.record) < 0,
    )
  }

  #first(): Download | undefined {
    return [...this.#waiting.keys()].sort((a, b) => compareQueued(a.record, b.record))[0]
  }

  #wakeSoon(): void {
    if (this.#waiting.size > 0 && !this.#isClosed) void this.#waking.ask()
  }

  /** Queues the downloads that there is space for, in their order, up to the first that there is none for. */
  async #wake(): Promise<void> {
    this.#timer?.cancel()
    try {
      for (let next = this.#first(); next !== undefined && !this.#isClosed; next = this.#first()) {
        const download = next
        if (!(await this.#turns.run(this, () => this.#admit(download)))) break
      }
    } finally {
      if (this.#waiting.size === 0) this.#init.onNoneWaiting()
      // Other programs make room as well, and without a word.
      else if (!this.#isClosed)
        this.#timer = this.#init.clock.timer(() => {
          this.#wakeSoon()
        }, lookMs)
    }
  }

  /** @returns whether the download does not wait any more. */
  async #admit(download: Download): Promise<boolean> {
    const waiting = this.#waiting.get(download)
    if (waiting === undefined) return true
    const { wishes, doneBytes, notBefore } = waiting
    const { clock } = this.#init
    if (clock.now() < notBefore) return false
    const { id } = download.record
    const { needs } = await this.#needsOf(wishes)
    const [wish] = wishes
    // It needs more than it had when it was refused.
    const more = wish?.size === null ? [{ ...wish, written: wish.written + 1 }] : wishes
    const fits = async (since: number) =>
      (await this.#shortages(id, needs, doneBytes, since, more)).length === 0
    if (!(await fits(this.#meter.event()))) {
      // Nobody will make room if all that takes it are the partial bytes of those who wait.
      if (this.#ledger.isBusy || !(await this.#discardOthers(download))) return false
      if (!(await fits(this.#meter.event()))) return false
    }
    if (this.#waiting.get(download) !== waiting || isSettled(download.state)) return true
    this.#waiting.delete(download)
    // Reserved at once, so that nobody else takes the space before it runs.
    this.#ledger.hold(id, needs)
    download.waitFor(null)
    this.#init.enqueue(download)
    return true
  }

  /** Deletes the partial bytes of the last one that waits and has any. Returns whether there was one. */
  async #discardOthers(first: Download): Promise<boolean> {
    const others = [...this.#waiting.keys()]
      .filter((download) => download !== first && download.current.downloaded > 0)
      .sort((a, b) => compareQueued(b.record, a.record))
    const [last] = others
    if (last === undefined) return false
    await this.#init.discardParts(last)
    return true
  }

  #ownersOf(download: Download): Owner[] {
    const { url, mode, filename, record, path } = download
    const owner = { url, mode, filename, pinned: download.pinned || this.isProtected(download) }
    const { cache, layout } = record
    if (layout === 'flat') return [{ ...owner, path }]
    // In a cache, the files of one repository may belong to several downloads.
    if (cache === null) return []
    return [
      { ...owner, path: join(this.#init.places.folderOf(record), cache.folder), filename: cache.folder },
    ]
  }
}

function freeableOf(files: readonly CountedFile[]): Map<string, number> {
  const freeable = new Map<string, number>()
  for (const file of files) freeable.set(file.volume, (freeable.get(file.volume) ?? 0) + file.freeable)
  return freeable
}

function behindOthers(): DownloadError {
  return new DownloadError(
    'NO_SPACE',
    'Downloads that were requested earlier wait for disk space and come first.',
    {
      retryable: true,
    },
  )
}
