import { describe, expect, it } from 'vitest'
import { laterDelay } from '../../../src/cluster/bullmq/queue.js'

describe('a job that could not be taken', () => {
  it('is offered again soon, and then less and less often', () => {
    expect([1, 2, 3, 7, 8, 9, 1_000].map(laterDelay)).toEqual([100, 200, 400, 6_400, 10_000, 10_000, 10_000])
  })
})
