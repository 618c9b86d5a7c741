import fc from 'fast-check'

/**
 * What property tests draw. `npm test` draws the same cases each time, so that it says the same about the same commit.
 * `FC_SEED=random` (as `npm run soak` does), or a number, draws others.
 */
const seed = process.env['FC_SEED'] ?? '20261126'

if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) })

export default fc
