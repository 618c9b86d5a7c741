import fc from 'fast-check'

/**
 * The seed of property tests. `npm test` always uses the same one, so that the results for a commit are reproducible.
 * Set `FC_SEED=random` (as `npm run soak` does) or a number to use another one.
 */
const seed = process.env['FC_SEED'] ?? '20261126'

if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) })

export default fc
