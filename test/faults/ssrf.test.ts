/**
 * FAULTS.md row 42: forbidden hosts, in every spelling and by every detour, receive nothing from a remote
 * caller.
 */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type Download,
  type DownloadManager,
  type DownloadManagerOptions,
  type DownloadOptions,
  isDownloadError,
} from '../../src/index.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { loopbackSpellings, otherForbidden, startCanary } from '../support/canary.js'
import { arrives, expectInvariant, fails, KiB, makeManager, MiB, startBench } from './harness.js'

const content = randomContent(300 * KiB)
const forbidden = [...loopbackSpellings, ...otherForbidden]
const deadlineMs = 20_000

const outcomeOf = async (download: Download): Promise<string> => {
  try {
    await withTimeout(download.finished, deadlineMs, `the end of ${download.url}`)
    return 'completed'
  } catch (error) {
    return isDownloadError(error) ? error.code : String(error)
  }
}

/** By host, what became of it when it is not what it should be. */
async function unlike(expected: string, downloads: Map<string, Download>): Promise<Record<string, string>> {
  const outcomes = await Promise.all(
    [...downloads].map(async ([host, download]) => [host, await outcomeOf(download)] as const),
  )
  return Object.fromEntries(outcomes.filter(([, outcome]) => outcome !== expected))
}

/** Asks for one file of each host. */
async function askAll(
  manager: DownloadManager,
  hosts: readonly string[],
  url: (host: string) => string,
  options: Partial<DownloadOptions>,
): Promise<Map<string, Download>> {
  const downloads = new Map<string, Download>()
  for (const [index, host] of hosts.entries()) {
    const filename = `${index}.bin`
    downloads.set(host, await manager.download({ url: url(host), filename, ...options }))
  }
  return downloads
}

/** The spelling is judged before the scheme, so https needs fewer of them. */
const hostsOf = { http: forbidden, https: forbidden.filter((_, index) => index % 5 === 0) }

const many: DownloadManagerOptions = { concurrency: 16, tuning: { maxAttempts: 2 } }

describe('row 42: a forbidden host', () => {
  it('has many spellings, and those of loopback would reach the canary', async () => {
    expect(new Set(forbidden).size).toBe(forbidden.length)
    expect(forbidden.length).toBeGreaterThan(100)
    await using canary = await startCanary()
    await using manager = makeManager(tempDir('ssrf'), { tuning: { maxAttempts: 1 } })
    for (const host of loopbackSpellings) {
      if (host.startsWith('[') && !canary.ipv6) continue
      const before = canary.connections
      const url = `http://${host}:${canary.port}/model.bin`
      const download = await manager.download({
        url,
        filename: 'model.bin',
        remote: { allowPrivateNetwork: true },
      })
      await fails(download)
      expect(canary.connections, host).toBeGreaterThan(before)
      await manager.remove(url)
    }
  })

  it.each(['http', 'https'] as const)(
    'is not reached over %s: neither at first, nor on retry, nor when asked again',
    async (scheme) => {
      await using canary = await startCanary()
      const root = tempDir('ssrf')
      await using manager = makeManager(join(root, 'models'), many)
      const retries: string[] = []
      manager.on('retrying', ({ download }) => retries.push(download.url))
      const url = (host: string) => `${scheme}://${host}:${canary.port}/model.bin`
      const downloads = await askAll(manager, hostsOf[scheme], url, { remote: true })
      expect(await unlike('SSRF_BLOCKED', downloads)).toEqual({})
      for (const download of downloads.values()) await download.retry()
      expect(await unlike('SSRF_BLOCKED', downloads)).toEqual({})
      const again = await askAll(manager, hostsOf[scheme], url, { remote: {} })
      expect(await unlike('SSRF_BLOCKED', again)).toEqual({})
      expect(retries).toEqual([])
      expect(canary.connections).toBe(0)
      const files = await listTree(join(root, 'models'))
      expect(files).toEqual([])
    },
  )

  it.each(['http', 'https'] as const)('is not reached by a redirect to %s', async (scheme) => {
    await using canary = await startCanary()
    await using origin = await startOrigin()
    await using manager = makeManager(tempDir('ssrf'), many)
    for (const [index, host] of hostsOf[scheme].entries()) {
      // Headers must be ASCII.
      const name = host.replace(/\P{ASCII}/gu, encodeURIComponent)
      origin.serve(`/${index}`, { redirect: `${scheme}://${name}:${canary.port}/model.bin` })
    }
    const url = (host: string) => origin.url(`/${hostsOf[scheme].indexOf(host)}`)
    // Not even when the one who redirects is allowed by its address.
    const remote = { allowedHosts: [`127.0.0.1:${origin.port}`] }
    const downloads = await askAll(manager, hostsOf[scheme], url, { remote })
    expect(await unlike('SSRF_BLOCKED', downloads)).toEqual({})
    for (const download of downloads.values()) await download.retry()
    expect(await unlike('SSRF_BLOCKED', downloads)).toEqual({})
    expect(origin.requests()).toHaveLength(2 * hostsOf[scheme].length)
    expect(canary.connections).toBe(0)
  })

  it('is not reached after a restart, waiting or failed', async () => {
    await using canary = await startCanary()
    await using origin = await startOrigin()
    origin.serve('/slow.bin', { content: randomContent(256 * MiB), bytesPerSecond: 256 * KiB })
    const directory = tempDir('ssrf')
    const url = (host: string) => `http://${host}:${canary.port}/model.bin`
    const open = (options: DownloadManagerOptions = {}) =>
      makeManager(directory, { ...many, store: 'file', ...options })
    {
      await using manager = open({ concurrency: 1 })
      const slow = await manager.download({ url: origin.url('/slow.bin') })
      await waitFor(() => slow.state === 'downloading', { what: 'the slot to be taken' })
      const downloads = await askAll(manager, forbidden, url, { remote: true })
      expect([...downloads.values()].every((download) => download.state === 'queued')).toBe(true)
    }
    for (const what of ['waiting', 'failed']) {
      await using manager = open()
      await manager.ready
      const downloads = new Map<string, Download>()
      for (const host of forbidden) {
        const download = manager.get(url(host))
        if (download === undefined) throw new Error(`${host} was forgotten.`)
        if (what === 'failed') await download.retry()
        downloads.set(host, download)
      }
      expect(await unlike('SSRF_BLOCKED', downloads), what).toEqual({})
    }
    expect(canary.connections).toBe(0)
  })

  it('is not reached by a single segment, nor by a hop in the middle', async () => {
    await using canary = await startCanary()
    await using bench = await startBench({ tuning: { minSegmentBytes: 64 * KiB } })
    const { origin, manager } = bench
    const there = `http://localhost:${canary.port}/model.bin`
    // The first request gets the beginning of the file, the others are sent elsewhere.
    origin.serve('/segments.bin', {
      content,
      bytesPerSecond: 200 * KiB,
      faults: [{ type: 'status', status: 302, headers: { Location: there }, after: 1 }],
    })
    origin.serve('/first.bin', { redirect: '/second.bin' })
    origin.serve('/second.bin', { redirect: there })
    const remote = { allowedHosts: ['127.0.0.1'] }
    const segments = await manager.download({ url: origin.url('/segments.bin'), remote })
    const hops = await manager.download({ url: origin.url('/first.bin'), remote })
    expect((await fails(hops)).code).toBe('SSRF_BLOCKED')
    await withTimeout(segments.finished, deadlineMs, 'the end').catch(() => undefined)
    expect(origin.requests('/segments.bin').length).toBeGreaterThan(1)
    expect(canary.connections).toBe(0)
  })

  it('keeps the bytes that came before, and says nothing of where it would have led', async () => {
    await using canary = await startCanary()
    await using bench = await startBench({ connections: 1 })
    const { origin, manager, directory } = bench
    const there = `http://localhost:${canary.port}/secret-path`
    origin.serve('/model.bin', {
      content,
      faults: [
        { type: 'truncate', afterBytes: 128 * KiB, times: 1 },
        { type: 'status', status: 302, headers: { Location: there } },
      ],
    })
    const remote = { allowedHosts: ['127.0.0.1'] }
    const error = await fails(await manager.download({ url: origin.url('/model.bin'), remote }))
    expect(error).toMatchObject({ code: 'SSRF_BLOCKED', retryable: false })
    expect(JSON.stringify([error, error.message, error.stack])).not.toMatch(
      /localhost|127\.0\.0\.1|secret-path/,
    )
    expect(canary.connections).toBe(0)
    await expectInvariant(directory, 'model.bin', 'K')
  })
})

describe('what the host program opens', () => {
  it('a trusted caller reaches loopback, as ever', async () => {
    await using bench = await startBench()
    bench.origin.serve('/model.bin', { content })
    const url = bench.origin.url('/model.bin')
    await arrives(await bench.manager.download({ url, remote: false }))
    await expectInvariant(bench.directory, 'model.bin', 'done', { content })
  })

  it.each([{ allowPrivateNetwork: true }, { allowedHosts: ['127.0.0.1'] }])(
    '%j lets a remote caller there, with segments, resume and redirects',
    async (remote) => {
      await using bench = await startBench({ tuning: { minSegmentBytes: 64 * KiB } })
      const { origin, manager, directory } = bench
      origin.serve('/there.bin', {
        content,
        bytesPerSecond: MiB,
        faults: [{ type: 'reset', afterBytes: 70_000, after: 1, times: 1 }],
      })
      origin.serve('/model.bin', { redirect: '/there.bin' })
      await arrives(await manager.download({ url: origin.url('/model.bin'), remote }))
      expect(origin.requests('/there.bin').length).toBeGreaterThan(1)
      await expectInvariant(directory, 'model.bin', 'done', { content })
    },
  )

  it('an allowed host is itself alone: not its other ports, not its other names, not what it redirects to', async () => {
    await using canary = await startCanary()
    await using bench = await startBench()
    const { origin, manager } = bench
    origin.serve('/model.bin', { content })
    origin.serve('/away.bin', { redirect: `http://127.0.0.1:${canary.port}/model.bin` })
    origin.serve('/name.bin', { redirect: `http://localhost:${origin.port}/model.bin` })
    const remote = { allowedHosts: [`127.0.0.1:${origin.port}`] }
    await arrives(await manager.download({ url: origin.url('/model.bin'), filename: 'a.bin', remote }))
    const refused = [
      origin.url('/away.bin'),
      origin.url('/name.bin'),
      `http://127.0.0.1:${canary.port}/model.bin`,
      `http://localhost:${origin.port}/model.bin`,
    ]
    for (const [index, url] of refused.entries()) {
      const error = await fails(await manager.download({ url, filename: `${index}.bin`, remote }))
      expect(error.code, url).toBe('SSRF_BLOCKED')
    }
    expect(canary.connections).toBe(0)
    expect(
      origin.requests('/model.bin').every(({ headers }) => headers['host'] === `127.0.0.1:${origin.port}`),
    ).toBe(true)
  })

  it('both, when a redirect leads from one allowed host to another', async () => {
    await using bench = await startBench()
    await using elsewhere = await startOrigin()
    const { origin, manager, directory } = bench
    elsewhere.serve('/there.bin', { content })
    origin.serve('/model.bin', { redirect: elsewhere.url('/there.bin') })
    const allowedHosts = [origin, elsewhere].map(({ port }) => `127.0.0.1:${port}`)
    await arrives(await manager.download({ url: origin.url('/model.bin'), remote: { allowedHosts } }))
    await expectInvariant(directory, 'model.bin', 'done', { content })
  })
})

describe('connections that are kept', () => {
  it('of a trusted caller serve no remote one, and those of a wider grant no narrower one', async () => {
    await using bench = await startBench({ connections: 1 })
    const { origin, manager } = bench
    for (const name of ['a', 'b', 'c', 'd', 'e']) origin.serve(`/${name}.bin`, { content })
    const fetch = (name: string, options: Partial<DownloadOptions> = {}) =>
      manager.download({ url: origin.url(`/${name}.bin`), ...options })
    const connectionOf = (name: string) => origin.requests(`/${name}.bin`)[0]?.connection

    await arrives(await fetch('a'))
    expect(origin.openConnections, 'the connection is kept').toBe(1)
    await arrives(await fetch('b'))
    expect(connectionOf('b'), 'and used by the next trusted one').toBe(connectionOf('a'))

    expect((await fails(await fetch('c', { remote: true }))).code).toBe('SSRF_BLOCKED')
    await arrives(await fetch('d', { remote: { allowPrivateNetwork: true } }))
    expect(connectionOf('d')).not.toBe(connectionOf('a'))
    expect((await fails(await fetch('e', { remote: { allowedHosts: ['localhost'] } }))).code).toBe(
      'SSRF_BLOCKED',
    )

    expect(origin.requests().map(({ path }) => path)).toEqual(['/a.bin', '/b.bin', '/d.bin'])
    await waitFor(() => origin.openConnections === 1, { what: 'the connection of the remote one to go' })
  })
})
