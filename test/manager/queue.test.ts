import { describe, expect, it } from 'vitest'
import { arrives, KiB, startBench, type Bench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { EventLog } from './events.js'

const content = randomContent(64 * KiB)
const patient = { tuning: { headersTimeoutMs: 15_000 } }

/** Asks for files that no server answers until `origin.resume()`. */
async function hold(bench: Bench, wanted: Record<string, number>) {
  const { manager, origin } = bench
  origin.pause()
  origin.serve('*', { content })
  const log = new EventLog(manager)
  const downloads = []
  for (const [name, priority] of Object.entries(wanted))
    downloads.push(await manager.download({ url: origin.url(`/${name}`), filename: name, priority }))
  return { log, downloads }
}

describe('with one slot', () => {
  it('downloads run in the order of their arrival', async () => {
    await using bench = await startBench({ concurrency: 1, ...patient })
    const { log, downloads } = await hold(bench, { a: 0, b: 0, c: 0, d: 0 })
    expect(downloads.slice(1).map((download) => download.state)).toEqual(['queued', 'queued', 'queued'])
    bench.origin.resume()
    await Promise.all(downloads.map((download) => arrives(download)))
    expect(log.order('started')).toEqual(['a', 'b', 'c', 'd'])
    expect(log.order('completed')).toEqual(['a', 'b', 'c', 'd'])
  })

  it('those of higher priority go first, whenever they came', async () => {
    await using bench = await startBench({ concurrency: 1, ...patient })
    const { log, downloads } = await hold(bench, { first: 0, low: -5, b: 1, high: 9, c: 1, plain: 0 })
    bench.origin.resume()
    await Promise.all(downloads.map((download) => arrives(download)))
    expect(log.order('started')).toEqual(['first', 'high', 'b', 'c', 'plain', 'low'])
  })

  it('a failed one and a paused one make room', async () => {
    await using bench = await startBench({ concurrency: 1, ...patient })
    const { log, downloads } = await hold(bench, { a: 0, lost: 0, b: 0, c: 0 })
    bench.origin.serve('/lost', { status: 404 })
    await downloads[2]?.pause()
    bench.origin.resume()
    await withTimeout(bench.manager.onIdle(), 5_000, 'onIdle')
    expect(downloads.map((download) => download.state)).toEqual([
      'completed',
      'failed',
      'paused',
      'completed',
    ])
    expect(log.order('started')).toEqual(['a', 'lost', 'c'])
    await downloads[2]?.resume()
    await withTimeout(bench.manager.onIdle(), 5_000, 'onIdle')
    expect(downloads[2]?.state).toBe('completed')
  })

  it('one that is resumed keeps its place', async () => {
    await using bench = await startBench({ concurrency: 1, ...patient })
    const { log, downloads } = await hold(bench, { a: 0, b: 0, c: 0 })
    await downloads[1]?.pause()
    await downloads[1]?.resume()
    bench.origin.resume()
    await Promise.all(downloads.map((download) => arrives(download)))
    expect(log.order('started')).toEqual(['a', 'b', 'c'])
  })
})

describe('concurrency', () => {
  it('holds: never more at a time', async () => {
    await using bench = await startBench({ concurrency: 2 })
    const { manager, origin } = bench
    origin.serve('*', { content, bytesPerSecond: 512 * KiB })
    let most = 0
    manager.on('progress', () => {
      const active = manager
        .list()
        .filter(({ state }) => ['resolving', 'downloading', 'verifying'].includes(state))
      most = Math.max(most, active.length)
    })
    for (const name of ['a', 'b', 'c', 'd', 'e'])
      await manager.download({ url: origin.url(`/${name}`), filename: name })
    await withTimeout(manager.onIdle(), 10_000, 'onIdle')
    expect(most).toBe(2)
  })

  it('can be raised while it runs, and takes effect at once', async () => {
    await using bench = await startBench({ concurrency: 1, ...patient })
    const { downloads } = await hold(bench, { a: 0, b: 0, c: 0, d: 0 })
    const working = () => downloads.filter(({ state }) => state === 'resolving').length
    await waitFor(() => working() === 1)
    bench.manager.concurrency = 3
    expect(bench.manager.concurrency).toBe(3)
    await waitFor(() => working() === 3)
    expect(downloads[3]?.state).toBe('queued')
    bench.origin.resume()
    await withTimeout(bench.manager.onIdle(), 5_000, 'onIdle')
  })

  it('that is found out begins with as many as there are, until somebody sets it', async () => {
    await using bench = await startBench({ concurrency: 'auto', ...patient })
    const names = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`file-${index}`, 0]))
    const { downloads } = await hold(bench, names)
    await waitFor(() => downloads.every(({ state }) => state === 'resolving'))
    expect(bench.manager.concurrency).toBe(6)
    bench.manager.concurrency = 1
    const later = await bench.manager.download({ url: bench.origin.url('/later') })
    expect([bench.manager.concurrency, later.state]).toEqual([1, 'queued'])
    bench.origin.resume()
    await withTimeout(bench.manager.onIdle(), 5_000, 'onIdle')
    expect(later.state).toBe('completed')
  })

  it('that is found out shrinks where the server refuses', async () => {
    await using bench = await startBench({ concurrency: 'auto' })
    const { manager, origin } = bench
    origin.serve('*', { content, faults: [{ type: 'status', status: 503, times: 8 }] })
    const sizes: number[] = []
    manager.on('completed', () => sizes.push(manager.concurrency))
    for (let file = 0; file < 20; file++)
      await manager.download({ url: origin.url(`/${file}`), filename: String(file) })
    await withTimeout(manager.onIdle(), 20_000, 'onIdle')
    expect(sizes).toHaveLength(20)
    expect(Math.min(...sizes)).toBeLessThan(20)
  })

  it('can be lowered while it runs, and stops nobody', async () => {
    await using bench = await startBench({ concurrency: 3, ...patient })
    const { log, downloads } = await hold(bench, { a: 0, b: 0, c: 0, d: 0, e: 0 })
    await waitFor(() => log.count('started') === 3)
    bench.manager.concurrency = 1
    let most = 0
    bench.manager.on('started', ({ download }) => {
      if (['d', 'e'].includes(download.filename)) {
        most = Math.max(
          most,
          downloads.filter(({ state }) => !['queued', 'completed'].includes(state)).length,
        )
      }
    })
    bench.origin.resume()
    await Promise.all(downloads.map((download) => arrives(download)))
    expect(most).toBe(1)
  })
})
