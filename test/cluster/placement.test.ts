/** Instances whose files are in one folder, or each on a disk of its own. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ClusterCoordinator } from '../../src/cluster/coordinator.js'
import { systemClock } from '../../src/util/clock.js'
import { arrives, KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { MemoryCluster, MemoryJobs, MemoryQueue } from '../support/memory-cluster.js'
import { startOrigin } from '../support/origin.js'
import { sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(256 * KiB)

/** Makes managers of one cluster. */
function clusterOf() {
  const cluster = new MemoryCluster(systemClock, 20_000)
  const jobs = new MemoryJobs(20)
  return (node: string, directory: string, how: { affinityMs: number } | { sharedFolder: string }) => {
    const coordinator = new ClusterCoordinator(
      {
        backend: cluster.join(node, 'affinityMs' in how ? how.affinityMs : 0),
        queue: new MemoryQueue(jobs),
        ...{ clusterConcurrency: null, clusterMaxBytesPerSecond: null, secret: null, onStoreLost: 'stop' },
        ...('sharedFolder' in how ? how : {}),
      },
      systemClock,
    )
    const options = { store: undefined, connections: 1, cluster: { join: () => coordinator } }
    return makeManager(directory, options as never)
  }
}

it('a node that has begun a download on its own disk goes on with it after a restart, and no other one does', async () => {
  await using origin = await startOrigin()
  const make = clusterOf()
  const [mine, theirs] = [tempDir('own-a'), tempDir('own-b')]
  const affinity = { affinityMs: 3_600_000 }
  const first = make('a', mine, affinity)
  await first.ready
  origin.serve('/file.bin', { content, bytesPerSecond: 64 * KiB })
  const url = origin.url('/file.bin')
  const begun = await first.download({ url })
  begun.finished.catch(() => undefined)
  await waitFor(() => begun.current.downloaded >= 64 * KiB, { what: 'some bytes' })
  const other = make('b', theirs, affinity)
  await other.ready
  await first.close()
  await waitFor(() => other.get(url)?.state === 'queued', { what: 'the download to wait' })
  origin.clearRequests()
  origin.serve('/file.bin', { content })
  origin.serve('/another.bin', { content })
  // It is offered all the time, and takes what comes after it.
  await arrives(await other.download({ url: origin.url('/another.bin') }))
  expect(origin.requests('/file.bin')).toEqual([])
  const again = make('a', mine, affinity)
  await again.ready
  await waitFor(() => again.get(url)?.state === 'completed', { what: 'the file' })
  expect(await sha256File(join(mine, 'file.bin'))).toBe(content.sha256())
  expect(origin.requests('/file.bin')[0]?.range?.start).toBeGreaterThan(0)
  await Promise.all([again.close(), other.close()])
})

it('an instance says what does not work in the folder that it shares', async () => {
  const folder = join(tempDir('shared'), 'models')
  await writeFile(folder, 'a file')
  const messages: string[] = []
  const manager = clusterOf()('a', tempDir('shared'), { sharedFolder: folder })
  manager.on('log', ({ level, message }) => messages.push(`${level}: ${message}`))
  await manager.ready
  expect(messages).toEqual([
    expect.stringMatching(
      /^warn: The folder of the cluster is not fit to be shared: no file can be made there/,
    ),
  ])
  await manager.close()
})
