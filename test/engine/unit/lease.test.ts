import { describe, expect, it, vi } from 'vitest'
import { agedCommand, agedSpec, ageOf } from '../../../src/engine/lease-age.js'
import { beforeWrites, isLater, Lease } from '../../../src/engine/part/lease.js'
import type { TransferSpec } from '../../../src/engine/protocol.js'
import { ManualClock } from '../../support/clock.js'
import fc from '../../support/properties.js'

const takenOver = { code: 'TAKEN_OVER', retryable: true }

function scene({ validForMs = 15_000, epoch = 7 } = {}) {
  const clock = new ManualClock()
  const onLost = vi.fn()
  const confirm = vi.fn(() => Promise.resolve(true))
  const lease = new Lease({ epoch, validForMs }, { clock, confirm, onLost })
  return { clock, onLost, confirm, lease }
}

describe('a lease', () => {
  it('runs out by itself, on the monotonic clock', async () => {
    const { clock, lease, onLost } = scene()
    clock.advance(14_999)
    expect(lease.isHeld).toBe(true)
    expect(lease.error).toBeNull()
    lease.require()
    expect(onLost).not.toHaveBeenCalled()
    clock.advance(1)
    expect(onLost).toHaveBeenCalledTimes(1)
    expect(lease.error).toMatchObject(takenOver)
    expect(() => {
      lease.require()
    }).toThrow(expect.objectContaining(takenOver))
    expect(clock.pending).toEqual([])
  })

  it('is found lost right before a write, even if its timer has not fired yet', () => {
    let now = 0
    const clock = Object.assign(new ManualClock(), { now: () => now })
    const onLost = vi.fn()
    const lease = new Lease(
      { epoch: 1, validForMs: 100 },
      { clock, confirm: () => Promise.resolve(true), onLost },
    )
    const before = beforeWrites(lease)
    now = 99
    before?.()
    now = 100
    expect(before).toThrow(expect.objectContaining(takenOver))
    expect(onLost).toHaveBeenCalledTimes(1)
    // A clock that went back would not bring it back.
    now = 50
    expect(lease.isHeld).toBe(false)
  })

  it('lasts as long as it is renewed, and never comes back', async () => {
    const { clock, lease, onLost } = scene({ validForMs: 1_000 })
    for (let round = 0; round < 10; round += 1) {
      clock.advance(900)
      lease.renew(1_000)
    }
    expect(lease.isHeld).toBe(true)
    clock.advance(1_000)
    lease.renew(1_000)
    expect(lease.isHeld).toBe(false)
    expect(onLost).toHaveBeenCalledTimes(1)
  })

  it.each([0, -1, Number.NaN, -Infinity])('is lost at once with %s ms left', async (validForMs) => {
    const born = scene({ validForMs })
    expect(born.lease.isHeld).toBe(false)
    const { clock, lease, onLost } = scene()
    lease.renew(validForMs)
    clock.advance(0)
    expect(onLost).toHaveBeenCalledTimes(1)
  })

  it('may last for ever, without a timer that is too long for the system', async () => {
    const { clock, lease } = scene({ validForMs: Infinity })
    expect(clock.pending).toEqual([3_600_000])
    clock.advance(40 * 86_400_000)
    expect(lease.isHeld).toBe(true)
    lease.end()
    expect(clock.pending).toEqual([])
  })

  it('is asked for again, and lost by a no, by a failure, and by running out meanwhile', async () => {
    const { lease, confirm } = scene()
    await lease.confirm()
    expect(confirm).toHaveBeenCalledTimes(1)
    confirm.mockResolvedValueOnce(false)
    await expect(lease.confirm()).rejects.toMatchObject(takenOver)
    await expect(lease.confirm()).rejects.toMatchObject(takenOver)
    expect(confirm).toHaveBeenCalledTimes(2)

    const failing = scene()
    failing.confirm.mockRejectedValueOnce(new Error('no answer'))
    await expect(failing.lease.confirm()).rejects.toMatchObject(takenOver)

    const slow = scene({ validForMs: 1_000 })
    slow.confirm.mockImplementationOnce(async () => {
      slow.clock.advance(1_000)
      return true
    })
    await expect(slow.lease.confirm()).rejects.toMatchObject(takenOver)
  })

  it('yields to a later one, and to no other', () => {
    for (const epoch of [undefined, 1, 7]) {
      const { lease } = scene()
      lease.yieldTo(epoch)
      expect(lease.isHeld).toBe(true)
    }
    const { lease, onLost } = scene()
    expect(() => {
      lease.yieldTo(8)
    }).toThrow(expect.objectContaining(takenOver))
    expect(onLost).toHaveBeenCalledTimes(1)
    expect(isLater(8, 7)).toBe(true)
  })
})

describe('two owners of one file', () => {
  // Whoever gives leases: one at a time, each with a higher number, and the next one only after the last has run out.
  const step = fc.oneof(
    fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 40 }) }),
    fc.record({ do: fc.constant('renew' as const), owner: fc.nat(1), late: fc.integer({ min: 0, max: 30 }) }),
    fc.record({ do: fc.constant('claim' as const), owner: fc.nat(1) }),
    fc.record({ do: fc.constant('write' as const), owner: fc.nat(1) }),
    fc.record({ do: fc.constant('confirm' as const), owner: fc.nat(1) }),
  )

  it('never write under an earlier lease once a later one has been given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = new ManualClock()
        const termMs = 20
        let last = { epoch: 0, owner: -1, until: 0 }
        const leases: (Lease | undefined)[] = [undefined, undefined]
        const holds = (owner: number) => last.owner === owner && clock.now() < last.until
        for (const one of steps) {
          const lease = 'owner' in one ? leases[one.owner] : undefined
          if (one.do === 'pass') clock.advance(one.ms)
          else if (one.do === 'claim') {
            if (clock.now() < last.until) continue
            last = { epoch: last.epoch + 1, owner: one.owner, until: clock.now() + termMs }
            const mine = last.epoch
            leases[one.owner]?.end()
            leases[one.owner] = new Lease(
              { epoch: mine, validForMs: termMs },
              {
                clock,
                confirm: () => Promise.resolve(holds(one.owner) && last.epoch === mine),
                onLost: vi.fn(),
              },
            )
          } else if (one.do === 'renew') {
            // The answer may arrive late; what is left is counted from before the request.
            if (lease === undefined || !holds(one.owner) || lease.epoch !== last.epoch) continue
            last.until = clock.now() + termMs
            const asked = clock.now()
            clock.advance(one.late)
            lease.renew(termMs - (clock.now() - asked))
          } else if (one.do === 'write') {
            if (lease?.isHeld === true) expect(lease.epoch).toBe(last.epoch)
          } else {
            const agreed = await lease?.confirm().then(
              () => true,
              () => false,
            )
            if (agreed === true) expect(holds(one.owner) && lease?.epoch === last.epoch).toBe(true)
          }
        }
      }),
    )
  })
})

describe('a message that brings a lease', () => {
  const spec = { id: 'a', lease: { epoch: 3, validForMs: 1_000 } } as TransferSpec
  const limit = { type: 'limit', maxBytesPerSecond: 1 } as const

  it('counts the time that it was on its way', () => {
    expect(ageOf(undefined, 5_000)).toBe(0)
    expect(ageOf(4_000, 5_000)).toBe(1_000)
    // Where each thread has its own time, the younger one has less.
    expect(ageOf(6_000, 5_000)).toBe(0)
    expect(agedSpec(spec, 400).lease).toEqual({ epoch: 3, validForMs: 600 })
    expect(agedCommand({ type: 'lease', validForMs: 1_000 }, 1_500)).toEqual({
      type: 'lease',
      validForMs: -500,
    })
  })

  it('is left alone if it brings none', () => {
    const plain = { id: 'a' } as TransferSpec
    expect(agedSpec(plain, 400)).toBe(plain)
    expect(agedCommand(limit, 400)).toBe(limit)
  })
})
