import { expect, it } from 'vitest'
import { listTree } from '../support/temp.js'
import { closeAll, failingManager, failMany, residue, startFailingOrigin } from './failing.js'
import { MiB } from './harness.js'

it('row 38: 1,000 failing downloads leave neither files, nor descriptors, nor memory behind', async () => {
  await using failing = await startFailingOrigin()
  const { manager, directory } = failingManager()
  const start = await residue()
  await failMany(manager, failing, 0, 200)
  const warm = await residue()
  await failMany(manager, failing, 200, 800)
  const end = await residue()
  expect(end.heapBytes - warm.heapBytes).toBeLessThan(4 * MiB)
  expect(manager.list()).toEqual([])
  expect(await listTree(directory)).toEqual(['.model-downloader/'])
  await closeAll(manager, failing)
  expect((await residue()).fds.length).toBeLessThanOrEqual(start.fds.length)
}, 60_000)
