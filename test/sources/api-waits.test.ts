/** How long metadata requests wait: between attempts, and for an answer. No test here waits in real time. */
import { describe, expect, it } from 'vitest'
import type { ResolveRequest } from '../../src/sources/resolver.js'
import type { Source } from '../../src/sources/source.js'
import { startOrigin } from '../support/origin.js'
import { ManualClock } from '../support/clock.js'
import { waitFor } from '../support/wait.js'
import { failureOf, resolveWith, type Said, startApi } from './api-server.js'

const wallNow = Date.UTC(2026, 0, 1, 12)

const ok: Said = { body: { name: 'a.bin' } }

/** A resolution against a server that gives these answers, one after the other. */
async function resolving(answers: readonly Said[], request: Partial<ResolveRequest> = {}) {
  const clock = new ManualClock(1_000, wallNow)
  const server = await startApi(() => answers[server.asked.length - 1] ?? ok)
  const source: Source = {
    name: 'waits',
    match: () => true,
    resolve: async (_ref, context) => {
      await context.fetchJson(server.origin)
      return { files: [{ filename: 'a.bin', urls: [`${server.origin}/a.bin`], headers: {} }] }
    },
  }
  const delays: number[] = []
  const onRetry: ResolveRequest['onRetry'] = (_error, _attempt, delayMs) => void delays.push(delayMs)
  const result = resolveWith(source, 'waits:a', {}, { clock, onRetry, ...request })
  result.catch(() => undefined)
  const asked = (times: number) => waitFor(() => server.asked.length === times, { what: `request ${times}` })
  const waiting = (delayMs: number) =>
    waitFor(() => clock.pending.length === 1 && clock.pending[0] === delayMs, {
      what: `a wait of ${delayMs}`,
    })
  return { clock, server, result, delays, asked, waiting }
}

describe('a metadata request', () => {
  it.each<[string, Record<string, string>, number]>([
    ['Retry-After in seconds', { 'retry-after': '90' }, 90_000],
    [
      'Retry-After as a date, by the time of the server',
      { 'retry-after': 'Thu, 01 Jan 2026 00:01:30 GMT', date: 'Thu, 01 Jan 2026 00:00:30 GMT' },
      60_000,
    ],
    [
      'Retry-After as a date, by the time of this machine when the server tells none',
      { 'retry-after': 'Thu, 01 Jan 2026 12:00:45 GMT', date: 'none' },
      45_000,
    ],
    ['RateLimit', { ratelimit: '"api";r=0;t=55' }, 55_000],
    ['RateLimit of an older draft', { ratelimit: 'limit=9, remaining=0, reset=50' }, 50_000],
    ['RateLimit-Reset', { 'ratelimit-remaining': '0', 'ratelimit-reset': '7' }, 7_000],
  ])('waits as long as %s says', async (_name, headers, delayMs) => {
    const { clock, server, result, delays, asked, waiting } = await resolving([{ status: 429, headers }])
    await asked(1)
    await waiting(delayMs)
    expect(delays).toEqual([delayMs])
    await clock.advanceAsync(delayMs - 1)
    expect(server.asked).toHaveLength(1)
    clock.advance(1)
    await expect(result).resolves.toMatchObject([{ filename: 'a.bin' }])
    expect(server.asked).toHaveLength(2)
    expect(clock.pending).toEqual([])
  })

  it('gives up at once when the wait would be too long', async () => {
    const { clock, result, delays } = await resolving([{ status: 429, headers: { 'retry-after': '601' } }])
    expect(await failureOf(result)).toMatchObject({ code: 'HTTP_ERROR', retryAfterMs: 601_000 })
    expect([delays, clock.pending]).toEqual([[], []])
  })

  it('makes one short attempt when there is another answer', async () => {
    const silent = await resolving([{ silent: true }], { brief: true })
    await silent.asked(1)
    await silent.clock.advanceAsync(4_999)
    silent.clock.advance(1)
    expect((await failureOf(silent.result)).code).toBe('STALLED')
    const limited = await resolving([{ status: 429, headers: { 'retry-after': '1' } }], { brief: true })
    expect((await failureOf(limited.result)).status).toBe(429)
    expect([silent.delays, limited.delays, silent.clock.pending, limited.clock.pending]).toEqual([
      [],
      [],
      [],
      [],
    ])
  })

  it('gives up a short attempt that is not connected after 5 s', async () => {
    await using origin = await startOrigin()
    // The handshake of TLS is never answered.
    origin.pause()
    const clock = new ManualClock(1_000, wallNow)
    const source: Source = {
      name: 'waits',
      match: () => true,
      resolve: async (_ref, context) => {
        await context.fetchJson(origin.origin.replace('http:', 'https:'))
        return { files: [] }
      },
    }
    const tuning = { headersTimeoutMs: 60_000, connectTimeoutMs: 60_000 }
    const result = resolveWith(source, 'waits:a', {}, { clock, brief: true, tuning })
    result.catch(() => undefined)
    await waitFor(() => clock.pending.includes(5_000) && origin.openConnections === 1)
    await clock.advanceAsync(4_999)
    expect(clock.pending).toContain(1)
    clock.advance(1)
    expect((await failureOf(result)).code).toBe('CONNECT_FAILED')
    expect(clock.pending).toEqual([])
  })

  it('stops waiting when nobody wants the answer any more', async () => {
    const controller = new AbortController()
    const { clock, server, result, waiting } = await resolving(
      [{ status: 503, headers: { 'retry-after': '300' } }],
      { signal: controller.signal },
    )
    await waiting(300_000)
    controller.abort()
    expect((await failureOf(result)).code).toBe('CANCELED')
    expect([server.asked.length, clock.pending]).toEqual([1, []])
  })

  it('is tried again when the answer does not come in time', async () => {
    const { clock, server, result, delays, asked } = await resolving([{ silent: true }, { silent: true }])
    await asked(1)
    clock.advance(4_999)
    expect(delays).toEqual([])
    clock.advance(1)
    await waitFor(() => delays.length === 1)
    await waitFor(() => (clock.advance(1), server.asked.length === 2))
    clock.advance(9_999)
    await clock.advanceAsync(0)
    expect(delays).toHaveLength(1)
    // The second answer was given twice as much time.
    clock.advance(1)
    expect((await failureOf(result)).code).toBe('STALLED')
  })
})
