/**
 * Decides who may take disk space. What a download will need is reserved before it writes, so that no two downloads
 * are promised the same space. Pure.
 */

/** Space that a download needs for one file. */
export interface Need {
  /** Absolute path of the file that is written. */
  path: string
  /** Size of the file in bytes, or what may be written of it so far if its size is unknown. */
  bytes: number
  /** Id of the file system. */
  volume: string
}

/** Limits of the disk space, in bytes. */
export interface SpaceLimits {
  /** Most that all files together may take; null for no limit. */
  maxDiskBytes: number | null
  /** What must stay free on each file system. */
  minFreeBytes: number
}

/** What is on the disk, as far as the ledger needs to know. */
export interface DiskState {
  files: readonly { path: string; bytes: number; pending: number; volume: string }[]
  volumes: ReadonlyMap<string, { free: number; capacity: number }>
  /** When it was measured, as a number that grows. */
  beganAt: number
}

/** A limit that a download would break. */
export interface Shortage {
  /** `budget` for `maxDiskBytes`, `free` for `minFreeBytes`. */
  kind: 'budget' | 'free'
  /** Bytes that the download needs; for `free`, besides those that it has on disk. */
  needed: number
  /** Bytes that it may take at present; negative if the limit is broken already. */
  available: number
  /** The limit. */
  limit: number
  /** The file system, for `free`. */
  volume: string | null
  /** Whether the download could not even fit if nothing else were there. */
  never: boolean
}

/** What a download that has ended had reserved for a file. */
interface Landed extends Need {
  /** When it ended: every measurement that began later includes the file. */
  at: number
}

/** Reservations of all downloads of a manager. */
export class SpaceLedger {
  readonly #limits: SpaceLimits
  /** Reservations of the downloads that run, by their ids and the paths of their files. */
  readonly #holds = new Map<string, Map<string, Need>>()
  #landed: Landed[] = []
  #onDisk = new Map<string, { bytes: number; pending: number }>()
  #total = 0
  #pending = new Map<string, number>()
  #volumes: DiskState['volumes'] = new Map()

  constructor(limits: SpaceLimits) {
    this.#limits = limits
  }

  /** Takes a measurement over. Files that were finished before it began are part of it from now on. */
  measured({ files, volumes, beganAt }: DiskState): void {
    this.#onDisk = new Map(files.map(({ path, bytes, pending }) => [path, { bytes, pending }]))
    this.#total = files.reduce((sum, { bytes }) => sum + bytes, 0)
    this.#pending = new Map()
    for (const { volume, pending } of files)
      if (pending > 0) this.#pending.set(volume, (this.#pending.get(volume) ?? 0) + pending)
    this.#volumes = volumes
    this.#landed = this.#landed.filter(({ at }) => at > beganAt)
  }

  /** Whether a download has reservations and has not ended. */
  has(id: string): boolean {
    return this.#holds.has(id)
  }

  /** Whether so much is reserved for a file of a download already. */
  covers(id: string, path: string, bytes: number): boolean {
    return (this.#holds.get(id)?.get(path)?.bytes ?? -1) >= bytes
  }

  /** Whether a file is being written. */
  isWriting(path: string): boolean {
    return [...this.#holds.values()].some((holds) => holds.has(path))
  }

  /** Whether any download that has not ended has reservations. */
  get isBusy(): boolean {
    return this.#holds.size > 0
  }

  /**
   * Decides whether a download may have what it needs, instead of what it has reserved for the same files.
   *
   * @param doneBytes - size of the files of the download that are complete.
   * @returns the limits that it would break; empty if there are none.
   */
  shortages(id: string, needs: readonly Need[], doneBytes = 0): Shortage[] {
    const others = this.#othersThan(id, needs)
    const found: Shortage[] = []
    const needed = sum(needs, ({ bytes }) => bytes)
    const { maxDiskBytes, minFreeBytes } = this.#limits
    if (maxDiskBytes !== null) {
      const excluded = new Set([...others, ...needs, ...this.#landed].flatMap(({ path }) => partsOf(path)))
      for (const { path } of this.#landed) excluded.add(path)
      const measured = this.#total - sum([...excluded], (path) => this.#onDisk.get(path)?.bytes ?? 0)
      const used = measured + sum(others, ({ bytes }) => bytes) + sum(this.#landed, ({ bytes }) => bytes)
      if (used + needed > maxDiskBytes) {
        found.push({
          kind: 'budget',
          needed,
          available: maxDiskBytes - used,
          limit: maxDiskBytes,
          volume: null,
          never: needed + doneBytes > maxDiskBytes,
        })
      }
    }
    for (const volume of new Set(needs.map((need) => need.volume))) {
      const state = this.#volumes.get(volume)
      if (state === undefined || state.free === Infinity) continue
      const here = needs.filter((need) => need.volume === volume)
      const rest = sum(here, (need) => this.#rest(need, false))
      const promised = sum(
        others.filter((hold) => hold.volume === volume),
        (hold) => this.#rest(hold, false),
      )
      const landing = sum(
        this.#landed.filter((landed) => landed.volume === volume),
        (landed) => this.#rest(landed, true),
      )
      const available = state.free - (this.#pending.get(volume) ?? 0) - promised - landing - minFreeBytes
      if (rest <= available || rest === 0) continue
      found.push({
        kind: 'free',
        needed: rest,
        available,
        limit: minFreeBytes,
        volume,
        never: sum(here, ({ bytes }) => bytes) > state.capacity - minFreeBytes,
      })
    }
    return found
  }

  /** Reserves space, instead of what the download has reserved for the same files. */
  hold(id: string, needs: readonly Need[]): void {
    const holds = this.#holds.get(id) ?? new Map<string, Need>()
    for (const need of needs) holds.set(need.path, need)
    if (holds.size > 0) this.#holds.set(id, holds)
  }

  /**
   * Ends the reservation of one file, or all of a download. What was reserved counts until a measurement shows what is on
   * the disk.
   *
   * @param at - the present, as a number that grows; see {@link DiskState.beganAt}.
   */
  release(id: string, at: number, path?: string): void {
    const holds = this.#holds.get(id) ?? new Map<string, Need>()
    for (const hold of holds.values()) {
      if (path !== undefined && path !== hold.path) continue
      this.#landed.push({ ...hold, at })
      holds.delete(hold.path)
    }
    if (holds.size === 0) this.#holds.delete(id)
  }

  /** Gives reservations up for which nothing was written. */
  drop(id: string): void {
    this.#holds.delete(id)
  }

  #othersThan(id: string, needs: readonly Need[]): Need[] {
    const paths = new Set(needs.map(({ path }) => path))
    return [...this.#holds].flatMap(([owner, holds]) =>
      [...holds.values()].filter(({ path }) => owner !== id || !paths.has(path)),
    )
  }

  /** Bytes of a file that had been allocated when the disk was measured. */
  #written(path: string, isDone: boolean): number {
    const allocated = (at: string) => {
      const { bytes = 0, pending = 0 } = this.#onDisk.get(at) ?? {}
      return bytes - pending
    }
    return Math.max(allocated(`${path}.part`), isDone ? allocated(path) : 0)
  }

  #rest({ path, bytes }: Need, isDone: boolean): number {
    return Math.max(0, bytes - this.#written(path, isDone))
  }
}

/** What a file is called before it is complete. */
function partsOf(path: string): string[] {
  return [`${path}.part`, `${path}.part.adopt`]
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
