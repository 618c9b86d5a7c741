/** How long the soak tests are, and from what they draw. */

/** How many kills and power cuts there are, unless the environment says otherwise. */
const defaults = {
  /** Processes that are killed, in all storms together. */
  SOAK_KILLS: 1_000,
  /** Power cuts of each file of tests, on all file systems together. */
  SOAK_CUTS: 200,
}

/**
 * A share of all kills or cuts, at least one.
 *
 * @param share - from 0 to 1.
 * @throws Error when the environment has no number of them.
 */
export function roundsOf(what: keyof typeof defaults, share: number): number {
  const all = Number(process.env[what] ?? defaults[what])
  if (!Number.isInteger(all) || all < 1) throw new Error(`${what} must be a whole number from 1.`)
  return Math.ceil(all * share)
}

/** What random numbers start from; `SOAK_SEED` repeats a run. */
export function soakSeed(): number {
  return Number(process.env['SOAK_SEED'] ?? Date.now())
}
