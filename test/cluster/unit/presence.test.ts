import { describe, expect, it } from 'vitest'
import { Echo } from '../../../src/cluster/echo.js'
import { nodeNameOf } from '../../../src/cluster/insight.js'
import { Presence } from '../../../src/cluster/presence.js'
import { ManualClock } from '../../support/clock.js'

describe('the other instances', () => {
  it('are there while they are heard, then absent, and forgotten after an hour or when they end', () => {
    const clock = new ManualClock()
    const presence = new Presence(clock)
    presence.hear('a:1', { bytesPerSecond: 5, running: 2 })
    presence.hear('b:2', { bytesPerSecond: 0, running: 0 })
    const begin = clock.wallNow()
    clock.advance(5_000)
    presence.hear('b:2', { bytesPerSecond: 1, running: 1 })
    expect(presence.list()).toEqual([
      { id: 'a:1', bytesPerSecond: 5, running: 2, isAbsent: false, seenAt: begin },
      { id: 'b:2', bytesPerSecond: 1, running: 1, isAbsent: false, seenAt: begin + 5_000 },
    ])
    clock.advance(1)
    // Whoever is gone does nothing any more, and takes no share.
    expect(presence.list()[0]).toEqual({
      id: 'a:1',
      ...{ bytesPerSecond: 0, running: 0, isAbsent: true, seenAt: begin },
    })
    expect([...presence.demands().keys()]).toEqual(['b:2'])
    presence.forget('b:2')
    clock.advance(60 * 60_000)
    expect(presence.list()).toEqual([])
  })

  it('have the name of their node in their id', () => {
    expect(nodeNameOf('gpu-1.example:1a2b3c4d')).toBe('gpu-1.example')
    expect(nodeNameOf('a:b:1')).toBe('a:b')
    expect(nodeNameOf('plain')).toBe('plain')
  })
})

describe('the events of others', () => {
  it('are marked while they are emitted, also when that fails or begins another', () => {
    const echo = new Echo()
    const seen: boolean[] = [echo.isOn]
    echo.run(() => {
      echo.run(() => seen.push(echo.isOn))
      seen.push(echo.isOn)
    })
    expect(() => {
      echo.run(() => {
        throw new Error('A listener.')
      })
    }).toThrow('A listener.')
    expect([...seen, echo.isOn]).toEqual([false, true, true, false])
  })
})
