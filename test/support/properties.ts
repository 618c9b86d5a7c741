import fc from 'fast-check'

/**
 * The seed of property tests. `npm test` always uses the same one, so that the results for a commit are reproducible.
 * Set `FC_SEED=random` (as `npm run soak` does) or a number to use another one.
 */
const seed = process.env['FC_SEED'] ?? '20261126'

fc.configureGlobal({
  ...(seed === 'random' ? {} : { seed: Number(seed) }),
  // `npm run mutation` only wants to know that a property fails, so it looks for no smaller case.
  endOnFailure: process.env['FC_SHRINK'] === 'no',
})

/**
 * Any text without lone surrogates, as `fc.string({ unit: 'binary' })` draws it. That one takes a second of CPU in
 * each process, to build a table of all code points.
 */
export function anyText(constraints: fc.ArrayConstraints = {}): fc.Arbitrary<string> {
  return fc.array(codePoint, constraints).map((points) => String.fromCodePoint(...points))
}

const codePoint = fc.oneof(
  fc.integer({ min: 0, max: 0x7f }),
  fc.integer({ min: 0x80, max: 0xd7ff }),
  fc.integer({ min: 0xe000, max: 0x10_ffff }),
)

export default fc
