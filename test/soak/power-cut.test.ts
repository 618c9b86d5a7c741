/** FAULTS row 30b, many times; prints what it saw. */
import { expect, it } from 'vitest'
import { MiB } from '../faults/harness.js'
import { seededRandom } from '../faults/killing.js'
import { diskKinds, diskNeeds } from '../faults/loop-disk.js'
import { cutAndResume, cutGroup, type PowerOutcome } from '../faults/power.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { roundsOf, soakSeed } from './rounds.js'

for (const disk of diskKinds) {
  describeWith(diskNeeds[disk], `row 30b: the power is cut on ${disk} at random moments`, () => {
    it.each(['nothing', 'metadata'] as const)('with %s flushed', { timeout: 3_600_000 }, async (how) => {
      const rounds = roundsOf('SOAK_CUTS', 1 / 9)
      const seed = soakSeed()
      const random = seededRandom(seed)
      const seen: PowerOutcome[] = []
      const wrong: unknown[] = []
      const start = performance.now()
      for (let round = 0; round < rounds; round++) {
        const content = randomContent(Math.ceil((1 + random() * 7) * MiB), `cut ${round}`)
        const old = random() < 0.5 ? null : Buffer.from(`old ${round}`)
        // A file takes about a second; every other cut comes close to its end.
        const cut = round % 2 === 0 ? random() * 1_000 : { afterLastByte: random() * 150 }
        const vouched = random() < 0.5 ? { sha256: content.sha256() } : {}
        const options = { ...vouched, force: old !== null }
        try {
          seen.push(await cutAndResume({ content, disk, how, cut, old, options }))
        } catch (error) {
          wrong.push(new Error(`seed ${seed}, round ${round}`, { cause: error }))
          console.error(wrong.at(-1))
        }
      }
      const count = (final: PowerOutcome['final']) => seen.filter((outcome) => outcome.final === final).length
      const sum = (what: 'synced' | 'fetched') =>
        (seen.reduce((all, outcome) => all + outcome[what], 0) / MiB).toFixed(1)
      console.log(
        `${disk}, ${how}: ${rounds} cuts, ${wrong.length} wrong; under the final name ${count('absent')} × nothing, ` +
          `${count('old')} × the old file, ${count('new')} × the new one; ${sum('synced')} MiB were synced, ` +
          `${sum('fetched')} MiB fetched afterwards, ${Math.round((performance.now() - start) / 1_000)} s (seed ${seed})`,
      )
      expect(wrong).toEqual([])
    })

    it('in the middle of a group', { timeout: 3_600_000 }, async () => {
      const rounds = roundsOf('SOAK_CUTS', 1 / 9)
      const seed = soakSeed()
      const random = seededRandom(seed)
      const wrong: unknown[] = []
      let synced = 0
      let fetched = 0
      const start = performance.now()
      for (let round = 0; round < rounds; round++) {
        const layout = round % 2 === 0 ? 'flat' : 'hf-cache'
        const how = random() < 0.5 ? 'nothing' : 'metadata'
        // Bytes are synced every 5 s, and it takes a little longer than that.
        const cut = random() * 7_000
        try {
          const outcome = await cutGroup({ disk, how, layout, cut })
          synced += outcome.synced
          fetched += outcome.fetched
        } catch (error) {
          wrong.push(new Error(`seed ${seed}, round ${round}`, { cause: error }))
          console.error(wrong.at(-1))
        }
      }
      console.log(
        `${disk}, groups: ${rounds} cuts, ${wrong.length} wrong; ${(synced / MiB).toFixed(1)} MiB were synced, ` +
          `${(fetched / MiB).toFixed(1)} MiB fetched afterwards, ` +
          `${Math.round((performance.now() - start) / 1_000)} s (seed ${seed})`,
      )
      expect(wrong).toEqual([])
    })
  })
}
