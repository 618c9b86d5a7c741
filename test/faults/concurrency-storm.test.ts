import { rm } from 'node:fs/promises'
import fc from '../support/properties.js'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { within } from '../support/budget.js'
import { randomContent } from '../support/content.js'
import { startOrigin, type Origin } from '../support/origin.js'
import { openFds } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { waitFor, withTimeout } from '../support/wait.js'
import { arrives, expectInvariant, KiB, makeManager, MiB, startBench } from './harness.js'
import { checkDisk, serveTargets, Storm, storm } from './storm.js'

let origin: Origin
const unhandled: unknown[] = []
const note = (reason: unknown) => unhandled.push(reason)

beforeAll(async () => {
  origin = await startOrigin()
  process.on('unhandledRejection', note)
})
afterEach(() => {
  // An unhandled rejection would end the host's process.
  expect(unhandled.splice(0)).toEqual([])
})
afterAll(async () => {
  process.off('unhandledRejection', note)
  await origin.close()
})

/** Open files of this process in folders of tests. */
async function diskFds(): Promise<string[]> {
  return (await openFds()).filter((target) => target.includes('model-downloader-'))
}

describe('row 37: storms of pause, resume, cancel, retry, remove and download', () => {
  it.each(['calm', 'close'] as const)(
    'leave everything consistent (%s in the end)',
    async (end) => {
      const before = await diskFds()
      await fc.assert(
        fc.asyncProperty(
          storm,
          fc.constantFrom(1, 3),
          within(10_000, async (steps, concurrency) => {
            serveTargets(origin)
            const directory = join(tempDir('storm'), 'models')
            const manager = makeManager(directory, { concurrency, store: 'file', connections: 2 })
            const blowing = new Storm(manager, origin)
            await blowing.blow(steps)
            if (end === 'calm') {
              await blowing.calm()
              await withTimeout(manager.onIdle(), 10_000, 'the manager to be idle')
              await blowing.calm()
              for (const { state } of manager.list()) {
                expect(['completed', 'failed', 'canceled', 'paused']).toContain(state)
              }
              await checkDisk(directory, manager)
            }
            await withTimeout(manager.close(), 5_000, 'close()')
            await blowing.calm()
            await blowing.checkFinished()
            blowing.checkEvents()
            await checkDisk(directory, manager)
            await waitFor(() => origin.openConnections === 0, { what: 'the sockets to close' })
            expect(await diskFds()).toEqual(before)

            // The next start knows the same downloads, and in the same states.
            const states = (list: ReturnType<typeof manager.list>) =>
              list.map(({ url, state }) => [url, state])
            const next = makeManager(directory, { store: 'file', autoResume: false })
            await next.ready
            const expected = manager
              .list()
              .map(({ url, state }) => [url, state === 'queued' ? 'paused' : state])
            expect(states(next.list())).toEqual(expected)
            await next.close()
            await rm(directory, { recursive: true, force: true })
          }),
        ),
        { numRuns: 30 },
      )
      expect(unhandled).toEqual([])
    },
    40_000,
  )
})

describe('row 37: a call at a delicate moment', () => {
  const content = randomContent(6 * MiB, 'delicate')
  const path = '/model.bin'
  const name = 'model.bin'

  const moments: [string, () => Promise<unknown>][] = [
    ['right', () => Promise.resolve()],
    ['a turn', () => new Promise((resolve) => setImmediate(resolve))],
    ['a millisecond', () => new Promise((resolve) => setTimeout(resolve, 1))],
  ]

  it.each(['verifying', 'completed'] as const)(
    'cancel on %s: canceled and gone, or complete',
    async (moment) => {
      await using bench = await startBench()
      const { manager, directory } = bench
      bench.origin.serve(path, { content })
      const url = bench.origin.url(path)
      const answer = new Promise<string>((resolve) => {
        manager.on(moment, () => {
          manager.cancel(url).then(
            ({ state }) => {
              resolve(state)
            },
            (error: unknown) => {
              resolve(String(error))
            },
          )
        })
      })
      const download = await manager.download({ url })
      const said = await withTimeout(answer, 5_000, 'cancel()')
      await withTimeout(
        download.finished.catch(() => undefined),
        5_000,
        'the end',
      )
      if (download.state === 'completed') {
        expect(said).toMatch(moment === 'completed' ? /cannot be canceled/ : /completed/)
        await expectInvariant(directory, name, 'done', { content })
      } else {
        expect({ said, state: download.state }).toEqual({ said: 'canceled', state: 'canceled' })
        await expect(download.finished).rejects.toMatchObject({ code: 'CANCELED' })
        await expectInvariant(directory, name, 'X')
      }
    },
  )

  it('pause on verifying: paused with all bytes, or complete; resumed without fetching', async () => {
    await using bench = await startBench()
    const { manager, directory } = bench
    bench.origin.serve(path, { content })
    const url = bench.origin.url(path)
    const paused = new Promise<void>((resolve, reject) => {
      manager.once('verifying', () => {
        manager.pause(url).then(() => {
          resolve()
        }, reject)
      })
    })
    const download = await manager.download({ url })
    await withTimeout(paused, 5_000, 'pause()')
    if (download.state === 'paused') {
      await expectInvariant(directory, name, 'K')
      await manager.resume(url)
      expect((await arrives(download)).fetchedBytes).toBe(0)
    }
    await expectInvariant(directory, name, 'done', { content })
  })

  it.each(moments)('pause %s before close: it is still paused at the next start', async (_when, moment) => {
    await using bench = await startBench({ store: 'file' })
    const { manager, directory } = bench
    bench.origin.serve(path, { content, bytesPerSecond: MiB })
    const url = bench.origin.url(path)
    await manager.download({ url })
    await bench.origin.waitForBytes(path, MiB / 4)
    const paused = Promise.allSettled([manager.pause(url)])
    // The call has been made, but not answered.
    await moment()
    await withTimeout(manager.close(), 5_000, 'close()')
    const [answer] = await withTimeout(paused, 1_000, 'pause()')
    await using next = makeManager(directory, { store: 'file' })
    await next.ready
    if (answer.status === 'fulfilled') expect(next.get(url)?.state).toBe('paused')
    else expect(answer.reason).toMatchObject({ code: 'CLOSED' })
  })

  it.each(moments)('cancel %s before close: canceled and gone, or CLOSED and kept', async (_when, moment) => {
    await using bench = await startBench({ store: 'file' })
    const { manager, directory } = bench
    bench.origin.serve(path, { content, bytesPerSecond: MiB })
    const url = bench.origin.url(path)
    const download = await manager.download({ url })
    await bench.origin.waitForBytes(path, MiB / 4)
    const canceling = Promise.allSettled([manager.cancel(url)])
    await moment()
    await withTimeout(manager.close(), 5_000, 'close()')
    // After closing, nothing happens on the disk any more.
    const state = download.state
    const others = ['.model-downloader/', `.model-downloader/${download.record.id}.json`]
    await expectInvariant(directory, name, state === 'canceled' ? 'X' : 'K', { others })
    const [answer] = await withTimeout(canceling, 1_000, 'cancel()')
    if (answer.status === 'fulfilled') expect(state).toBe('canceled')
    else expect(answer.reason).toMatchObject({ code: 'CLOSED' })
    expect(download.state).toBe(state)
    await using next = makeManager(directory, { store: 'file', autoResume: false })
    await next.ready
    expect(next.get(url)?.state).toBe(state === 'canceled' ? 'canceled' : 'paused')
  })

  it.each(['failed', 'completed'] as const)(
    'asked for again on %s, then paused: stays paused',
    async (moment) => {
      await using bench = await startBench({ store: 'file' })
      const { manager } = bench
      const small = randomContent(64 * KiB, 'small')
      bench.origin.serve(path, moment === 'failed' ? { status: 404 } : { content: small })
      const url = bench.origin.url(path)
      const again = new Promise<void>((resolve, reject) => {
        manager.once(moment, () => {
          // This time it takes long.
          bench.origin.serve(path, { content, bytesPerSecond: MiB })
          manager
            .download({ url, force: true })
            .then(() => manager.pause(url))
            .then(() => {
              resolve()
            }, reject)
        })
      })
      const download = await manager.download({ url })
      await withTimeout(again, 5_000, 'pause()')
      expect(download.state).toBe('paused')
      await withTimeout(manager.onIdle(), 5_000, 'the manager to be idle')
      await waitFor(() => bench.origin.activeRequests === 0, { what: 'the transfer to stop' })
      expect(download.state).toBe('paused')
    },
  )

  it('cancel while it fails: canceled, and its bytes are gone', async () => {
    await using bench = await startBench({ store: 'file', tuning: { maxAttempts: 1 }, connections: 1 })
    const { manager, directory } = bench
    bench.origin.serve(path, { content, faults: [{ type: 'truncate', afterBytes: MiB }] })
    const url = bench.origin.url(path)
    const canceled = new Promise<void>((resolve, reject) => {
      manager.once('failed', () => {
        manager.cancel(url).then(() => {
          resolve()
        }, reject)
      })
    })
    const download = await manager.download({ url })
    await withTimeout(canceled, 5_000, 'cancel()')
    expect(download.state).toBe('canceled')
    await manager.onIdle()
    const others = ['.model-downloader/', `.model-downloader/${download.record.id}.json`]
    await expectInvariant(directory, name, 'X', { others })
  })
})

it('row 37: close() at any moment; the next manager completes it', async () => {
  const content = randomContent(512 * KiB, 'any moment')
  await fc.assert(
    fc.asyncProperty(
      fc.nat(160),
      within(10_000, async (ms) => {
        const directory = join(tempDir('moment'), 'models')
        origin.serve('/any.bin', { content, bytesPerSecond: 2 * MiB })
        const url = origin.url('/any.bin')
        const first = makeManager(directory, { store: 'file' })
        const download = await first.download({ url })
        await Promise.race([new Promise((resolve) => setTimeout(resolve, ms)), download.finished])
        await withTimeout(first.close(), 5_000, 'close()')
        await waitFor(() => origin.openConnections === 0, { what: 'the sockets to close' })
        const others = ['.model-downloader/', `.model-downloader/${download.record.id}.json`]
        const kept = download.current.downloaded
        const disk = download.state === 'completed' ? 'done' : kept > 0 ? 'K' : 'X'
        await expectInvariant(directory, 'any.bin', disk, { content, others })

        await using second = makeManager(directory, { store: 'file' })
        await second.ready
        const resumed = second.get(url)
        if (resumed === undefined) throw new Error('The download was forgotten.')
        const file = await arrives(resumed)
        if (disk === 'K') expect(file.fetchedBytes).toBe(content.size - kept)
        await second.onIdle()
        await expectInvariant(directory, 'any.bin', 'done', { content, others })
      }),
    ),
    { numRuns: 20 },
  )
})
