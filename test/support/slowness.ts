/** How slow this machine is just now. Needs nothing of vitest: its configuration asks, once per run. */
import { availableParallelism } from 'node:os'

/** What {@link work} takes on a quiet core of a few years ago, in milliseconds. */
const usualMs = 200

/** Some work that only the processor decides on, long enough for the scheduler to give others their turn. */
function work(steps: number): number {
  let sum = 0
  for (let step = 0; step < steps; step += 1) sum = (sum * 31 + step) | 0
  return sum
}

/**
 * The factor by which deadlines are longer than on a quiet machine with two cores; from 1 to 8. `TEST_SLOWNESS` in the
 * environment overrides it.
 */
export function measureSlowness(): number {
  const told = Number(process.env['TEST_SLOWNESS'])
  if (told >= 1) return told
  work(10_000_000)
  const begin = performance.now()
  work(120_000_000)
  const measured = (performance.now() - begin) / usualMs
  return Math.min(8, Math.max(1, measured * Math.max(1, 2 / availableParallelism())))
}
