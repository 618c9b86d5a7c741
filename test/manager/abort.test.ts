import { describe, expect, it } from 'vitest'
import { arrives, expectInvariant, fails, KiB, MiB, startBench } from '../faults/harness.js'
import { randomContent } from '../support/content.js'
import { waitFor } from '../support/wait.js'
import { EventLog } from './events.js'

const content = randomContent(256 * KiB)
const slow = { content: randomContent(4 * MiB), bytesPerSecond: MiB }
const canceled = { code: 'CANCELED' }

describe('an AbortSignal', () => {
  it('that was aborted beforehand: nothing is begun', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const refused = manager.download({ url: origin.url('/a.bin'), signal: AbortSignal.abort() })
    await expect(refused).rejects.toMatchObject(canceled)
    expect(manager.list()).toEqual([])
    expect(origin.requests()).toEqual([])
    await expectInvariant(directory, 'a.bin', 'N')
  })

  it('that aborts during the call itself cancels', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', slow)
    const caller = new AbortController()
    const asking = manager.download({ url: origin.url('/a.bin'), signal: caller.signal })
    await manager.ready
    await waitFor(() => manager.list().length === 1)
    caller.abort()
    expect((await fails(await asking)).code).toBe('CANCELED')
    await expectInvariant(directory, 'a.bin', 'N')
  })

  it('cancels while the download waits in the queue', async () => {
    await using bench = await startBench({ concurrency: 1 })
    const { manager, origin } = bench
    const log = new EventLog(manager)
    origin.serve('*', slow)
    const running = await manager.download({ url: origin.url('/a.bin') })
    const caller = new AbortController()
    const waiting = await manager.download({ url: origin.url('/b.bin'), signal: caller.signal })
    caller.abort()
    expect((await fails(waiting)).code).toBe('CANCELED')
    expect(waiting.state).toBe('canceled')
    expect(log.names(waiting)).toEqual(['queued', 'canceled'])
    expect(origin.requests('/b.bin')).toEqual([])
    expect(running.state).not.toBe('canceled')
  })

  it('cancels while the download runs, and its bytes are deleted', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', slow)
    const caller = new AbortController()
    const download = await manager.download({ url: origin.url('/a.bin'), signal: caller.signal })
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    caller.abort()
    expect((await fails(download)).code).toBe('CANCELED')
    await expectInvariant(directory, 'a.bin', 'N')
    await waitFor(() => origin.activeRequests === 0, { what: 'the connections to end' })
  })

  it('cancels while the download is paused', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', slow)
    const caller = new AbortController()
    const download = await manager.download({ url: origin.url('/a.bin'), signal: caller.signal })
    await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
    await download.pause()
    caller.abort()
    expect((await fails(download)).code).toBe('CANCELED')
    await expectInvariant(directory, 'a.bin', 'X')
  })

  it('of one of several callers cancels for none of them', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', slow)
    for (const first of [0, 1]) {
      const callers = [new AbortController(), new AbortController()]
      const [download] = await Promise.all(
        callers.map(({ signal }) => manager.download({ url: origin.url('/a.bin'), signal })),
      )
      if (download === undefined) throw new Error('No download.')
      await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
      callers[first]?.abort()
      // A cancel would come before this pause, and make it fail.
      await download.pause()
      await expectInvariant(directory, 'a.bin', 'K')
      await manager.remove(download.url)
    }
  })

  it('of the last of several callers cancels', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', slow)
    const callers = [new AbortController(), new AbortController()]
    const [download] = await Promise.all(
      callers.map(({ signal }) => manager.download({ url: origin.url('/a.bin'), signal })),
    )
    if (download === undefined) throw new Error('No download.')
    for (const caller of callers) caller.abort()
    expect((await fails(download)).code).toBe('CANCELED')
    await expectInvariant(directory, 'a.bin', 'N')
  })

  it('does not cancel what a caller without a signal wants too', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', slow)
    const url = origin.url('/a.bin')
    for (const first of [true, false]) {
      const caller = new AbortController()
      const calls = [{ url }, { url, signal: caller.signal }]
      const [download] = await Promise.all(
        (first ? calls : calls.reverse()).map((options) => manager.download(options)),
      )
      if (download === undefined) throw new Error('No download.')
      await waitFor(() => download.current.downloaded > 0, { what: 'some bytes' })
      caller.abort()
      await download.pause()
      await expectInvariant(directory, 'a.bin', 'K')
      await manager.remove(url)
    }
  })

  it('does nothing any more when the download is through', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    origin.serve('/a.bin', { content })
    const caller = new AbortController()
    const download = await manager.download({ url: origin.url('/a.bin'), signal: caller.signal })
    await arrives(download)
    caller.abort()
    expect(download.state).toBe('completed')
    await expectInvariant(directory, 'a.bin', 'done', { content })
  })

  it('of a later attempt counts, not those of an earlier one', async () => {
    await using bench = await startBench()
    const { manager, origin, directory } = bench
    const url = origin.url('/a.bin')
    await fails(await manager.download({ url }))
    origin.serve('/a.bin', slow)
    const caller = new AbortController()
    const download = await manager.download({ url, signal: caller.signal })
    caller.abort()
    expect((await fails(download)).code).toBe('CANCELED')
    await expectInvariant(directory, 'a.bin', 'N')
  })
})
