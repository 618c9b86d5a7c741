import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { internals } from '../../src/manager/internals.js'
import { KiB } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { startHttp } from './bench.js'

describe('GET /api/models/disk', () => {
  it('tells what takes the space, at once after each change', async () => {
    await using bench = await startHttp({ of: { maxDiskBytes: 10_000_000 } })
    const { origin, directory } = bench
    const ask = async () => (await bench.ask('GET', '/api/models/disk')).body
    expect(await ask()).toEqual({
      success: true,
      used: 0,
      free: expect.any(Number) as number,
      maxDiskBytes: 10_000_000,
      minFreeBytes: null,
      by: [],
    })
    origin.serve('/a.bin', { content: randomContent(64 * KiB) })
    const url = origin.url('/a.bin')
    await bench.post({ url })
    await mkdir(join(directory, 'embed'), { recursive: true })
    await writeFile(join(directory, 'embed', 'mine.bin'), Buffer.alloc(1_000))
    await bench.until(url, 'completed')
    const mine = {
      mode: 'embed',
      filename: 'mine.bin',
      name: 'mine.bin',
      url: null,
      bytes: 1_000,
      pinned: false,
    }
    expect(await ask()).toMatchObject({
      used: 64 * KiB + 1_000,
      by: [{ mode: 'llm', filename: 'a.bin', name: 'a.bin', url, bytes: 64 * KiB, pinned: false }, mine],
    })
    const pin = async (body: object) => (await bench.ask('POST', '/api/models/pin', { json: body })).body
    expect(await pin({ url })).toEqual({ success: true, url, pinned: true })
    expect(await ask()).toMatchObject({ by: [{ url, pinned: true }, mine] })
    const protects = bench.manager[internals].protect((download) => download.url === url)
    expect(await pin({ url, pinned: false })).toEqual({ success: true, url, pinned: true })
    protects()
    expect(await pin({ url, pinned: false })).toEqual({ success: true, url, pinned: false })
    expect(await ask()).toMatchObject({ by: [{ url, pinned: false }, mine] })
    await bench.problem(404, 'UNKNOWN_DOWNLOAD', 'POST', '/api/models/pin', { json: { url: `${url}?2` } })
    await bench.problem(400, 'INVALID_OPTIONS', 'POST', '/api/models/pin', { json: { url, pinned: 1 } })
    await bench.ask('DELETE', `/api/models/download?url=${encodeURIComponent(url)}&delete_file=true`)
    expect(await ask()).toMatchObject({ used: 1_000, by: [mine] })
  })
})
