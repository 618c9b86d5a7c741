import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { arrives, expectInvariant, fails, KiB, startBench } from './harness.js'

const content = randomContent(600 * KiB, 'digest')
const sha256 = content.sha256()
const path = '/model.bin'
const name = 'model.bin'

describe('row 46: the digest is not the one expected', () => {
  it.each([1, 4])('with %d connections: exactly one clean retry, then it gives up', async (connections) => {
    await using bench = await startBench({ connections })
    const { manager, origin, directory } = bench
    origin.serve(path, { content, faults: [{ type: 'flipByte', at: 1000 }] })
    const events: string[] = []
    manager.on('verifying', () => events.push('verifying'))
    manager.on('completed', () => events.push('completed'))
    manager.on('failed', () => events.push('failed'))
    manager.on('log', ({ level }) => (level === 'warn' ? events.push('warn') : undefined))
    const download = await manager.download({ url: origin.url(path), sha256 })
    const error = await fails(download)
    expect(error).toMatchObject({ code: 'CHECKSUM_MISMATCH', retryable: false })
    expect(error.message).toContain(sha256)
    expect(events).toEqual(['verifying', 'warn', 'verifying', 'failed'])
    // With several, the origin has sent more into buffers when the first one is told to stop early.
    if (connections === 1) expect(origin.bytesSent(path)).toBe(2 * content.size)
    // The second time is clean: it asks for the first byte again.
    expect(origin.requests(path).filter(({ range }) => (range?.start ?? 0) === 0)).toHaveLength(2)
    expect(download.current.percent).toBeLessThan(100)
    await expectInvariant(directory, name, 'X')
  })

  it('the second answer is right: success', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve(path, { content, faults: [{ type: 'flipByte', at: 1000, times: 1 }] })
    const file = await arrives(await manager.download({ url: origin.url(path), sha256 }))
    expect(file).toMatchObject({ sha256, verified: true, existed: false, fetchedBytes: 2 * content.size })
    await expectInvariant(directory, name, 'done', { content })
  })

  it('one stream without ranges: the same', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const faults = [{ type: 'flipByte', at: 1000, times: 1 }] as const
    origin.serve(path, { content, ranges: false, contentLength: false, faults })
    const file = await arrives(await manager.download({ url: origin.url(path), sha256 }))
    expect(file).toMatchObject({ sha256, verified: true, fetchedBytes: 2 * content.size })
    await expectInvariant(directory, name, 'done', { content })
  })

  it('asked for again once the server is right: fetched from the first byte', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const url = origin.url(path)
    origin.serve(path, { content: randomContent(content.size, 'wrong') })
    const download = await manager.download({ url, sha256 })
    expect((await fails(download)).code).toBe('CHECKSUM_MISMATCH')
    origin.serve(path, { content })
    await manager.retry(url)
    expect(await arrives(download)).toMatchObject({ fetchedBytes: content.size, verified: true })
    await expectInvariant(directory, name, 'done', { content })
  })

  it('an old file stays as it is', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const old = Buffer.from('the file that was there before')
    await mkdir(directory)
    await writeFile(join(directory, name), old)
    origin.serve(path, { content: randomContent(content.size, 'wrong') })
    const error = await fails(await manager.download({ url: origin.url(path), sha256 }))
    expect(error.code).toBe('CHECKSUM_MISMATCH')
    await expectInvariant(directory, name, 'X', { old })
  })
})
