import { EventEmitter } from 'eventemitter3'
import { toDownloadError } from '../errors.js'

type Listener = (...args: unknown[]) => unknown

type AddArguments<Events extends object, K extends EventEmitter.EventNames<Events>> = [
  event: K,
  listener: EventEmitter.EventListener<Events, K>,
  context?: unknown,
]

type RemoveArguments<Events extends object, K extends EventEmitter.EventNames<Events>> = [
  event: K,
  listener?: EventEmitter.EventListener<Events, K>,
  context?: unknown,
  once?: boolean,
]

/**
 * An eventemitter3 that is protected from its listeners. An error that a listener throws, or that its promise
 * rejects with, is passed to `listenerFailed`, and the other listeners still receive the event. eventemitter3
 * itself would throw the error to the caller of `emit`.
 */
export abstract class GuardedEmitter<Events extends object> extends EventEmitter<Events> {
  readonly #guarded = new Map<EventEmitter.EventNames<Events>, WeakMap<Listener, Listener>>()

  /** Adds a listener. */
  override on<K extends EventEmitter.EventNames<Events>>(...args: AddArguments<Events, K>): this {
    const [event, listener, context] = args
    return super.on(event, this.#guard(event, listener), context)
  }

  /** Same as {@link on}. */
  override addListener<K extends EventEmitter.EventNames<Events>>(...args: AddArguments<Events, K>): this {
    return this.on(...args)
  }

  /** Adds a listener that is called only for the next event. */
  override once<K extends EventEmitter.EventNames<Events>>(...args: AddArguments<Events, K>): this {
    const [event, listener, context] = args
    return super.once(event, this.#guard(event, listener), context)
  }

  /** Removes a listener, or all listeners of the event if none is given. */
  override removeListener<K extends EventEmitter.EventNames<Events>>(
    ...args: RemoveArguments<Events, K>
  ): this {
    const [event, listener, context, once] = args
    const guarded = listener === undefined ? undefined : this.#guard(event, listener)
    return super.removeListener(event, guarded, context, once)
  }

  /** Same as {@link removeListener}. */
  override off<K extends EventEmitter.EventNames<Events>>(...args: RemoveArguments<Events, K>): this {
    return this.removeListener(...args)
  }

  /**
   * Called when a listener has failed.
   *
   * @internal
   */
  protected abstract listenerFailed(event: EventEmitter.EventNames<Events>, reason: string): void

  /**
   * Returns the wrapper of a listener. There is one per event and listener, so that it can be found again
   * when the listener is removed.
   */
  #guard<K extends EventEmitter.EventNames<Events>>(
    event: K,
    listener: EventEmitter.EventListener<Events, K>,
  ): EventEmitter.EventListener<Events, K> {
    let known = this.#guarded.get(event)
    if (known === undefined) this.#guarded.set(event, (known = new WeakMap()))
    // Listener types differ only by event, and the wrapper passes the arguments on without reading them.
    const plain = listener as Listener
    let guarded = known.get(plain)
    if (guarded === undefined) {
      const report = (error: unknown) => {
        // `toDownloadError` also handles thrown values that can't be converted to a string.
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
      // eventemitter3 removes a `once` listener by the function that it stores, so the wrapper must map to
      // itself.
      known.set(guarded, guarded)
    }
    // The wrapper has the same parameters and result as the listener.
    return guarded as EventEmitter.EventListener<Events, K>
  }
}
