import { expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { MiB } from './harness.js'
import { diskNeeds } from './loop-disk.js'
import { cutAndResume } from './power.js'

describeWith(diskNeeds.ext4, 'row 30b: the power is cut', () => {
  const content = randomContent(4 * MiB, 'power')
  const old = Buffer.from('the file that was there before')

  it.each(['nothing', 'metadata'] as const)(
    'in the middle: what was synced is kept (%s flushed)',
    async (how) => {
      const outcome = await cutAndResume({ content, how, cut: 'when synced', old: null, options: {} })
      expect(outcome.final).toBe('absent')
      expect(outcome.synced).toBeGreaterThan(0)
      expect(outcome.fetched).toBeLessThan(content.size)
    },
  )

  it.each(['nothing', 'metadata'] as const)('around publishing: nothing torn (%s flushed)', async (how) => {
    for (const cut of [990, 1_020, 1_060, 1_110]) {
      const options = { force: true }
      const { final } = await cutAndResume({ content, how, cut, old, options })
      expect(['old', 'new']).toContain(final)
    }
  })
})
