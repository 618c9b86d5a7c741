import { describe, expect, it } from 'vitest'
import { HostGate, HostGates, type HostWait } from '../../../src/net/host-gate.js'
import { DownloadError } from '../../../src/errors.js'
import type { ResponseHead } from '../../../src/net/exchange.js'

describe('HostGate', () => {
  it('is open for whom nobody closed it', () => {
    expect(new HostGate().wait('https://host', 0)).toBe(0)
  })

  it('closes for one origin, until the time has come', () => {
    const gate = new HostGate()
    gate.close('https://host', 1_000)
    expect(gate.wait('https://host', 0)).toBe(1_000)
    expect(gate.wait('https://host', 999.5)).toBe(0.5)
    expect(gate.wait('https://host', 1_000)).toBe(0)
    expect(gate.wait('https://host', 0)).toBe(0)
    gate.close('https://host', 2_000)
    expect(gate.wait('http://host', 1_500)).toBe(0)
    expect(gate.wait('https://host:444', 1_500)).toBe(0)
  })

  it('keeps the latest of several times', () => {
    const gate = new HostGate()
    gate.close('https://host', 2_000)
    gate.close('https://host', 1_000)
    expect(gate.wait('https://host', 0)).toBe(2_000)
    gate.close('https://host', 3_000)
    expect(gate.wait('https://host', 0)).toBe(3_000)
  })

  it.each([
    ['the time of the server', 'Thu, 01 Jan 2026 00:00:20 GMT', 40_000],
    ['the time of this machine, where the server does not tell its own', undefined, 50_000],
    ['the time of this machine, where that of the server makes no sense', 'soon', 50_000],
  ])('compares a date with %s', (_name, date, expected) => {
    const gate = new HostGate()
    const headers = {
      'retry-after': 'Thu, 01 Jan 2026 00:01:00 GMT',
      ...(date === undefined ? {} : { date }),
    }
    const error = new DownloadError('HTTP_ERROR', 'Too many requests.', { status: 429 })
    const times = { now: 1_000, wallNow: Date.UTC(2026, 0, 1, 0, 0, 10), maxMs: 60_000 }
    expect(gate.heed('https://host', { status: 429, headers }, error, times).retryAfterMs).toBe(expected)
    expect(gate.wait('https://host', 1_000)).toBe(expected)
    gate.heed('https://other', { status: 429, headers }, error, { ...times, maxMs: expected - 1 })
    expect(gate.wait('https://other', 1_000)).toBe(0)
  })
})

describe('Retry-After', () => {
  const origin = 'https://host'
  const busy = new DownloadError('HTTP_ERROR', 'The server answered HTTP 503.', { status: 503 })
  const date = 'Sat, 15 Jun 2030 12:00:00 GMT'
  /** Heeds a response that arrives at 1,000 ms. The longest accepted wait is 60 s. */
  const heed = (headers: ResponseHead['headers'], error = busy) => {
    const gate = new HostGate()
    const times = { now: 1_000, wallNow: Date.parse(date), maxMs: 60_000 }
    const heeded = gate.heed(origin, { status: 503, headers }, error, times)
    return { error: heeded, wait: gate.wait(origin, 1_000) }
  }

  it('closes the origin, and is passed on in the error', () => {
    const { error, wait } = heed({ 'retry-after': '7' })
    expect(wait).toBe(7_000)
    expect(error).toMatchObject({ code: 'HTTP_ERROR', retryable: true, retryAfterMs: 7_000, status: 503 })
    expect(error.message).toBe(busy.message)
  })

  it('leaves an error without a status without one', () => {
    const { error } = heed({ 'retry-after': '7' }, new DownloadError('PROTOCOL_ERROR', 'x'))
    expect(error).toMatchObject({ code: 'PROTOCOL_ERROR', retryAfterMs: 7_000, status: undefined })
  })

  it.each([
    ['that is missing', {}],
    ['that is malformed', { 'retry-after': 'soon' }],
    ['that is there twice', { 'retry-after': ['7', '8'] }],
  ])('%s changes nothing', (_, headers) => {
    expect(heed(headers)).toEqual({ error: busy, wait: 0 })
    expect(heed(headers).error).toBe(busy)
  })

  it.each([
    ['the longest accepted', '60', 60_000],
    ['a longer one', '61', 0],
  ])('of %s wait is in the error, but closes only for what is accepted', (_, seconds, wait) => {
    const heeded = heed({ 'retry-after': seconds })
    expect(heeded.wait).toBe(wait)
    expect(heeded.error.retryAfterMs).toBe(Number(seconds) * 1_000)
  })

  it('as a date counts by the clock of the server', () => {
    expect(heed({ date, 'retry-after': 'Sat, 15 Jun 2030 12:00:30 GMT' }).wait).toBe(30_000)
  })

  it.each([
    ['no date', {}],
    ['an invalid one', { date: 'now' }],
  ])('as a date counts by the local clock if the response has %s', (_, headers) => {
    expect(heed({ ...headers, 'retry-after': 'Sat, 15 Jun 2030 12:00:30 GMT' }).wait).toBe(30_000)
  })
})

describe('RateLimit', () => {
  const limited = new DownloadError('HTTP_ERROR', 'Too many.', { status: 429, retryable: true })
  const times = { now: 1_000, wallNow: 0, maxMs: 60_000 }

  it('closes the origin with a 429, but not with a 502', () => {
    const gate = new HostGate()
    const headers = { ratelimit: '"api";r=0;t=55' }
    expect(gate.heed('https://host', { status: 502, headers }, limited, times)).toBe(limited)
    expect(gate.wait('https://host', 1_000)).toBe(0)
    expect(gate.heed('https://host', { status: 429, headers }, limited, times).retryAfterMs).toBe(55_000)
    expect(gate.wait('https://host', 1_000)).toBe(55_000)
  })

  it('does not count where the error states a wait already', () => {
    const gate = new HostGate()
    const error = new DownloadError('HTTP_ERROR', 'Too many.', { status: 403, retryAfterMs: 9_000 })
    const head = { status: 403, headers: { ratelimit: '"api";r=0;t=55' } }
    expect(gate.heed('https://host', head, error, times)).toBe(error)
    expect(gate.wait('https://host', 1_000)).toBe(9_000)
  })
})

it('HostGate knows who has been served, and forgets the oldest of very many origins', () => {
  const gate = new HostGate()
  expect(gate.hasServedSince('https://host', 0)).toBe(false)
  gate.noteServed('https://host', 5)
  expect(gate.hasServedSince('https://host', 5)).toBe(true)
  expect(gate.hasServedSince('https://host', 6)).toBe(false)
  expect(gate.hasServedSince('https://other', 0)).toBe(false)
  gate.close('https://host', 9)
  for (let nth = 0; nth < 1_000; nth += 1) {
    gate.noteServed(`https://h${nth}`, 6)
    gate.close(`https://h${nth}`, 9)
  }
  expect(gate.hasServedSince('https://host', 4)).toBe(false)
  expect([gate.wait('https://host', 8), gate.wait('https://h0', 8)]).toEqual([0, 1])
})

describe('HostGates', () => {
  const trusted = { remote: false }
  const remote = { remote: true }
  /** Gates of a thread whose clock shows `now`, and what they tell. */
  function make() {
    const gates = new HostGates()
    const told: HostWait[] = []
    const forget = gates.onWait((wait) => told.push(wait))
    const asks = (callers: { remote: boolean }, retryAfter: string, now: number) =>
      gates
        .for(callers)
        .heed(
          'https://host',
          { status: 429, headers: { 'retry-after': retryAfter } },
          new DownloadError('HTTP_ERROR', 'x'),
          { now, wallNow: 0, maxMs: 60_000 },
        )
    const waits = (now: number) =>
      [trusted, remote].map((callers) => gates.for(callers).wait('https://host', now))
    return { gates, told, forget, asks, waits }
  }

  it('let what a remote caller is told hold for remote callers only', () => {
    const { gates, told, asks, waits } = make()
    asks(remote, '9', 1_000)
    expect(waits(1_000)).toEqual([0, 9_000])
    expect(told).toEqual([{ origin: 'https://host', waitMs: 9_000, remote: true }])
    expect(gates.waits(2_000)).toEqual([{ origin: 'https://host', waitMs: 8_000, remote: true }])
  })

  it('let what a trusted caller is told hold for all', () => {
    const { told, asks, waits } = make()
    asks(trusted, '9', 1_000)
    expect(waits(1_000)).toEqual([9_000, 9_000])
    expect(told).toEqual([{ origin: 'https://host', waitMs: 9_000, remote: false }])
  })

  it('tell each wait once, and none that is too long or that ends sooner', () => {
    const { told, forget, asks, waits } = make()
    for (const seconds of ['9', '9', '8', '61']) asks(trusted, seconds, 1_000)
    expect(told).toHaveLength(1)
    forget()
    asks(trusted, '20', 1_000)
    expect(told).toHaveLength(1)
    expect(waits(1_000)).toEqual([20_000, 20_000])
  })

  it.each([trusted, remote])('pass from thread to thread, whatever their clocks show: %o', (callers) => {
    const here = make()
    const there = make()
    here.asks(callers, '9', 1_000)
    for (const wait of here.told) there.gates.take(wait, 500_000)
    expect(there.waits(500_000)).toEqual(here.waits(1_000))
    // What it was told by the other thread it does not tell back.
    expect(there.told).toEqual([])
    const late = make()
    for (const wait of here.gates.waits(4_000)) late.gates.take(wait, 0)
    expect(late.waits(0)).toEqual(here.waits(4_000))
    expect(here.gates.waits(10_000)).toEqual([])
  })
})
