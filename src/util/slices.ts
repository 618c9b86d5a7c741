import { setImmediate } from 'node:timers/promises'

/** How much work a slice has: about as much as reading this many characters one by one. It takes a few milliseconds. */
const sliceUnits = 200_000

/**
 * Divides long work into slices, so that the event loop gets its turn in between. It counts the work and not the time,
 * so the same work always has the same slices.
 */
export class Slices {
  #left = sliceUnits
  #turns = 0

  /** How often the event loop has had its turn. */
  get turns(): number {
    return this.#turns
  }

  /** Counts work that has been done, in units: reading one character is 1. */
  spend(units: number): void {
    this.#left -= units
  }

  /** Whether the current slice is used up. */
  get isOver(): boolean {
    return this.#left <= 0
  }

  /** Gives the event loop its turn if the current slice is used up. */
  async rest(): Promise<void> {
    if (!this.isOver) return
    this.#left = sliceUnits
    this.#turns += 1
    await setImmediate()
  }

  /**
   * Maps a list like `flatMap`, in slices.
   *
   * @param units - what an item costs besides what `map` spends itself.
   */
  async flatMap<T, R>(items: readonly T[], units: number, map: (item: T) => R[]): Promise<R[]> {
    const results: R[] = []
    for (const item of items) {
      for (const result of map(item)) results.push(result)
      this.spend(units)
      if (this.isOver) await this.rest()
    }
    return results
  }
}
