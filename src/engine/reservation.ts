/** The disk space that a transfer may use, if its manager has a disk budget. */

import { ensureSpace } from '../disk/space.js'
import type { Clock } from '../util/clock.js'

/** Asks the manager for space. */
export type AskForSpace = (wish: {
  /** Size of the file in bytes; null while unknown. */
  size: number | null
  /** How much of it has been written. */
  written: number
}) => Promise<number>

/** How often the manager is asked whether the transfer may go on, in milliseconds: others use the disk as well. */
const checkMs = 2_000

/** The same for a file of unknown size that is about to use up what it was granted. */
const growMs = 100

/** A file of unknown size asks for more when less than this is left, in bytes. */
const marginBytes = 32 * 1024 * 1024

/**
 * What a transfer was granted. A file of unknown size is granted some bytes at a time, and stops when it gets no more.
 * It may exceed them by what arrives while the manager is being asked.
 */
export class Reservation {
  readonly #ask: AskForSpace | null
  readonly #clock: Clock
  #size: number | null = null
  #granted = 0
  #askedAt = 0
  #isAsking = false

  /** @param ask - null if there is no budget. */
  constructor(ask: AskForSpace | null, clock: Clock) {
    this.#ask = ask
    this.#clock = clock
  }

  /**
   * Reserves the space for a file before anything is written, and checks that the disk has it.
   *
   * @param directory - folder of the file.
   * @param size - of the file in bytes; null if unknown.
   * @param have - what an earlier run has written of it, and how much of the disk that takes.
   * @throws DownloadError `NO_SPACE`, `CANCELED`.
   */
  async secure(directory: string, size: number | null, have = { written: 0, allocated: 0 }): Promise<void> {
    await this.take(size, have.written)
    if (size !== null) await ensureSpace(directory, size, have.allocated, this.#clock)
  }

  /**
   * Reserves the space for a file.
   *
   * @param size - of the file in bytes; null if unknown.
   * @throws DownloadError `NO_SPACE`, `CANCELED`.
   */
  async take(size: number | null, written = 0): Promise<void> {
    if (this.#ask === null) return
    this.#size = size
    this.#granted = await this.#ask({ size, written })
  }

  /**
   * Reserves what a file of unknown size has turned out to need.
   *
   * @throws DownloadError `NO_SPACE`, `CANCELED`.
   */
  async settle(size: number): Promise<void> {
    if (this.#size === null) await this.take(size, size)
  }

  /** Whether it is time for a {@link check}. */
  isDue(now: number, written: number): boolean {
    if (this.#ask === null || this.#isAsking) return false
    const isNearEnd = this.#size === null && written + marginBytes > this.#granted
    return now - this.#askedAt >= (isNearEnd ? growMs : checkMs)
  }

  /**
   * Asks whether the transfer may go on.
   *
   * @throws DownloadError `NO_SPACE`, `CANCELED`.
   */
  async check(now: number, written: number): Promise<void> {
    this.#askedAt = now
    this.#isAsking = true
    try {
      await this.take(this.#size, written)
    } finally {
      this.#isAsking = false
    }
  }
}
