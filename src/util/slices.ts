import { setImmediate } from 'node:timers/promises'

/** How much work a slice has: about as much as reading this many characters one by one. It takes a few milliseconds. */
const sliceUnits = 200_000

/**
 * Maps a long list with a number of tasks at the same time. Unlike a queue, it has no task before its turn, so that a list of
 * many thousand items does not block the event loop when it begins.
 *
 * @param units - what starting a task costs, in units of {@link Slices}.
 * @returns the results in the order of the items. Rejects with the first error; no further task is started then.
 */
export async function mapInTurn<T, R>(
  items: readonly T[],
  { parallel, units }: { parallel: number; units: number },
  task: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  const slices = new Slices()
  const rest = items.entries()
  const work = async () => {
    for (const [index, item] of rest) {
      results[index] = await task(item)
      slices.spend(units)
      await slices.rest()
    }
  }
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, work))
  return results
}

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
