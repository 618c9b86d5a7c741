import { readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMemoryStore, type DownloadOptions } from '../../src/index.js'
import { arrives, expectInvariant, fails, KiB, MiB, startBench } from '../faults/harness.js'
import { bufferContent, randomContent } from '../support/content.js'
import { listTree } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { EventLog } from './events.js'

const content = randomContent(256 * KiB)
const other = randomContent(256 * KiB, 'other')
const slow = { content: randomContent(4 * MiB), bytesPerSecond: MiB }
const conflict = { code: 'CONFLICT', retryable: false }

describe('a URL that is known and live', () => {
  it('row 35: is joined, 50 times at once: one transfer, one file', async () => {
    await using bench = await startBench({ connections: 1 })
    const { manager, origin, directory } = bench
    const log = new EventLog(manager)
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    const downloads = await Promise.all(Array.from({ length: 50 }, () => manager.download({ url })))
    expect(new Set(downloads).size).toBe(1)
    const files = await Promise.all(downloads.map((download) => arrives(download)))
    expect(new Set(files).size).toBe(1)
    expect(origin.requests('/a.bin')).toHaveLength(1)
    expect(log.names()).toEqual(['queued', 'started', 'verifying', 'completed'])
    await expectInvariant(directory, 'a.bin', 'done', { content })
  })

  it('is joined with the same options, given or left out', async () => {
    await using bench = await startBench({ modes: ['llm', 'embed'] })
    const { manager, origin } = bench
    origin.serve('/a.bin', slow)
    const given = {
      url: origin.url('/a.bin'),
      filename: 'b.bin',
      mode: 'llm',
      sha256: slow.content.sha256(),
      size: slow.content.size,
    }
    const first = await manager.download(given)
    expect(await manager.download(given)).toBe(first)
    expect(await manager.download({ ...given, sha256: given.sha256.toUpperCase() })).toBe(first)
    expect(await manager.download({ url: given.url, mode: 'llm' })).toBe(first)
    expect(await manager.download({ url: given.url, mode: 'llm', priority: 3, connections: 2 })).toBe(first)
  })

  it.each([
    ['file name', { filename: 'c.bin' }],
    ['mode', { mode: 'embed' }],
    ['mode', { mode: null }],
    ['sha256', { sha256: 'f'.repeat(64) }],
    ['size', { size: 1 }],
  ])('with another %s is a CONFLICT, and goes on', async (what, change) => {
    await using bench = await startBench({ modes: ['llm', 'embed'] })
    const { manager, origin } = bench
    const log = new EventLog(manager)
    origin.serve('/a.bin', { content, bytesPerSecond: MiB })
    const options: DownloadOptions = {
      url: origin.url('/a.bin'),
      filename: 'b.bin',
      mode: 'llm',
      sha256: content.sha256(),
      size: content.size,
    }
    const download = await manager.download(options)
    const refused = manager.download({ ...options, ...change })
    await expect(refused).rejects.toMatchObject(conflict)
    await expect(refused).rejects.toThrow(what)
    await arrives(download)
    await expect(manager.download({ ...options, ...change })).rejects.toMatchObject(conflict)
    expect(log.names()).toEqual(['queued', 'started', 'verifying', 'completed'])
  })

  it('takes a digest over while it waits, and refuses it once it would come too late', async () => {
    await using bench = await startBench({ concurrency: 1 })
    const { manager, origin, directory } = bench
    origin.serve('/slow.bin', slow)
    origin.serve('/a.bin', { content })
    const running = await manager.download({ url: origin.url('/slow.bin') })
    const waiting = await manager.download({ url: origin.url('/a.bin') })
    await waitFor(() => running.state === 'downloading')
    const late = manager.download({ url: running.url, sha256: slow.content.sha256() })
    await expect(late).rejects.toMatchObject(conflict)
    const wrong = 'f'.repeat(64)
    expect(await manager.download({ url: waiting.url, sha256: wrong })).toBe(waiting)
    expect(waiting.sha256).toBe(wrong)
    await running.cancel()
    expect((await fails(waiting)).code).toBe('CHECKSUM_MISMATCH')
    await expectInvariant(directory, 'a.bin', 'X')
  })

  it('is asked for anew when it is forgotten at that moment', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    const first = await manager.download({ url })
    const [, second] = await Promise.all([manager.remove(url), manager.download({ url })])
    expect(second).not.toBe(first)
    expect(manager.list()).toEqual([second])
    await arrives(second)
    await expectInvariant(directory, 'a.bin', 'done', { content })
  })

  it('is stored by the second call when the store fails the first', async () => {
    const store = createMemoryStore()
    let failures = 1
    await using bench = await startBench({
      store: {
        ...store,
        save: (record) => (failures-- > 0 ? Promise.reject(new Error('no disk')) : store.save(record)),
      },
    })
    const { manager, origin } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    const calls = await Promise.allSettled([manager.download({ url }), manager.download({ url })])
    expect(calls).toMatchObject([
      { status: 'rejected', reason: { code: 'STORE_ERROR' } },
      { status: 'fulfilled' },
    ])
    const download = manager.get(url)
    if (download === undefined) throw new Error('It is not known.')
    await arrives(download)
  })
})

describe('two URLs to one file', () => {
  it.each(['same.bin', 'SAME.bin'])('are a CONFLICT: %s', async (filename) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    for (const name of ['a', 'b']) origin.serve(`/${name}.bin`, { content })
    const first = await manager.download({ url: origin.url('/a.bin'), filename: 'same.bin' })
    const second = { url: origin.url('/b.bin'), filename }
    await expect(manager.download(second)).rejects.toMatchObject(conflict)
    await arrives(first)
    await expect(manager.download(second)).rejects.toMatchObject(conflict)
    expect(manager.list()).toEqual([first])
    expect(await listTree(directory)).toEqual(['same.bin'])
    expect(origin.requests('/b.bin')).toEqual([])
  })

  it('are none in different modes', async () => {
    await using bench = await startBench({ modes: ['llm', 'embed'] })
    const { manager, origin, directory } = bench
    for (const name of ['a', 'b']) origin.serve(`/${name}/x.bin`, { content })
    const a = await manager.download({ url: origin.url('/a/x.bin'), mode: 'llm' })
    const b = await manager.download({ url: origin.url('/b/x.bin'), mode: 'embed' })
    await Promise.all([arrives(a), arrives(b)])
    expect(await listTree(directory)).toEqual(['embed/', 'embed/x.bin', 'llm/', 'llm/x.bin'])
  })

  it.each(['same.bin', 'Same.BIN'])(
    'are a CONFLICT also when the server names the second %s',
    async (name) => {
      await using bench = await startBench()
      const { manager, origin, directory } = bench
      origin.serve('/same.bin', { content })
      origin.serve('/get', { content: other, contentDisposition: `attachment; filename="${name}"` })
      await arrives(await manager.download({ url: origin.url('/same.bin') }))
      const second = await manager.download({ url: origin.url('/get') })
      expect(await fails(second)).toMatchObject(conflict)
      await expectInvariant(directory, 'same.bin', 'done', { content })
    },
  )

  it('that the server gives one name to: one of them gets it', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const named = { contentDisposition: 'attachment; filename="same.bin"' }
    origin.serve('/one', { content, ...named })
    origin.serve('/two', { content: other, ...named })
    const downloads = await Promise.all(
      ['/one', '/two'].map((path) => manager.download({ url: origin.url(path) })),
    )
    const ends = await withTimeout(Promise.allSettled(downloads.map(({ finished }) => finished)), 5_000)
    expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(ends).toContainEqual({ status: 'rejected', reason: expect.objectContaining(conflict) })
    const winner = ends[0]?.status === 'fulfilled' ? content : other
    await expectInvariant(directory, 'same.bin', 'done', { content: winner })
  })

  it('are none when the first has failed, but then it cannot come back', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/b.bin', { content })
    const lost = await manager.download({ url: origin.url('/lost.bin'), filename: 'x.bin' })
    await fails(lost)
    await arrives(await manager.download({ url: origin.url('/b.bin'), filename: 'x.bin' }))
    origin.serve('/lost.bin', { content: other })
    await expect(lost.retry()).rejects.toMatchObject(conflict)
    await expect(manager.download({ url: lost.url })).rejects.toMatchObject(conflict)
    expect(lost.state).toBe('failed')
    await expectInvariant(directory, 'x.bin', 'done', { content })
  })
})

describe('asking again', () => {
  it('for a failed one starts it anew from its kept bytes, with what is said now', async () => {
    await using bench = await startBench({ connections: 1 })
    const { manager, origin, directory } = bench
    const auth = 'Bearer right'
    origin.serve('/a.bin', {
      content: slow.content,
      faults: [
        { type: 'truncate', afterBytes: MiB, times: 1 },
        { type: 'status', status: 400 },
      ],
    })
    const url = origin.url('/a.bin')
    const download = await manager.download({ url, headers: { authorization: 'Bearer old' } })
    await fails(download)
    await expectInvariant(directory, 'a.bin', 'K')
    origin.serve('/a.bin', { content: slow.content, auth })
    const again = await manager.download({ url, headers: { authorization: auth }, priority: 9 })
    expect(again).toBe(download)
    expect(again.priority).toBe(9)
    const file = await arrives(again)
    expect(file.fetchedBytes).toBe(slow.content.size - MiB)
    await expectInvariant(directory, 'a.bin', 'done', slow)
  })

  it('for a canceled one starts it anew', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', slow)
    const url = origin.url('/a.bin')
    const download = await manager.download({ url })
    await download.cancel()
    origin.serve('/a.bin', { content })
    expect(await manager.download({ url })).toBe(download)
    await arrives(download)
    await expectInvariant(directory, 'a.bin', 'done', { content })
  })

  it.each([true, false])(
    'for a finished one whose file is right completes at once (digest given: %s)',
    async (given) => {
      await using bench = await startBench()
      const { manager, origin, directory } = bench
      const log = new EventLog(manager)
      origin.serve('/a.bin', { content })
      const options = { url: origin.url('/a.bin'), ...(given ? { sha256: content.sha256() } : {}) }
      await arrives(await manager.download(options))
      origin.clearRequests()
      const again = await manager.download(options)
      const file = await arrives(again)
      expect(file).toMatchObject({
        existed: true,
        fetchedBytes: 0,
        verified: given,
        sha256: content.sha256(),
      })
      expect(again.current.percent).toBe(100)
      expect(origin.requests()).toEqual([])
      expect(log.names()).toEqual([
        'queued',
        'started',
        'verifying',
        'completed',
        'queued',
        'started',
        'completed',
      ])
      await expectInvariant(directory, 'a.bin', 'done', { content })
    },
  )

  it('for a finished one whose file was deleted fetches it again', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    await arrives(await manager.download({ url }))
    await unlink(join(directory, 'a.bin'))
    const file = await arrives(await manager.download({ url }))
    expect(file).toMatchObject({ existed: false, fetchedBytes: content.size })
    await expectInvariant(directory, 'a.bin', 'done', { content })
  })

  it('row 48: for a finished one whose file was changed fetches it again when the digest says so', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', { content })
    const options = { url: origin.url('/a.bin'), sha256: content.sha256() }
    await arrives(await manager.download(options))
    await writeFile(join(directory, 'a.bin'), other.slice(0, other.size))
    const file = await arrives(await manager.download(options))
    expect(file).toMatchObject({ existed: false, verified: true })
    await expectInvariant(directory, 'a.bin', 'done', { content })
  })

  it('row 48: without a digest a changed file is taken as it lies, and no digest is claimed for it', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    await arrives(await manager.download({ url }))
    const mine = Buffer.from('changed by hand')
    await writeFile(join(directory, 'a.bin'), mine)
    const download = await manager.download({ url })
    expect(await arrives(download)).toMatchObject({
      existed: true,
      size: mine.length,
      sha256: null,
      verified: false,
    })
    expect(download.sha256).toBeNull()
    await expectInvariant(directory, 'a.bin', 'done', {
      content: bufferContent(mine),
    })
  })

  it('with force fetches it anew; the old file stays until the new one is there', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', { content })
    const url = origin.url('/a.bin')
    await arrives(await manager.download({ url }))
    const path = join(directory, 'a.bin')
    const { ino } = await stat(path)
    origin.serve('/a.bin', slow)
    const download = await manager.download({ url, force: true })
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    expect((await readFile(path)).equals(content.slice(0, content.size))).toBe(true)
    origin.serve('/a.bin', { content: slow.content })
    await download.pause()
    await download.resume()
    expect(await arrives(download)).toMatchObject({ existed: false })
    expect((await stat(path)).ino).not.toBe(ino)
    await expectInvariant(directory, 'a.bin', 'done', slow)
    // `force` has been done and does not apply again.
    expect(await arrives(await manager.download({ url }))).toMatchObject({ existed: true })
  })
})
