/** FAULTS row 30b, many times; prints what it saw. */
import { expect, it } from 'vitest'
import { MiB } from '../faults/harness.js'
import { seededRandom } from '../faults/killing.js'
import { loopDisks } from '../faults/loop-disk.js'
import { cutAndResume, type PowerOutcome } from '../faults/power.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'

const rounds = 60

describeWith(loopDisks, 'row 30b: the power is cut at random moments', () => {
  it.each(['nothing', 'metadata'] as const)('with %s flushed', async (how) => {
    const seed = Date.now()
    const random = seededRandom(seed)
    const seen: PowerOutcome[] = []
    for (let round = 0; round < rounds; round++) {
      const content = randomContent(Math.ceil((1 + random() * 7) * MiB), `cut ${round}`)
      const old = random() < 0.5 ? null : Buffer.from(`old ${round}`)
      // A file takes about a second; every other cut comes close to its end.
      const cut = round % 2 === 0 ? random() * 1_000 : 950 + random() * 200
      const vouched = random() < 0.5 ? { sha256: content.sha256() } : {}
      const told = `seed ${seed}, round ${round}`
      const options = { ...vouched, force: old !== null }
      seen.push(
        await cutAndResume({ content, how, cut, old, options }).catch((error: unknown) => {
          throw new Error(told, { cause: error })
        }),
      )
    }
    const count = (final: PowerOutcome['final']) => seen.filter((outcome) => outcome.final === final).length
    const fetched = seen.reduce((sum, outcome) => sum + outcome.fetched, 0) / MiB
    console.log(
      `${how}: ${rounds} cuts; under the final name ${count('absent')} × nothing, ${count('old')} × the old file, ` +
        `${count('new')} × the new one; ${fetched.toFixed(1)} MiB fetched afterwards (seed ${seed})`,
    )
    expect(seen).toHaveLength(rounds)
  })
})
