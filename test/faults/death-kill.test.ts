import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { partPaths } from '../../src/disk/part-paths.js'
import { covers } from '../../src/engine/part/intervals.js'
import { peekLeftover } from '../../src/engine/part/journal.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { spawnCli } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { expectInvariant, KiB, MiB } from './harness.js'
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

it('row 30: kill -9 at full speed; all that was written is known, up to half a megabyte', async () => {
  await using origin = await startOrigin()
  const content = randomContent(48 * MiB, 'fast')
  origin.serve('/fast.bin', { content })
  const directory = tempDir('fast')
  const url = origin.url('/fast.bin')
  const start = () => spawnCli(['get', url, '-d', directory, '--connections', '8', '--quiet'])
  let kills = 0
  for (const share of [0.2, 0.4, 0.6]) {
    await using run = start()
    await waitFor(() => origin.bytesSent('/fast.bin') >= share * content.size || !run.running)
    const { signal } = await run.kill()
    if (signal !== 'SIGKILL') break
    kills += 1
    const paths = partPaths(directory, 'fast.bin')
    const { resume } = await peekLeftover(paths, [url], null)
    const known = resume?.done ?? []
    const part = await readFile(paths.part)
    let unknown = 0
    for (let at = 0; at < part.length; at += KiB) {
      const isThere = part.subarray(at, at + KiB).equals(content.slice(at, at + KiB))
      if (isThere && !covers(known, at, at + KiB)) unknown += KiB
      if (!isThere) expect(covers(known, at, at + KiB)).toBe(false)
    }
    expect(unknown).toBeLessThanOrEqual(512 * KiB)
  }
  expect(kills).toBeGreaterThan(0)
  await using last = start()
  expect((await last.finished()).code).toBe(0)
  await expectInvariant(directory, 'fast.bin', 'done', { content })
}, 60_000)
