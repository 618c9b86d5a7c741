import { describe, expect, it } from 'vitest'
import type { DiskUsage, ModelsStatus, PreloadStatus, WireDownload } from '../../../src/client/index.js'
import { missingOf, standingOf } from '../../../src/elements/catalog/standing.js'
import { diskViewOf, downloadOf } from '../../../src/elements/disk/view.js'
import { Batch, overallProgress } from '../../../src/elements/page/progress.js'
import fc from '../../support/properties.js'
import { downloadOf as wire } from './wire.js'

describe('the title of the tab', () => {
  it('tells the progress of all that runs', () => {
    const running = (downloaded: number, total: number) =>
      wire('u', { state: 'downloading', downloaded, total })
    expect(overallProgress([])).toBeNull()
    expect(overallProgress([running(0, 0)])).toBeNull()
    expect(overallProgress([wire('a', { state: 'paused', downloaded: 1, total: 2 })])).toBeNull()
    expect(overallProgress([running(10, 100), running(80, 100), running(5, 0)])).toBe(45)
    expect(overallProgress([running(9_999, 10_000)])).toBe(99)
  })
})

describe('the end of all downloads', () => {
  const of = (...states: WireDownload['state'][]) =>
    states.map((state, index) => wire(String(index), { state }))
  it.each<[string, WireDownload['state'][][], unknown[]]>([
    ['nothing that had ended before', [['completed', 'failed']], [null]],
    ['all', [['downloading'], ['completed']], [null, { finished: 1, failed: 0 }]],
    [
      'the last one',
      [
        ['downloading', 'queued'],
        ['completed', 'downloading'],
        ['completed', 'failed'],
        ['completed', 'failed'],
      ],
      [null, null, { finished: 1, failed: 1 }, null],
    ],
    ['a pause, which is no end', [['downloading'], ['paused']], [null, null]],
    ['a cancellation, which is no news', [['downloading'], ['canceled']], [null, null]],
    ['a retry', [['failed'], ['queued'], ['completed']], [null, null, { finished: 1, failed: 0 }]],
  ])('is told of %s', (_, steps, outcomes) => {
    const batch = new Batch()
    expect(steps.map((states) => batch.next(of(...states)))).toEqual(outcomes)
  })
})

describe('a model of the catalog', () => {
  const model = (key: string, auto = true) => ({
    ...{ key, name: key, required: true, auto_download: auto, description: '' },
  })
  const models = {
    there: { ready: true, name: '', cache_hint: '', message: '' },
    other: { ready: false, name: '', cache_hint: '', message: '' },
  }
  const preload = (running: boolean, downloads: Record<string, WireDownload> | null = {}): PreloadStatus => ({
    ...{ success: true, running, started_at: null, finished_at: null, success_flag: null, return_code: null },
    ...{
      error: null,
      output_dir: null,
      logs: [],
      current: null,
      completed: 0,
      total: 1,
      progress: 0,
      downloads,
    },
  })
  it.each<[string, boolean, PreloadStatus | null, string]>([
    ['there', true, null, 'ready'],
    ['there', true, preload(true), 'ready'],
    ['other', true, null, 'missing'],
    ['other', true, preload(false), 'missing'],
    ['other', true, preload(true), 'waiting'],
    ['other', false, preload(true), 'missing'],
    ['other', true, preload(true, { other: wire('u', { state: 'queued' }) }), 'waiting'],
    ['other', true, preload(true, { other: wire('u', { state: 'paused' }) }), 'going'],
    ['there', true, preload(true, { there: wire('u', { state: 'verifying' }) }), 'going'],
    ['other', true, preload(true, { other: wire('u', { state: 'failed', status: 'failed' }) }), 'failed'],
    ['other', true, preload(false, { other: wire('u', { state: 'queued' }) }), 'missing'],
  ])('%s (fetched by itself: %s) in %j is %s', (key, auto, status, kind) => {
    expect(standingOf(model(key, auto), models, status).kind).toBe(kind)
  })

  it('is counted while it is not there', () => {
    const status: Pick<ModelsStatus, 'models' | 'catalog'> = {
      models,
      catalog: [model('there'), model('other'), model('unknown')],
    }
    expect(missingOf(status)).toBe(2)
  })
})

describe('the disk', () => {
  const usage = (of: Partial<DiskUsage>): DiskUsage => ({
    ...{ success: true as const, used: 0, free: 100, maxDiskBytes: null, minFreeBytes: null, by: [] },
    ...of,
  })
  const entry = (mode: string | null, name: string, bytes: number, url: string | null = null) => ({
    ...{ mode, filename: name, name, url, bytes },
    pinned: false,
  })

  it('is shown by mode, the largest first', () => {
    const by = [entry('llm', 'a', 10), entry('embed', 'b', 30), entry('llm', 'c', 15), entry(null, 'd', 5)]
    const { groups, unlisted } = diskViewOf(usage({ used: 80, free: 20, by }))
    expect(groups.map(({ mode, bytes, share }) => [mode, bytes, share])).toEqual([
      ['embed', 30, 0.3],
      ['llm', 25, 0.25],
      [null, 5, 0.05],
    ])
    expect(groups[1]?.entries.map(({ name }) => name)).toEqual(['c', 'a'])
    expect(unlisted).toBeCloseTo(0.2)
  })

  it.each([
    [{ used: 10, free: 90 }, false],
    [{ used: 95, free: 5 }, true],
    [{ used: 50, free: 50, minFreeBytes: 48 }, true],
    [{ used: 40, free: 1000, maxDiskBytes: 50 }, false],
    [{ used: 49, free: 1000, maxDiskBytes: 50 }, true],
    [{ used: 60, free: 1000, maxDiskBytes: 50 }, true],
    [{ used: 20, free: 1, maxDiskBytes: 50 }, true],
    [{ used: 0, free: 0 }, false],
    [{ used: 95, free: null }, false],
    [{ used: 95, free: null, maxDiskBytes: 100 }, true],
  ])('%j has little room left: %s', (of, isTight) => {
    expect(diskViewOf(usage(of)).isTight).toBe(isTight)
  })

  it('never fills more than its bar', () => {
    const size = fc.nat(1e6)
    const limit = fc.option(fc.nat(1e6))
    const list = fc.array(fc.record({ mode: fc.constantFrom('llm', 'embed'), bytes: size }))
    fc.assert(
      fc.property(size, limit, limit, list, (free, maxDiskBytes, minFreeBytes, files) => {
        const by = files.map(({ mode, bytes }, index) => entry(mode, String(index), bytes))
        const used = by.reduce((sum, { bytes }) => sum + bytes, 0)
        const { groups, unlisted } = diskViewOf(usage({ used, free, maxDiskBytes, minFreeBytes, by }))
        expect(groups.reduce((sum, { share }) => sum + share, unlisted)).toBeLessThanOrEqual(1 + 1e-9)
      }),
    )
  })

  it('names the download through which a file can be deleted', () => {
    const done = wire('u', { state: 'completed', filename: 'a.gguf', mode: 'llm' })
    const downloads = [wire('v', { state: 'failed', filename: 'b.gguf' }), done]
    expect(downloadOf(entry('llm', 'a.gguf', 1, 'u'), downloads)).toBe(done)
    for (const other of [entry('llm', 'a.gguf', 1), entry('llm', 'b.gguf', 1, 'v')])
      expect(downloadOf(other, downloads)).toBeNull()
  })
})
