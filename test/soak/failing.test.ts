/** FAULTS row 38 at full length; prints what it measured. */
import { expect, it } from 'vitest'
import { closeAll, failingManager, failMany, residue, startFailingOrigin } from '../faults/failing.js'
import { MiB } from '../faults/harness.js'
import { listTree } from '../support/temp.js'

it('row 38: 10,000 failing downloads', async () => {
  await using failing = await startFailingOrigin()
  const { manager, directory } = failingManager()
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
