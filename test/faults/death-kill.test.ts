import { join } from 'node:path'
import { expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { MiB } from './harness.js'
import { killAndResume, seededRandom } from './killing.js'

it('row 30: kill -9 at random moments, three times per file; the same command goes on', async () => {
  await using origin = await startOrigin()
  const seed = Date.now()
  const random = seededRandom(seed)
  const outcomes = await Promise.all(
    [1, 2, 3].map((file) => {
      const content = randomContent(8 * MiB, `kill ${file}`)
      const path = `/file-${file}.bin`
      origin.serve(path, { content, bytesPerSecond: MiB })
      const directory = join(tempDir('kill'), 'models')
      return killAndResume({
        ...{ origin, path, content, directory, random, kills: 3 },
        args: ['--connections', '4'],
      })
    }),
  )
  const told = `seed ${seed}\n${outcomes.map(({ detail }) => detail).join('\n')}`
  expect(
    outcomes.filter(({ stuck }) => stuck),
    told,
  ).toEqual([])
  expect(
    outcomes.filter(({ right }) => !right),
    told,
  ).toEqual([])
  expect(
    outcomes.filter(({ tidy }) => !tidy),
    told,
  ).toEqual([])
  const kills = outcomes.reduce((sum, outcome) => sum + outcome.kills, 0)
  const again = outcomes.reduce((sum, outcome) => sum + outcome.againBytes, 0)
  expect(kills, told).toBeGreaterThanOrEqual(6)
  expect(again / kills, told).toBeLessThanOrEqual(2 * MiB)
}, 60_000)
