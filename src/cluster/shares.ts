/** How instances share one limit of bytes per second. Pure. */

/** What an instance needs. */
export interface Demand {
  /** Its speed in bytes per second. */
  bytesPerSecond: number
  /** Number of downloads that it runs. */
  running: number
}

/** An instance below this part of its share has no use for more. */
const hungryPart = 0.9

/** What an instance that is slower than its share may grow to before it is asked again. */
const growth = 1.5

/**
 * Divides a limit by demand: an instance that needs less than the others gets what it needs and some more, and those that
 * use all of theirs share the rest evenly. The shares never add up to more than the limit.
 *
 * @param limit - in bytes per second.
 * @param demands - of all instances, by name.
 * @param self - name of the instance whose share is asked for.
 * @returns bytes per second.
 */
export function shareOf(limit: number, demands: ReadonlyMap<string, Demand>, self: string): number {
  const others = [...demands].filter(([name, { running }]) => name !== self && running > 0)
  const own = demands.get(self) ?? { bytesPerSecond: 0, running: 0 }
  const count = others.length + 1
  const even = limit / count
  const wish = ({ bytesPerSecond }: Demand) =>
    bytesPerSecond >= even * hungryPart ? Infinity : Math.max(bytesPerSecond * growth, even / 4)
  const wishes = [wish(own), ...others.map(([, demand]) => wish(demand))]
  let left = limit
  let waiting = count
  for (const [index, each] of wishes.map((value, at) => [at, value] as const).sort((a, b) => a[1] - b[1])) {
    const share = Math.min(each, left / waiting)
    if (index === 0) return Math.max(1, share)
    left -= share
    waiting -= 1
  }
  return Math.max(1, left)
}
