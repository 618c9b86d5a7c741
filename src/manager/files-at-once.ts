/**
 * Finds out how many files are worth downloading at a time, for `concurrency: 'auto'`: it begins with as many as there are, within
 * bounds, adds more as long as they make everything faster, and takes back those that don't or that a server refuses. Pure.
 */
import { ConnectionRamp } from '../engine/fetch/connection-ramp.js'
import { PoolSize } from '../engine/fetch/pool-size.js'

/** The most files that are downloaded at a time. */
export const mostFiles = 64

/** Files to begin with, when there are that many. */
const firstFiles = { least: 3, most: 32 }

/** Refusals within this time count as one: those who are refused at the same time have not seen the change yet. In milliseconds. */
const refusalMs = 1_000

/** What a file adds besides its bytes, so that many empty ones count, too. In bytes. */
const fileBytes = 4 * 1024

/** How many files are downloaded at a time now. Times are monotonic milliseconds. */
export class FilesAtOnce<T> {
  readonly #ramp = new ConnectionRamp(mostFiles, firstFiles.least)
  readonly #accepted = new PoolSize(mostFiles)
  readonly #running = new Map<T, { since: number; bytes: number }>()
  /** Of files that have ended. */
  #endedBytes = 0
  #shortestMs = Infinity
  #mostKnown = 0
  #refusedAt = -Infinity

  /** Number of files to download at a time. */
  get size(): number {
    return Math.min(this.#ramp.size, this.#accepted.size)
  }

  /** Notes how many files there are to download, those that run included. */
  know(files: number): void {
    if (files <= this.#mostKnown) return
    this.#mostKnown = files
    this.#ramp.begin(Math.min(firstFiles.most, Math.max(firstFiles.least, files)))
  }

  /** @param bytes - what there is of the file. */
  started(file: T, bytes: number, now: number): void {
    this.#running.set(file, { since: now, bytes })
  }

  /** @param bytes - what there is of the file now. */
  ended(file: T, bytes: number, now: number): void {
    const run = this.#running.get(file)
    if (run === undefined) return
    this.#running.delete(file)
    const fetched = Math.max(0, bytes - run.bytes)
    this.#endedBytes += fetched + fileBytes
    // One that was there already, or could not be fetched, says nothing about the way to the server.
    if (fetched > 0) this.#shortestMs = Math.min(this.#shortestMs, now - run.since)
  }

  /** Notes that a server has refused a request because there were too many. */
  refused(now: number): void {
    if (now - this.#refusedAt < refusalMs) return
    this.#refusedAt = now
    this.#accepted.refused(Math.floor(Math.min(this.#running.size, this.size) / 2), now)
  }

  /** Takes a reading; to be called whenever a file has started. */
  take(bytesOf: (file: T) => number, now: number): void {
    let bytes = this.#endedBytes
    for (const [file, run] of this.#running) bytes += Math.max(0, bytesOf(file) - run.bytes)
    this.#accepted.grow(now)
    // Below what the ramp asks for, because of refusals, nothing is learned about it.
    const receiving = this.#running.size
    this.#ramp.take({
      now,
      bytes,
      receiving,
      answerMs: this.#shortestMs,
      isHeldBack: this.size < this.#ramp.size,
    })
  }
}
