/** What every queue of a cluster must hold. */
import { describe, expect, it } from 'vitest'
import type { ClusterQueue } from '../../../src/cluster/backend.js'
import { waitFor } from '../../support/wait.js'

/** A queue for one case, empty at first. */
export interface QueuePlace {
  /** The queue of another instance, which has not been opened. */
  join(): ClusterQueue
  /** Loses all jobs. */
  lose(): void | Promise<void>
}

const job = (
  id: string,
  more: { generation?: number; priority?: number; remote?: boolean; hasBegun?: boolean } = {},
) => ({
  ...{ id, generation: 1, priority: 0, remote: false, hasBegun: false },
  ...more,
})

/** What is offered to an instance, and ends when the test says so. */
class Offers {
  readonly all: string[] = []
  readonly open = new Map<string, (outcome: 'done' | 'later') => void>()
  most = 0

  readonly take = (id: string, generation: number): Promise<'done' | 'later'> => {
    const key = `${id}.${generation}`
    this.all.push(key)
    return new Promise((resolve) => {
      this.open.set(key, resolve)
      this.most = Math.max(this.most, this.open.size)
    })
  }

  end(key: string, outcome: 'done' | 'later' = 'done'): void {
    this.open.get(key)?.(outcome)
    this.open.delete(key)
  }

  endAll(): void {
    for (const key of [...this.open.keys()]) this.end(key)
  }
}

/** Runs the cases. */
export function describeQueue(name: string, openPlace: () => Promise<QueuePlace>): void {
  const withQueues =
    (count: number, run: (queues: ClusterQueue[], offers: Offers[], place: QueuePlace) => Promise<void>) =>
    async () => {
      const place = await openPlace()
      const queues = Array.from({ length: count }, () => place.join())
      const offers = queues.map(() => new Offers())
      try {
        await run(queues, offers, place)
      } finally {
        for (const each of offers) each.endAll()
        await Promise.all(queues.map((queue) => queue.close()))
      }
    }
  const problems: string[] = []
  const start = (
    queue: ClusterQueue,
    offers: Offers,
    concurrency = 1,
    clusterConcurrency: number | null = null,
  ) => queue.open(offers.take, (message) => problems.push(message), { concurrency, clusterConcurrency })
  const offered = (offers: Offers, count: number) =>
    waitFor(() => offers.all.length >= count, {
      timeoutMs: 10_000,
      what: `${count} offers, not ${offers.all.join()}`,
    })

  describe(`${name} as the queue of a cluster`, () => {
    it(
      'offers by priority, those of trusted callers first, what has begun first of equals, and else in the order of arrival',
      withQueues(1, async ([queue], [offers]) => {
        await queue!.add([
          job('remote-high', { priority: 100, remote: true }),
          job('first'),
          job('low', { priority: -5 }),
          job('second'),
          job('remote', { remote: true }),
          job('high', { priority: 5 }),
          job('begun', { hasBegun: true }),
        ])
        await start(queue!, offers!)
        for (let count = 1; count <= 7; count += 1) {
          await offered(offers!, count)
          expect(offers!.open.size).toBe(1)
          offers!.endAll()
        }
        expect(offers!.all.map((key) => key.split('.')[0])).toEqual([
          'high',
          'begun',
          'first',
          'second',
          'low',
          'remote-high',
          'remote',
        ])
        expect(problems).toEqual([])
      }),
    )

    it(
      'offers a download once, though it is added several times by several instances',
      withQueues(2, async (queues, offers) => {
        for (const [index, queue] of queues.entries()) await start(queue, offers[index]!, 5)
        await Promise.all(queues.flatMap((queue) => [queue.add([job('a'), job('b')]), queue.add([job('a')])]))
        await waitFor(() => offers[0]!.all.length + offers[1]!.all.length >= 2)
        await queues[0]!.add([job('a')])
        // A later generation is another job, whether or not the first is done.
        await queues[1]!.add([job('a', { generation: 2 })])
        await waitFor(() => offers[0]!.all.length + offers[1]!.all.length >= 3)
        expect([...offers[0]!.all, ...offers[1]!.all].sort()).toEqual(['a.1', 'a.2', 'b.1'])
      }),
    )

    it(
      'offers a download again that could not be taken',
      withQueues(1, async ([queue], [offers]) => {
        await start(queue!, offers!)
        await queue!.add([job('a')])
        await offered(offers!, 1)
        offers!.end('a.1', 'later')
        await offered(offers!, 2)
        offers!.end('a.1')
        await queue!.add([job('b')])
        await offered(offers!, 3)
        expect(offers!.all).toEqual(['a.1', 'a.1', 'b.1'])
      }),
    )

    it(
      'offers no more at a time than an instance has slots',
      withQueues(2, async (queues, offers) => {
        for (const [index, queue] of queues.entries()) await start(queue, offers[index]!, 2)
        await queues[0]!.add(Array.from({ length: 12 }, (_, index) => job(`j${index}`)))
        const done = new Set<string>()
        await waitFor(
          () => {
            for (const each of offers) {
              expect(each.open.size).toBeLessThanOrEqual(2)
              const [key] = each.open.keys()
              if (key !== undefined) {
                each.end(key)
                done.add(key)
              }
            }
            return done.size === 12
          },
          { timeoutMs: 20_000 },
        )
        expect(offers.flatMap(({ all }) => all)).toHaveLength(12)
        expect(Math.max(...offers.map(({ most }) => most))).toBe(2)
      }),
    )

    it(
      'offers no more at a time than the cluster may run',
      withQueues(3, async (queues, offers) => {
        for (const [index, queue] of queues.entries()) await start(queue, offers[index]!, 4, 2)
        await queues[0]!.add(Array.from({ length: 8 }, (_, index) => job(`j${index}`)))
        const done = new Set<string>()
        await waitFor(
          () => {
            const open = offers.flatMap((each) => [...each.open.keys()].map((key) => [each, key] as const))
            expect(open.length).toBeLessThanOrEqual(2)
            const [first] = open
            if (first !== undefined && (open.length === 2 || done.size === 7)) {
              first[0].end(first[1])
              done.add(first[1])
            }
            return done.size === 8
          },
          { timeoutMs: 30_000 },
        )
        expect(offers.flatMap(({ all }) => all)).toHaveLength(8)
      }),
    )

    it(
      'offers nothing to an instance that wants no more, and takes what it adds',
      withQueues(2, async ([leaving, staying], [left, stayed]) => {
        await start(leaving!, left!, 5)
        await leaving!.add([job('a')])
        await offered(left!, 1)
        const stopped = leaving!.stopOffering()
        left!.end('a.1')
        await stopped
        await leaving!.add([job('b')])
        await start(staying!, stayed!, 5)
        await offered(stayed!, 1)
        expect([left!.all, stayed!.all]).toEqual([['a.1'], ['b.1']])
        await leaving!.close()
      }),
    )

    it(
      'takes jobs again that were lost',
      withQueues(1, async ([queue], [offers], place) => {
        await queue!.add([job('a')])
        await place.lose()
        await queue!.add([job('a')])
        await start(queue!, offers!)
        await offered(offers!, 1)
        expect(offers!.all).toEqual(['a.1'])
      }),
    )
  })
}
