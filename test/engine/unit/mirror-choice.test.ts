import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { addressesOf, headersFor, mirrorId } from '../../../src/engine/protocol.js'
import {
  afterBytes,
  afterFailure,
  afterLook,
  afterTrial,
  goesElsewhere,
  isFaster,
  pick,
  shares,
  unknownHealth,
  whomToTry,
  type MirrorCandidate,
  type MirrorHealth,
} from '../../../src/engine/fetch/mirror-choice.js'
import { MirrorTrust } from '../../../src/engine/mirror-trust.js'

const now = 1_000_000

const healths: fc.Arbitrary<MirrorHealth> = fc.record({
  failures: fc.nat(5),
  restUntil: fc.oneof(fc.constant(0), fc.integer({ min: now - 1000, max: now + 1000 })),
  speed: fc.option(fc.nat(1_000_000), { nil: null }),
  speedOfOne: fc.nat(1_000_000),
  bestSpeed: fc.nat(1_000_000),
  slowLooks: fc.nat(5),
  trials: fc.nat(3),
})

const candidate: fc.Arbitrary<MirrorCandidate> = fc.record({
  health: healths,
  usable: fc.boolean(),
  waitMs: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(1000), fc.constant(Infinity)),
  live: fc.nat(4),
  room: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.constant(0)),
})
const lists = fc.array(candidate, { minLength: 1, maxLength: 8 })
const fine: MirrorCandidate = { health: unknownHealth, usable: true, waitMs: 0, live: 0, room: 4 }
const resting = (ms: number): MirrorHealth => ({ ...unknownHealth, failures: 1, restUntil: now + ms })

describe('pick', () => {
  const cases = fc.record({ candidates: lists, current: fc.nat(7), spread: fc.boolean() })

  it('never gives one that is out, has no room, or is to be left alone', () => {
    fc.assert(
      fc.property(cases, ({ candidates, current, spread }) => {
        const choice = pick(candidates, { now, current, spread })
        if (!('index' in choice)) return
        const chosen = candidates[choice.index]
        expect(chosen).toMatchObject({ usable: true })
        expect(chosen?.waitMs).toBeLessThanOrEqual(0)
        expect(chosen?.room).toBeGreaterThan(0)
      }),
    )
  })

  it('finds one whenever nothing is under way and somebody can be asked', () => {
    fc.assert(
      fc.property(cases, ({ candidates, current, spread }) => {
        const idle = candidates.map((each) => ({ ...each, live: 0 }))
        const can = idle.some(({ usable, waitMs, room }) => usable && waitMs === 0 && room > 0)
        expect('index' in pick(idle, { now, current, spread })).toBe(can)
      }),
    )
  })

  it('names a time to wait after which there is somebody, when time is all that it takes', () => {
    fc.assert(
      fc.property(cases, ({ candidates, current, spread }) => {
        const choice = pick(candidates, { now, current, spread })
        if (!('waitMs' in choice) || choice.waitMs === Infinity) return
        expect(choice.waitMs).toBeGreaterThan(0)
        const later = candidates.map((each) => ({ ...each, waitMs: each.waitMs - choice.waitMs }))
        // Meanwhile the rest of the current one may have ended: as it is at work, it is not left for others any more.
        const holder = later[current]
        const isBack =
          holder?.usable === true && holder.live > 0 && holder.health.restUntil <= now + choice.waitMs
        if (!spread && isBack && (holder.room <= 0 || holder.waitMs > 0)) return
        expect(pick(later, { now: now + choice.waitMs, current, spread })).toHaveProperty('index')
      }),
    )
  })

  it('one at a time: stays with the current one, also when others have failed less', () => {
    const failed = { ...fine, health: { ...unknownHealth, failures: 3 } }
    expect(pick([fine, failed, fine], { now, current: 1, spread: false })).toEqual({ index: 1 })
  })

  it('one at a time: does not leave one at work because it wants no more for a while', () => {
    const busy = { ...fine, live: 2, waitMs: 500 }
    expect(pick([busy, fine], { now, current: 0, spread: false })).toEqual({ waitMs: 500 })
    expect(pick([{ ...busy, live: 0 }, fine], { now, current: 0, spread: false })).toEqual({ index: 1 })
  })

  it('leaves one that rests for the first that has failed least', () => {
    const tired = { ...fine, health: resting(1000) }
    const once = { ...fine, health: { ...unknownHealth, failures: 1 } }
    expect(pick([tired, once, fine, fine], { now, current: 0, spread: false })).toEqual({ index: 2 })
  })

  it('asks the one whose rest ends first when all rest', () => {
    const all = [900, 300, 600].map((ms) => ({ ...fine, health: resting(ms) }))
    expect(pick(all, { now, current: 0, spread: false })).toEqual({ index: 1 })
  })

  it('spread: the one with the fewest connections', () => {
    const with_ = (live: number) => ({ ...fine, live })
    expect(pick([with_(3), with_(1), with_(2)], { now, current: 0, spread: true })).toEqual({ index: 1 })
    expect(pick([with_(3), { ...with_(1), health: resting(5) }, with_(2)], { now, current: 0, spread: true })).toEqual({ index: 2 }) // prettier-ignore
  })
})

describe('failures', () => {
  it('make the rests longer, up to a minute; bytes forgive them', () => {
    let health = unknownHealth
    let before = 0
    for (let failures = 1; failures <= 40; failures += 1) {
      health = afterFailure(health, now)
      const restMs = health.restUntil - now
      expect(restMs).toBeGreaterThanOrEqual(before)
      expect(restMs).toBeLessThanOrEqual(60_000)
      before = restMs
    }
    expect(before).toBe(60_000)
    expect(afterBytes(health)).toMatchObject({ failures: 0, restUntil: 0 })
  })

  it('lead to each of them at most once before the budget is asked', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), fc.nat(31), (count, dead) => {
        let list: MirrorCandidate[] = Array.from({ length: count }, (_, index) => ({
          ...fine,
          usable: index !== dead,
        }))
        const usable = list.filter((each) => each.usable).length
        let current = 0
        let failures = 0
        for (;;) {
          const choice = pick(list, { now, current, spread: false })
          if (!('index' in choice)) break
          current = choice.index
          failures += 1
          list = list.map((each, index) =>
            index === current ? { ...each, health: afterFailure(each.health, now) } : each,
          )
          if (!goesElsewhere(list, { now, failuresInARow: failures })) break
        }
        expect(failures).toBe(usable)
      }),
    )
  })

  it('of the only one always ask the budget', () => {
    expect(goesElsewhere([fine], { now, failuresInARow: 1 })).toBe(false)
    expect(goesElsewhere([fine, { ...fine, usable: false }], { now, failuresInARow: 1 })).toBe(false)
    expect(goesElsewhere([fine, { ...fine, waitMs: 10 }], { now, failuresInARow: 1 })).toBe(true)
  })
})

describe('slowness', () => {
  const look = (bytesPerSecond: number, connections = 4) => ({
    bytesPerSecond,
    connections,
    slowBytesPerSecond: 1000,
  })
  const slow = [1, 2, 3].reduce((health) => afterLook(health, look(500)), unknownHealth)
  const situation = { now, current: 0, remaining: 1_000_000, lookMs: 2_000 }

  it('is below a floor, or far below what it was; one good look ends it', () => {
    expect(slow.slowLooks).toBe(3)
    expect(afterLook(slow, look(5000)).slowLooks).toBe(0)
    const fallen = [1, 2].reduce(
      (health) => afterLook(health, look(20_000)),
      afterLook(unknownHealth, look(100_000)),
    )
    expect(fallen.slowLooks).toBe(2)
    expect(afterLook(fallen, look(30_000)).slowLooks).toBe(0)
  })

  it('lets another one be tried that has never been tried in vain, and none for a small rest', () => {
    const holder = { ...fine, health: slow, live: 4 }
    const tried = { ...fine, health: { ...unknownHealth, trials: 1 } }
    expect(whomToTry([holder, tried, fine], situation)).toBe(2)
    expect(whomToTry([holder, tried], situation)).toBe(1)
    expect(whomToTry([holder], situation)).toBeNull()
    expect(whomToTry([holder, fine], { ...situation, remaining: 5_000 })).toBeNull()
    expect(whomToTry([{ ...holder, health: afterLook(slow, look(5000)) }, fine], situation)).toBeNull()
    expect(
      whomToTry([holder, { ...fine, health: afterTrial(unknownHealth, now, 2_000) }], situation),
    ).toBeNull()
  })

  it('moves for twice the speed of one connection, not for less', () => {
    const of = (speedOfOne: number) => ({ ...unknownHealth, speedOfOne })
    expect(isFaster(of(250), slow)).toBe(false)
    expect(isFaster(of(251), slow)).toBe(true)
  })
})

describe('shares', () => {
  it('use every connection that somebody puts up with, and give nobody more than that', () => {
    const limits = fc.array(fc.nat(64), { minLength: 1, maxLength: 32 })
    fc.assert(
      fc.property(limits, fc.integer({ min: 1, max: 64 }), (all, connections) => {
        const given = shares(all, connections)
        for (const [index, share] of given.entries()) expect(share).toBeLessThanOrEqual(all[index] ?? 0)
        const sum = (list: readonly number[]) => list.reduce((total, count) => total + count, 0)
        expect(sum(given)).toBeGreaterThanOrEqual(Math.min(connections, sum(all)))
      }),
    )
  })

  it('are even among equals, and what one does not take goes to the others', () => {
    expect(shares([8, 8], 8)).toEqual([4, 4])
    expect(shares([8, 1], 8)).toEqual([7, 1])
    expect(shares([8, 0], 8)).toEqual([8, 0])
  })
})

describe('suspects', () => {
  const wrong = new DownloadError('CHECKSUM_MISMATCH', 'wrong')
  const gone = new DownloadError('NOT_FOUND', 'gone')
  const full = new DownloadError('NO_SPACE', 'full')

  it('who brought all of the wrong bytes is asked no more', () => {
    const suspects = new MirrorTrust(['a', 'b', 'c'])
    suspects.note(['b'])
    expect(suspects.hasAnother(wrong)).toBe(true)
    expect(suspects.urls).toEqual(['a', 'c'])
  })

  it.each([
    ['of several', ['a', 'b'], false],
    ['kept', ['a'], true],
  ] as const)('wrong bytes %s: one at a time from then on, each once', (_, contributors, kept) => {
    // prettier-ignore
    const suspects = new MirrorTrust(['a', 'b', 'c'])
    if (kept) suspects.keeps()
    suspects.note(contributors)
    expect(suspects.hasAnother(wrong)).toBe(true)
    const order: string[] = []
    for (;;) {
      suspects.forget()
      order.push(...suspects.urls)
      suspects.note(suspects.urls)
      if (!suspects.hasAnother(order.length === 2 ? gone : wrong)) break
    }
    expect(order).toEqual(['a', 'b', 'c'])
  })

  it('nobody is blamed for what is none of theirs, and a single one has its own rules', () => {
    const suspects = new MirrorTrust(['a', 'b'])
    suspects.note(['a'])
    expect(suspects.hasAnother(gone)).toBe(false)
    expect(suspects.hasAnother(full)).toBe(false)
    expect(suspects.urls).toEqual(['a', 'b'])
    const single = new MirrorTrust(['a'])
    single.note(['a'])
    expect(single.hasAnother(wrong)).toBe(false)
  })

  it('end, whatever fails', () => {
    const errors = fc.constantFrom(wrong, gone, full)
    const steps = fc.array(fc.tuple(errors, fc.subarray(['a', 'b', 'c', 'd']), fc.boolean()), { minLength: 20, maxLength: 20 }) // prettier-ignore
    fc.assert(
      fc.property(steps, (failures) => {
        const suspects = new MirrorTrust(['a', 'b', 'c', 'd'])
        let tries = 0
        for (const [error, brought, kept] of failures) {
          if (kept && tries === 0) suspects.keeps()
          suspects.note(brought.filter((url) => suspects.urls.includes(url)))
          expect(suspects.urls.length).toBeGreaterThan(0)
          if (!suspects.hasAnother(error)) break
          suspects.forget()
          tries += 1
        }
        expect(tries).toBeLessThanOrEqual(5)
      }),
    )
  })
})

describe('addresses', () => {
  it('are each there once, the URL first', () => {
    expect(addressesOf({ url: 'a' })).toEqual(['a'])
    expect(addressesOf({ url: 'a', urls: ['b', 'a', 'b', 'c'] })).toEqual(['a', 'b', 'c'])
  })

  it('get headers only at the origin of the first', () => {
    const first = { url: 'https://host/a', headers: { Authorization: 'Bearer token' } }
    expect(headersFor('https://host/b', first)).toBe(first.headers)
    for (const url of ['http://host/a', 'https://host:8443/a', 'https://other/a', 'https://host.other/a'])
      expect(headersFor(url, first)).toEqual({})
  })

  it('are told apart in a journal without being shown', () => {
    const url = 'https://host/a?X-Amz-Signature=secret'
    expect(mirrorId(url)).toMatch(/^[0-9a-f]{16}$/)
    expect(mirrorId(url)).not.toBe(mirrorId(`${url}1`))
  })
})
