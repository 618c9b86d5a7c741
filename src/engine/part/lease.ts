/**
 * The right of a transfer to write, where several instances share the work.
 *
 * Whoever gives it to an instance may give it to another one once it has run out. So it is a dead man's switch: the
 * instance has to renew it, and a transfer that hears nothing in time stops writing by itself. It does so on the
 * monotonic clock of its own thread, however long the process was stopped or its host was busy, because it looks at the
 * clock right before each call that changes the disk.
 */
import { DownloadError } from '../../errors.js'
import type { Clock, Timer } from '../../util/clock.js'
import type { LeaseTerm } from '../protocol.js'

/** Settings and services of a {@link Lease}. */
export interface LeaseInit {
  clock: Clock
  /** Asks the manager whether the lease is still ours. A rejection counts as no. */
  confirm: () => Promise<boolean>
  /** Called once, when the lease is lost. */
  onLost: () => void
}

/** Longest pause between two looks at the clock, in milliseconds: timers can't be longer than 24.8 days. */
const longestPauseMs = 3_600_000

/** The error of a transfer that must not write any more. */
function leaseLost(reason: string): DownloadError {
  return new DownloadError('TAKEN_OVER', `${reason} This instance writes nothing more.`, { retryable: true })
}

const ranOut = 'The right to write this file was not renewed in time, and another instance may go on with it.'

const denied = 'This download was given to another instance.'

/** The lease of one transfer. Once lost, it stays lost. Its owner must call {@link end}. */
export class Lease {
  readonly epoch: number
  readonly #init: LeaseInit
  #until: number
  #lost: DownloadError | null = null
  #timer: Timer | null = null

  constructor({ epoch, validForMs }: LeaseTerm, init: LeaseInit) {
    this.epoch = epoch
    this.#init = init
    this.#until = init.clock.now() + left(validForMs)
    this.#wait()
  }

  /** Whether the transfer may write. */
  get isHeld(): boolean {
    if (this.#lost === null && this.#init.clock.now() >= this.#until) this.#lose(ranOut)
    return this.#lost === null
  }

  /** Why the lease is lost; null while it is held. */
  get error(): DownloadError | null {
    return this.isHeld ? null : this.#lost
  }

  /** Must be called right before each call that changes the disk. @throws DownloadError `TAKEN_OVER`. */
  require(): void {
    if (!this.isHeld && this.#lost !== null) throw this.#lost
  }

  /**
   * The manager has renewed the lease. It can't come back once it has run out, because another instance may have been
   * given it and lost it since.
   */
  renew(validForMs: number): void {
    if (!this.isHeld) return
    this.#until = this.#init.clock.now() + left(validForMs)
    this.#wait()
  }

  /**
   * Must be called before what can't be made good again: giving the file its name, and deleting bytes.
   *
   * @throws DownloadError `TAKEN_OVER` when the manager says no, or nothing.
   */
  async confirm(): Promise<void> {
    this.require()
    if (!(await this.#init.confirm().catch(() => false))) this.#lose(denied)
    this.require()
  }

  /**
   * A journal or a lock on disk is of another lease.
   *
   * @throws DownloadError `TAKEN_OVER` if that is a later one.
   */
  yieldTo(epoch: number | undefined): void {
    if (isLater(epoch, this.epoch)) this.#lose(denied)
    this.require()
  }

  /** The transfer has ended. */
  end(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #lose(reason: string): void {
    if (this.#lost !== null) return
    this.#lost = leaseLost(reason)
    this.end()
    this.#init.onLost()
  }

  #wait(): void {
    const { clock } = this.#init
    this.end()
    const pauseMs = Math.min(Math.max(0, this.#until - clock.now()), longestPauseMs)
    this.#timer = clock.timer(() => {
      if (this.isHeld) this.#wait()
    }, pauseMs)
  }
}

/** Whether what was found on disk is of a later lease than one's own. Pure. */
export function isLater(found: number | undefined, own: number): boolean {
  return found !== undefined && found > own
}

/** Milliseconds that are left; what makes no sense is no time at all. */
function left(validForMs: number): number {
  return validForMs > 0 ? validForMs : 0
}

/** What must be called right before each write under a lease; undefined if there is none. */
export function beforeWrites(lease: Lease | null): (() => void) | undefined {
  return lease === null
    ? undefined
    : () => {
        lease.require()
      }
}
