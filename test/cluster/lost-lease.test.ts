/** What a caller is told when the lease of a download is lost while something is done with it. */
import { expect, it } from 'vitest'
import type { ClusterBackend } from '../../src/cluster/backend.js'
import { ClusterCoordinator } from '../../src/cluster/coordinator.js'
import type { DownloadManager } from '../../src/index.js'
import { systemClock } from '../../src/util/clock.js'
import { KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { MemoryCluster, MemoryJobs, MemoryQueue } from '../support/memory-cluster.js'
import { startOrigin } from '../support/origin.js'
import { shared } from '../support/shared.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

const content = randomContent(64 * KiB)
const origin = shared(() => startOrigin())

/** Two instances, and a paused download that both know. */
async function openPair() {
  const directory = tempDir('lost-lease')
  const cluster = new MemoryCluster(systemClock, 20_000)
  const jobs = new MemoryJobs(20)
  const join = (node: string) => {
    const backend: ClusterBackend = cluster.join(node)
    const coordinator = new ClusterCoordinator(
      {
        ...{
          backend,
          queue: new MemoryQueue(jobs),
          clusterConcurrency: null,
          clusterMaxBytesPerSecond: null,
        },
        ...{ secret: null, onStoreLost: 'stop' },
      },
      systemClock,
    )
    const manager = makeManager(directory, {
      store: undefined,
      cluster: { join: () => coordinator },
    } as never)
    const events: string[] = []
    for (const event of ['removed', 'writeFenced', 'leaseLost'] as const)
      manager.on(event, () => events.push(event))
    return { backend, manager, events }
  }
  const [one, other] = [join('n1'), join('n2')]
  await Promise.all([one.manager.ready, other.manager.ready])
  origin().serve('/file.bin', { content, bytesPerSecond: 16 * KiB })
  const url = origin().url('/file.bin')
  await one.manager.download({ url })
  await waitFor(() => (other.manager.get(url)?.current.downloaded ?? 0) > 0, { what: 'some bytes' })
  await one.manager.pause(url)
  await waitFor(() => other.manager.get(url)?.state === 'paused', { what: 'the other to know' })
  return {
    ...{ one, other, url, cluster, directory },
    /** As if the instance that holds the lease had been frozen for too long. */
    expire: () => {
      for (const row of cluster.rows.values()) row.until = 0
    },
    [Symbol.asyncDispose]: async () => {
      await withTimeout(Promise.all([one.manager.close(), other.manager.close()]), 10_000, 'the managers')
    },
  }
}

/** Runs something once, just before a call reaches the store. */
function before(backend: ClusterBackend, call: 'remove' | 'save' | 'confirm', task: () => unknown): void {
  const original = backend[call].bind(backend) as (...values: unknown[]) => Promise<never>
  let isFirst = true
  backend[call] = async (...values: unknown[]) => {
    if (isFirst) {
      isFirst = false
      await task()
    }
    return original(...values)
  }
}

const knows = (manager: DownloadManager, url: string) => manager.get(url)?.state

it('removes a download once more, rather than telling that it is gone, if another instance has had it meanwhile', async () => {
  await using pair = await openPair()
  const { one, other, url } = pair
  before(one.backend, 'remove', async () => {
    pair.expire()
    await other.manager.pin(url, true)
    expect(pair.cluster.rows.size).toBe(1)
  })
  await one.manager.remove(url)
  expect(pair.cluster.rows.size).toBe(0)
  expect(knows(one.manager, url)).toBeUndefined()
  await waitFor(() => knows(other.manager, url) === undefined, { what: 'the other to know' })
  expect(one.events).toEqual(['writeFenced', 'leaseLost', 'removed'])
  expect(other.events).toEqual(['removed'])
})

it('deletes no file once another instance has had the download meanwhile, but asks for the right to do so again', async () => {
  await using pair = await openPair()
  const { one, other, url, directory } = pair
  const found: boolean[] = []
  const look = async () => found.push((await listTree(directory)).includes('file.bin.part'))
  before(one.backend, 'confirm', async () => {
    pair.expire()
    await other.manager.pin(url, true)
    await look()
    // Before it is asked for the second time.
    before(one.backend, 'confirm', look)
  })
  await one.manager.cancel(url)
  expect(found).toEqual([true, true])
  expect(await listTree(directory)).not.toContain('file.bin.part')
  expect(one.events).toEqual(['leaseLost', 'writeFenced'])
  await waitFor(() => knows(other.manager, url) === 'canceled', { what: 'the other to know' })
})

it('has the new owner pause what it has taken over', async () => {
  await using pair = await openPair()
  const { one, other, url } = pair
  await one.manager.resume(url)
  await waitFor(() => [one, other].some(({ manager }) => knows(manager, url) === 'downloading'), {
    what: 'it to go on',
  })
  const [mine, theirs] = isOwner(one, pair.cluster) ? [one, other] : [other, one]
  before(mine.backend, 'save', async () => {
    pair.expire()
    await theirs.backend.reap()
    await waitFor(
      () => [...pair.cluster.rows.values()].every(({ owner }) => owner === theirs.backend.instance),
      {
        what: 'the other to take it',
      },
    )
  })
  await mine.manager.pause(url)
  expect([...pair.cluster.rows.values()].map(({ record }) => record.state)).toEqual(['paused'])
  expect(knows(theirs.manager, url)).toBe('paused')
  await waitFor(() => knows(mine.manager, url) === 'paused', { what: 'the first to know' })
})

function isOwner({ backend }: { backend: ClusterBackend }, { rows }: MemoryCluster): boolean {
  return [...rows.values()].some(({ owner }) => owner === backend.instance)
}
