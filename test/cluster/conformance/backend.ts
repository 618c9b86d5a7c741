/** What every store of a cluster must hold. */
import { describe, expect, it } from 'vitest'
import { waitFor } from '../../support/wait.js'
import { type BackendPlace, granted, idOf, instancesOf, recordAt } from './instances.js'

/** Runs the cases. */
export function describeBackend(name: string, openPlace: () => Promise<BackendPlace>): void {
  const withInstances = instancesOf(openPlace)

  describe(`${name} as the store of a cluster`, () => {
    it(
      'stores a record once, whoever asks, and tells all of it',
      withInstances(3, async (_place, all) => {
        const record = recordAt(1)
        const asked = Array.from({ length: 21 }, (_, index) =>
          all[index % 3]!.backend.insert({ ...record, filename: `f${index}` }, [`t${index}`]),
        )
        const outcomes = await Promise.all(asked)
        expect(outcomes.filter(({ type }) => type === 'inserted')).toHaveLength(1)
        expect(outcomes.filter(({ type }) => type === 'known')).toHaveLength(20)
        const names = outcomes.map((outcome) =>
          outcome.type === 'taken' ? null : outcome.entry.record.filename,
        )
        expect(new Set(names).size).toBe(1)
        for (const each of all) {
          await each.backend.catchUp()
          const told = each.told(record.id)
          expect(told).toMatchObject({ epoch: 0, owner: null, intent: null })
          expect(told?.record).toEqual({ ...record, filename: names[0] })
          expect(await each.backend.load()).toEqual({ entries: [told], problems: [], hasLost: false })
        }
      }),
    )

    it(
      'stores what was removed as something newer, so that whoever has missed the removal takes it over',
      withInstances(1, async (_place, [one]) => {
        const insert = async () => {
          const outcome = await one!.backend.insert(recordAt(1), [])
          return outcome.type === 'inserted' ? outcome.entry : expect.fail(outcome.type)
        }
        const first = await insert()
        const lease = granted(await one!.backend.begin(first.record.id, null))
        for (let count = 0; count < 3; count += 1)
          await one!.backend.save(lease, recordAt(1), { targets: [], requeue: true })
        const last = (await one!.backend.read([first.record.id])).get(first.record.id)
        expect(await one!.backend.remove(lease)).toBe(true)
        const again = await insert()
        await one!.backend.catchUp()
        expect(one!.told(first.record.id)).toEqual(again)
        const { revision } = last!
        expect(one!.events).toContainEqual({ type: 'removed', id: first.record.id, revision })
        expect(again.revision).toBeGreaterThan(last!.revision)
        expect(again.generation).toBeGreaterThan(last!.generation)
      }),
    )

    it(
      'lists records in the order of arrival, and reads those that are asked for',
      withInstances(1, async (_place, [one]) => {
        for (const index of [3, 1, 2]) await one!.backend.insert(recordAt(index), [])
        const { entries } = await one!.backend.load()
        expect(entries.map(({ record }) => record.sequence)).toEqual([1, 2, 3])
        const read = await one!.backend.read([idOf(2), idOf(9)])
        expect([...read]).toEqual([
          [idOf(2), entries[1]],
          [idOf(9), null],
        ])
      }),
    )

    it(
      'lets one download claim a file, until it claims it no more',
      withInstances(2, async (_place, [one, two]) => {
        await one!.backend.insert(recordAt(1), ['a', 'b'])
        expect(await two!.backend.insert(recordAt(2), ['c', 'b'])).toEqual({ type: 'taken' })
        expect(await two!.backend.insert(recordAt(2), ['c'])).toMatchObject({ type: 'inserted' })
        const lease = granted(await two!.backend.begin(idOf(2), null))
        const before = (await two!.backend.read([idOf(2)])).get(idOf(2))
        const saved = await two!.backend.save(lease, recordAt(2, { filename: 'other' }), {
          targets: ['c', 'a'],
          requeue: true,
        })
        expect(saved).toEqual({ type: 'taken' })
        expect((await two!.backend.read([idOf(2)])).get(idOf(2))).toEqual(before)
        const own = granted(await one!.backend.begin(idOf(1), null))
        await one!.backend.save(own, recordAt(1), { targets: ['b'], requeue: false })
        expect(
          await two!.backend.save(lease, recordAt(2), { targets: ['c', 'a'], requeue: false }),
        ).toMatchObject({ type: 'saved' })
        expect(await one!.backend.remove(own)).toBe(true)
        expect(await one!.backend.insert(recordAt(3), ['b'])).toMatchObject({ type: 'inserted' })
      }),
    )

    it(
      'gives a lease to one instance, each time with a higher epoch',
      withInstances(3, async (_place, all) => {
        await all[0]!.backend.insert(recordAt(1), [])
        expect(await all[0]!.backend.begin(idOf(9), null)).toEqual({ type: 'gone' })
        let last = 0
        for (let round = 0; round < 3; round += 1) {
          const outcomes = await Promise.all(all.map(({ backend }) => backend.begin(idOf(1), 5)))
          expect(outcomes.map(({ type }) => type).sort()).toEqual(['granted', 'owned', 'owned'])
          const winner = outcomes.findIndex(({ type }) => type === 'granted')
          const outcome = outcomes[winner]!
          const lease = granted(outcome)
          const { backend } = all[winner]!
          expect(outcome).toMatchObject({ from: null, entry: { owner: backend.instance } })
          expect(lease.epoch).toBeGreaterThan(last)
          last = lease.epoch
          expect(await backend.confirm(lease)).toBe(true)
          // What an earlier owner does has no effect.
          const old = { ...lease, epoch: lease.epoch - 1 }
          await backend.release(old)
          expect([await backend.confirm(old), await backend.remove(old)]).toEqual([false, false])
          expect(await backend.save(old, recordAt(1), { targets: [], requeue: false })).toEqual({
            type: 'stale',
          })
          expect(await all[(winner + 1) % 3]!.backend.begin(idOf(1), null)).toEqual({ type: 'owned' })
          await backend.release(lease)
        }
      }),
    )

    it(
      'saves for the owner, with growing numbers, and tells all',
      withInstances(2, async (_place, [one, two]) => {
        await one!.backend.insert(recordAt(1), [])
        const lease = granted(await one!.backend.begin(idOf(1), 0))
        const how = { targets: [], requeue: false }
        const first = await one!.backend.save(lease, recordAt(1, { downloaded: 1 }), how)
        const second = await one!.backend.save(lease, recordAt(1, { downloaded: 2 }), {
          ...how,
          requeue: true,
        })
        if (first.type !== 'saved' || second.type !== 'saved') throw new Error('It was not saved.')
        expect([first.generation, second.generation]).toEqual([1, 2])
        expect(second.revision).toBeGreaterThan(first.revision)
        await two!.backend.catchUp()
        expect(two!.told(idOf(1))).toEqual({
          record: recordAt(1, { downloaded: 2 }),
          ...{ revision: second.revision, generation: 2, epoch: lease.epoch },
          ...{ owner: one!.backend.instance, intent: null, home: null },
        })
        await one!.backend.release(lease)
        await two!.backend.catchUp()
        expect(two!.told(idOf(1))).toMatchObject({ owner: null })
        expect(two!.events.at(-1)).toEqual({ type: 'freed', id: idOf(1) })
        const again = granted(await two!.backend.begin(idOf(1), null))
        expect(await one!.backend.save(lease, recordAt(1), how)).toEqual({ type: 'stale' })
        expect(await two!.backend.remove(again)).toBe(true)
        expect(await two!.backend.save(again, recordAt(1), how)).toEqual({ type: 'gone' })
        expect(await two!.backend.remove(again)).toBe(true)
        expect(await one!.backend.renew([again])).toEqual([{ holds: null, intent: null }])
        await one!.backend.catchUp()
        expect(one!.told(idOf(1))).toBeNull()
        expect((await one!.backend.load()).entries).toEqual([])
      }),
    )

    it(
      'tells changes in their order',
      withInstances(2, async (_place, [one, two]) => {
        for (const index of [1, 2]) await one!.backend.insert(recordAt(index), [])
        const leases = await Promise.all(
          [1, 2].map(async (index) => granted(await one!.backend.begin(idOf(index), null))),
        )
        await Promise.all(
          Array.from({ length: 40 }, (_, index) =>
            one!.backend.save(leases[index % 2]!, recordAt(1 + (index % 2), { downloaded: index }), {
              targets: [],
              requeue: false,
            }),
          ),
        )
        await two!.backend.catchUp()
        for (const [index, last] of [
          [1, 38],
          [2, 39],
        ] as const) {
          const revisions = two!.events.flatMap((event) =>
            event.type === 'changed' && event.id === idOf(index) ? [event.entry.revision] : [],
          )
          expect(revisions).toEqual([...revisions].sort((a, b) => a - b))
          expect(two!.told(idOf(index))?.record.downloaded).toBe(last)
        }
      }),
    )

    it(
      'lets a lease run out that is not renewed, and another instance take it',
      withInstances(2, async (place, [one, two]) => {
        await one!.backend.insert(recordAt(1), [])
        const lease = granted(await one!.backend.begin(idOf(1), 0))
        await place.pass?.(one!.backend.leaseMs)
        const taken = await waitFor(async () => {
          const began = await two!.backend.begin(idOf(1), 0)
          return began.type === 'granted' ? began : null
        })
        expect(taken).toMatchObject({ from: one!.backend.instance })
        expect(granted(taken!).epoch).toBeGreaterThan(lease.epoch)
        expect(await one!.backend.renew([lease])).toEqual([{ holds: false, intent: null }])
        expect(await one!.backend.confirm(lease)).toBe(false)
      }),
    )

    it(
      'keeps a lease that is renewed',
      withInstances(2, async (place, [one, two]) => {
        await one!.backend.insert(recordAt(1), [])
        const lease = granted(await one!.backend.begin(idOf(1), 0))
        const step = one!.backend.leaseMs / 4
        for (let passed = 0; passed < one!.backend.leaseMs * 1.5; passed += step) {
          await (place.pass?.(step) ?? new Promise((resolve) => setTimeout(resolve, step)))
          expect(await one!.backend.renew([lease])).toEqual([{ holds: true, intent: null }])
          expect(await two!.backend.begin(idOf(1), 0)).toEqual({ type: 'owned' })
        }
        expect(await one!.backend.confirm(lease)).toBe(true)
      }),
    )

    it(
      'lets only so many run',
      withInstances(2, async (place, [one, two]) => {
        for (const index of [1, 2, 3]) await one!.backend.insert(recordAt(index), [])
        const first = granted(await one!.backend.begin(idOf(1), 1))
        expect(await two!.backend.begin(idOf(2), 1)).toEqual({ type: 'full' })
        // What is not going to run takes no part of it.
        const other = granted(await two!.backend.begin(idOf(3), null))
        await two!.backend.release(other)
        await two!.backend.catchUp()
        two!.events.length = 0
        await one!.backend.release(first)
        await two!.backend.catchUp()
        expect(two!.events).toContainEqual({ type: 'freed', id: idOf(1) })
        granted(await two!.backend.begin(idOf(2), 1))
        await place.pass?.(one!.backend.leaseMs)
        // One that has died does not count either.
        await waitFor(async () => (await one!.backend.begin(idOf(1), 1)).type === 'granted')
      }),
    )

    it(
      'has one instance free what dead ones held',
      withInstances(3, async (place, all) => {
        for (const index of [1, 2, 3]) await all[0]!.backend.insert(recordAt(index), [])
        const before = await all[0]!.backend.read([idOf(1), idOf(2)])
        const later = [1, 2].map((index) => (before.get(idOf(index))?.generation ?? 0) + 1)
        for (const index of [1, 2]) granted(await all[0]!.backend.begin(idOf(index), 0))
        const alive = granted(await all[1]!.backend.begin(idOf(3), 0))
        await place.pass?.(all[0]!.backend.leaseMs / 2)
        const freed = new Map<string, number>()
        const by = new Set<number>()
        await all[1]!.backend.renew([alive])
        await place.pass?.(all[0]!.backend.leaseMs / 2)
        await waitFor(async () => {
          await all[1]!.backend.renew([alive])
          for (const [index, each] of (await Promise.all(all.map(({ backend }) => backend.reap()))).entries())
            for (const { id, generation } of each) {
              expect(freed.has(id), 'it is freed once').toBe(false)
              freed.set(id, generation)
              by.add(index)
            }
          return freed.size === 2
        })
        expect([...freed].sort()).toEqual([
          [idOf(1), later[0]],
          [idOf(2), later[1]],
        ])
        expect(by.size).toBe(1)
        await all[2]!.backend.catchUp()
        for (const index of [1, 2])
          expect(all[2]!.told(idOf(index))).toMatchObject({ owner: null, generation: later[index - 1] })
        expect(all[2]!.events).toContainEqual({ type: 'freed', id: idOf(1) })
        expect(await all[1]!.backend.confirm(alive)).toBe(true)
        const dead = all[0]!.backend.instance
        expect(await all[2]!.backend.begin(idOf(1), null), 'it is not going to run').toMatchObject({
          from: dead,
        })
        expect(await all[2]!.backend.begin(idOf(2), 0)).toMatchObject({ from: dead })
      }),
    )

    it(
      'notices a loss, and takes back what the instances hold',
      withInstances(2, async (place, [one, two]) => {
        for (const index of [1, 2, 3]) await one!.backend.insert(recordAt(index), [`t${index}`])
        const lease = granted(await one!.backend.begin(idOf(1), 0))
        const { entries } = await one!.backend.load()
        await two!.backend.load()
        await place.lose()
        const losses = await Promise.all([one!, two!].map(({ backend }) => backend.load()))
        expect(losses.map(({ hasLost }) => hasLost)).toEqual([true, true])
        const held = entries.map((entry, index) => ({
          entry,
          targets: [`t${index + 1}`],
          holds: entry.record.id === idOf(1),
        }))
        // The other one knows no more than the first, and comes first.
        await two!.backend.restore(held.map((each) => ({ ...each, holds: false })))
        await one!.backend.restore(held)
        const after = await two!.backend.load()
        expect(after.hasLost).toBe(false)
        expect(after.entries.map(({ record }) => record)).toEqual([1, 2, 3].map((index) => recordAt(index)))
        expect(after.entries.map(({ owner }) => owner)).toEqual([one!.backend.instance, null, null])
        for (const [index, { revision, generation }] of after.entries.entries()) {
          expect(revision).toBeGreaterThan(entries[index]!.revision)
          expect(generation).toBeGreaterThan(entries[index]!.generation)
        }
        expect(await one!.backend.renew([lease])).toEqual([{ holds: true, intent: null }])
        expect(await two!.backend.begin(idOf(1), 0)).toEqual({ type: 'owned' })
        expect(await two!.backend.insert(recordAt(4), ['t2'])).toEqual({ type: 'taken' })
        expect(granted(await two!.backend.begin(idOf(2), 0)).epoch).toBeGreaterThan(0)
      }),
    )

    it(
      'has everything loaded again by those who have missed something',
      withInstances(2, async (place, [one, two]) => {
        await one!.backend.load()
        await two!.backend.load()
        await one!.backend.insert(recordAt(1), [])
        await two!.backend.catchUp()
        const before = two!.backs
        await place.skip()
        await one!.backend.insert(recordAt(2), [])
        await waitFor(() => two!.backs > before, { what: 'it to be noticed' })
        expect((await two!.backend.load()).entries).toHaveLength(2)
        await one!.backend.insert(recordAt(3), [])
        await two!.backend.catchUp()
        expect(two!.told(idOf(3))).toMatchObject({ epoch: 0 })
      }),
    )

    it(
      'is silent once it is closed',
      withInstances(2, async (_place, [one, two]) => {
        await two!.backend.close()
        await one!.backend.insert(recordAt(1), [])
        await one!.backend.catchUp()
        expect(two!.events).toEqual([])
        await expect(two!.backend.load()).rejects.toMatchObject({ code: 'STORE_ERROR' })
        await expect(two!.backend.begin(idOf(1), 0)).rejects.toMatchObject({ code: 'STORE_ERROR' })
      }),
    )
  })
}
