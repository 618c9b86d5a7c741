import { expect, it } from 'vitest'
import { jobPriority } from '../../../src/cluster/bullmq/queue.js'

it('orders jobs as a manager orders its downloads, and those that have begun first', () => {
  const places = [
    { remote: false, priority: 1_000_000, hasBegun: true },
    { remote: false, priority: 1, hasBegun: true },
    { remote: false, priority: 1, hasBegun: false },
    { remote: false, priority: 0, hasBegun: true },
    { remote: false, priority: 0, hasBegun: false },
    { remote: false, priority: -1_000_000, hasBegun: false },
    { remote: true, priority: 1_000_000, hasBegun: true },
    { remote: true, priority: 0, hasBegun: false },
    { remote: true, priority: -1_000_000, hasBegun: false },
  ].map(jobPriority)
  expect(places).toEqual([...new Set(places)].sort((a, b) => a - b))
  // BullMQ knows no others.
  expect(places.every((place) => Number.isInteger(place) && place >= 1 && place <= 2 ** 21)).toBe(true)
})
