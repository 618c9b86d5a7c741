import { AsyncLocalStorage } from 'node:async_hooks'
import { DownloadError, toDownloadError } from '../errors.js'
import type { ClusterCommand, CoordinatorHost } from '../manager/cluster/coordinator.js'
import type { Clock } from '../util/clock.js'
import type { ClusterAnswer, ClusterBackend, ClusterIntent } from './backend.js'
import { Calls } from './calls.js'
import type { Held, Leases } from './leases.js'
import type { Replica } from './replica.js'

/** How often a command is tried that the owner of a download does not answer, or whose lease was lost before it was done. */
const maxRounds = 4

/** The same when its owner has just given it up, which others may do as well; and the longest wait between, in milliseconds. */
const maxFree = { rounds: 16, waitMs: 250 }

/** What {@link DownloadCommands} need. */
export interface DownloadCommandsInit {
  backend: ClusterBackend
  clock: Clock
  replica: Replica
  leases: Leases
  host: () => CoordinatorHost
  /** @throws DownloadError `STORE_ERROR` while the store can't be reached. */
  requireStore: () => void
  /** Loads everything again. Never rejects. */
  reload: () => Promise<void>
}

/** Something that is being done for another instance. */
interface Obeyed {
  readonly lease: Held
  /** Whether it has been done. What it has begun, such as a run, goes on after that and may do anything. */
  isDone: boolean
}

/** The lease has ended under which something was to be done for another instance, which asks again. */
class LeaseEnded extends DownloadError {
  constructor() {
    super('STORE_ERROR', 'Another instance has the download at the moment.', { retryable: true })
  }
}

/** What is to be done with downloads: here if this instance can have the lease, or else by the one that has it. */
export class DownloadCommands {
  readonly #init: DownloadCommandsInit
  readonly #calls: Calls
  readonly #obeyed = new AsyncLocalStorage<Obeyed>()

  constructor(init: DownloadCommandsInit) {
    this.#init = init
    this.#calls = new Calls(init.backend, init.clock)
  }

  /** See `Coordinator.control`. */
  async control(id: string, command: ClusterCommand, task: () => Promise<void>): Promise<void> {
    const { leases, replica, clock, requireStore, reload } = this.#init
    for (let failed = 0, free = 0; failed < maxRounds && free < maxFree.rounds;) {
      requireStore()
      this.requireLease(id)
      const lease = await leases.take(id, null)
      if (typeof lease === 'object') {
        if (await leases.use(lease, task)) return
        failed += 1
        continue
      }
      if (lease === 'gone') {
        await reload()
        if (replica.get(id) !== undefined) continue
        if (command.type === 'remove') return
        throw new DownloadError('UNKNOWN_DOWNLOAD', 'No download of this URL is known.')
      }
      const outcome = await this.#calls.ask(id, command)
      if (outcome === 'done') return
      if (outcome === 'silent') failed += 1
      else await clock.sleep(Math.min(maxFree.waitMs, 2 ** free++))
    }
    throw new DownloadError(
      'STORE_ERROR',
      'The instance that runs the download does not answer; try again later.',
      { retryable: true, retryAfterMs: 5_000 },
    )
  }

  /**
   * Must be called right before something is done that may be for another instance. Once its lease has ended, that instance
   * has asked again and may have its answer, so it must not be done a second time: somebody may have removed the download and
   * asked for it anew.
   */
  requireLease(id: string): void {
    const obeyed = this.#obeyed.getStore()
    if (obeyed?.isDone === false && obeyed.lease.id === id && this.#init.leases.get(id) !== obeyed.lease)
      throw new LeaseEnded()
  }

  /** Does what a caller of another instance wants of a download whose lease this one holds. */
  obey(id: string, { call, command }: ClusterIntent): void {
    const { leases, replica, host, backend } = this.#init
    const download = replica.find(id)
    if (download === undefined || !leases.has(id) || !this.#calls.isNew(call)) return
    const doIt = async () => {
      // Kept until the answer is on its way: whoever sees the lease end without an answer asks again.
      const lease = await leases.take(id, null)
      if (typeof lease !== 'object') return
      const failed = (error: unknown): ClusterAnswer =>
        error instanceof LeaseEnded ? 'free' : toDownloadError(error).toJSON()
      const obeyed: Obeyed = { lease, isDone: false }
      const execute = () => host().execute(download.url, command)
      const answer = await this.#obeyed.run(obeyed, execute).then(() => null, failed)
      obeyed.isDone = true
      await backend.answer(id, call, answer).catch(() => undefined)
      await leases.leave(lease)
    }
    void doIt().catch(() => undefined)
  }

  /** See {@link Calls.answer}. */
  answered(call: string, answer: ClusterAnswer): void {
    this.#calls.answer(call, answer)
  }

  /** See {@link Calls.freed}. */
  freed(id: string): void {
    this.#calls.freed(id)
  }

  /** See {@link Calls.removed}. */
  removed(id: string): void {
    this.#calls.removed(id)
  }

  close(): void {
    this.#calls.close()
  }
}
