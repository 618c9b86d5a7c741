import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { addressesOf, headersFor, mirrorId } from '../../../src/engine/protocol.js'
import {
  afterBytes,
  afterFailure,
  afterSample,
  afterTrial,
  chooseTrial,
  isFaster,
  pick,
  shares,
  shouldTryAnother,
  unknownHealth,
  type MirrorCandidate,
  type MirrorHealth,
} from '../../../src/engine/fetch/mirror-choice.js'
import { MirrorTrust } from '../../../src/engine/mirror-trust.js'

const now = 1_000_000

const healths: fc.Arbitrary<MirrorHealth> = fc.record({
  failures: fc.nat(5),
  backoffUntil: fc.oneof(fc.constant(0), fc.integer({ min: now - 1000, max: now + 1000 })),
  speed: fc.option(fc.nat(1_000_000), { nil: null }),
  speedOfOne: fc.nat(1_000_000),
  bestSpeed: fc.nat(1_000_000),
  slowSamples: fc.nat(5),
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
const backingOff = (ms: number): MirrorHealth => ({ ...unknownHealth, failures: 1, backoffUntil: now + ms })

describe('pick', () => {
  const cases = fc.record({ candidates: lists, current: fc.nat(7), spread: fc.boolean() })

  it('never chooses an address that is excluded, full or waiting for Retry-After', () => {
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

  it('finds an address whenever nothing is in progress and one can be requested from', () => {
    fc.assert(
      fc.property(cases, ({ candidates, current, spread }) => {
        const idle = candidates.map((each) => ({ ...each, live: 0 }))
        const can = idle.some(({ usable, waitMs, room }) => usable && waitMs === 0 && room > 0)
        expect('index' in pick(idle, { now, current, spread })).toBe(can)
      }),
    )
  })

  it('returns a wait after which an address is available, if waiting is enough', () => {
    fc.assert(
      fc.property(cases, ({ candidates, current, spread }) => {
        const choice = pick(candidates, { now, current, spread })
        if (!('waitMs' in choice) || choice.waitMs === Infinity) return
        expect(choice.waitMs).toBeGreaterThan(0)
        const later = candidates.map((each) => ({ ...each, waitMs: each.waitMs - choice.waitMs }))
        // The backoff of the current address may have ended by then. It is still receiving, so it is not replaced.
        const holder = later[current]
        const isBack =
          holder?.usable === true && holder.live > 0 && holder.health.backoffUntil <= now + choice.waitMs
        if (!spread && isBack && (holder.room <= 0 || holder.waitMs > 0)) return
        expect(pick(later, { now: now + choice.waitMs, current, spread })).toHaveProperty('index')
      }),
    )
  })

  it('one at a time: stays with the current address even if others have fewer failures', () => {
    const failed = { ...fine, health: { ...unknownHealth, failures: 3 } }
    expect(pick([fine, failed, fine], { now, current: 1, spread: false })).toEqual({ index: 1 })
  })

  it('one at a time: does not replace a receiving address because of its Retry-After', () => {
    const busy = { ...fine, live: 2, waitMs: 500 }
    expect(pick([busy, fine], { now, current: 0, spread: false })).toEqual({ waitMs: 500 })
    expect(pick([{ ...busy, live: 0 }, fine], { now, current: 0, spread: false })).toEqual({ index: 1 })
  })

  it('replaces an address that backs off by the first with the fewest failures', () => {
    const failing = { ...fine, health: backingOff(1000) }
    const once = { ...fine, health: { ...unknownHealth, failures: 1 } }
    expect(pick([failing, once, fine, fine], { now, current: 0, spread: false })).toEqual({ index: 2 })
  })

  it('chooses the address whose backoff ends first when all back off', () => {
    const all = [900, 300, 600].map((ms) => ({ ...fine, health: backingOff(ms) }))
    expect(pick(all, { now, current: 0, spread: false })).toEqual({ index: 1 })
  })

  describe('one at a time, while the current address is receiving', () => {
    const busy = { ...fine, live: 1 }
    const choose = (active: MirrorCandidate, other = fine) =>
      pick([other, active], { now, current: 1, spread: false })

    it.each([
      ['may have one more connection', {}, { index: 1 }],
      ['has all its connections', { room: 0 }, { waitMs: Infinity }],
      ['asked to wait', { waitMs: 500 }, { waitMs: 500 }],
      ['has just ended its backoff', { health: backingOff(0) }, { index: 1 }],
      ['has just ended its backoff, and asked to wait', { health: backingOff(0), waitMs: 5 }, { waitMs: 5 }],
      ['backs off', { health: backingOff(1) }, { index: 0 }],
      ['has been excluded', { usable: false }, { index: 0 }],
    ])('it %s', (_, change, choice) => {
      expect(choose({ ...busy, ...change })).toEqual(choice)
    })
  })

  it.each([
    ['its backoff', { health: backingOff(300) }, 300],
    ['its Retry-After', { waitMs: 300 }, 300],
    ['the longer of both', { waitMs: 200, health: backingOff(300) }, 300],
    ['the longer of both, the other way round', { waitMs: 400, health: backingOff(300) }, 400],
  ])('waits for the end of %s while another address is receiving', (_, change, waitMs) => {
    const full = { ...fine, live: 1, room: 0 }
    const list = [full, { ...fine, ...change }, { ...fine, waitMs: 9_000 }]
    expect(pick(list, { now, current: 0, spread: true })).toEqual({ waitMs })
  })

  it('waits for the Retry-After alone when nothing is being received', () => {
    const refused = { ...fine, waitMs: 200, health: backingOff(300) }
    expect(pick([refused, { ...fine, usable: false }], { now, current: 0, spread: false })).toEqual({
      waitMs: 200,
    })
  })

  it.each([
    ['all addresses are excluded', { usable: false }],
    ['all addresses have all their connections', { live: 2, room: 0 }],
    ['a new address has been requested for each', { waitMs: Infinity }],
  ])('has nothing to wait for when %s', (_, change) => {
    const each = { ...fine, ...change }
    expect(pick([each, each], { now, current: 0, spread: true })).toEqual({ waitMs: Infinity })
  })

  it('uses an address that backs off only when nothing at all is being received', () => {
    const off = { ...fine, health: backingOff(300) }
    const full = { ...fine, room: 0 }
    expect(pick([full, off], { now, current: 0, spread: true })).toEqual({ index: 1 })
    expect(pick([{ ...full, live: 1 }, off], { now, current: 0, spread: true })).toEqual({ waitMs: 300 })
  })

  it('decides between equal addresses by their order in the list', () => {
    const off = { ...fine, health: backingOff(300) }
    expect(pick([off, off, off], { now, current: 2, spread: false })).toEqual({ index: 0 })
    expect(pick([off, fine, fine], { now, current: 0, spread: false })).toEqual({ index: 1 })
    expect(pick([fine, fine, fine], { now, current: 2, spread: true })).toEqual({ index: 0 })
  })

  it('spread: the one with the fewest failures among those with equally few connections', () => {
    const failed = { ...fine, health: { ...unknownHealth, failures: 1 } }
    expect(pick([failed, fine], { now, current: 0, spread: true })).toEqual({ index: 1 })
    expect(pick([failed, { ...fine, live: 1 }], { now, current: 1, spread: true })).toEqual({ index: 0 })
  })

  it('spread: the one with the fewest connections', () => {
    const with_ = (live: number) => ({ ...fine, live })
    expect(pick([with_(3), with_(1), with_(2)], { now, current: 0, spread: true })).toEqual({ index: 1 })
    expect(pick([with_(3), { ...with_(1), health: backingOff(5) }, with_(2)], { now, current: 0, spread: true })).toEqual({ index: 2 }) // prettier-ignore
  })
})

describe('failures', () => {
  it('increase the backoff, up to a minute; received bytes reset it', () => {
    let health = unknownHealth
    let before = 0
    for (let failures = 1; failures <= 40; failures += 1) {
      health = afterFailure(health, now)
      const backoffMs = health.backoffUntil - now
      expect(backoffMs).toBeGreaterThanOrEqual(before)
      expect(backoffMs).toBeLessThanOrEqual(60_000)
      before = backoffMs
    }
    expect(before).toBe(60_000)
    expect(afterBytes(health)).toMatchObject({ failures: 0, backoffUntil: 0 })
  })

  it.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [6, 32_000],
    [7, 60_000],
    [2_000, 60_000],
  ])('number %d backs off for %d ms', (failures, backoffMs) => {
    const health = afterFailure({ ...unknownHealth, failures: failures - 1 }, now)
    expect(health).toEqual({ ...unknownHealth, failures, backoffUntil: now + backoffMs })
  })

  it('do not shorten a longer backoff', () => {
    expect(afterFailure({ ...unknownHealth, backoffUntil: now + 9_000 }, now).backoffUntil).toBe(now + 9_000)
  })

  it('are all that received bytes reset: an address that backs off after a trial still does', () => {
    const tried = afterTrial(unknownHealth, now, 2_000)
    expect(afterBytes(tried)).toEqual(tried)
    expect(afterBytes({ ...tried, failures: 1 })).toEqual({ ...tried, failures: 0, backoffUntil: 0 })
  })

  it('try each address at most once before the retry budget decides', () => {
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
          if (!shouldTryAnother(list, { now, failuresInARow: failures })) break
        }
        expect(failures).toBe(usable)
      }),
    )
  })

  it('of the only usable address are always left to the retry budget', () => {
    expect(shouldTryAnother([fine], { now, failuresInARow: 1 })).toBe(false)
    expect(shouldTryAnother([fine, { ...fine, usable: false }], { now, failuresInARow: 1 })).toBe(false)
    expect(shouldTryAnother([fine, { ...fine, waitMs: 10 }], { now, failuresInARow: 1 })).toBe(true)
  })

  it.each([
    ['can be used at once', {}, true],
    ['has just ended its backoff', { health: backingOff(0) }, true],
    ['backs off', { health: backingOff(1) }, false],
    ['has asked to wait', { waitMs: 1 }, false],
    ['is excluded', { usable: false }, false],
  ])('lead to another address at once if that one %s', (_, change, expected) => {
    const failed = { ...fine, health: backingOff(1_000) }
    const list = [failed, { ...fine, ...change }, failed]
    expect(shouldTryAnother(list, { now, failuresInARow: 1 })).toBe(expected)
  })

  it('as many as there are usable addresses are left to the retry budget', () => {
    const list = [fine, fine, { ...fine, usable: false }]
    expect(shouldTryAnother(list, { now, failuresInARow: 1 })).toBe(true)
    expect(shouldTryAnother(list, { now, failuresInARow: 2 })).toBe(false)
  })
})

describe('slowness', () => {
  const sample = (bytesPerSecond: number, connections = 4) => ({
    bytesPerSecond,
    connections,
    slowBytesPerSecond: 1000,
  })
  const slow = [1, 2, 3].reduce((health) => afterSample(health, sample(500)), unknownHealth)
  const situation = { now, current: 0, remaining: 1_000_000, sampleIntervalMs: 2_000 }

  it('means below a minimum, or far below the earlier speed; one good sample ends it', () => {
    expect(slow.slowSamples).toBe(3)
    expect(afterSample(slow, sample(5000)).slowSamples).toBe(0)
    const fallen = [1, 2].reduce(
      (health) => afterSample(health, sample(20_000)),
      afterSample(unknownHealth, sample(100_000)),
    )
    expect(fallen.slowSamples).toBe(2)
    expect(afterSample(fallen, sample(30_000)).slowSamples).toBe(0)
  })

  it.each([
    ['the minimum', 1_000, 0],
    ['just below the minimum', 999, 1],
    ['a quarter of its best speed', 25_000, 0],
    ['just below a quarter', 24_999, 1],
  ])('begins below %s: %d bytes per second', (_, bytesPerSecond, slowSamples) => {
    const best = bytesPerSecond < 2_000 ? 0 : 100_000
    const health = afterSample({ ...unknownHealth, bestSpeed: best }, sample(bytesPerSecond))
    expect(health).toMatchObject({ slowSamples, speed: bytesPerSecond })
  })

  it('is measured per connection, and against the best speed so far', () => {
    const fast = afterSample(unknownHealth, sample(8_000, 4))
    expect(fast).toEqual({ ...unknownHealth, speed: 8_000, speedOfOne: 2_000, bestSpeed: 8_000 })
    expect(afterSample(fast, sample(4_000, 0))).toMatchObject({ speedOfOne: 4_000, bestSpeed: 8_000 })
  })

  describe('leads to a trial', () => {
    const holder = { ...fine, health: slow, live: 4 }
    const choose = (other: Partial<MirrorCandidate>, change = {}) =>
      chooseTrial([{ ...fine, ...other }, holder], { ...situation, current: 1, ...change })

    it.each([
      ['can be used at once', {}, 0],
      ['has just ended its backoff', { health: backingOff(0) }, 0],
      ['backs off', { health: backingOff(1) }, null],
      ['has asked to wait', { waitMs: 1 }, null],
      ['is excluded', { usable: false }, null],
      ['is in use already', { live: 1 }, null],
    ])('of an address that %s', (_, other, expected) => {
      expect(choose(other)).toBe(expected)
    })

    it('after the third slow sample', () => {
      const of = (slowSamples: number) => ({ ...holder, health: { ...slow, slowSamples } })
      expect(chooseTrial([of(2), fine], situation)).toBeNull()
      expect(chooseTrial([of(3), fine], situation)).toBe(1)
    })

    it('only if more is left than eight samples bring', () => {
      const bytes = (500 * 2_000 * 8) / 1000
      expect(choose({}, { remaining: bytes })).toBeNull()
      expect(choose({}, { remaining: bytes + 1 })).toBe(0)
    })

    it('of no address when the current one, between two connections, is the only one', () => {
      expect(chooseTrial([{ ...holder, live: 0 }], situation)).toBeNull()
    })

    it('of no address while the current one has not been used', () => {
      expect(chooseTrial([fine], { ...situation, current: 7 })).toBeNull()
    })

    it('of the one with the fewest failures among those tried equally often', () => {
      const failed = { ...fine, health: { ...unknownHealth, failures: 1 } }
      expect(chooseTrial([holder, failed, fine, fine], situation)).toBe(2)
    })

    it.each([
      [1, 40_000],
      [2, 80_000],
      [6, 1_280_000],
      [7, 1_280_000],
    ])('number %d after which the address backs off for %d ms', (trials, backoffMs) => {
      const health = { ...unknownHealth, speed: 5, trials: trials - 1 }
      expect(afterTrial(health, now, 2_000)).toEqual({ ...health, trials, backoffUntil: now + backoffMs })
    })
  })

  it('tries the address with the fewest failed trials first, and none when little is left', () => {
    const holder = { ...fine, health: slow, live: 4 }
    const tried = { ...fine, health: { ...unknownHealth, trials: 1 } }
    expect(chooseTrial([holder, tried, fine], situation)).toBe(2)
    expect(chooseTrial([holder, tried], situation)).toBe(1)
    expect(chooseTrial([holder], situation)).toBeNull()
    expect(chooseTrial([holder, fine], { ...situation, remaining: 5_000 })).toBeNull()
    expect(chooseTrial([{ ...holder, health: afterSample(slow, sample(5000)) }, fine], situation)).toBeNull()
    expect(
      chooseTrial([holder, { ...fine, health: afterTrial(unknownHealth, now, 2_000) }], situation),
    ).toBeNull()
  })

  it('switches only to an address that is more than twice as fast per connection', () => {
    const of = (speedOfOne: number) => ({ ...unknownHealth, speedOfOne })
    expect(isFaster(of(250), slow)).toBe(false)
    expect(isFaster(of(251), slow)).toBe(true)
  })
})

describe('shares', () => {
  it('use every connection that the addresses accept, and give none of them more', () => {
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

  it('are equal, and connections that one address does not accept go to the others', () => {
    expect(shares([8, 8], 8)).toEqual([4, 4])
    expect(shares([8, 1], 8)).toEqual([7, 1])
    expect(shares([8, 0], 8)).toEqual([8, 0])
    expect(shares([8, 8, 0], 8)).toEqual([4, 4, 0])
    expect(shares([8, 8, 8], 8)).toEqual([3, 3, 3])
    expect(shares([0, 0], 8)).toEqual([0, 0])
  })
})

describe('MirrorTrust', () => {
  const wrong = new DownloadError('CHECKSUM_MISMATCH', 'wrong')
  const gone = new DownloadError('NOT_FOUND', 'gone')
  const full = new DownloadError('NO_SPACE', 'full')

  it('excludes the address that all of the wrong bytes came from', () => {
    const trust = new MirrorTrust(['a', 'b', 'c'])
    trust.note(['b'])
    expect(trust.shouldRetry(wrong)).toBe(true)
    expect(trust.urls).toEqual(['a', 'c'])
  })

  it.each([
    ['of several', ['a', 'b'], false],
    ['kept', ['a'], true],
  ] as const)('wrong bytes %s: one at a time from then on, each once', (_, contributors, kept) => {
    const trust = new MirrorTrust(['a', 'b', 'c'])
    if (kept) trust.noteKept()
    trust.note(contributors)
    expect(trust.shouldRetry(wrong)).toBe(true)
    const order: string[] = []
    for (;;) {
      trust.forget()
      order.push(...trust.urls)
      trust.note(trust.urls)
      if (!trust.shouldRetry(order.length === 2 ? gone : wrong)) break
    }
    expect(order).toEqual(['a', 'b', 'c'])
  })

  it('excludes no address for errors that are not its own, nor the only address', () => {
    const trust = new MirrorTrust(['a', 'b'])
    trust.note(['a'])
    expect(trust.shouldRetry(gone)).toBe(false)
    expect(trust.shouldRetry(full)).toBe(false)
    expect(trust.urls).toEqual(['a', 'b'])
    const single = new MirrorTrust(['a'])
    single.note(['a'])
    expect(single.shouldRetry(wrong)).toBe(false)
  })

  it('stops retrying in the end, whatever fails', () => {
    const errors = fc.constantFrom(wrong, gone, full)
    const steps = fc.array(fc.tuple(errors, fc.subarray(['a', 'b', 'c', 'd']), fc.boolean()), { minLength: 20, maxLength: 20 }) // prettier-ignore
    fc.assert(
      fc.property(steps, (failures) => {
        const trust = new MirrorTrust(['a', 'b', 'c', 'd'])
        let tries = 0
        for (const [error, brought, kept] of failures) {
          if (kept && tries === 0) trust.noteKept()
          trust.note(brought.filter((url) => trust.urls.includes(url)))
          expect(trust.urls.length).toBeGreaterThan(0)
          if (!trust.shouldRetry(error)) break
          trust.forget()
          tries += 1
        }
        expect(tries).toBeLessThanOrEqual(5)
      }),
    )
  })
})

describe('addresses', () => {
  it('are listed once each, the URL first', () => {
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
    const url = 'https://host/a?key=secret'
    expect(mirrorId(url)).toMatch(/^[0-9a-f]{16}$/)
    expect(mirrorId(url)).not.toBe(mirrorId(`${url}1`))
    // What was signed again is the same address.
    expect(mirrorId(`${url}&X-Amz-Signature=1`)).toBe(mirrorId(`${url}&X-Amz-Signature=2`))
  })
})
