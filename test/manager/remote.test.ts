/** The mark of a remote caller's URL: who sets it, who keeps it, who takes it away. FAULTS.md row 43. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createFileStore, type DownloadOptions, downloadRecordSchema } from '../../src/index.js'
import { arrives, expectInvariant, fails, KiB, makeManager, MiB, startBench } from '../faults/harness.js'
import { recordOf } from '../store/conformance.js'
import { randomContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(64 * KiB)
const slow = { content: randomContent(2 * MiB), bytesPerSecond: MiB }
const nothing = { allowPrivateNetwork: false, allowedHosts: [] }

describe('a remote URL', () => {
  it.each([
    'http://user@example.com/a.bin',
    'http://user:s3cret@127.0.0.1/a.bin',
    'https://:pass@example.com/a.bin',
  ])('must not hold user or password: %s', async (url) => {
    await using bench = await startBench()
    for (const remote of [
      true,
      { allowPrivateNetwork: true },
      { allowedHosts: ['127.0.0.1', 'example.com'] },
    ]) {
      const error: unknown = await bench.manager.download({ url, remote }).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'INVALID_URL' })
      expect(String(error)).not.toContain('s3cret')
    }
    expect(bench.manager.list()).toEqual([])
  })

  it('that redirects to one with user and password goes no further', async () => {
    await using bench = await startBench()
    const { origin, manager } = bench
    origin.serve('/b.bin', { content })
    origin.serve('/a.bin', { redirect: origin.url('/b.bin').replace('//', '//user:pass@') })
    const remote = { allowPrivateNetwork: true }
    const error = await fails(await manager.download({ url: origin.url('/a.bin'), remote }))
    expect(error.code).toBe('SSRF_BLOCKED')
    expect(origin.requests('/b.bin')).toEqual([])
  })
})

describe('asked for again', () => {
  it('a settled download is what the last caller may do: remote, trusted, remote', async () => {
    await using bench = await startBench()
    const { origin, manager, directory } = bench
    const url = origin.url('/a.bin')
    const ask = (options: Partial<DownloadOptions> = {}) => manager.download({ url, ...options })
    const error = async (options?: Partial<DownloadOptions>) => (await fails(await ask(options))).code

    expect(await error()).toBe('NOT_FOUND')
    const seen = origin.totalConnections
    expect(await error({ remote: true })).toBe('SSRF_BLOCKED')
    expect((await fails(await manager.retry(url))).code, 'retry() changes nothing').toBe('SSRF_BLOCKED')
    expect(await error({ remote: { allowedHosts: ['localhost'] } })).toBe('SSRF_BLOCKED')
    expect(origin.totalConnections).toBe(seen)
    expect(await error({ remote: { allowedHosts: ['127.0.0.1'] } })).toBe('NOT_FOUND')
    expect((await fails(await manager.retry(url))).code, 'it keeps the grant').toBe('NOT_FOUND')
    expect(await error({ remote: true })).toBe('SSRF_BLOCKED')
    origin.serve('/a.bin', { content })
    await arrives(await ask())
    await expectInvariant(directory, 'a.bin', 'done', { content })
    // A file that is complete and correct needs no network.
    const before = origin.totalConnections
    expect((await arrives(await ask({ remote: true }))).existed).toBe(true)
    expect(await error({ remote: true, force: true })).toBe('SSRF_BLOCKED')
    expect(origin.totalConnections).toBe(before)
    await expectInvariant(directory, 'a.bin', 'done', { content })
  })

  it('a live download of a trusted caller stays one, and that of a remote caller becomes one', async () => {
    await using bench = await startBench({ connections: 1, concurrency: 1 })
    const { origin, manager } = bench
    origin.serve('/a.bin', slow)
    const url = origin.url('/a.bin')
    const trusted = await manager.download({ url })
    await waitFor(() => trusted.current.downloaded > 0, { what: 'some bytes' })
    const inside = `http://localhost:${origin.port}/b.bin`
    const remote = await manager.download({ url: inside, remote: true })
    expect(remote.state).toBe('queued')

    expect(await manager.download({ url, remote: true })).toBe(trusted)
    expect(await manager.download({ url: inside })).toBe(remote)
    await manager.pause(url)
    expect(await manager.download({ url, remote: true })).toBe(trusted)
    await manager.resume(url)
    await arrives(trusted)
    // Unlike the remote caller, the trusted one may use this address, where there is no such file.
    expect((await fails(remote)).code).toBe('NOT_FOUND')
    expect(await manager.download({ url: inside, remote: true })).toBe(remote)
    expect((await fails(remote)).code).toBe('SSRF_BLOCKED')
  })
})

describe('in the store', () => {
  it('it is kept with its grant, and holds after a restart', async () => {
    await using origin = await startOrigin()
    origin.serve('/a.bin', slow)
    origin.serve('/b.bin', { redirect: `http://localhost:${origin.port}/a.bin` })
    const directory = tempDir('remote')
    const remote = { allowedHosts: [`127.0.0.1:${origin.port}`] }
    {
      await using manager = makeManager(directory, { store: 'file', connections: 1 })
      const download = await manager.download({ url: origin.url('/a.bin'), remote })
      await waitFor(() => download.current.downloaded > 256 * KiB, { what: 'some bytes' })
      await fails(await manager.download({ url: origin.url('/b.bin'), remote }))
    }
    origin.serve('/a.bin', { content: slow.content })
    await using manager = makeManager(directory, { store: 'file' })
    await manager.ready
    expect((await fails(await manager.retry(origin.url('/b.bin')))).code).toBe('SSRF_BLOCKED')
    const download = manager.get(origin.url('/a.bin'))
    expect(download?.record.remote).toEqual({ allowPrivateNetwork: false, allowedHosts: remote.allowedHosts })
    if (download === undefined) throw new Error('It was forgotten.')
    expect((await arrives(download)).fetchedBytes).toBeLessThan(slow.content.size)
  })

  it('old records, which say yes or no, are read as no grant and trusted', async () => {
    for (const [old, now] of [
      [true, nothing],
      [false, null],
    ]) {
      expect(downloadRecordSchema.parse({ ...recordOf(0), remote: old }).remote).toEqual(now)
    }
    await using origin = await startOrigin()
    const folder = join(tempDir('remote'), 'records')
    await mkdir(folder, { recursive: true })
    const store = createFileStore(folder)
    const place = { mode: null, state: 'queued', filename: 'a.bin' } as const
    await store.save(recordOf(0, { ...place, url: origin.url('/a.bin'), remote: null }))
    const [name] = (await readdir(folder)).filter((entry) => entry.endsWith('.json'))
    const path = join(folder, name ?? '')
    const record: object = JSON.parse(await readFile(path, 'utf8'))
    await writeFile(path, JSON.stringify({ ...record, remote: true }))
    await using manager = makeManager(tempDir('remote'), { store: createFileStore(folder) })
    await manager.ready
    const [download] = manager.list()
    if (download === undefined) throw new Error('It was not read.')
    expect((await fails(download)).code).toBe('SSRF_BLOCKED')
    expect(origin.totalConnections).toBe(0)
  })
})
