/** A manager takes all time from one clock, so these tests move hours by hand. */
import { describe, expect, it } from 'vitest'
import { internals } from '../../src/manager/internals.js'
import { arrives, KiB, MiB, startBench } from '../faults/harness.js'
import { ManualClock } from '../support/clock.js'
import { randomContent, textContent } from '../support/content.js'
import type { DownloadManagerOptions, Source } from '../../src/index.js'
import { startOrigin, type Fault } from '../support/origin.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(2 * MiB)

const hourMs = 3_600_000

async function begin(options: DownloadManagerOptions, ...faults: Fault[]) {
  const clock = new ManualClock()
  // A worker has a clock of its own.
  const services = { worker: false, [internals]: { clock } }
  const bench = await startBench({ connections: 1, ...options, ...services })
  const { manager, origin } = bench
  origin.serve('/a.bin', { content, faults })
  const retries: { code: string; message: string; delayMs: number }[] = []
  manager.on('retrying', ({ error: { code, message }, delayMs }) => retries.push({ code, message, delayMs }))
  const download = await manager.download({ url: origin.url('/a.bin') })
  /** Lets the time pass until the condition holds. */
  const pass = (condition: () => boolean) => waitFor(() => (clock.advance(25), condition()))
  return {
    ...{ clock, origin, download, retries, pass },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  }
}

const slow = { lowSpeedTimeMs: 2 * hourMs, bodyTimeoutMs: 2 * hourMs, headersTimeoutMs: 2 * hourMs }

describe('the clock of a manager', () => {
  it('decides when a Retry-After is over', async () => {
    const tuning = { ...slow, maxRetryAfterMs: hourMs }
    await using scene = await begin({ tuning }, { type: 'status', status: 503, retryAfter: 3_600, times: 1 })
    const { clock, origin, download, retries } = scene
    await waitFor(() => retries.length === 1)
    expect(retries).toMatchObject([{ code: 'HTTP_ERROR', delayMs: hourMs }])
    await clock.advanceAsync(hourMs - 1)
    expect(origin.requests()).toHaveLength(1)
    clock.advance(1)
    await arrives(download)
    expect(origin.requests()).toHaveLength(2)
  })

  it.each([
    ['silent', { ...slow, bodyTimeoutMs: hourMs }, 'stopped sending'],
    ['slow', { ...slow, lowSpeedTimeMs: hourMs }, 'too slowly'],
  ])('decides when a server has been %s for too long', async (_name, tuning, message) => {
    const stall: Fault = { type: 'stallBody', afterBytes: MiB, times: 1 }
    await using scene = await begin({ tuning: { ...tuning, lowSpeedBytesPerSecond: MiB } }, stall)
    const { clock, download, retries, pass } = scene
    // What arrived after the leap would begin the wait anew.
    await pass(() => download.current.downloaded === MiB)
    clock.advance(hourMs / 2)
    expect(retries).toEqual([])
    clock.advance(hourMs)
    await waitFor(() => retries.length === 1)
    expect(retries[0]?.code).toBe('STALLED')
    expect(retries[0]?.message).toContain(message)
    await pass(() => download.state === 'completed')
  })

  it('decides when a server has not answered for too long', async () => {
    const tuning = { ...slow, headersTimeoutMs: hourMs }
    await using scene = await begin({ tuning }, { type: 'stallBeforeHeaders', times: 1 })
    const { clock, origin, download, retries, pass } = scene
    await waitFor(() => origin.requests().length === 1)
    clock.advance(hourMs - 1_000)
    expect(retries).toEqual([])
    clock.advance(1_000)
    await waitFor(() => retries.length === 1)
    expect(retries[0]?.code).toBe('STALLED')
    await pass(() => download.state === 'completed')
  })

  it('gives a server that has not answered more time, up to four times as much', async () => {
    const tuning = { ...slow, headersTimeoutMs: hourMs, maxAttempts: 5 }
    await using scene = await begin({ tuning }, { type: 'stallBeforeHeaders', times: 4 })
    const { clock, origin, download, retries, pass } = scene
    for (const [nth, hours] of [1, 2, 4, 4].entries()) {
      await pass(() => origin.requests().length === nth + 1)
      clock.advance(hours * hourMs - 10_000)
      expect(retries).toHaveLength(nth)
      clock.advance(10_000)
      await waitFor(() => retries.length === nth + 1)
    }
    await pass(() => download.state === 'completed')
  })

  it('decides when one connection has held up the end for too long, although it still sends', async () => {
    const trickle: Fault = { type: 'trickle', bytesPerSecond: 2_000, when: ({ nth }) => nth === 2 }
    await using scene = await begin({ connections: 4, tuning: slow }, trickle)
    const { origin, download, retries, pass } = scene
    await pass(() => download.state === 'completed')
    expect(retries).toEqual([])
    expect(download.file).toMatchObject({ sha256: content.sha256(), fetchedBytes: content.size })
    const requests = origin.requests('/a.bin')
    const slowOne = requests[1]!
    const last = requests.at(-1)!
    expect(slowOne.outcome).toBe('aborted')
    // What it had not sent was fetched by another one.
    expect(last.range?.start).toBeGreaterThan(slowOne.range?.start ?? 0)
    expect(last.range?.start).toBeLessThan((slowOne.range?.start ?? 0) + slowOne.bytesSent + 1)
  })

  it('measures the speed and the time that is left', async () => {
    const trickle: Fault = { type: 'trickle', bytesPerSecond: 200 * KiB, afterBytes: MiB }
    await using scene = await begin({ tuning: { ...slow, progressIntervalMs: 1_000 } }, trickle)
    const { clock, download, pass } = scene
    await pass(() => download.current.bytesPerSecond > 0)
    const { downloaded, bytesPerSecond, etaSeconds } = download.current
    expect(etaSeconds).toBe(Math.ceil((content.size - downloaded) / bytesPerSecond))
    // Nothing can arrive while this call moves the time.
    clock.advance(60_000)
    expect(download.current.bytesPerSecond).toBe(0)
    expect(download.current.etaSeconds).toBeNull()
  })

  it('holds a limit of the rate', async () => {
    const limit = 16 * KiB
    await using scene = await begin({ maxBytesPerSecond: limit, tuning: slow })
    const { clock, download, pass } = scene
    const begun = clock.now()
    await pass(() => download.current.downloaded > 0)
    const { downloaded } = download.current
    await waitFor(() => (clock.advance(1_000), download.state === 'completed'))
    expect(clock.now() - begun).toBeGreaterThan(((content.size - downloaded) * 1_000) / limit / 2)
  })
})

describe('a server that limits the rate with RateLimit and without Retry-After', () => {
  const limited = { status: 429, headers: { ratelimit: '"minute";r=3;t=1, "hour";r=0;t=300' } }
  const patient = { ...slow, maxDelayMs: 1, maxAttempts: 4 }

  /** A source that asks the origin for each ref. */
  const sourceAt = (origin: () => string, names: readonly string[], about: { size?: number }): Source => ({
    name: 'mine',
    match: (text) => text.startsWith('mine:'),
    resolve: async (_ref, context) => {
      await context.fetchJson(`${origin()}/api`)
      const urlOf = (name: string) => `${origin()}/${name}`
      return {
        name: 'model',
        files: names.map((filename) => ({ filename, urls: [urlOf(filename)], headers: {}, ...about })),
      }
    },
  })

  async function open(names: readonly string[], connections: number, about: { size?: number } = {}) {
    const clock = new ManualClock()
    const place = { origin: '' }
    const sources = [sourceAt(() => place.origin, names, about)]
    const services = { worker: false, [internals]: { clock } }
    const bench = await startBench({ connections, sources, tuning: patient, ...services })
    place.origin = bench.origin.origin
    bench.origin.serve('/api', {
      headers: { 'content-type': 'application/json' },
      content: textContent('{}'),
    })
    bench.origin.serve('/a.bin', { content })
    const retries: number[] = []
    bench.manager.on('retrying', ({ delayMs }) => retries.push(delayMs))
    const free = await startOrigin()
    free.serve('/free.bin', { content })
    let nth = 0
    /** Downloads a file of another server, which everything that does not wait is faster than. */
    const others = async () => {
      const filename = `free-${(nth += 1)}.bin`
      await arrives(await bench.manager.download({ url: free.url(`/free.bin?${nth}`), filename }))
    }
    return {
      ...{ clock, retries, others, manager: bench.manager, origin: bench.origin },
      async [Symbol.asyncDispose]() {
        await bench[Symbol.asyncDispose]()
        await free.close()
      },
    }
  }

  it.each([
    ['metadata', '/api', 'mine:model', '/a.bin', (origin: string) => `${origin}/a.bin`],
    ['a file', '/a.bin', (origin: string) => `${origin}/a.bin`, '/api', 'mine:model'],
  ] as const)('holds everything from it when it limits %s', async (_name, path, one, otherPath, other) => {
    await using scene = await open(['b.bin'], 1)
    const { clock, origin, manager, retries, others } = scene
    const urlOf = (name: string | ((origin: string) => string)) =>
      typeof name === 'string' ? name : name(origin.origin)
    origin.serve('/b.bin', { content })
    origin.serve(path, ({ nth }) => (nth === 1 ? limited : path === '/api' ? { content: textContent('{}') } : { content })) // prettier-ignore
    const first = await manager.download({ url: urlOf(one) })
    await waitFor(() => retries.length === 1)
    expect(retries).toEqual([300_000])
    const second = await manager.download({ url: urlOf(other) })
    await others()
    await clock.advanceAsync(299_999)
    await others()
    expect([origin.requests(path).length, origin.requests(otherPath).length]).toEqual([1, 0])
    clock.advance(1)
    await Promise.all([arrives(first), arrives(second)])
    expect(retries.every((ms) => ms <= 300_000)).toBe(true)
  })

  it('does not make a group fail, however few of its files are served at a time', async () => {
    const names = Array.from({ length: 12 }, (_, nth) => `file-${nth}.bin`)
    await using scene = await open(names, 8, { size: 4 * KiB })
    const { clock, origin, manager } = scene
    const windowMs = 60_000
    let window = -1
    let served = 0
    for (const name of names) {
      origin.serve(`/${name}`, () => {
        const now = Math.floor(clock.now() / windowMs)
        if (now > window) [window, served] = [now, 0]
        served += 1
        const rest = Math.ceil(((now + 1) * windowMs - clock.now()) / 1000)
        if (served > 1) return { status: 429, headers: { ratelimit: `"files";r=0;t=${rest}` } }
        return { content: randomContent(4 * KiB, name) }
      })
    }
    const download = await manager.download({ url: 'mine:model' })
    await waitFor(() => (clock.advance(10_000), ['completed', 'failed'].includes(download.state)))
    expect(download.error).toBeNull()
    expect(download.state).toBe('completed')
  })

  it('counts for a redirect to it as well: no request until then, and then a new link', async () => {
    await using scene = await open([], 1)
    const { clock, origin, manager, retries, others } = scene
    const cdn = await startOrigin()
    try {
      cdn.serve('/limited.bin', ({ nth }) => (nth === 1 ? limited : { content }))
      cdn.serve('/other.bin', { content })
      let link = 0
      origin.serve('/other.bin', { redirect: () => `${cdn.url('/other.bin')}?link=${(link += 1)}` })
      const first = await manager.download({ url: cdn.url('/limited.bin') })
      await waitFor(() => retries.length === 1)
      const second = await manager.download({ url: origin.url('/other.bin') })
      await waitFor(() => link === 1)
      await others()
      await clock.advanceAsync(299_999)
      await others()
      expect([link, cdn.requests('/other.bin').length]).toEqual([1, 0])
      clock.advance(1)
      await Promise.all([arrives(first), arrives(second)])
      expect(cdn.requests('/other.bin').map(({ query }) => query.get('link'))).toEqual(['2'])
      expect(retries).toHaveLength(1)
    } finally {
      await cdn.close()
    }
  })
})
