/** Requests from a transfer to its manager: each is sent as an event and answered by a command. */
import { deserializeError, DownloadError } from '../errors.js'
import type { Clock } from '../util/clock.js'
import type { TransferCommand, TransferEvent } from './protocol.js'

/** A command that answers a request. */
export type Reply = Extract<TransferCommand, { requestId: number }>

/** How long to wait for a reply, in milliseconds. */
const replyTimeoutMs = 60_000

/** The same for a new address, which a source may only name after the waits that it asks for. */
const refreshTimeoutMs = 3_600_000

/** The same for disk space, for which the manager may have to walk through folders and delete files. */
const reserveTimeoutMs = 600_000

/** The same for whether a lease still holds, in milliseconds: whoever hears nothing must not write. */
const confirmTimeoutMs = 10_000

/** The pending requests. Each one fails when the signal aborts, when the transfer ends, or after its time. */
export class ManagerRequests {
  readonly #emit: (event: TransferEvent) => void
  readonly #signal: AbortSignal
  readonly #clock: Clock
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; stop: () => void }>()
  #nextId = 1

  constructor(emit: (event: TransferEvent) => void, signal: AbortSignal, clock: Clock) {
    this.#emit = emit
    this.#signal = signal
    this.#clock = clock
  }

  /** Passes a reply to its request; ignored if the request has ended already. */
  answer(reply: Reply): void {
    this.#waiting.get(reply.requestId)?.resolve(reply)
  }

  /** Fails what is pending, since nobody waits for the replies any more. */
  end(): void {
    for (const { stop } of [...this.#waiting.values()]) stop()
  }

  /**
   * Requests a new address.
   *
   * @param status - HTTP status that the current one was refused with.
   * @param xet - whether to request the address of the Xet store and a token. Default false.
   * @throws DownloadError `CANCELED`, `INTERNAL`; with `xet` the errors of the source.
   */
  async refresh(status: number, xet = false): Promise<{ url: string; headers: Record<string, string> }> {
    const reply = await this.#ask(
      (requestId) => ({ type: 'refresh', requestId, status, ...(xet ? { xet } : {}) }),
      refreshTimeoutMs,
    )
    if (reply.type !== 'refreshed')
      throw new DownloadError('INTERNAL', 'The manager sent a reply of the wrong type.')
    if (reply.error !== undefined && reply.error !== null) throw deserializeError(reply.error)
    return reply
  }

  /**
   * Reserves a file name.
   *
   * @throws DownloadError `CONFLICT` if another download has the name, `CANCELED`, `INTERNAL`.
   */
  async claim(filename: string): Promise<void> {
    const reply = await this.#ask((requestId) => ({ type: 'claim', requestId, filename }))
    if (reply.type === 'claimed' && reply.error !== null) throw deserializeError(reply.error)
  }

  /**
   * Asks for disk space for a file.
   *
   * @param path - absolute path of the file.
   * @returns how many bytes the file may have.
   * @throws DownloadError `NO_SPACE`, `CANCELED`, `INTERNAL`.
   */
  async reserve(path: string, wish: { size: number | null; written: number }): Promise<number> {
    const reply = await this.#ask(
      (requestId) => ({ type: 'reserve', requestId, path, ...wish }),
      reserveTimeoutMs,
    )
    if (reply.type !== 'reserved')
      throw new DownloadError('INTERNAL', 'The manager sent a reply of the wrong type.')
    if (reply.error !== null) throw deserializeError(reply.error)
    return reply.granted
  }

  /**
   * Asks whether the lease is still ours.
   *
   * @throws DownloadError `CANCELED`, `INTERNAL`; it must then be taken for lost.
   */
  async confirmLease(): Promise<boolean> {
    const reply = await this.#request((requestId) => ({ type: 'confirmLease', requestId }), confirmTimeoutMs)
    return reply.type === 'leaseConfirmed' && reply.isHeld
  }

  /** Sends a request that is of no use once the transfer is stopped, when nobody may be there to answer it. */
  async #ask(createEvent: (requestId: number) => TransferEvent, timeoutMs?: number): Promise<Reply> {
    if (this.#signal.aborted) throw stopped()
    return await this.#request(createEvent, timeoutMs)
  }

  #request(createEvent: (requestId: number) => TransferEvent, timeoutMs = replyTimeoutMs): Promise<Reply> {
    const requestId = this.#nextId++
    return new Promise((resolve, reject) => {
      const end = () => {
        timer.cancel()
        this.#signal.removeEventListener('abort', stop)
        this.#waiting.delete(requestId)
      }
      const stop = () => {
        end()
        reject(stopped())
      }
      const timer = this.#clock.timer(() => {
        end()
        reject(new DownloadError('INTERNAL', 'The manager did not answer in time.', { retryable: true }))
      }, timeoutMs)
      this.#signal.addEventListener('abort', stop)
      this.#waiting.set(requestId, {
        resolve: (reply) => {
          end()
          resolve(reply)
        },
        stop,
      })
      this.#emit(createEvent(requestId))
    })
  }
}

function stopped(): DownloadError {
  return new DownloadError('CANCELED', 'The transfer was stopped.')
}
