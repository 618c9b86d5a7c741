/** What a remote caller said of a URL must not decide what a trusted caller gets. FAULTS.md row 68. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { DownloadOptions } from '../../src/index.js'
import { arrives, fails, KiB, MiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(256 * KiB)
const evil = randomContent(256 * KiB, 'evil')
const slow = { content, bytesPerSecond: 256 * KiB }
const anywhere = { allowPrivateNetwork: true }
const random = 'f'.repeat(64)

/** A URL, a mirror with other bytes, and a remote caller who may reach both. */
async function start(options: Parameters<typeof startBench>[0] = {}) {
  const bench = await startBench({ modes: ['llm', 'embed'], ...options })
  const { origin, manager } = bench
  origin.serve('/a.bin', { content })
  origin.serve('/evil/a.bin', { content: evil })
  const url = origin.url('/a.bin')
  const mirror = origin.url('/evil/a.bin')
  const asStranger = (given: Partial<DownloadOptions> = {}) =>
    manager.download({ url, remote: anywhere, ...given })
  const asOwner = (given: Partial<DownloadOptions> = {}) => manager.download({ url, ...given })
  return Object.assign(bench, { url, mirror, asStranger, asOwner })
}

describe('a trusted request for a URL that a remote caller has requested', () => {
  it.each<[string, Partial<DownloadOptions>]>([
    ['a random digest', { sha256: random }],
    ['a wrong size', { size: 5 }],
    ['a file name', { filename: 'other.bin' }],
    ['a mode', { mode: 'embed' }],
    ['a limit', { maxBytesPerSecond: 1, connections: 1 }],
    ['a priority', { priority: -5 }],
  ])('ignores %s, while that download waits, runs, is paused and has ended', async (_, said) => {
    await using bench = await start({ concurrency: 1 })
    const { manager, origin, url, asStranger, asOwner } = bench
    for (const state of ['queued', 'downloading', 'paused', 'ended']) {
      if (state === 'queued') await manager.download({ url: origin.url('/busy.bin') })
      origin.serve('/busy.bin', { content: randomContent(256 * MiB), bytesPerSecond: 256 * KiB })
      origin.serve('/a.bin', state === 'ended' ? { content } : slow)
      const strangers = await asStranger(said)
      if (state === 'downloading' || state === 'paused') await waitFor(() => strangers.state !== 'queued')
      if (state === 'paused' && strangers.state !== 'failed') await manager.pause(url).catch(() => undefined)
      if (state === 'ended') {
        if (said.maxBytesPerSecond !== undefined) await manager.cancel(url)
        await strangers.finished.catch(() => undefined)
      }
      origin.serve('/a.bin', { content })
      if (state === 'queued') await manager.remove(origin.url('/busy.bin'))
      const download = await asOwner()
      expect(download, state).toBe(strangers)
      expect(await arrives(download), state).toMatchObject({ filename: 'a.bin', sha256: content.sha256() })
      expect(download.record).toMatchObject({ remote: null, mode: null, size: null, priority: 0 })
      expect(download.maxBytesPerSecond).toBeNull()
      await manager.remove(url, { deleteFile: true })
    }
  })

  it('never asks the mirrors of the remote caller, nor publishes what they sent', async () => {
    await using bench = await start()
    const { manager, origin, url, mirror, asStranger, asOwner, directory } = bench
    origin.serve('/a.bin', { status: 503 })
    await arrives(await asStranger({ urls: [mirror], sha256: evil.sha256() }))
    expect(await readFile(join(directory, 'a.bin'))).toEqual(evil.slice(0, evil.size))
    origin.serve('/a.bin', { content })
    const before = origin.requests('/evil/a.bin').length
    const file = await arrives(await asOwner())
    expect(file).toMatchObject({ existed: false, verified: false, sha256: content.sha256() })
    expect(origin.requests('/evil/a.bin')).toHaveLength(before)
    // A digest of its own decides without fetching anything again.
    await manager.remove(url)
    await arrives(await asStranger({ urls: [mirror] }))
    expect(await arrives(await asOwner({ sha256: content.sha256() }))).toMatchObject({ verified: true })
  })

  it('does not go on with bytes that the mirrors sent, even if a later request names none', async () => {
    await using bench = await start({ connections: 1 })
    const { manager, origin, url, mirror, asStranger, asOwner } = bench
    const etag = '"same"'
    origin.serve('/a.bin', { status: 503 })
    origin.serve('/evil/a.bin', { content: evil, etag, bytesPerSecond: 128 * KiB })
    const strangers = await asStranger({ urls: [mirror] })
    await waitFor(() => strangers.current.downloaded > 64 * KiB)
    await manager.pause(url)
    origin.serve('/a.bin', { content, etag })
    const file = await arrives(await asOwner())
    expect(file).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    // The same through another URL with the same file name, whose download has failed and kept its bytes.
    await manager.remove(url, { deleteFile: true })
    origin.serve('/v.bin', { status: 503 })
    origin.serve('/a.bin', { content, etag })
    const spread = { urls: [url, mirror], filename: 'a.bin', spread: true } as const
    const other = await manager.download({ url: origin.url('/v.bin'), remote: anywhere, ...spread })
    await other.finished.catch(() => undefined)
    expect(await arrives(await asOwner())).toMatchObject({ sha256: content.sha256() })
  })

  it('goes on with bytes that came from the URL itself', async () => {
    await using bench = await start({ connections: 1 })
    const { origin, asStranger, asOwner } = bench
    origin.serve('/a.bin', { content, etag: '"1"', bytesPerSecond: 128 * KiB })
    const strangers = await asStranger()
    await waitFor(() => strangers.current.downloaded > 64 * KiB)
    origin.serve('/a.bin', { content, etag: '"1"' })
    expect((await arrives(await asOwner())).fetchedBytes).toBeLessThan(content.size)
  })

  it('may reach what the remote caller may not', async () => {
    await using bench = await start()
    const { asStranger, asOwner } = bench
    expect((await fails(await asStranger({ remote: true }))).code).toBe('SSRF_BLOCKED')
    await arrives(await asOwner())
  })

  it('takes a file name away from a remote caller, and does not believe the file there', async () => {
    await using bench = await start()
    const { manager, origin, mirror, url, asOwner, directory } = bench
    await arrives(await manager.download({ url: mirror, remote: anywhere }))
    const file = await arrives(await asOwner())
    expect(file).toMatchObject({ existed: false, sha256: content.sha256() })
    expect(manager.get(mirror)).toBeUndefined()
    // While it runs too.
    await manager.remove(url, { deleteFile: true })
    origin.serve('/evil/a.bin', { content: evil, bytesPerSecond: 64 * KiB })
    const running = await manager.download({ url: mirror, remote: anywhere })
    await waitFor(() => running.current.downloaded > 0)
    expect(await arrives(await asOwner())).toMatchObject({ sha256: content.sha256() })
    // A remote caller does not take it from anybody.
    await expect(manager.download({ url: mirror, remote: anywhere })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(await readFile(join(directory, 'a.bin'))).toEqual(content.slice(0, content.size))
  })

  it('is planned without what the remote caller said', async () => {
    await using bench = await start()
    const { manager, url, asStranger } = bench
    await fails(await asStranger({ sha256: random, filename: 'b.bin' }))
    const plan = await manager.plan({ url })
    expect(plan.files).toMatchObject([{ filename: 'a.bin', sha256: null }])
  })
})

describe('a remote request for a URL that a trusted caller has requested', () => {
  it.each<[string, Partial<DownloadOptions>]>([
    ['digest', { sha256: random }],
    ['size', { size: 5 }],
  ])('adds no %s to it, whether it waits, runs or is paused', async (_, said) => {
    await using bench = await start({ concurrency: 1 })
    const { manager, origin, url, asStranger, asOwner } = bench
    origin.serve('/busy.bin', slow)
    await manager.download({ url: origin.url('/busy.bin') })
    const download = await asOwner()
    const refused = async () => {
      await expect(asStranger(said)).rejects.toMatchObject({ code: 'CONFLICT' })
      expect(download.record).toMatchObject({ sha256: null, size: null, remote: null })
    }
    expect(download.state).toBe('queued')
    await refused()
    await manager.pause(url)
    await refused()
    expect(await asStranger()).toBe(download)
    await manager.remove(origin.url('/busy.bin'))
    await manager.resume(url)
    await arrives(download)
  })

  it('does not keep it alive once its caller has given it up', async () => {
    await using bench = await start()
    const { origin, asStranger, asOwner } = bench
    origin.serve('/a.bin', slow)
    const controller = new AbortController()
    const download = await asOwner({ signal: controller.signal })
    expect(await asStranger()).toBe(download)
    controller.abort()
    expect((await fails(download)).code).toBe('CANCELED')
  })

  it('does not send its headers to an address that the remote caller names', async () => {
    await using bench = await start()
    const { origin, mirror, asStranger, asOwner } = bench
    origin.serve('/a.bin', { status: 404 })
    await fails(await asOwner({ headers: { authorization: 'Bearer secret' } }))
    await arrives(await asStranger({ urls: [mirror] }))
    const sent = origin.requests('/evil/a.bin').map(({ headers }) => headers['authorization'] ?? null)
    expect(new Set(sent)).toEqual(new Set([null]))
  })
})

it('mirrors of one remote caller are not used with the rights of another', async () => {
  await using bench = await start()
  const { origin, mirror, asStranger } = bench
  origin.serve('/a.bin', { status: 404 })
  expect((await fails(await asStranger({ urls: [mirror], remote: true }))).code).toBe('SSRF_BLOCKED')
  expect((await fails(await asStranger())).code).toBe('NOT_FOUND')
  expect(origin.requests('/evil/a.bin')).toEqual([])
})

it('an existing file of nobody known is accepted as before', async () => {
  await using bench = await start()
  const { directory, asOwner } = bench
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'a.bin'), 'mine')
  expect(await arrives(await asOwner())).toMatchObject({ existed: true })
})
