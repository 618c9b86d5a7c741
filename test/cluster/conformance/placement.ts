/** What every store of a cluster must hold whose nodes have each their own disk. */
import { describe, expect, it } from 'vitest'
import { waitFor } from '../../support/wait.js'
import { type BackendPlace, enter, granted, idOf, instancesOf, recordAt } from './instances.js'

const hourMs = 3_600_000
const id = idOf(1)
const how = { targets: [], requeue: false }

/** Runs the cases. */
export function describePlacement(name: string, openPlace: () => Promise<BackendPlace>): void {
  const withInstances = instancesOf(openPlace)

  describe(`${name} for nodes with their own disks`, () => {
    it.each(['queued', 'paused', 'failed'] as const)(
      'keeps what is %s for the node that has begun it, and changes of others do not matter',
      (state) =>
        withInstances(
          2,
          async (_place, [one, two]) => {
            await one!.backend.insert(recordAt(1), [])
            const lease = granted(await one!.backend.begin(id, 0))
            await one!.backend.save(lease, recordAt(1, { state }), how)
            await one!.backend.release(lease)
            await two!.backend.catchUp()
            expect(two!.told(id)).toMatchObject({ owner: null, home: 'n0' })
            expect(await two!.backend.begin(id, 0)).toEqual({ type: 'reserved' })
            const command = granted(await two!.backend.begin(id, null))
            await two!.backend.save(command, recordAt(1), { targets: [], requeue: true })
            await two!.backend.release(command)
            expect(await two!.backend.begin(id, 0)).toEqual({ type: 'reserved' })
            granted(await one!.backend.begin(id, 0))
            expect((await two!.backend.read([id])).get(id)).toMatchObject({ home: null })
          },
          hourMs,
        )(),
    )

    it.each(['completed', 'canceled'] as const)('keeps nothing that is %s', (state) =>
      withInstances(
        2,
        async (_place, [one, two]) => {
          await one!.backend.insert(recordAt(1), [])
          const lease = granted(await one!.backend.begin(id, 0))
          await one!.backend.save(lease, recordAt(1, { state }), how)
          await one!.backend.release(lease)
          granted(await two!.backend.begin(id, 0))
        },
        hourMs,
      )(),
    )

    it(
      'keeps what a dead instance ran for another one of its node',
      withInstances(
        2,
        async (place, [one, two]) => {
          await one!.backend.insert(recordAt(1), [])
          granted(await one!.backend.begin(id, 0))
          await place.pass?.(one!.backend.leaseMs)
          // Before it was reaped, and after that.
          await waitFor(async () => (await two!.backend.begin(id, 0)).type === 'reserved')
          await waitFor(async () => (await two!.backend.reap()).length > 0)
          expect(await two!.backend.begin(id, 0)).toEqual({ type: 'reserved' })
          const again = await enter(place, 'n0', hourMs)
          granted(await again.backend.begin(id, 0))
          await again.backend.close()
        },
        hourMs,
      ),
    )

    it(
      'keeps it when the store has lost everything and an instance that knows it stores it again',
      withInstances(
        2,
        async (place, [one, two]) => {
          await one!.backend.insert(recordAt(1), [])
          await one!.backend.release(granted(await one!.backend.begin(id, 0)))
          const entry = (await two!.backend.read([id])).get(id)!
          await place.lose()
          await two!.backend.restore([{ entry, targets: [], holds: false }])
          expect(await two!.backend.begin(id, 0)).toEqual({ type: 'reserved' })
          granted(await one!.backend.begin(id, 0))
        },
        hourMs,
      ),
    )

    it(
      'gives it to another node once that has waited for long enough',
      withInstances(
        2,
        async (place, [one, two]) => {
          await one!.backend.insert(recordAt(1), [])
          const lease = granted(await one!.backend.begin(id, 0))
          await one!.backend.release(lease)
          await place.pass?.(10)
          await waitFor(async () => (await two!.backend.begin(id, 0)).type === 'granted')
          // It is the node of the download now.
          expect(await one!.backend.begin(id, 0)).toEqual({ type: 'owned' })
        },
        10,
      ),
    )
  })
}
