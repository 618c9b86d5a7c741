/** FAULTS row 38 at full length; prints what it measured. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { closeAll, failMany, residue, startFailingOrigin } from '../faults/failing.js'
import { makeManager, MiB } from '../faults/harness.js'
import { listTree, tempDir } from '../support/temp.js'

it('row 38: 10,000 failing downloads', async () => {
  await using failing = await startFailingOrigin()
  const directory = join(tempDir('failing'), 'models')
  const manager = makeManager(directory, {
    ...{ concurrency: 20, connections: 1, store: 'file' },
    tuning: { maxAttempts: 1 },
  })
  const start = await residue()
  await failMany(manager, failing, 0, 1_000)
  const warm = await residue()
  await failMany(manager, failing, 1_000, 9_000)
  const end = await residue()
  await closeAll(manager, failing)
  const closed = await residue()
  const mib = (bytes: number) => (bytes / MiB).toFixed(1)
  console.log(
    `heap ${mib(start.heapBytes)} MiB at the start, ${mib(warm.heapBytes)} after 1,000, ${mib(end.heapBytes)} after ` +
      `10,000; descriptors ${start.fds.length} at the start, ${closed.fds.length} at the end`,
  )
  expect(end.heapBytes - warm.heapBytes).toBeLessThan(4 * MiB)
  expect(closed.fds.length).toBeLessThanOrEqual(start.fds.length)
  expect(await listTree(directory)).toEqual(['.model-downloader/'])
})
