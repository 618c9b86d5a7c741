/** Proof 2 of clusters in its short form: instances that are killed. The long one is in `test/soak/cluster.test.ts`. */
import { expect, it } from 'vitest'
import { KiB } from '../faults/harness.js'
import { seededRandom } from '../faults/killing.js'
import { describeWith } from '../support/machine.js'
import { redisServer } from '../support/redis-server.js'
import { deadline } from '../support/wait.js'
import { clusterStorm, describeStorm } from './storm.js'

describeWith(redisServer, 'instances that are killed', () => {
  it('bring everything to its end, once, and forget nothing', async () => {
    const outcome = await clusterStorm({
      ...{ instances: 3, downloads: 9, bytes: 512 * KiB, bytesPerSecond: 128 * KiB, concurrency: 2 },
      ...{
        leaseMs: 2_000,
        killEveryMs: 2_500,
        maxKills: 3,
        containers: false,
        deadlineMs: deadline(15_000),
        random: seededRandom(16),
      },
    })
    const { wrong, odd, lost, refused, againBytes, allowedAgainBytes, kills } = outcome
    expect({ wrong, odd, lost, refused }, describeStorm(outcome)).toEqual({
      wrong: [],
      odd: [],
      lost: [],
      refused: [],
    })
    expect(kills).toBeGreaterThan(0)
    expect(againBytes).toBeLessThanOrEqual(allowedAgainBytes)
  })
})
