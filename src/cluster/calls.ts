import { randomUUID } from 'node:crypto'
import { deserializeError } from '../errors.js'
import type { ClusterCommand } from '../manager/cluster/coordinator.js'
import type { Clock, Timer } from '../util/clock.js'
import type { ClusterAnswer, ClusterBackend } from './backend.js'

/** How many calls of others are remembered, so that none is done twice. */
const maxSeen = 1_000

/** How a call ends: with an answer, or with none. */
type CallEnd = { answer: ClusterAnswer } | 'silent'

interface OpenCall {
  id: string
  removes: boolean
  timer: Timer
  resolve: (end: CallEnd) => void
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
    const { call, answered } = this.#begin(id, command.type === 'remove')
    if (!(await this.#backend.send(id, { call, command: sendable(command) }))) {
      this.#end(call, 'silent')
      return 'free'
    }
    const end = await answered
    if (end === 'silent' || end.answer === 'free') return end === 'silent' ? 'silent' : 'free'
    if (end.answer !== null) throw deserializeError(end.answer)
    return 'done'
  }

  /** `answered` is silent if there is no answer in time. Never rejects. */
  #begin(id: string, removes: boolean): { call: string; answered: Promise<CallEnd> } {
    const call = randomUUID()
    const answered = new Promise<CallEnd>((resolve) => {
      const timer = this.#clock.timer(() => {
        this.#end(call, 'silent')
      }, this.#backend.leaseMs * 1.5)
      this.#open.set(call, { id, removes, timer, resolve })
    })
    return { call, answered }
  }

  /** Passes an answer to its call; ignored if it is not one of ours. */
  answer(call: string, answer: ClusterAnswer): void {
    this.#end(call, { answer })
  }

  /** The owner of a download has given up its lease. What it has not answered by then it has not heard. */
  freed(id: string): void {
    for (const [call, open] of [...this.#open]) if (open.id === id) this.#end(call, { answer: 'free' })
  }

  /**
   * A download was removed. Its owner may have heard of a call only after that, when it had nothing to answer for any more;
   * whoever wanted it removed has what was wanted.
   */
  removed(id: string): void {
    for (const [call, open] of [...this.#open])
      if (open.id === id) this.#end(call, { answer: open.removes ? null : 'free' })
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
    for (const call of [...this.#open.keys()]) this.#end(call, 'silent')
  }

  #end(call: string, end: CallEnd): void {
    const waiting = this.#open.get(call)
    this.#open.delete(call)
    waiting?.timer.cancel()
    waiting?.resolve(end)
  }
}

/** A command as it can be sent to another instance: without the signal of its caller. */
function sendable(command: ClusterCommand): ClusterCommand {
  if (command.type !== 'download') return command
  const options = { ...command.options }
  delete options.signal
  return { ...command, options }
}
