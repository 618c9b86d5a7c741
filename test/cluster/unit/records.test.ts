import { expect, it } from 'vitest'
import type { ClusterBackend, ClusterEntry } from '../../../src/cluster/backend.js'
import { Leases } from '../../../src/cluster/leases.js'
import { Records, type RecordsInit } from '../../../src/cluster/records.js'
import { SafeEmitter } from '../../../src/download/events.js'
import { sampleRecord } from '../../../src/store/sample-record.js'
import { ManualClock } from '../../support/clock.js'

const record = sampleRecord(1)
const entry: ClusterEntry = {
  ...{ record, revision: 1, generation: 1, epoch: 1, owner: 'n:1', intent: null, home: null },
}

/** Records whose store answers a removal in a given way. */
function records(removed: () => Promise<boolean>) {
  const known = new Set([record.id])
  const lost: string[] = []
  const released: string[] = []
  const backend = {
    begin: () => Promise.resolve({ type: 'granted', entry, from: null }),
    release: ({ id }: { id: string }) => Promise.resolve(void released.push(id)),
    remove: removed,
    leaseMs: 1_000,
  } as unknown as ClusterBackend
  const leases = new Leases({
    ...{ backend, clock: new ManualClock(), goesOn: false, isAway: () => false },
    onGranted: () => undefined,
    onReleased: () => Promise.resolve(),
    onLost: ({ id }) => lost.push(id),
    onMissing: () => undefined,
    stop: () => undefined,
  })
  const replica = { find: () => undefined, delete: (id: string) => known.delete(id) }
  const host = { emitter: new SafeEmitter() }
  const made = new Records({
    ...{ backend, leases, replica, host: () => host, secret: null, requireStore: () => undefined },
  } as unknown as RecordsInit)
  return { made, leases, known, lost, released }
}

it('forgets a record that was removed, and its lease with it', async () => {
  const { made, leases, known, lost, released } = records(() => Promise.resolve(true))
  const lease = await leases.take(record.id, null)
  if (typeof lease !== 'object') return expect.fail(lease)
  expect(await leases.use(lease, () => made.remove(record.id))).toBe(true)
  expect([known.size, lost, released, leases.all()]).toEqual([0, [], [], []])
})

it('keeps a record whose removal was refused, since another instance has the lease', async () => {
  const { made, leases, known, lost, released } = records(() => Promise.resolve(false))
  await expect(made.remove(record.id)).rejects.toMatchObject({ code: 'STORE_ERROR', retryable: true })
  expect([known.size, lost, released, leases.all()]).toEqual([1, [record.id], [], []])
  const lease = await leases.take(record.id, null)
  if (typeof lease !== 'object') return expect.fail(lease)
  // Whoever has it now is asked.
  expect(await leases.use(lease, () => made.remove(record.id))).toBe(false)
})

it('keeps a record and its lease while the store can not be reached', async () => {
  const away = new Error('away')
  const { made, leases, known, lost } = records(() => Promise.reject(away))
  const lease = await leases.take(record.id, null)
  if (typeof lease !== 'object') return expect.fail(lease)
  await expect(leases.use(lease, () => made.remove(record.id))).rejects.toBe(away)
  expect([known.size, lost]).toEqual([1, []])
})
