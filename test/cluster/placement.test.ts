/** Instances whose files are in one folder, or each on a disk of its own. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bullmqCluster } from '../../src/cluster/bullmq/bullmq.js'
import { ClusterCoordinator } from '../../src/cluster/coordinator.js'
import type { ClusterSettings } from '../../src/cluster/settings.js'
import type { Cluster } from '../../src/manager/cluster/coordinator.js'
import type { DownloadManager } from '../../src/index.js'
import { systemClock } from '../../src/util/clock.js'
import { arrives, KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { MemoryCluster, MemoryJobs, MemoryQueue } from '../support/memory-cluster.js'
import { describeWith } from '../support/machine.js'
import { type Origin, startOrigin } from '../support/origin.js'
import { RedisServer, redisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { sha256File, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(256 * KiB)

/** Makes a manager of one cluster, on a disk of its own. */
type Make = (node: string, directory: string, affinityMs: number) => DownloadManager

function inMemory(): (
  node: string,
  directory: string,
  how: Partial<ClusterSettings>,
  affinityMs?: number,
) => DownloadManager {
  const cluster = new MemoryCluster(systemClock, 20_000)
  const jobs = new MemoryJobs(20)
  return (node, directory, how, affinityMs) => {
    const coordinator = new ClusterCoordinator(
      {
        ...{ backend: cluster.join(node, affinityMs), queue: new MemoryQueue(jobs) },
        ...{ clusterConcurrency: null, clusterMaxBytesPerSecond: null, secret: null, onStoreLost: 'stop' },
        ...how,
      },
      systemClock,
    )
    return clustered(directory, { join: () => coordinator })
  }
}

function clustered(directory: string, cluster: Cluster): DownloadManager {
  return makeManager(directory, { store: undefined, connections: 1, cluster } as never)
}

function describeOwnDisks(name: string, makes: () => Make): void {
  describe(name, () => {
    /** A download that node `a` has begun, and has been stopped with it. */
    async function begunThere(origin: Origin, affinityMs: number) {
      const make = makes()
      const directory = tempDir('own-a')
      const first = make('a', directory, affinityMs)
      await first.ready
      origin.serve('/file.bin', { content, bytesPerSecond: 64 * KiB })
      const url = origin.url('/file.bin')
      const begun = await first.download({ url })
      begun.finished.catch(() => undefined)
      await waitFor(() => begun.current.downloaded >= 64 * KiB, { what: 'some bytes' })
      const elsewhere = tempDir('own-b')
      const other = make('b', elsewhere, affinityMs)
      await other.ready
      await first.close()
      await waitFor(() => other.get(url)?.state !== 'downloading', { what: 'the end of the run' })
      origin.clearRequests()
      origin.serve('/file.bin', { content })
      origin.serve('/another.bin', { content })
      return { make, url, other, directory, elsewhere }
    }

    it('a node that has begun a download goes on with it after a restart, and no other one does', async () => {
      await using origin = await startOrigin()
      const { make, url, other, directory } = await begunThere(origin, 3_600_000)
      // It is offered all the time, and takes what comes after it.
      await arrives(await other.download({ url: origin.url('/another.bin') }))
      expect(other.get(url)?.state).toBe('queued')
      expect(origin.requests('/file.bin')).toEqual([])
      const again = make('a', directory, 3_600_000)
      await again.ready
      await waitFor(() => other.get(url)?.state === 'completed', { what: 'the file' })
      expect(await sha256File(join(directory, 'file.bin'))).toBe(content.sha256())
      expect(origin.requests('/file.bin')[0]?.range?.start).toBeGreaterThan(0)
      await Promise.all([again.close(), other.close()])
    })

    it('what is paused and resumed elsewhere goes on where its bytes are', async () => {
      await using origin = await startOrigin()
      const { make, url, other, directory } = await begunThere(origin, 3_600_000)
      const again = make('a', directory, 3_600_000)
      await other.pause(url)
      await again.ready
      await other.resume(url)
      await waitFor(() => other.get(url)?.state === 'completed', { what: 'the file' })
      expect(await sha256File(join(directory, 'file.bin'))).toBe(content.sha256())
      await Promise.all([again.close(), other.close()])
    })

    it('another node begins anew once it has waited for long enough', async () => {
      await using origin = await startOrigin()
      const { url, other, elsewhere } = await begunThere(origin, 300)
      await waitFor(() => other.get(url)?.state === 'completed', { what: 'the file' })
      expect(await sha256File(join(elsewhere, 'file.bin'))).toBe(content.sha256())
      expect(origin.requests('/file.bin')[0]?.range?.start ?? 0).toBe(0)
      await other.close()
    })
  })
}

describeOwnDisks('in memory', () => {
  const make = inMemory()
  return (node, directory, affinityMs) => make(node, directory, {}, affinityMs)
})

describeWith(redisServer, 'with a server', () => {
  const redis = shared(() => RedisServer.start())
  let round = 0
  describeOwnDisks('on BullMQ', () => {
    const prefix = `placement-${round++}`
    return (node, directory, affinityMs) => {
      const connection = redis().path
      return clustered(directory, bullmqCluster({ connection, prefix, node, placement: 'own', affinityMs }))
    }
  })
})

it('an instance says what does not work in the folder that it shares', async () => {
  const folder = join(tempDir('shared'), 'models')
  await writeFile(folder, 'a file')
  const messages: string[] = []
  const manager = inMemory()('a', tempDir('shared'), { sharedFolder: folder })
  manager.on('log', ({ level, message }) => messages.push(`${level}: ${message}`))
  await manager.ready
  expect(messages).toEqual([
    expect.stringMatching(
      /^warn: The folder of the cluster is not fit to be shared: no file can be made there/,
    ),
  ])
  await manager.close()
})
