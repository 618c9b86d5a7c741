import { randomUUID } from 'node:crypto'
import { deserializeError, type SerializedDownloadError } from '../errors.js'
import type { ClusterCommand } from '../manager/cluster/coordinator.js'
import type { Clock, Timer } from '../util/clock.js'
import type { ClusterBackend } from './backend.js'

/** How many calls of others are remembered, so that none is done twice. */
const maxSeen = 1_000

/** What the owner of a download has answered. */
interface CallAnswer {
  error: SerializedDownloadError | null
}

interface OpenCall {
  id: string
  timer: Timer
  resolve: (answer: CallAnswer | 'free' | null) => void
}

/** Calls to other instances that have not been answered, and those of others that have been done here. */
export class Calls {
  readonly #backend: Pick<ClusterBackend, 'send' | 'leaseMs'>
  readonly #clock: Clock
  readonly #open = new Map<string, OpenCall>()
  readonly #seen = new Set<string>()

  constructor(backend: Pick<ClusterBackend, 'send' | 'leaseMs'>, clock: Clock) {
    this.#backend = backend
    this.#clock = clock
  }

  /**
   * Has the owner of a download do something. `free` if it has given up the lease before it heard of that; `silent` if it has
   * not answered and may be dead.
   *
   * @throws DownloadError the error of the owner; `STORE_ERROR` if the store can't be reached.
   */
  async ask(id: string, command: ClusterCommand): Promise<'done' | 'free' | 'silent'> {
    const { call, answered } = this.#begin(id, this.#backend.leaseMs * 1.5)
    if (!(await this.#backend.send(id, { call, command: sendable(command) }))) {
      this.#end(call, null)
      return 'free'
    }
    const answer = await answered
    if (answer === null || answer === 'free') return answer ?? 'silent'
    if (answer.error !== null) throw deserializeError(answer.error)
    return 'done'
  }

  /** `answered` is null if there is no answer within `timeoutMs`. Never rejects. */
  #begin(id: string, timeoutMs: number): { call: string; answered: Promise<CallAnswer | 'free' | null> } {
    const call = randomUUID()
    const answered = new Promise<CallAnswer | 'free' | null>((resolve) => {
      const timer = this.#clock.timer(() => {
        this.#end(call, null)
      }, timeoutMs)
      this.#open.set(call, { id, timer, resolve })
    })
    return { call, answered }
  }

  /** Passes an answer to its call; ignored if it is not one of ours. */
  answer(call: string, error: SerializedDownloadError | null): void {
    this.#end(call, { error })
  }

  /** The owner of a download has given up its lease. What it has not answered by then it has not heard. */
  freed(id: string): void {
    for (const [call, open] of [...this.#open]) if (open.id === id) this.#end(call, 'free')
  }

  /** Whether a call of another instance is heard for the first time. */
  isNew(call: string): boolean {
    if (this.#seen.has(call)) return false
    this.#seen.add(call)
    for (const oldest of this.#seen) {
      if (this.#seen.size <= maxSeen) break
      this.#seen.delete(oldest)
    }
    return true
  }

  close(): void {
    for (const call of [...this.#open.keys()]) this.#end(call, null)
  }

  #end(call: string, answer: CallAnswer | 'free' | null): void {
    const waiting = this.#open.get(call)
    this.#open.delete(call)
    waiting?.timer.cancel()
    waiting?.resolve(answer)
  }
}

/** A command as it can be sent to another instance: without the signal of its caller. */
function sendable(command: ClusterCommand): ClusterCommand {
  if (command.type !== 'download') return command
  const options = { ...command.options }
  delete options.signal
  return { ...command, options }
}
