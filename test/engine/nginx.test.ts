import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Download, DownloadedFile, DownloadManager } from '../../src/index.js'
import { arrives, expectInvariant, KiB, makeManager, MiB } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { describeWithNginx, type NginxOptions } from '../support/nginx.js'
import { listTree, tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { mostAtOnce, startNginxBench, type NginxBench } from './nginx-bench.js'

const first = randomContent(8 * MiB, 'first')
const second = randomContent(8 * MiB, 'second')
const connections = 4

/** A manager for one target. nginx's `limit_rate` sends once a second or so: that is no stall. */
function open(directory: string): DownloadManager {
  return makeManager(directory, { connections, tuning: { bodyTimeoutMs: 15_000 } })
}

/** Asks for the file, slowly enough to see it under way. */
async function begin(bench: NginxBench, manager: DownloadManager, sha256?: string): Promise<Download> {
  const download = await manager.download({
    url: bench.nginx.url('/model.bin'),
    maxBytesPerSecond: 4 * MiB,
    ...(sha256 === undefined ? {} : { sha256 }),
  })
  await waitFor(() => download.current.downloaded > 2 * MiB, { what: 'a part of the file' })
  return download
}

/** Lets it go on as fast as it can. */
async function finish(download: Download): Promise<DownloadedFile> {
  download.maxBytesPerSecond = null
  if (download.state === 'paused') await download.resume()
  return arrives(download, 15_000)
}

const servers: { name: string; options: Omit<NginxOptions, 'root'>; ranges: boolean }[] = [
  { name: 'plain', options: {}, ranges: true },
  { name: 'limit_rate', options: { limitRate: '3m' }, ranges: true },
  { name: 'max_ranges 0', options: { maxRanges0: true }, ranges: false },
]

describeWithNginx('nginx', () => {
  describe.each(servers)('$name', ({ options, ranges }) => {
    it('brings the right file, over as many connections as it may', async () => {
      await using bench = await startNginxBench(options)
      // Without a limit, large enough that buffers can't hold it.
      const content = options.limitRate === undefined ? randomContent(24 * MiB) : first
      await bench.put('model.bin', content)
      const directory = join(tempDir('nginx-target'), 'models')
      await using manager = open(directory)
      const download = await manager.download({
        url: bench.nginx.url('/model.bin'),
        sha256: content.sha256(),
      })
      const file = await arrives(download, 15_000)
      expect(file).toMatchObject({ size: content.size, sha256: content.sha256(), verified: true })
      expect(file.fetchedBytes).toBe(content.size)
      await expectInvariant(directory, 'model.bin', 'done', { content })
      await manager.close()
      const log = await bench.log()
      expect(new Set(log.map(({ status }) => status))).toEqual(new Set([ranges ? 206 : 200]))
      expect(mostAtOnce(log)).toBeLessThanOrEqual(connections)
      if (ranges)
        expect(new Set(log.map(({ connection }) => connection)).size).toBeGreaterThanOrEqual(connections)
      else expect(log).toHaveLength(1)
    })

    it('goes on after a pause mid-way', async () => {
      await using bench = await startNginxBench(options)
      await bench.put('model.bin', first)
      const directory = join(tempDir('nginx-target'), 'models')
      await using manager = open(directory)
      const download = await begin(bench, manager)
      await download.pause()
      await expectInvariant(directory, 'model.bin', 'K')
      const kept = download.current.downloaded
      const file = await finish(download)
      expect(file.fetchedBytes).toBe(ranges ? first.size - kept : first.size)
      await expectInvariant(directory, 'model.bin', 'done', { content: first })
    })

    it('row 9: brings the second version when the file is replaced during a pause', async () => {
      await using bench = await startNginxBench(options)
      await bench.put('model.bin', first)
      const directory = join(tempDir('nginx-target'), 'models')
      await using manager = open(directory)
      const download = await begin(bench, manager)
      await download.pause()
      await bench.put('model.bin', second)
      const file = await finish(download)
      expect(file).toMatchObject({ sha256: second.sha256(), fetchedBytes: second.size })
      await expectInvariant(directory, 'model.bin', 'done', { content: second })
    })

    it('row 9: brings one of the versions when the file is replaced under way, never a mixture', async () => {
      await using bench = await startNginxBench(options)
      await bench.put('model.bin', first)
      const directory = join(tempDir('nginx-target'), 'models')
      await using manager = open(directory)
      const download = await begin(bench, manager)
      await bench.put('model.bin', second)
      const { sha256 } = await finish(download)
      const content = [first, second].find((version) => version.sha256() === sha256)
      if (content === undefined) throw new Error('A mixture was published.')
      await expectInvariant(directory, 'model.bin', 'done', { content })
    })

    it('row 46: brings the second version when only its digest tells them apart', async () => {
      await using bench = await startNginxBench(options)
      await bench.put('model.bin', first)
      const directory = join(tempDir('nginx-target'), 'models')
      await using manager = open(directory)
      const download = await begin(bench, manager, second.sha256())
      await download.pause()
      await bench.put('model.bin', second)
      const file = await finish(download)
      expect(file).toMatchObject({ sha256: second.sha256(), verified: true })
      await expectInvariant(directory, 'model.bin', 'done', { content: second })
    })
  })

  it('uses its connections again for 150 small files', async () => {
    await using bench = await startNginxBench()
    const content = randomContent(4 * KiB)
    const names = Array.from({ length: 150 }, (_, index) => `f${String(index).padStart(3, '0')}.bin`)
    for (const name of names) await bench.put(name, content)
    const directory = tempDir('nginx-target')
    const concurrency = 8
    await using manager = makeManager(directory, { concurrency, connections: 8 })
    const downloads = await Promise.all(
      names.map((name) => manager.download({ url: bench.nginx.url(`/${name}`), sha256: content.sha256() })),
    )
    await withTimeout(manager.onIdle(), 15_000, 'onIdle')
    expect(new Set(downloads.map(({ state }) => state))).toEqual(new Set(['completed']))
    expect(await listTree(directory)).toEqual(names)
    expect((await readFile(join(directory, names[149] ?? ''))).equals(content.slice(0, content.size))).toBe(
      true,
    )
    const log = await bench.log()
    expect(log.map(({ path }) => path.slice(1)).sort()).toEqual(names)
    expect(new Set(log.map(({ connection }) => connection)).size).toBeLessThanOrEqual(2 * concurrency)
  })
})
