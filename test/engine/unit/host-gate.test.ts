import { describe, expect, it } from 'vitest'
import { HostGate } from '../../../src/engine/fetch/retry-budget.js'
import { DownloadError } from '../../../src/errors.js'

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
