import { describe, expect, it } from 'vitest'
import type { TransferEvent } from '../../../src/engine/protocol.js'
import { ManagerRequests } from '../../../src/engine/requests-to-manager.js'
import { ManualClock } from '../../support/clock.js'

function stopped() {
  const events: TransferEvent[] = []
  const requests = new ManagerRequests((event) => events.push(event), AbortSignal.abort(), new ManualClock())
  return { events, requests }
}

describe('what a transfer asks after it was stopped', () => {
  it.each([
    ['a name', (requests: ManagerRequests) => requests.claim('model.bin')],
    ['space', (requests: ManagerRequests) => requests.reserve('/model.bin', { size: 1, written: 0 })],
    ['an address', (requests: ManagerRequests) => requests.refresh(403)],
  ])('is not waited for when it is %s', async (_name, ask) => {
    const { events, requests } = stopped()
    await expect(ask(requests)).rejects.toMatchObject({ code: 'CANCELED' })
    expect(events).toEqual([])
  })

  it('is still asked when it is its lease, without which nothing may be deleted', async () => {
    const { events, requests } = stopped()
    const held = requests.confirmLease()
    expect(events).toEqual([{ type: 'confirmLease', requestId: 1 }])
    requests.answer({ type: 'leaseConfirmed', requestId: 1, isHeld: true })
    expect(await held).toBe(true)
  })
})

describe('what a transfer has asked when it ends', () => {
  it('is given up, and leaves no timer', async () => {
    const clock = new ManualClock()
    const requests = new ManagerRequests(() => undefined, new AbortController().signal, clock)
    const asked = [
      requests.claim('model.bin'),
      requests.reserve('/model.bin', { size: 1, written: 0 }),
      requests.refresh(403),
      requests.confirmLease(),
    ]
    requests.end()
    for (const each of asked) await expect(each).rejects.toMatchObject({ code: 'CANCELED' })
    expect(clock.pending).toEqual([])
  })
})
