/** Several addresses of one file at once; and one that is slow is left. */
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import type { Fault, Resource } from '../support/origin.js'
import { KiB, MiB } from './harness.js'
import { openMirrors, path } from './mirror-scene.js'
import { success } from './scene.js'

const content = randomContent(4 * MiB, 'spread')
const never: Fault = { type: 'hangUp', reset: true }

/** One response at a time, and that slowly: so much is what the whole server gives. */
const limited = (bytesPerSecond: number): Resource => ({ content, bytesPerSecond, maxConnections: 1 })

describe('spread', () => {
  it('uses all of them, at the same time', async () => {
    const scene = await openMirrors(limited(MiB), limited(MiB), limited(MiB))
    success(await scene.fetch({ spread: true }))
    for (const index of [0, 1, 2]) expect(scene.sent(index)).toBeGreaterThan(512 * KiB)
    // No server began after another one had sent its last byte, so what each gives adds up.
    const bodies = scene.origins.map((origin) =>
      origin.requests(path).filter(({ bytesSent }) => bytesSent > 64 * KiB),
    )
    const lastBegin = Math.max(...bodies.map((each) => Math.min(...each.map(({ at }) => at))))
    const firstEnd = Math.min(
      ...bodies.map((each) => Math.max(...each.map(({ endedAt }) => endedAt ?? Infinity))),
    )
    expect(lastBegin).toBeLessThan(firstEnd)
    await scene.expectFile(content)
  })

  it('one that wants fewer connections gets fewer, the others go on with theirs', async () => {
    const busy: Resource = {
      content,
      bytesPerSecond: MiB,
      maxConnections: { count: 1, status: 429, retryAfter: 1 },
    }
    const scene = await openMirrors({ content, bytesPerSecond: MiB }, busy)
    const end = await scene.fetch({ spread: true, connections: 8 })
    success(end)
    expect(end.told.retries).toEqual([])
    expect(scene.sent(1)).toBeGreaterThan(128 * KiB)
    expect(scene.sent(0)).toBeGreaterThan(2 * MiB)
    await scene.expectFile(content)
  })

  it('one that dies leaves its part to the others', async () => {
    const dying: Resource = {
      content,
      bytesPerSecond: MiB,
      faults: [{ type: 'reset', afterBytes: 200 * KiB, times: 2 }, never],
    }
    const scene = await openMirrors({ content, bytesPerSecond: MiB }, dying)
    const end = await scene.fetch({ spread: true })
    expect(success(end).fetchedBytes).toBe(content.size)
    expect(end.told.retries).toEqual([])
    await scene.expectFile(content)
  })

  it('with one connection it is one of them', async () => {
    const scene = await openMirrors({ content }, { content })
    success(await scene.fetch({ spread: true, connections: 1 }))
    expect(scene.asked(0)).toBeGreaterThan(0)
    await scene.expectFile(content)
  })

  it('those without strong validators and without a digest take no part', async () => {
    const weak: Resource = { content, bytesPerSecond: MiB, etag: 'W/"1"', lastModified: null }
    const scene = await openMirrors({ content, bytesPerSecond: MiB }, weak, { content, bytesPerSecond: MiB })
    success(await scene.fetch({ spread: true }))
    // What is compared, and nothing else.
    expect(scene.sent(1)).toBeLessThanOrEqual(64 * KiB)
    expect(scene.sent(2)).toBeGreaterThan(512 * KiB)
    await scene.expectFile(content)
  })
})

describe('slowness', () => {
  const tuning = { lowSpeedTimeMs: 2_000, bodyTimeoutMs: 2_000 }

  it.each([
    ['with a digest', { sha256: content.sha256() }],
    ['without a digest', {}],
  ])('moves from a slow one to a fast one, %s', async (_, digest) => {
    const scene = await openMirrors({ content, bytesPerSecond: 40 * KiB }, { content })
    const end = await scene.fetch(digest, scene.manager({ tuning }))
    expect(success(end).fetchedBytes).toBe(content.size)
    expect(scene.sent(1)).toBeGreaterThan(2 * MiB)
    expect(scene.log.some((line) => line.includes('is slow'))).toBe(true)
    await scene.expectFile(content)
  })

  it('stays where it is when the others are no faster', async () => {
    const small = randomContent(1 * MiB, 'slow everywhere')
    const slow: Resource = { content: small, bytesPerSecond: 50 * KiB }
    const scene = await openMirrors(slow, slow)
    success(await scene.fetch({}, scene.manager({ tuning })))
    expect(scene.origins[1]?.requests(path).length ?? 0).toBeLessThan(6)
    expect(scene.sent(0)).toBeGreaterThan(scene.sent(1))
    await scene.expectFile(small)
  })

  it('does not take our own limit for slowness', async () => {
    const small = randomContent(512 * KiB, 'limited by us')
    const scene = await openMirrors({ content: small }, { content: small })
    success(await scene.fetch({ maxBytesPerSecond: 200 * KiB }, scene.manager({ tuning })))
    expect(scene.asked(1)).toBe(0)
    await scene.expectFile(small)
  })
})
