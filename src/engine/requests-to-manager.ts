/** What a transfer asks its manager, and the answers: a message out, a command back. */
import { deserializeError, DownloadError } from '../errors.js'
import type { TransferCommand, TransferEvent } from './protocol.js'

/** A command that answers a question. */
export type Reply = Extract<TransferCommand, { requestId: number }>

const replyTimeoutMs = 60_000

/** The requests that are under way. All of them end when the signal aborts, or after a minute. */
export class ManagerRequests {
  readonly #emit: (event: TransferEvent) => void
  readonly #signal: AbortSignal
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  #nextId = 1

  constructor(emit: (event: TransferEvent) => void, signal: AbortSignal) {
    this.#emit = emit
    this.#signal = signal
  }

  /** Takes an answer; one that nobody waits for any more is dropped. */
  answer(reply: Reply): void {
    this.#waiting.get(reply.requestId)?.(reply)
  }

  /** Asks for an address that works now. */
  async refresh(status: number): Promise<{ url: string; headers: Record<string, string> }> {
    const reply = await this.#request((requestId) => ({ type: 'refresh', requestId, status }))
    if (reply.type !== 'refreshed')
      throw new DownloadError('INTERNAL', 'The answer does not fit the question.')
    return reply
  }

  /**
   * Asks whether the name is free.
   *
   * @throws DownloadError what the manager answers, `CONFLICT`.
   */
  async claim(filename: string): Promise<void> {
    const reply = await this.#request((requestId) => ({ type: 'claim', requestId, filename }))
    if (reply.type === 'claimed' && reply.error !== null) throw deserializeError(reply.error)
  }

  #request(createEvent: (requestId: number) => TransferEvent): Promise<Reply> {
    const requestId = this.#nextId++
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        this.#signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(requestId)
      }
      const onAbort = () => {
        end()
        reject(new DownloadError('CANCELED', 'The transfer was stopped.'))
      }
      const timer = setTimeout(() => {
        end()
        reject(new DownloadError('INTERNAL', 'The manager did not answer in time.', { retryable: true }))
      }, replyTimeoutMs)
      this.#signal.addEventListener('abort', onAbort)
      this.#waiting.set(requestId, (reply) => {
        end()
        resolve(reply)
      })
      this.#emit(createEvent(requestId))
    })
  }
}
