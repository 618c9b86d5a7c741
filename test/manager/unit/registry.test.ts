import { describe, expect, it } from 'vitest'
import { Download, type DownloadOwner } from '../../../src/download/download.js'
import { DownloadError } from '../../../src/errors.js'
import type { LogEvent } from '../../../src/download/events.js'
import { Registry } from '../../../src/manager/registry.js'
import { createMemoryStore } from '../../../src/store/memory.js'
import type { DownloadRecord } from '../../../src/download/record.js'
import type { DownloadStore } from '../../../src/store/store.js'
import { recordOf } from '../../store/conformance.js'

const nobody: DownloadOwner = {
  pathOf: () => '',
  pause: () => Promise.reject(new Error('not here')),
  resume: () => Promise.reject(new Error('not here')),
  cancel: () => Promise.reject(new Error('not here')),
  retry: () => Promise.reject(new Error('not here')),
  setLimit: () => undefined,
  setPriority: () => undefined,
}
const downloadOf = (change: Partial<DownloadRecord>) => new Download(recordOf(1, change), nobody)

function make(store: DownloadStore = createMemoryStore()) {
  const logs: LogEvent[] = []
  const registry = new Registry(store, (event) => logs.push(event))
  return { registry, logs, store }
}

/** The code of what is thrown; null when nothing is. */
function code(run: () => void): string | null {
  try {
    run()
  } catch (error) {
    if (error instanceof DownloadError) return error.code
    throw error
  }
  return null
}

describe('the file that a download goes to', () => {
  const other = { url: 'https://host/other', filename: 'Model.gguf' }
  const wanted = { url: 'https://host/new', filename: 'Model.gguf' }

  it.each(['queued', 'resolving', 'downloading', 'verifying', 'paused', 'completed'] as const)(
    'is taken while it is %s',
    (state) => {
      const { registry } = make()
      registry.add(downloadOf({ ...other, state }))
      const fresh = downloadOf(wanted)
      expect(code(() => registry.add(fresh))).toBe('CONFLICT')
      expect(code(() => registry.add(downloadOf({ ...wanted, filename: 'MODEL.gguf' })))).toBe('CONFLICT')
      expect(code(() => registry.claim(downloadOf({ ...wanted, named: false }), ['model.gguf']))).toBe(
        'CONFLICT',
      )
      expect(registry.get(wanted.url)).toBeUndefined()
    },
  )

  it.each(['failed', 'canceled'] as const)('is free when it is %s, but then not for both', (state) => {
    const { registry } = make()
    const before = downloadOf({ ...other, state })
    registry.add(before)
    expect(code(() => registry.add(downloadOf(wanted)))).toBeNull()
    expect(code(() => registry.claim(before, [before.filename]))).toBe('CONFLICT')
  })

  it.each([
    ['another mode', { ...other, mode: 'embed' }],
    ['no mode', { ...other, mode: null }],
    ['another name', { ...other, filename: 'model2.gguf' }],
    ['a provisional name', { ...other, named: false }],
  ])('is not taken by %s', (_, change) => {
    const { registry } = make()
    registry.add(downloadOf(change))
    expect(code(() => registry.add(downloadOf(wanted)))).toBeNull()
  })

  it('is free again when the download is forgotten', async () => {
    const { registry } = make()
    const before = downloadOf(other)
    registry.add(before)
    await registry.forget(before)
    expect(code(() => registry.add(downloadOf(wanted)))).toBeNull()
  })

  it('is taken again after a restart', async () => {
    const { store } = make()
    await store.save(recordOf(1, other))
    await store.save(recordOf(2, { url: 'https://host/failed', filename: 'failed.gguf', state: 'failed' }))
    const { registry } = make(store)
    await registry.load(nobody, true)
    expect(code(() => registry.add(downloadOf(wanted)))).toBe('CONFLICT')
    expect(code(() => registry.add(downloadOf({ ...wanted, filename: 'failed.gguf' })))).toBeNull()
  })
})

describe('the store', () => {
  it.each([
    ['queued', 'queued', 'paused'],
    ['downloading', 'queued', 'paused'],
    ['verifying', 'queued', 'paused'],
    ['paused', 'paused', 'paused'],
    ['completed', 'completed', 'completed'],
    ['failed', 'failed', 'failed'],
    ['canceled', 'canceled', 'canceled'],
  ] as const)('%s comes back as %s, or as %s without autoResume', async (stored, resumed, left) => {
    for (const [autoResume, state] of [
      [true, resumed],
      [false, left],
    ] as const) {
      const { registry, store } = make()
      await store.save(recordOf(7, { state: stored }))
      await registry.load(nobody, autoResume)
      expect(registry.list().map((download) => download.state)).toEqual([state])
      expect(registry.nextSequence()).toBe(8)
    }
  })

  it('may have given one number twice; every download has its own all the same', async () => {
    const { registry, store } = make()
    for (const name of ['a', 'b', 'c']) {
      await store.save(recordOf(5, { url: `https://host/${name}`, filename: name }))
    }
    await store.save(recordOf(6))
    await store.save(recordOf(20))
    await registry.load(nobody, true)
    expect(registry.list().map(({ record }) => record.sequence)).toEqual([5, 6, 7, 8, 20])
    expect(registry.nextSequence()).toBe(21)
  })

  it('that throws anything is named STORE_ERROR', async () => {
    for (const reason of [new Error('no disk'), new DownloadError('NO_SPACE', 'no disk')]) {
      const broken = () => Promise.reject(reason)
      const { registry } = make({ load: broken, save: broken, remove: broken, close: broken })
      const download = downloadOf({})
      registry.add(download)
      for (const run of [
        () => registry.load(nobody, true),
        () => registry.forget(download),
        () => registry.close(),
      ]) {
        await expect(run()).rejects.toMatchObject({ code: 'STORE_ERROR', cause: { message: 'no disk' } })
      }
      expect(registry.has(download)).toBe(true)
      await expect(registry.insert(download)).rejects.toMatchObject({ code: 'STORE_ERROR' })
      expect(registry.has(download), 'one that could not be stored').toBe(false)
    }
  })

  it('that can not save is logged, and nothing is saved of what is forgotten', async () => {
    const broken = () => Promise.reject(new Error('no disk'))
    const { registry, logs } = make({ ...createMemoryStore(), save: broken })
    const download = downloadOf({})
    await registry.save(download)
    expect(logs).toEqual([])
    registry.add(download)
    await registry.save(download)
    expect(logs).toMatchObject([{ download, level: 'error', message: expect.stringContaining('no disk') }])
  })
})
