/** What a remote caller can grow is bounded, and leaves room for trusted callers. FAULTS.md row 70. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Catalog, createHandler, Preloader } from '../../src/index.js'
import type { DownloadManagerOptions, DownloadOptions } from '../../src/index.js'
import { internals } from '../../src/manager/internals.js'
import { arrives, expectInvariant, fails, KiB, makeManager, MiB, startBench } from '../faults/harness.js'
import { ManualClock } from '../support/clock.js'
import { randomContent, textContent } from '../support/content.js'
import type { Resource } from '../support/origin.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { startScene } from './group-scene.js'

const content = randomContent(64 * KiB)
const slow = { content: randomContent(256 * MiB), bytesPerSecond: 128 * KiB }
const remote = { allowPrivateNetwork: true }
const json = { 'content-type': 'application/json' }

it('remote callers leave a slot free, and trusted ones are the first to get any', async () => {
  await using bench = await startBench({ concurrency: 2, remoteConcurrency: 1, connections: 1 })
  const { manager, origin } = bench
  for (const name of ['a', 'b', 'c', 'd']) origin.serve(`/${name}.bin`, slow)
  origin.serve('/own.bin', { content })
  const urls = ['a', 'b', 'c'].map((name) => origin.url(`/${name}.bin`))
  const theirs = await Promise.all(urls.map((url) => manager.download({ url, remote, priority: 1_000_000 })))
  const states = () => theirs.map(({ state }) => state === 'queued')
  await waitFor(() => theirs[0]?.state === 'downloading')
  expect(states()).toEqual([false, true, true])
  await arrives(await manager.download({ url: origin.url('/own.bin'), priority: -5 }))
  expect(states()).toEqual([false, true, true])
  // The next one follows when the first has ended.
  await theirs[0]?.cancel()
  await waitFor(() => theirs[1]?.state === 'downloading')
  expect(states()).toEqual([false, false, true])
})

it('leaves one of three slots to trusted callers by default, and of more when there are more', async () => {
  await using bench = await startBench({ concurrency: 3, connections: 1 })
  const { manager, origin } = bench
  for (const name of ['a', 'b', 'c']) origin.serve(`/${name}.bin`, slow)
  const [a, b, c] = await Promise.all(
    ['a', 'b', 'c'].map((name) => manager.download({ url: origin.url(`/${name}.bin`), remote })),
  )
  await waitFor(() => a?.state === 'downloading' && b?.state === 'downloading')
  expect(c?.state).toBe('queued')
  manager.concurrency = 4
  await waitFor(() => c?.state === 'downloading')
})

it('forgets the oldest settled downloads of remote callers, and none of the host application', async () => {
  await using bench = await startBench({ maxRecords: 2 })
  const { manager, origin } = bench
  const url = (name: string) => origin.url(`/${name}.bin`)
  await fails(await manager.download({ url: url('own') }))
  for (const name of ['a', 'b', 'c', 'd', 'e'])
    await fails(await manager.download({ url: url(name), remote }))
  expect(manager.list().map((download) => download.url)).toEqual(['own', 'c', 'd', 'e'].map(url))
})

it("a 429 for a remote caller does not hold trusted callers' downloads", async () => {
  await using bench = await startBench({ tuning: { maxRetryAfterMs: 3_600_000 } })
  const { manager, origin } = bench
  origin.serve('/limited.bin', { status: 429, headers: { 'retry-after': '3600' } })
  origin.serve('/own.bin', { content })
  let retrying = false
  manager.on('retrying', () => (retrying = true))
  await manager.download({ url: origin.url('/limited.bin'), remote })
  await waitFor(() => retrying)
  await arrives(await manager.download({ url: origin.url('/own.bin') }))
})

describe('the largest file of a remote caller', () => {
  const limit = 64 * KiB
  const bounded = { remoteMaxFileBytes: limit }
  const fits = randomContent(limit)
  const tooLarge = randomContent(limit + 1)
  /** Serves no ranges and states no length. */
  const unsized = { ranges: false, contentLength: false }

  it.each<[string, Partial<Resource>, Partial<DownloadOptions>]>([
    ['its response states', {}, {}],
    ['its caller states', {}, { size: tooLarge.size }],
    ['nobody states, in a range', { faults: [{ type: 'wrongTotal', total: '*' }] }, {}],
    ['nobody states, in a stream', unsized, {}],
    ['nobody states, encoded', { ranges: false, faults: [{ type: 'contentEncoding' }] }, {}],
  ])('is refused with a size that %s', async (_, behaviour, given) => {
    await using bench = await startBench(bounded)
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', { content: tooLarge, ...behaviour })
    const url = origin.url('/a.bin')
    const error = await fails(await manager.download({ url, remote, ...given }))
    expect(error).toMatchObject({ code: 'NO_SPACE', retryable: false })
    expect(error.message).toContain('remote caller')
    if (given.size !== undefined) expect(origin.requests()).toEqual([])
    await expectInvariant(directory, 'a.bin', 'N')
    // The same limit lets a file of exactly that size pass, and binds no trusted caller.
    origin.serve('/b.bin', { content: fits, ...behaviour })
    await arrives(await manager.download({ url: origin.url('/b.bin'), remote }))
    await arrives(await manager.download({ url }))
  })

  it('is refused when a server without a name for it announces it, and at a mirror', async () => {
    await using bench = await startBench(bounded)
    const { manager, origin, directory } = bench
    origin.serve('/get', { content: tooLarge })
    origin.serve('/mirror.bin', { content: tooLarge })
    const urls = [origin.url('/mirror.bin')]
    expect((await fails(await manager.download({ url: origin.url('/get'), remote }))).code).toBe('NO_SPACE')
    const mirrored = await manager.download({ url: origin.url('/missing.bin'), urls, remote })
    expect((await fails(mirrored)).code).toBe('NO_SPACE')
    await expectInvariant(directory, 'mirror.bin', 'N')
  })

  it('keeps the bytes of a trusted caller, and does not bind one who joins', async () => {
    await using bench = await startBench({ ...bounded, connections: 1 })
    const { manager, origin, directory } = bench
    const large = randomContent(4 * MiB)
    origin.serve('/a.bin', {
      content: large,
      faults: [
        { type: 'reset', afterBytes: 2 * MiB, times: 1 },
        { type: 'status', status: 404 },
      ],
    })
    const url = origin.url('/a.bin')
    const download = await manager.download({ url })
    expect((await fails(download)).code).toBe('NOT_FOUND')
    origin.serve('/a.bin', { content: large })
    // A remote caller takes the failed download up again, with its own rights.
    expect((await fails(await manager.download({ url, remote }))).code).toBe('NO_SPACE')
    await expectInvariant(directory, 'a.bin', 'K')
    const file = await arrives(await manager.download({ url }))
    expect(file.fetchedBytes).toBeLessThan(large.size)
  })

  it('does not concern a file that exists', async () => {
    await using bench = await startBench(bounded)
    const { manager, origin, directory } = bench
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'a.bin'), tooLarge.slice(0, tooLarge.size))
    origin.serve('/a.bin', { content: tooLarge })
    const download = await manager.download({ url: origin.url('/a.bin'), remote, sha256: tooLarge.sha256() })
    expect((await arrives(download)).existed).toBe(true)
  })

  it('holds after a restart, as the manager that resumes has it', async () => {
    const directory = join(tempDir('bounds'), 'models')
    await using bench = await startBench()
    const { origin } = bench
    const large = randomContent(4 * MiB)
    origin.serve('/a.bin', { content: large, bytesPerSecond: 512 * KiB })
    const url = origin.url('/a.bin')
    const first = makeManager(directory, { store: 'file' })
    const before = await first.download({ url, remote })
    await waitFor(() => before.current.downloaded > 0)
    before.finished.catch(() => undefined)
    await first.close()
    await using second = makeManager(directory, { store: 'file', ...bounded })
    await second.ready
    const after = second.get(url)
    expect(after === undefined ? null : (await fails(after)).code).toBe('NO_SPACE')
  })

  it('does not bind the catalog, whoever starts the preload', async () => {
    await using bench = await startBench(bounded)
    const { manager, origin } = bench
    origin.serve('/a.bin', { content: tooLarge })
    const catalog = new Catalog([{ key: 'a', name: 'A', url: origin.url('/a.bin'), mode: 'llm' }])
    await using preloader = new Preloader({ manager, catalog })
    await createHandler({ manager, preloader, authorize: () => true })(
      new Request('http://host/api/v1/models/preload/start', { method: 'POST', headers: json, body: '{}' }),
    )
    expect(await preloader.finished()).toMatchObject({ return_code: 0 })
  })

  it('is part of the plan', async () => {
    await using bench = await startBench(bounded)
    const { manager, origin } = bench
    origin.serve('/a.bin', { content: tooLarge })
    origin.serve('/b.bin', { content: fits })
    const url = origin.url('/a.bin')
    await expect(manager.plan({ url, remote })).rejects.toMatchObject({ code: 'NO_SPACE' })
    await expect(manager.plan({ url })).resolves.toMatchObject({ totalBytes: tooLarge.size })
    await expect(manager.plan({ url: origin.url('/b.bin'), remote })).resolves.toMatchObject({
      totalBytes: limit,
    })
  })

  it('is that of each file of a ref, which is refused before any of them is fetched', async () => {
    await using scene = await startScene(bounded)
    const { hub, manager, directory } = scene
    hub.add('owner/model', { files: { 'a.txt': textContent('a'), 'b.bin': fits, 'sub/c.bin': tooLarge } })
    const url = 'hf:owner/model'
    const error = await fails(await manager.download({ url, remote }))
    expect(error.code).toBe('NO_SPACE')
    expect(error.message).toContain('sub/c.bin')
    expect(await listTree(directory).catch(() => [])).toEqual([])
    await expect(manager.plan({ url, remote })).rejects.toMatchObject({ code: 'NO_SPACE' })
    await manager.remove(url)
    await arrives(await manager.download({ url, remote, exclude: ['sub/*'] }))
    await manager.remove(url)
    await arrives(await manager.download({ url }))
    // The large one exists now, so nothing that is too large is missing.
    await manager.remove(url)
    await arrives(await manager.download({ url, remote }))
  })
})

describe('the lowest speed of a remote caller', () => {
  const hourMs = 3_600_000
  const patient = { lowSpeedTimeMs: hourMs, bodyTimeoutMs: hourMs, headersTimeoutMs: hourMs }
  async function begin(options: DownloadManagerOptions = {}) {
    const clock = new ManualClock()
    const services = { worker: false, [internals]: { clock } }
    const bench = await startBench({
      ...{ connections: 1, concurrency: 1, tuning: patient, remoteMinBytesPerSecond: 10 * KiB },
      ...options,
      ...services,
    })
    return Object.assign(bench, { clock })
  }

  it.each<[string, Partial<Resource>, number]>([
    ['does not answer', { faults: [{ type: 'stallBeforeHeaders' }] }, 0],
    ['sends next to nothing', { faults: [{ type: 'stallBody', afterBytes: 100 * KiB }] }, 100 * KiB],
    ['asks to wait', { status: 503, headers: { 'retry-after': '600' } }, 0],
  ])('frees the slot that a server holds which %s', async (_, behaviour, kept) => {
    await using bench = await begin()
    const { manager, origin, clock } = bench
    origin.serve('/a.bin', { content: randomContent(MiB), ...behaviour })
    origin.serve('/b.bin', { content })
    const slowOne = await manager.download({ url: origin.url('/a.bin'), remote })
    const next = await manager.download({ url: origin.url('/b.bin') })
    await waitFor(
      () => (clock.advance(25), origin.requests().length > 0 && slowOne.current.downloaded >= kept),
    )
    expect(next.state).toBe('queued')
    const failed = fails(slowOne)
    await waitFor(() => (clock.advance(10_000), slowOne.state === 'failed'))
    expect(await failed).toMatchObject({ code: 'STALLED', retryable: true })
    await waitFor(() => (clock.advance(25), next.state === 'completed'))
    expect(slowOne.current.downloaded).toBe(kept)
    // The bytes are kept for the next attempt.
    origin.serve('/a.bin', { content: randomContent(MiB) })
    clock.advance(600_000)
    await manager.retry(slowOne.url)
    await waitFor(() => (clock.advance(25), slowOne.state === 'completed'))
    expect(slowOne.file?.fetchedBytes).toBe(MiB - kept)
  })

  it('does not bind a trusted caller, nor one who joins', async () => {
    await using bench = await begin()
    const { manager, origin, clock } = bench
    origin.serve('/a.bin', {
      content: randomContent(MiB),
      faults: [{ type: 'stallBody', afterBytes: 100 * KiB }],
    })
    const url = origin.url('/a.bin')
    const download = await manager.download({ url, remote })
    await waitFor(() => (clock.advance(25), download.current.downloaded > 0))
    await manager.download({ url })
    await waitFor(
      () => (clock.advance(25), download.state === 'downloading' && origin.requests().length === 2),
    )
    for (let minutes = 0; minutes < 5; minutes += 1) await clock.advanceAsync(60_000)
    expect(download.state).toBe('downloading')
    download.finished.catch(() => undefined)
  })

  it('ends a group as a whole', async () => {
    const clock = new ManualClock()
    const services = { worker: false, [internals]: { clock } }
    await using scene = await startScene({ tuning: patient, remoteMinBytesPerSecond: 10 * KiB, ...services })
    const { hub, manager } = scene
    const names = Array.from({ length: 20 }, (_, index) => `${index}.bin`)
    const large = randomContent(64 * KiB)
    hub.add('owner/model', { files: Object.fromEntries(names.map((name) => [name, large])) })
    hub.cdnBehaviour = { faults: [{ type: 'stallBody', afterBytes: 1_000 }] }
    const download = await manager.download({ url: 'hf:owner/model', remote })
    await waitFor(() => (clock.advance(25), download.current.downloaded > 0))
    const requests = hub.cdn.requests().length
    const failed = fails(download)
    await waitFor(() => (clock.advance(10_000), download.state === 'failed'))
    expect(await failed).toMatchObject({ code: 'STALLED', retryable: true })
    expect(hub.cdn.requests().length).toBeLessThanOrEqual(requests + 4)
  })
})
