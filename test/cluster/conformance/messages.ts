/** What passes between instances through every store of a cluster. */
import { describe, expect, it } from 'vitest'
import { waitFor } from '../../support/wait.js'
import { type BackendPlace, granted, idOf, instancesOf, recordAt } from './instances.js'

/** Runs the cases. */
export function describeMessages(name: string, openPlace: () => Promise<BackendPlace>): void {
  const withInstances = instancesOf(openPlace)

  describe(`${name} between the instances of a cluster`, () => {
    it(
      'passes on what is wanted of a download, and the answer',
      withInstances(2, async (_place, [one, two]) => {
        await one!.backend.insert(recordAt(1), [])
        expect(await two!.backend.send(idOf(1), { call: 'early', command: { type: 'pause' } })).toBe(false)
        const lease = granted(await one!.backend.begin(idOf(1), 0))
        const intent = { call: 'call-1', command: { type: 'pause' } } as const
        expect(await two!.backend.send(idOf(9), intent)).toBe(false)
        expect(await one!.backend.send(idOf(1), intent)).toBe(false)
        expect(await two!.backend.send(idOf(1), intent)).toBe(true)
        await one!.backend.catchUp()
        expect(one!.events).toContainEqual({ type: 'intent', id: idOf(1), epoch: lease.epoch, intent })
        expect(await one!.backend.renew([lease])).toEqual([{ holds: true, intent }])
        expect((await two!.backend.read([idOf(1)])).get(idOf(1))).toMatchObject({ intent })
        const newer = { call: 'call-2', command: { type: 'resume' } } as const
        await two!.backend.send(idOf(1), newer)
        const error = { code: 'INVALID_STATE', message: 'No.', retryable: false } as const
        await one!.backend.answer(idOf(1), 'call-1', error)
        // The answer to one call leaves another one as it is.
        expect(await one!.backend.renew([lease])).toEqual([{ holds: true, intent: newer }])
        await one!.backend.answer(idOf(1), 'call-2', null)
        expect(await one!.backend.renew([lease])).toEqual([{ holds: true, intent: null }])
        await two!.backend.catchUp()
        expect(two!.events.filter(({ type }) => type === 'answer')).toEqual([
          { type: 'answer', call: 'call-1', answer: error },
          { type: 'answer', call: 'call-2', answer: null },
        ])
      }),
    )

    it(
      'forgets what was wanted of an owner whose lease has ended',
      withInstances(2, async (_place, [one, two]) => {
        await one!.backend.insert(recordAt(1), [])
        const lease = granted(await one!.backend.begin(idOf(1), 0))
        const intent = { call: 'call-1', command: { type: 'pause' } } as const
        expect(await two!.backend.send(idOf(1), intent)).toBe(true)
        await one!.backend.release(lease)
        const next = granted(await one!.backend.begin(idOf(1), 0))
        expect(next.epoch).toBeGreaterThan(lease.epoch)
        expect(await one!.backend.renew([next])).toEqual([{ holds: true, intent: null }])
        await one!.backend.catchUp()
        const told = one!.events.filter(({ type }) => type === 'intent')
        expect(told).toEqual([{ type: 'intent', id: idOf(1), epoch: lease.epoch, intent }])
      }),
    )

    it(
      'keeps documents, and tells when one was written',
      withInstances(2, async (_place, [one, two]) => {
        expect(await two!.backend.readDocument('preload')).toEqual({ value: null, problem: null })
        await one!.backend.writeDocument('preload', { a: [1, null] })
        await two!.backend.catchUp()
        expect(two!.events).toEqual([{ type: 'document', name: 'preload' }])
        expect(await two!.backend.readDocument('preload')).toEqual({ value: { a: [1, null] }, problem: null })
        await expect(one!.backend.writeDocument('../x', 1)).rejects.toThrow()
      }),
    )

    it(
      'lets one instance lead, as long as it lives and likes',
      withInstances(3, async (place, [one, two, three]) => {
        const both = await Promise.all([one!, two!].map(({ backend }) => backend.lead('preload')))
        expect([...both].sort()).toEqual([false, true])
        const [leader, other] = both[0] === true ? [one!, two!] : [two!, one!]
        expect([await leader.backend.lead('preload'), await other.backend.lead('fleet')]).toEqual([
          true,
          true,
        ])
        await other.backend.resign('preload')
        expect(await three!.backend.lead('preload')).toBe(false)
        await leader.backend.resign('preload')
        expect(await three!.backend.lead('preload')).toBe(true)
        await place.pass?.(one!.backend.leaseMs)
        await waitFor(() => one!.backend.lead('preload'))
      }),
    )

    it(
      'passes messages on to the others',
      withInstances(3, async (_place, all) => {
        const message = { type: 'rate', bytesPerSecond: 5, running: 1 } as const
        await waitFor(() => {
          all[0]!.backend.tell(message)
          return all.slice(1).every(({ messages }) => messages.length > 0)
        })
        expect(all[1]!.messages[0]).toEqual([all[0]!.backend.instance, message])
        expect(all[0]!.messages).toEqual([])
      }),
    )
  })
}
