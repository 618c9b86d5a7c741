/** Runs tasks of one key one after the other; keys don't wait for each other. */
export class Serial<K extends object> {
  readonly #tails = new WeakMap<K, Promise<unknown>>()
  readonly #pending = new Set<Promise<unknown>>()

  /** Runs a task when those before it have ended, however they ended. */
  run<T>(key: K, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const result = before.then(task, task)
    const tail = result.catch(() => undefined)
    this.#tails.set(key, tail)
    this.#pending.add(tail)
    void tail.then(() => this.#pending.delete(tail))
    return result
  }

  /** Resolves when all tasks that were given so far have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending)
  }
}
