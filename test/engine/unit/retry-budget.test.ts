import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { RetryBudget } from '../../../src/engine/fetch/retry-budget.js'
import { defaultTuning, type TransferTuning } from '../../../src/net/tuning.js'

const badServer = new DownloadError('HTTP_ERROR', 'HTTP 500', { retryable: true })
const noNetwork = new DownloadError('CONNECT_FAILED', 'refused', { retryable: true })
const make = (tuning: Partial<TransferTuning> = {}) =>
  new RetryBudget(
    { ...defaultTuning, maxAttempts: 3, outageMs: 1_000, minDelayMs: 0, maxDelayMs: 0, ...tuning },
    0,
  )

describe('Patience', () => {
  it('is over after as many failures as are allowed', () => {
    const patience = make()
    expect(patience.failed(badServer, 1)).toEqual({ kind: 'wait', attempt: 1, delayMs: 0 })
    expect(patience.failed(badServer, 2)).toMatchObject({ kind: 'wait', attempt: 2 })
    expect(patience.failed(badServer, 3)).toEqual({ kind: 'give-up', reason: 'attempts' })
    expect(patience.attempts).toBe(3)
  })

  it('waits for a file handle without counting, for ten minutes', () => {
    const cause = Object.assign(new Error('too many open files'), { code: 'EMFILE' })
    const noHandle = new DownloadError('DISK_IO', 'too many', { retryable: true, cause })
    const patience = make()
    for (let now = 0; now < 600_000; now += 10_000) {
      const verdict = patience.failed(noHandle, now)
      expect(verdict).toMatchObject({ kind: 'wait', attempt: 1 })
      // A wait of 0 ms would be a busy loop.
      expect(verdict.kind === 'wait' && verdict.delayMs).toBeGreaterThanOrEqual(100)
      expect(verdict.kind === 'wait' && verdict.delayMs).toBeLessThan(500)
    }
    expect(patience.failed(noHandle, 600_000)).toMatchObject({ attempt: 1 })
    expect(patience.attempts).toBe(1)
    patience.failed(noHandle, 600_000)
    expect(patience.failed(noHandle, 600_000)).toEqual({ kind: 'give-up', reason: 'attempts' })
  })

  it('is whole again after any new byte', () => {
    const patience = make()
    for (let bytes = 1; bytes <= 20; bytes += 1) {
      patience.failed(badServer, bytes)
      patience.failed(badServer, bytes)
      patience.noteBytes(bytes, bytes)
      expect(patience.attempts).toBe(0)
    }
  })

  it('does not count the same bytes fetched once more', () => {
    const patience = make()
    patience.noteBytes(500, 1)
    patience.failed(badServer, 2)
    patience.noteBytes(100, 3)
    patience.noteBytes(500, 4)
    expect(patience.attempts).toBe(1)
    patience.noteBytes(501, 5)
    expect(patience.attempts).toBe(0)
  })

  it('counts them when the file is another one', () => {
    const patience = make()
    patience.noteBytes(500, 1)
    patience.failed(badServer, 2)
    patience.forgetBytes()
    patience.noteBytes(1, 3)
    expect(patience.attempts).toBe(0)
  })

  it('does not count a few bytes between stalls', () => {
    const stalled = new DownloadError('STALLED', 'next to nothing', { retryable: true })
    const patience = make({ lowSpeedBytesPerSecond: 1_000, lowSpeedTimeMs: 2_000 })
    patience.noteBytes(5_000, 0)
    for (let turn = 1; turn <= 2; turn += 1) {
      expect(patience.failed(stalled, turn)).toMatchObject({ kind: 'wait', attempt: turn })
      patience.noteBytes(5_000 + turn * 1_999, turn)
    }
    expect(patience.failed(stalled, 3)).toEqual({ kind: 'give-up', reason: 'attempts' })
    patience.noteBytes(11_000, 4)
    expect(patience.failed(stalled, 4)).toMatchObject({ kind: 'wait', attempt: 1 })
  })

  it('outlasts a dead network for a while once bytes have come', () => {
    const patience = make()
    patience.noteBytes(1, 0)
    for (let now = 100; now < 1_000; now += 100) expect(patience.failed(noNetwork, now).kind).toBe('wait')
    expect(patience.failed(noNetwork, 1_000)).toEqual({ kind: 'give-up', reason: 'attempts' })
  })

  it('does not outlast a network that was never there', () => {
    const patience = make()
    patience.failed(noNetwork, 1)
    patience.failed(noNetwork, 2)
    expect(patience.failed(noNetwork, 3).kind).toBe('give-up')
  })

  it('waits as long as the server asks, up to a limit', () => {
    const patience = make({ maxRetryAfterMs: 5_000 })
    const asks = (retryAfterMs: number) =>
      new DownloadError('HTTP_ERROR', 'HTTP 503', { retryable: true, retryAfterMs })
    expect(patience.failed(asks(5_000), 1)).toEqual({ kind: 'wait', attempt: 1, delayMs: 5_000 })
    expect(patience.failed(asks(5_001), 2)).toEqual({ kind: 'give-up', reason: 'retry-after' })
  })
})
