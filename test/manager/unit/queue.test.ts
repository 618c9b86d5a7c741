import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { compareQueued, DownloadQueue, type Queued, type QueueLimit } from '../../../src/manager/queue.js'
import { waitFor } from '../../support/wait.js'

interface Item extends Queued {
  name: string
}

/** A queue whose items work until they are told to end. */
function makeQueue(concurrency: number, limit?: QueueLimit<Item>) {
  const started: string[] = []
  const running = new Map<string, () => void>()
  let most = 0
  const queue = new DownloadQueue<Item>(
    concurrency,
    (item) => item,
    (item) => {
      started.push(item.name)
      return new Promise((resolve) => {
        running.set(item.name, () => {
          running.delete(item.name)
          resolve()
        })
        most = Math.max(most, running.size)
      })
    },
    limit,
  )
  let sequence = 0
  return {
    queue,
    started,
    running,
    most: () => most,
    add: (name: string, priority = 0, remote: object | null = null) => {
      const item = { name, priority, sequence: sequence++, remote }
      queue.add(item)
      return item
    },
    end: async (name: string) => {
      await waitFor(() => running.has(name), { what: `${name} to run` })
      running.get(name)?.()
    },
    runs: async (...names: string[]) => {
      const what = `${names.join(', ')} to run`
      await waitFor(() => [...running.keys()].sort().join() === [...names].sort().join(), { what })
    },
  }
}

describe('compareQueued', () => {
  it('puts higher priority first, then earlier arrival', () => {
    const items = [
      { priority: 0, sequence: 1 },
      { priority: 5, sequence: 3 },
      { priority: -1, sequence: 0 },
      { priority: 5, sequence: 2 },
    ]
    expect([...items].sort(compareQueued).map((item) => item.sequence)).toEqual([2, 3, 1, 0])
  })

  it('puts trusted callers before remote ones, whatever priority these ask for', () => {
    const items = [
      { priority: 9, sequence: 0, remote: {} },
      { priority: 0, sequence: 1, remote: null },
      { priority: -9, sequence: 2 },
      { priority: 0, sequence: 3, remote: {} },
    ]
    expect([...items].sort(compareQueued).map((item) => item.sequence)).toEqual([1, 2, 0, 3])
  })
})

describe('DownloadQueue', () => {
  it('runs as many as it has slots', async () => {
    const { add, runs, end, queue } = makeQueue(2)
    for (const name of ['a', 'b', 'c']) add(name)
    await runs('a', 'b')
    expect(queue.waiting).toBe(1)
    await end('a')
    await runs('b', 'c')
    expect(queue.waiting).toBe(0)
  })

  it('gives a free slot to the best of those that wait then', async () => {
    const { add, runs, end, started } = makeQueue(1)
    add('a')
    await runs('a')
    add('b')
    add('c', 1)
    await end('a')
    await runs('c')
    add('d', 2)
    await end('c')
    await runs('d')
    await end('d')
    await runs('b')
    expect(started).toEqual(['a', 'c', 'd', 'b'])
  })

  it('takes out what waits, and may take it in again', async () => {
    const { queue, add, runs, end, started } = makeQueue(1)
    add('a')
    await runs('a')
    const b = add('b')
    add('c')
    expect(queue.delete(b)).toBe(true)
    expect(queue.delete(b)).toBe(false)
    queue.add(b)
    queue.add(b)
    expect(queue.waiting).toBe(2)
    await end('a')
    await runs('b')
    expect(queue.delete(b)).toBe(false)
    await end('b')
    await runs('c')
    await end('c')
    await runs()
    expect(started).toEqual(['a', 'b', 'c'])
  })

  it('feels a change of its slots at once, and stops nobody', async () => {
    const { queue, add, runs, end, most } = makeQueue(1)
    for (const name of ['a', 'b', 'c', 'd', 'e']) add(name)
    await runs('a')
    queue.concurrency = 3
    expect(queue.concurrency).toBe(3)
    await runs('a', 'b', 'c')
    queue.concurrency = 1
    await end('a')
    await end('b')
    await runs('c')
    await end('c')
    await runs('d')
    expect(most()).toBe(3)
  })

  describe('with items that may not take all slots', () => {
    const limit: QueueLimit<Item> = { applies: ({ remote }) => remote !== null, slots: (all) => all - 1 }

    it('keeps one free for the others', async () => {
      const { queue, add, runs, end, started } = makeQueue(2, limit)
      add('a', 0, {})
      add('b', 0, {})
      await runs('a')
      expect(queue.waiting).toBe(1)
      add('c')
      await runs('a', 'c')
      await end('c')
      add('d')
      await runs('a', 'd')
      await end('a')
      await runs('b', 'd')
      add('e', 0, {})
      await end('b')
      await runs('d', 'e')
      expect(started).toEqual(['a', 'c', 'd', 'b', 'e'])
    })

    it('runs those that waited for it when there are more slots', async () => {
      const { queue, add, runs } = makeQueue(2, limit)
      for (const name of ['a', 'b', 'c', 'd']) add(name, 0, {})
      await runs('a')
      queue.concurrency = 4
      await runs('a', 'b', 'c')
      expect(queue.waiting).toBe(1)
    })

    it('lets those whom it does not concern have all slots', async () => {
      const { add, runs } = makeQueue(2, limit)
      add('a')
      add('b')
      await runs('a', 'b')
    })
  })

  it('runs everything once, in order, whatever comes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 1, maxLength: 12 }),
        async (priorities) => {
          const order: Item[] = []
          const done = new Promise<void>((resolve) => {
            const queue = new DownloadQueue<Item>(
              1,
              (item) => item,
              (item) => {
                order.push(item)
                if (order.length === priorities.length) resolve()
                return Promise.resolve()
              },
            )
            priorities.forEach((priority, sequence) => {
              queue.add({ name: String(sequence), priority, sequence })
            })
          })
          await done
          expect(order).toEqual([...order].sort(compareQueued))
          expect(new Set(order).size).toBe(priorities.length)
        },
      ),
    )
  })
})
