import { EventEmitter } from 'eventemitter3'
import { toDownloadError } from './errors.js'
import type { DownloadEvents } from './events.js'

type Name = EventEmitter.EventNames<DownloadEvents>
type ListenerOf<K extends Name> = EventEmitter.EventListener<DownloadEvents, K>
type Listener = (...args: unknown[]) => unknown

/**
 * eventemitter3 with listeners that can't hurt: of one that throws, or whose promise rejects, the `log` event tells,
 * and the others still hear of the event (eventemitter3 itself lets the error through to whoever emits).
 */
export class SafeEmitter extends EventEmitter<DownloadEvents> {
  readonly #guarded = new Map<Name, WeakMap<Listener, Listener>>()

  /** Adds a listener. */
  override on<K extends Name>(event: K, listener: ListenerOf<K>, context?: unknown): this {
    return super.on(event, this.#guard(event, listener), context)
  }

  /** The same as {@link on}. */
  override addListener<K extends Name>(event: K, listener: ListenerOf<K>, context?: unknown): this {
    return this.on(event, listener, context)
  }

  /** Adds a listener for the next time only. */
  override once<K extends Name>(event: K, listener: ListenerOf<K>, context?: unknown): this {
    return super.once(event, this.#guard(event, listener), context)
  }

  /** Removes a listener; without one, all of that event. */
  override removeListener<K extends Name>(
    event: K,
    listener?: ListenerOf<K>,
    context?: unknown,
    once?: boolean,
  ): this {
    const guarded = listener === undefined ? undefined : this.#guard(event, listener)
    return super.removeListener(event, guarded, context, once)
  }

  /** The same as {@link removeListener}. */
  override off<K extends Name>(event: K, listener?: ListenerOf<K>, context?: unknown, once?: boolean): this {
    return this.removeListener(event, listener, context, once)
  }

  /** One wrapper per event and listener, so that the listener can be found again to remove it. */
  #guard<K extends Name>(event: K, listener: ListenerOf<K>): ListenerOf<K> {
    let known = this.#guarded.get(event)
    if (known === undefined) this.#guarded.set(event, (known = new WeakMap()))
    // The types of all listeners differ by their event only; inside, the arguments are handed on unread.
    const plain = listener as Listener
    let guarded = known.get(plain)
    if (guarded === undefined) {
      const report = (error: unknown) => {
        this.#report(event, error)
      }
      guarded = function (this: unknown, ...args: unknown[]) {
        try {
          const result = plain.apply(this, args)
          if (result instanceof Promise) result.catch(report)
        } catch (error) {
          report(error)
        }
      }
      known.set(plain, guarded)
      // eventemitter3 removes a listener of `once` by what it has: the wrapper stands for itself.
      known.set(guarded, guarded)
    }
    return guarded
  }

  #report(event: Name, error: unknown): void {
    // A log listener that throws must not make another log entry, which would throw again.
    if (event === 'log') return
    // Also of what can't be made a string.
    const reason = error instanceof Error ? error.message : toDownloadError(error).message
    this.emit('log', { level: 'error', message: `A listener of "${event}" failed: ${reason}` })
  }
}
