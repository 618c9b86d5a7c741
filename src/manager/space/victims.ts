/** Chooses what is evicted. Pure. */
import type { Shortage } from './ledger.js'

/** A finished download that may be evicted. */
export interface Candidate {
  /** What it counts towards the budget, in bytes. */
  bytes: number
  /** What deleting it gives back on each file system, in bytes. */
  freeable: ReadonlyMap<string, number>
  /** When it was last used, in milliseconds since the Unix epoch. */
  usedAt: number
  /** Order of arrival. */
  sequence: number
}

/**
 * Returns the least recently used candidates that make enough room together.
 *
 * @param shortages - what is missing.
 * @returns null if all of them would not be enough; then none may be deleted.
 */
export function chooseVictims<C extends Candidate>(
  candidates: readonly C[],
  shortages: readonly Shortage[],
): C[] | null {
  const chosen: C[] = []
  const missing = shortages.map(({ needed, available }) => needed - available)
  const isEnough = () => missing.every((bytes) => bytes <= 0)
  const order = [...candidates].sort((a, b) => a.usedAt - b.usedAt || a.sequence - b.sequence)
  for (const candidate of order) {
    if (isEnough()) break
    const given = shortages.map(({ kind, volume }) =>
      kind === 'budget' ? candidate.bytes : (candidate.freeable.get(volume ?? '') ?? 0),
    )
    // What would help with nothing that is missing stays.
    if (!given.some((bytes, index) => bytes > 0 && (missing[index] ?? 0) > 0)) continue
    given.forEach((bytes, index) => (missing[index] = (missing[index] ?? 0) - bytes))
    chosen.push(candidate)
  }
  return isEnough() ? chosen : null
}
