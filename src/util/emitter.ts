import { EventEmitter } from 'eventemitter3'
import { toDownloadError } from '../errors.js'

type Listener = (...args: unknown[]) => unknown

/**
 * eventemitter3 with listeners that can't hurt: one that throws, or whose promise rejects, is told to
 * `listenerFailed`, and the others still hear of the event (eventemitter3 itself lets the error through to whoever
 * emits).
 */
export abstract class GuardedEmitter<Events extends object> extends EventEmitter<Events> {
  readonly #guarded = new Map<EventEmitter.EventNames<Events>, WeakMap<Listener, Listener>>()

  /** Adds a listener. */
  override on<K extends EventEmitter.EventNames<Events>>(
    event: K,
    listener: EventEmitter.EventListener<Events, K>,
    context?: unknown,
  ): this {
    return super.on(event, this.#guard(event, listener), context)
  }

  /** The same as {@link on}. */
  override addListener<K extends EventEmitter.EventNames<Events>>(
    event: K,
    listener: EventEmitter.EventListener<Events, K>,
    context?: unknown,
  ): this {
    return this.on(event, listener, context)
  }

  /** Adds a listener for the next time only. */
  override once<K extends EventEmitter.EventNames<Events>>(
    event: K,
    listener: EventEmitter.EventListener<Events, K>,
    context?: unknown,
  ): this {
    return super.once(event, this.#guard(event, listener), context)
  }

  /** Removes a listener; without one, all of that event. */
  override removeListener<K extends EventEmitter.EventNames<Events>>(
    event: K,
    listener?: EventEmitter.EventListener<Events, K>,
    context?: unknown,
    once?: boolean,
  ): this {
    const guarded = listener === undefined ? undefined : this.#guard(event, listener)
    return super.removeListener(event, guarded, context, once)
  }

  /** The same as {@link removeListener}. */
  override off<K extends EventEmitter.EventNames<Events>>(
    event: K,
    listener?: EventEmitter.EventListener<Events, K>,
    context?: unknown,
    once?: boolean,
  ): this {
    return this.removeListener(event, listener, context, once)
  }

  /**
   * Hears of a listener that failed.
   *
   * @internal
   */
  protected abstract listenerFailed(event: EventEmitter.EventNames<Events>, reason: string): void

  /** One wrapper per event and listener, so that the listener can be found again to remove it. */
  #guard<K extends EventEmitter.EventNames<Events>>(
    event: K,
    listener: EventEmitter.EventListener<Events, K>,
  ): EventEmitter.EventListener<Events, K> {
    let known = this.#guarded.get(event)
    if (known === undefined) this.#guarded.set(event, (known = new WeakMap()))
    // The types of all listeners differ by their event only; inside, the arguments are handed on unread.
    const plain = listener as Listener
    let guarded = known.get(plain)
    if (guarded === undefined) {
      const report = (error: unknown) => {
        // Also of what can't be made a string.
        this.listenerFailed(event, error instanceof Error ? error.message : toDownloadError(error).message)
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
    // It takes and returns what the listener does.
    return guarded as EventEmitter.EventListener<Events, K>
  }
}
