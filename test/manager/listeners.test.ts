import { describe, expect, it } from 'vitest'
import type { LogEvent } from '../../src/index.js'
import { arrives, expectInvariant, KiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(128 * KiB)
const events = ['queued', 'started', 'progress', 'verifying', 'completed'] as const

describe('a listener that throws', () => {
  it.each<[string, () => unknown]>([
    [
      'at once',
      () => {
        throw new Error('broken listener')
      },
    ],
    ['later', () => Promise.reject(new Error('broken listener'))],
    // It can't even be converted to a string.
    ['something odd', () => Promise.reject(Object.create(null) as Error)],
  ])('%s hurts neither the download nor other listeners, and is told by log', async (_, broken) => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const logs: LogEvent[] = []
    const heard: string[] = []
    manager.on('log', (event) => logs.push(event))
    for (const name of events) {
      manager.on(name, broken)
      manager.on(name, () => heard.push(name))
    }
    origin.serve('/a.bin', { content })
    const download = await manager.download({ url: origin.url('/a.bin') })
    await arrives(download)
    await expectInvariant(directory, 'a.bin', 'done', { content })
    expect(new Set(heard)).toEqual(new Set(events))
    await waitFor(() => logs.length >= heard.length, { what: 'the log' })
    for (const name of events) {
      const line = { level: 'error', message: expect.stringContaining(`"${name}"`) }
      expect(logs).toContainEqual(expect.objectContaining(line))
    }
  })

  it('of the log event makes no more log', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    let calls = 0
    manager.on('log', () => {
      calls += 1
      throw new Error('broken log')
    })
    manager.once('started', () => {
      throw new Error('broken listener')
    })
    origin.serve('/a.bin', { content })
    await arrives(await manager.download({ url: origin.url('/a.bin') }))
    expect(calls).toBe(1)
  })
})

describe('listeners', () => {
  it('are removed by what they were added with', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    const heard: string[] = []
    const listener = () => heard.push('on')
    const single = () => heard.push('once')
    manager.on('queued', listener)
    manager.on('started', listener)
    manager.addListener('verifying', listener)
    manager.once('queued', single)
    manager.off('queued', listener).removeListener('verifying', listener).off('queued', single)
    expect(manager.listenerCount('queued')).toBe(0)
    expect(manager.listenerCount('started')).toBe(1)
    origin.serve('/a.bin', { content })
    await arrives(await manager.download({ url: origin.url('/a.bin') }))
    expect(heard).toEqual(['on'])
  })

  it('all go with off without a listener, or with removeAllListeners', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    const heard: string[] = []
    for (const name of events) manager.on(name, () => heard.push(name))
    manager.off('progress')
    manager.off('queued')
    origin.serve('/a.bin', { content })
    await arrives(await manager.download({ url: origin.url('/a.bin') }))
    expect(heard).toEqual(['started', 'verifying', 'completed'])
    manager.removeAllListeners()
    expect(manager.eventNames()).toEqual([])
  })

  it('added with once are called once, also when the event comes again', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    const heard: string[] = []
    manager.once('queued', ({ download }) => heard.push(download.filename))
    for (const name of ['a', 'b']) {
      origin.serve(`/${name}.bin`, { content })
      await arrives(await manager.download({ url: origin.url(`/${name}.bin`) }))
    }
    expect(heard).toEqual(['a.bin'])
  })

  it('keep their context', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    const context = { heard: 0 }
    manager.on(
      'queued',
      function (this: typeof context) {
        this.heard += 1
      },
      context,
    )
    origin.serve('/a.bin', { content })
    await arrives(await manager.download({ url: origin.url('/a.bin') }))
    expect(context.heard).toBe(1)
  })

  it('may control the download that they hear of', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    origin.serve('/a.bin', { content })
    manager.once('started', ({ download }) => void download.pause())
    const download = await manager.download({ url: origin.url('/a.bin') })
    await waitFor(() => download.state === 'paused')
    await download.resume()
    await arrives(download)
  })

  it('see the state that the event tells of', async () => {
    await using bench = await startBench()
    const { manager, origin } = bench
    const states: Record<string, string> = {}
    for (const name of ['queued', 'started', 'verifying', 'completed', 'failed'] as const)
      manager.on(name, ({ download }) => (states[name] = download.state))
    origin.serve('/a.bin', { content })
    await arrives(await manager.download({ url: origin.url('/a.bin') }))
    const lost = await manager.download({ url: origin.url('/lost.bin') })
    await lost.finished.catch(() => undefined)
    expect(states).toEqual({
      queued: 'queued',
      started: 'resolving',
      verifying: 'verifying',
      completed: 'completed',
      failed: 'failed',
    })
  })
})
