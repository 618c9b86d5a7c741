/** Runs tasks of one key one after the other; keys don't wait for each other. */
export class Serial<K extends object> {
  readonly #tails = new WeakMap<K, Promise<unknown>>()

  /** Runs a task when those before it have ended, however they ended. */
  run<T>(key: K, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const result = before.then(task, task)
    this.#tails.set(
      key,
      result.catch(() => undefined),
    )
    return result
  }
}
