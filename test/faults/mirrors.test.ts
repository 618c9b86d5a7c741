/** Several addresses of one file: when one fails, the next goes on. */
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { startCanary } from '../support/canary.js'
import type { Fault } from '../support/origin.js'
import { KiB, MiB } from './harness.js'
import { deadUrl, openMirrors, path } from './mirror-scene.js'
import { failure, success } from './scene.js'

const content = randomContent(2 * MiB, 'the file')
const digests = [
  ['with a digest', { sha256: content.sha256() }],
  ['without a digest', {}],
] as const
const never: Fault = { type: 'hangUp', reset: true }

describe('one at a time', () => {
  it('asks nobody but the first while that works', async () => {
    const scene = await openMirrors({ content }, { content })
    success(await scene.fetch())
    expect(scene.asked(1)).toBe(0)
    await scene.expectFile(content)
  })

  it('keeps the URL as the identity, whatever mirror it came from', async () => {
    const scene = await openMirrors({ content, faults: [never] }, { content })
    const manager = scene.manager()
    const [first = ''] = scene.urls
    const end = await scene.fetch({}, manager)
    expect(success(end).url).toBe(first)
    expect(manager.get(first)).toBe(end.download)
    const dead = await openMirrors({ content })
    const other = await dead.fetch({ url: deadUrl, urls: dead.urls })
    expect(success(other).url).toBe(deadUrl)
  })

  const beginnings: [string, Fault][] = [
    ['hangs up', never],
    ['has no such file', { type: 'status', status: 404 }],
    ['refuses access', { type: 'status', status: 403 }],
    ['refuses the request', { type: 'status', status: 400 }],
    ['is broken', { type: 'status', status: 500 }],
    ['wants to be left alone', { type: 'status', status: 503, retryAfter: 3600 }],
    [
      'wants to be left alone for longer than anybody waits',
      { type: 'status', status: 429, retryAfter: 10_000 },
    ],
    ['is silent', { type: 'stallBeforeHeaders' }],
    ['is no web server', { type: 'garbage' }],
    ['redirects in a circle', { type: 'status', status: 302, headers: { Location: path } }],
  ]
  it.each(beginnings)('the first %s: the second serves all, without a retry', async (_, fault) => {
    const scene = await openMirrors({ content, faults: [fault] }, { content })
    const end = await scene.fetch()
    success(end)
    expect(end.told.retries).toEqual([])
    expect(end.told.restarts).toEqual([])
    await scene.expectFile(content)
  })

  it('goes down the list until one works', async () => {
    const down = { content, faults: [never] }
    const scene = await openMirrors(down, down, down, { content }, { content })
    success(await scene.fetch({ urls: [deadUrl, ...scene.urls] }))
    expect([0, 1, 2, 4].map((index) => scene.sent(index))).toEqual([0, 0, 0, 0])
    await scene.expectFile(content)
  })

  const middles: [string, Fault][] = [
    ['dies', { type: 'reset', afterBytes: 100 * KiB }],
    ['goes silent', { type: 'stallBody', afterBytes: 100 * KiB }],
    ['cuts the body', { type: 'truncate', afterBytes: 100 * KiB }],
  ]
  describe.each(digests)('%s', (_, digest) => {
    it.each(middles)('the first %s in the middle: the second brings the rest', async (__, fault) => {
      const faults = [{ ...fault, times: 4 }, never]
      const scene = await openMirrors({ content, bytesPerSecond: 4 * MiB, faults }, { content })
      const end = await scene.fetch(digest, scene.manager({ tuning: { bodyTimeoutMs: 300 } }))
      // No byte twice.
      expect(success(end).fetchedBytes).toBe(content.size)
      expect(end.told.restarts).toEqual([])
      expect(scene.sent(0)).toBeGreaterThan(100 * KiB)
      expect(scene.sent(1)).toBeGreaterThan(0)
      await scene.expectFile(content)
    })

    it('access ends in the middle at one of them: the other goes on', async () => {
      const expires = { content, bytesPerSecond: 4 * MiB, faults: [{ type: 'truncate', afterBytes: 300 * KiB, times: 4 }, { type: 'status', status: 403 }] } as const // prettier-ignore
      const scene = await openMirrors(expires, { content })
      const end = await scene.fetch(digest)
      success(end)
      expect(end.told.retries).toEqual([])
      expect(scene.sent(1)).toBeGreaterThan(0)
      await scene.expectFile(content)
    })

    it('both die again and again: each goes on where the other ended', async () => {
      const dying = { content, faults: [{ type: 'truncate', afterBytes: 150 * KiB }] } as const
      const scene = await openMirrors(dying, dying)
      const end = await scene.fetch({ ...digest, connections: 1 })
      success(end)
      expect(end.told.restarts).toEqual([])
      expect(scene.sent(0)).toBeGreaterThan(0)
      expect(scene.sent(1)).toBeGreaterThan(0)
      await scene.expectFile(content)
    })
  })

  it('comes back to the first when the second dies too', async () => {
    const cut = (times: number): Fault => ({ type: 'truncate', afterBytes: 200 * KiB, times })
    const scene = await openMirrors({ content, faults: [cut(1)] }, { content, faults: [cut(1), never] })
    const end = await scene.fetch({ connections: 1 })
    success(end)
    await scene.expectFile(content)
  })

  it('all fail: the retry budget decides, and all of them are tried', async () => {
    const scene = await openMirrors({ content, faults: [never] }, { content, faults: [never] })
    const end = await scene.fetch()
    failure(end, 'CONNECT_FAILED')
    // Three waits, and the fourth failure is the end.
    expect(end.told.retries).toHaveLength(3)
    expect(scene.asked(0)).toBeGreaterThanOrEqual(2)
    expect(scene.asked(1)).toBeGreaterThanOrEqual(2)
    expect(scene.asked(0) + scene.asked(1)).toBe(5)
  })

  it('nobody has it: the error is that of the first', async () => {
    const gone: Fault = { type: 'status', status: 404 }
    const denied: Fault = { type: 'status', status: 403 }
    const scene = await openMirrors({ content, faults: [gone] }, { content, faults: [denied] })
    const end = await scene.fetch()
    failure(end, 'NOT_FOUND')
    expect(end.told.retries).toEqual([])
  })

  it('one that has the file is waited for, also when the others never will', async () => {
    const gone: Fault = { type: 'status', status: 404 }
    const slow: Fault = { type: 'status', status: 503, retryAfter: 1, times: 1 }
    const scene = await openMirrors({ content, faults: [gone] }, { content, faults: [slow] })
    success(await scene.fetch())
    await scene.expectFile(content)
  })

  it('a mirror that redirects serves as well as another', async () => {
    const target = await openMirrors({ content })
    const [there = ''] = target.urls
    const scene = await openMirrors({ content, faults: [never] }, { redirect: there })
    success(await scene.fetch())
    await scene.expectFile(content)
  })

  it('a mirror without ranges serves the whole file when nothing is there yet', async () => {
    const scene = await openMirrors({ content, faults: [never] }, { content, ranges: false })
    success(await scene.fetch())
    await scene.expectFile(content)
  })

  it('a mirror without ranges is the last resort when the first never comes back', async () => {
    const faults: Fault[] = [{ type: 'truncate', afterBytes: 300 * KiB, times: 1 }, never]
    const scene = await openMirrors({ content, faults }, { content, ranges: false })
    const end = await scene.fetch({ connections: 1 })
    success(end)
    expect(end.told.restarts).toHaveLength(1)
    await scene.expectFile(content)
  })
})

describe('who may see what', () => {
  it('headers go to the origin of the first alone, name and password where they stand', async () => {
    const faults: Fault[] = [{ type: 'truncate', afterBytes: 300 * KiB, times: 1 }, never]
    const scene = await openMirrors({ content, faults }, { content, faults }, { content })
    const [first = '', second = '', third = ''] = scene.urls
    const urls = [first, second, third.replace('://', '://reader:secret@')]
    const headers = { Authorization: 'Bearer token', 'X-Api-Key': 'token' }
    success(await scene.fetch({ urls, headers, connections: 1, spread: true }))
    const seen = scene.origins.map((origin) => origin.requests(path).map((request) => request.headers))
    expect(seen[0]?.every((each) => each['x-api-key'] === 'token')).toBe(true)
    for (const each of [...(seen[1] ?? []), ...(seen[2] ?? [])]) expect(each['x-api-key']).toBeUndefined()
    for (const each of seen[1] ?? []) expect(each['authorization']).toBeUndefined()
    expect(seen[1]?.length).toBeGreaterThan(0)
    const basic = `Basic ${Buffer.from('reader:secret').toString('base64')}`
    expect(new Set(seen[2]?.map((each) => each['authorization']))).toEqual(new Set([basic]))
    expect(scene.log.join('\n')).not.toMatch(/token|secret/)
  })

  it('a remote caller reaches no private mirror: it is left out, the others go on', async () => {
    await using canary = await startCanary()
    const scene = await openMirrors({ content, faults: [never] }, { content })
    const hosts = scene.origins.map((origin) => new URL(origin.url('/')).host)
    const hidden = `http://127.0.0.1:${canary.port}${path}`
    const [first = '', second = ''] = scene.urls
    const urls = [first, hidden, second]
    success(await scene.fetch({ urls, spread: true, remote: { allowedHosts: hosts } }))
    expect(canary.connections).toBe(0)
    await scene.expectFile(content)
  })

  it('SSRF_BLOCKED when all of them are', async () => {
    await using canary = await startCanary()
    const scene = await openMirrors()
    const urls = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${canary.port}${path}`)
    const end = await scene.fetch({ urls, remote: true })
    failure(end, 'SSRF_BLOCKED')
    expect(canary.connections).toBe(0)
  })
})
