/** What every store of a cluster must hold whose nodes have each their own disk. */
import { describe, expect, it } from 'vitest'
import type { DownloadState } from '../../../src/download/states.js'
import { waitFor } from '../../support/wait.js'
import { type BackendPlace, enter, granted, idOf, type Instance, instancesOf, recordAt } from './instances.js'

const hourMs = 3_600_000
const id = idOf(1)
const how = { targets: [], requeue: false }

/** An instance begins the download, and leaves it in a state. */
async function leaves({ backend }: Instance, state: DownloadState): Promise<void> {
  await backend.insert(recordAt(1), [])
  const lease = granted(await backend.begin(id, 0))
  await backend.save(lease, recordAt(1, { state }), how)
  await backend.release(lease)
}

/** One begins it and dies, which the other one notices. */
async function dies(place: BackendPlace, one: Instance, two: Instance): Promise<void> {
  await one.backend.insert(recordAt(1), [])
  granted(await one.backend.begin(id, 0))
  await place.pass?.(one.backend.leaseMs)
  await waitFor(async () => (await two.backend.begin(id, 0)).type === 'reserved')
}

/** An instance does something with it that is no run. */
async function commands({ backend }: Instance): Promise<void> {
  const lease = granted(await backend.begin(id, null))
  await backend.save(lease, recordAt(1), { targets: [], requeue: true })
  await backend.release(lease)
}

/** Runs the cases. */
export function describePlacement(name: string, openPlace: () => Promise<BackendPlace>): void {
  const withInstances = instancesOf(openPlace)

  const withPair = (
    run: (place: BackendPlace, one: Instance, two: Instance) => Promise<void>,
    affinityMs = hourMs,
  ) => withInstances(2, (place, [one, two]) => run(place, one!, two!), affinityMs)

  describe(`${name} for nodes with their own disks`, () => {
    it.each(['queued', 'paused', 'failed'] as const)(
      'keeps what is %s for the node that has begun it, and changes of others do not matter',
      (state) =>
        withPair(async (_place, one, two) => {
          await leaves(one, state)
          await two.backend.catchUp()
          expect(two.told(id)).toMatchObject({ owner: null, home: 'n0' })
          expect(await two.backend.begin(id, 0)).toEqual({ type: 'reserved' })
          await commands(two)
          expect(await two.backend.begin(id, 0)).toEqual({ type: 'reserved' })
          granted(await one.backend.begin(id, 0))
          expect((await two.backend.read([id])).get(id)).toMatchObject({ home: null })
        })(),
    )

    it.each(['completed', 'canceled'] as const)('keeps nothing that is %s', (state) =>
      withPair(async (_place, one, two) => {
        await leaves(one, state)
        granted(await two.backend.begin(id, 0))
      })(),
    )

    it(
      'keeps what a dead instance ran for another one of its node',
      withPair(async (place, one, two) => {
        await dies(place, one, two)
        await waitFor(async () => (await two.backend.reap()).length > 0)
        expect(await two.backend.begin(id, 0)).toEqual({ type: 'reserved' })
        const again = await enter(place, 'n0', hourMs)
        granted(await again.backend.begin(id, 0))
        await again.backend.close()
      }),
    )

    it(
      'keeps it also when another node does something with it before it was reaped',
      withPair(async (place, one, two) => {
        await dies(place, one, two)
        await commands(two)
        expect((await two.backend.read([id])).get(id)).toMatchObject({ owner: null, home: 'n0' })
        expect(await two.backend.begin(id, 0)).toEqual({ type: 'reserved' })
      }),
    )

    it(
      'keeps it when the store has lost everything and an instance that knows it stores it again',
      withPair(async (place, one, two) => {
        await leaves(one, 'queued')
        const entry = (await two.backend.read([id])).get(id)!
        await place.lose()
        await two.backend.restore([{ entry, targets: [], holds: false }])
        expect(await two.backend.begin(id, 0)).toEqual({ type: 'reserved' })
        granted(await one.backend.begin(id, 0))
      }),
    )

    it(
      'gives it to another node once that has waited for long enough',
      withPair(async (place, one, two) => {
        await leaves(one, 'queued')
        await place.pass?.(10)
        await waitFor(async () => (await two.backend.begin(id, 0)).type === 'granted')
        // It is the node of the download now.
        expect(await one.backend.begin(id, 0)).toEqual({ type: 'owned' })
      }, 10),
    )
  })
}
