/** FAULTS row 30 at full length; prints what it measured. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MiB } from '../faults/harness.js'
import { killAndResume, seededRandom, type KillOutcome } from '../faults/killing.js'
import { randomContent } from '../support/content.js'
import { container, describeWith, namespaces } from '../support/machine.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'

const files = 30
const kills = 3
const speed = 8_000_000

describe('row 30: 30 files of 24 MiB, each killed three times with -9', () => {
  it.each([
    { how: '8 MB/s per connection', bytesPerSecond: speed, args: [], parallel: 1 },
    { how: '8 MB/s, one connection', bytesPerSecond: speed, args: ['--connections', '1'], parallel: 4 },
    {
      how: '8 MB/s in all, limited by us',
      // Hardly faster than the limit: what a fast origin puts into the buffers between the two would be counted, though
      // it never reaches the client.
      bytesPerSecond: 9_000_000,
      args: ['--limit-rate', '8M'],
      parallel: 2,
    },
  ])('$how', async ({ how, bytesPerSecond, args, parallel }) => {
    await using origin = await startOrigin()
    const seed = Date.now()
    const random = seededRandom(seed)
    const outcomes: KillOutcome[] = []
    const numbers = Array.from({ length: files }, (_, index) => index)
    const work = async () => {
      for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
        const content = randomContent(24 * MiB, `soak ${number}`)
        const path = `/file-${number}.bin`
        origin.serve(path, { content, bytesPerSecond })
        const directory = join(tempDir('soak-kill'), 'models')
        outcomes.push(await killAndResume({ origin, path, content, directory, kills, args, random }))
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))

    const killed = outcomes.reduce((sum, outcome) => sum + outcome.kills, 0)
    const again = outcomes.reduce((sum, outcome) => sum + outcome.againBytes, 0) / MiB
    const wrong = outcomes.filter(({ right }) => !right)
    const stuck = outcomes.filter((outcome) => outcome.stuck)
    console.log(
      `${how}: ${killed} kills of ${files} files, ${wrong.length} wrong, ${stuck.length} stuck, ` +
        `${(again / killed).toFixed(2)} MiB fetched again per kill (seed ${seed})`,
    )
    expect(outcomes).toHaveLength(files)
    expect(stuck).toEqual([])
    expect(wrong).toEqual([])
    expect(outcomes.filter(({ tidy }) => !tidy)).toEqual([])
    expect(killed).toBeGreaterThanOrEqual(files * 2)
    expect(again / killed).toBeLessThanOrEqual(2)
  })
})

describeWith(
  namespaces,
  'row 62: 30 files, each killed three times and started again in another container',
  () => {
    it('goes on from what was synced', async () => {
      await using origin = await startOrigin()
      const seed = Date.now()
      const random = seededRandom(seed)
      const content = randomContent(8 * MiB, 'container')
      const outcomes: KillOutcome[] = []
      for (let number = 0; number < files; number++) {
        const path = `/container-${number}.bin`
        origin.serve(path, { content, bytesPerSecond: speed })
        const directory = join(tempDir('soak-container'), 'models')
        const wrapper = container(`pod-${number}`)
        outcomes.push(await killAndResume({ origin, path, content, directory, kills, wrapper, random }))
      }
      const killed = outcomes.reduce((sum, outcome) => sum + outcome.kills, 0)
      console.log(`${killed} kills of ${files} containers (seed ${seed})`)
      expect(outcomes.filter(({ right, stuck, tidy }) => !right || stuck || !tidy)).toEqual([])
    })
  },
)
