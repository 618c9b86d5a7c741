import { describe, expect, it } from 'vitest'
import { ClusterCoordinator } from '../../src/cluster/coordinator.js'
import { RedisBackend } from '../../src/cluster/redis/backend.js'
import { BullmqQueue, type Ticket } from '../../src/cluster/bullmq/queue.js'
import { redisQueues } from '../../src/cluster/bullmq/connections.js'
import { isActive } from '../../src/download/states.js'
import { type DownloadManager, isDownloadError } from '../../src/index.js'
import type { Cluster } from '../../src/manager/cluster/coordinator.js'
import { systemClock } from '../../src/util/clock.js'
import { KiB, makeManager } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { MemoryCluster, MemoryJobs, MemoryQueue } from '../support/memory-cluster.js'
import { startOrigin } from '../support/origin.js'
import fc from '../support/properties.js'
import { redisServer, RedisServer } from '../support/redis-server.js'
import { shared } from '../support/shared.js'
import { sha256File, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'

const content = randomContent(48 * KiB)

/** Calls, as they are drawn: of an instance, for a file, after a pause of so many milliseconds. */
interface Call {
  at: number
  file: number
  move: 'download' | 'pause' | 'resume' | 'cancel' | 'retry' | 'remove'
  pauseMs: number
}

const call: fc.Arbitrary<Call> = fc.record({
  at: fc.nat(2),
  file: fc.nat(1),
  move: fc.constantFrom('download', 'pause', 'resume', 'cancel', 'retry', 'remove'),
  pauseMs: fc.constantFrom(0, 0, 0, 5, 30),
})

/** What a caller may be told of a download that somebody else has changed. */
const expected = new Set(['UNKNOWN_DOWNLOAD', 'INVALID_STATE', 'CANCELED'])

/** Runs the storms on one kind of cluster. */
function describeStorms(name: string, clusterOf: () => (node: string) => Cluster): void {
  describe(`three instances of a cluster on ${name}`, () => {
    const origin = shared(() => startOrigin())

    const open = () => {
      const directory = tempDir('storm')
      const join = clusterOf()
      const managers = ['a', 'b', 'c'].map((node) =>
        makeManager(directory, { store: undefined, concurrency: 2, cluster: join(node) } as never),
      )
      return {
        managers,
        ready: Promise.all(managers.map((manager) => manager.ready)),
        [Symbol.asyncDispose]: async () => {
          await withTimeout(
            Promise.all(managers.map((manager) => manager.close())),
            15_000,
            'the managers to close',
          )
        },
      }
    }

    it('fetch a URL once that is asked for fifty times through all of them', async () => {
      await using cluster = open()
      await cluster.ready
      const path = `/once-${name}.bin`
      origin().serve(path, { content, bytesPerSecond: 64 * KiB })
      const url = origin().url(path)
      const asked = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          cluster.managers[index % 3]!.download({ url, connections: 1 }),
        ),
      )
      const files = await withTimeout(Promise.all(asked.map(({ finished }) => finished)), 30_000, 'the file')
      expect(new Set(files.map(({ path: there }) => there)).size).toBe(1)
      expect(origin().bytesSent(path)).toBe(content.size)
      expect(origin().requests(path)).toHaveLength(1)
    })

    it('agree after a storm of calls, and can finish everything', async () => {
      let round = 0
      await fc.assert(
        fc.asyncProperty(fc.array(call, { minLength: 5, maxLength: 25 }), async (calls) => {
          round += 1
          await using cluster = open()
          await cluster.ready
          const paths = [0, 1].map((file) => `/storm-${name}-${round}-${file}.bin`)
          for (const path of paths) origin().serve(path, { content, bytesPerSecond: 256 * KiB })
          const urls = paths.map((path) => origin().url(path))
          const errors: unknown[] = []
          const pending: Promise<unknown>[] = []
          for (const { at, file, move, pauseMs } of calls) {
            if (pauseMs > 0) await systemClock.sleep(pauseMs)
            pending.push(
              ask(cluster.managers[at]!, urls[file]!, move).catch((error: unknown) => {
                if (!isDownloadError(error) || !expected.has(error.code)) errors.push([move, error])
              }),
            )
          }
          await withTimeout(Promise.all(pending), 30_000, `the calls ${JSON.stringify(calls)}`)
          expect(errors).toEqual([])
          // Whatever has been asked, the file arrives if that is what is wanted last.
          for (const [file, url] of urls.entries()) {
            const manager = cluster.managers[file]!
            const known = await manager.download({ url })
            if (known.state === 'paused') await manager.resume(url)
            const { path } = await withTimeout(
              known.finished,
              30_000,
              `file ${file} after ${JSON.stringify(calls)}`,
            )
            expect(await sha256File(path)).toBe(content.sha256())
          }
          for (const manager of cluster.managers)
            await waitFor(() => urls.every((url) => manager.get(url)?.state === 'completed'), {
              what: 'all to agree',
            })
          const lists = cluster.managers.map((manager) => manager.list().map((each) => each.toRecord()))
          expect(lists[1]!.map(({ id, state }) => [id, state])).toEqual(
            lists[0]!.map(({ id, state }) => [id, state]),
          )
          expect(lists[2]!.map(({ id, state }) => [id, state])).toEqual(
            lists[0]!.map(({ id, state }) => [id, state]),
          )
          expect(lists.flat().some(({ state }) => isActive(state))).toBe(false)
        }),
        { numRuns: 6, endOnFailure: true },
      )
    })
  })
}

async function ask(manager: DownloadManager, url: string, move: Call['move']): Promise<void> {
  if (move === 'download') (await manager.download({ url })).finished.catch(() => undefined)
  else await manager[move](url)
}

const settings = {
  ...{ clusterConcurrency: null, clusterMaxBytesPerSecond: null, secret: null },
  onStoreLost: 'stop' as const,
}

describeStorms('memory', () => {
  const cluster = new MemoryCluster(systemClock, 20_000)
  const jobs = new MemoryJobs(20)
  return (node) => ({
    join: () =>
      new ClusterCoordinator(
        { ...settings, backend: cluster.join(node), queue: new MemoryQueue(jobs) },
        systemClock,
      ),
  })
})

describeWith(redisServer, 'with a server', () => {
  const redis = shared(() => RedisServer.start())
  let round = 0
  describeStorms('Redis', () => {
    const prefix = `storm${(round += 1)}`
    const clock = systemClock
    return (node) => ({
      join: () => {
        const backend = new RedisBackend({ connection: redis().path, prefix, node, leaseMs: 20_000, clock })
        const queue = new BullmqQueue(redisQueues<Ticket>(redis().path, 'downloads', prefix), {
          leaseMs: 20_000,
          clock,
        })
        return new ClusterCoordinator({ ...settings, backend, queue }, clock)
      },
    })
  })
})
