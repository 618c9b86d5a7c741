/** Periodic tasks while a file is being fetched: timers, journal, sync, progress, and checks of the part. */
import { asDownloadError, isOutOfHandles } from '../disk/errors.js'
import { headBytes } from '../disk/model-formats.js'
import { DownloadError, isDownloadError } from '../errors.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Clock, Timer } from '../util/clock.js'
import type { Fetcher } from './fetch/fetcher.js'
import type { Pace } from './fetch/remote-bounds.js'
import type { FileHash } from './hash/hasher.js'
import type { PartFile } from './part/part-file.js'
import { partLost, StartOver } from './part/start-over.js'
import type { TransferEvent } from './protocol.js'
import type { Reservation } from './reservation.js'

/** Settings and services of {@link Checkpoints}. */
export interface CheckpointsInit {
  tuning: TransferTuning
  clock: Clock
  fetcher: Pick<Fetcher, 'tick' | 'stop' | 'total' | 'connections' | 'fetchedBytes' | 'heldBack'>
  /** Expected size in bytes, or null. */
  size: number | null
  /** Measures the speed of the download; null if it may have any. */
  pace: Pace | null
  /** Disk space that the transfer may use. */
  space: Pick<Reservation, 'isDue' | 'check'>
  part: () => PartFile | null
  hash: () => FileHash | null
  emit: (event: TransferEvent) => void
  /** Returns the check of the first bytes; null if there is none to make. */
  head: () => ((bytes: Uint8Array, total: number | null) => DownloadError | null) | null
}

/** Interval of the timer, in milliseconds. */
const tickMs = 25

/**
 * The part of the time that syncs may take, at most, where they come sooner than they have to: what is synced is not fetched
 * again after a power failure, or by another container. On a solid-state disk that is four times a second.
 */
const syncShare = 0.05

/** Runs the periodic tasks from construction until {@link stop}. */
export class Checkpoints {
  readonly #init: CheckpointsInit
  readonly #interval: Timer
  #busy: Promise<void> | null = null
  #journalAt: number
  #syncAt: number
  /** How long to wait after a sync before the next one is worth it, in milliseconds. */
  #syncRestMs = 0
  #progressAt = 0
  #headChecked = false
  #measuredBytes = 0
  #ended = false
  #busyReported = false

  constructor(init: CheckpointsInit) {
    const { clock } = init
    this.#init = init
    this.#journalAt = clock.now()
    this.#syncAt = clock.now()
    this.#interval = clock.interval(() => {
      this.#tick()
    }, tickMs)
  }

  /** Stops, waits for pending disk operations, and reports the progress a last time. */
  async stop(): Promise<void> {
    this.#ended = true
    this.#interval.cancel()
    await this.#busy
    const part = this.#init.part()
    if (part !== null) this.#emitProgress(part)
  }

  #emitProgress(part: PartFile): void {
    const { fetcher, emit } = this.#init
    const { total, connections } = fetcher
    emit({ type: 'progress', downloaded: part.writtenBytes, total, connections })
  }

  #tick(): void {
    const { fetcher, part: current, hash, size, space, tuning, clock } = this.#init
    const now = clock.now()
    fetcher.tick(now)
    this.#measure(now)
    const part = current()
    if (part === null) return
    hash()?.advance(part.frontier)
    if (size !== null && part.writtenBytes > size) fetcher.stop(tooMuch(size))
    if (space.isDue(now, part.writtenBytes)) {
      space.check(now, part.writtenBytes).catch((error: unknown) => {
        if (!this.#ended) fetcher.stop(asDownloadError(error))
      })
    }
    if (now - this.#progressAt >= tuning.progressIntervalMs) {
      this.#progressAt = now
      this.#emitProgress(part)
    }
    if (this.#busy !== null) return
    this.#busy = this.#disk(part, now)
      .catch((error: unknown) => {
        // A journal that is slightly out of date does no harm.
        if (isOutOfHandles(error)) return
        if (isDownloadError(error, 'FILE_BUSY')) {
          this.#reportBusy(error)
          return
        }
        fetcher.stop(error instanceof StartOver ? error : asDownloadError(error))
      })
      .finally(() => {
        this.#busy = null
      })
  }

  #reportBusy({ message }: DownloadError): void {
    if (this.#busyReported) return
    this.#busyReported = true
    const text = `The journal is written later, and until then a kill loses more than usual. ${message}`
    this.#init.emit({ type: 'log', level: 'warn', message: text })
  }

  #measure(now: number): void {
    const { fetcher, pace } = this.#init
    const tooSlow = pace?.note(now, fetcher.fetchedBytes - this.#measuredBytes, fetcher.heldBack) ?? null
    this.#measuredBytes = fetcher.fetchedBytes
    if (tooSlow !== null) fetcher.stop(tooSlow)
  }

  async #disk(part: PartFile, now: number): Promise<void> {
    const { tuning, fetcher, head, clock } = this.#init
    if (!this.#headChecked && part.frontier >= headBytes) {
      this.#headChecked = true
      const wrong = head()?.(await part.read(0, headBytes), fetcher.total) ?? null
      if (wrong !== null) throw wrong
    }
    if (now - this.#journalAt < tuning.journalIntervalMs) return
    this.#journalAt = now
    if (!(await part.isIntact())) throw partLost()
    if (now - this.#syncAt >= Math.min(tuning.syncIntervalMs, this.#syncRestMs)) {
      this.#syncAt = now
      await part.sync()
      this.#syncRestMs = (clock.now() - now) / syncShare
    } else {
      await part.saveJournal()
    }
  }
}

/** The error for a response without a length that exceeds the expected size; it must not fill the disk. */
function tooMuch(size: number): DownloadError {
  return new DownloadError('CONTENT_MISMATCH', `The server sent more than the expected ${size} bytes.`)
}
