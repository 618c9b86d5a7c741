import { describe, expect, it } from 'vitest'
import { type StopMode, strongerStop } from '../../../src/engine/protocol.js'
import fc from '../../support/properties.js'

const modes = ['pause', 'close', 'cancel'] as const

/** How something stops that was asked to do so in these ways, one after the other. */
const after = (asked: readonly StopMode[]) => asked.reduce<StopMode | null>(strongerStop, null)

describe('how to stop', () => {
  it.each([
    [null, 'pause', 'pause'],
    [null, 'close', 'close'],
    [null, 'cancel', 'cancel'],
    ['pause', 'pause', 'pause'],
    ['pause', 'close', 'pause'],
    ['pause', 'cancel', 'cancel'],
    ['close', 'pause', 'close'],
    ['close', 'close', 'close'],
    ['close', 'cancel', 'cancel'],
    ['cancel', 'pause', 'cancel'],
    ['cancel', 'close', 'cancel'],
    ['cancel', 'cancel', 'cancel'],
  ] as const)('after %s, asked to %s: %s', (now, asked, then) => {
    expect(strongerStop(now, asked)).toBe(then)
  })

  it('is what was asked for first, or cancel when anybody asked for that', () => {
    const asked = fc.array(fc.constantFrom(...modes), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(asked, (list) => {
        expect(after(list)).toBe(list.includes('cancel') ? 'cancel' : list[0])
      }),
    )
  })

  it('is the same when the answer of one is passed on to another, as a group does to its files', () => {
    const asked = fc.array(fc.constantFrom(...modes), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(asked, (list) => {
        const told = list.map((_, index) => after(list.slice(0, index + 1))).flatMap((mode) => mode ?? [])
        expect(after(told)).toBe(after(list))
      }),
    )
  })
})
