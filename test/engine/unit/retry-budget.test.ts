import { describe, expect, it, vi } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { RetryBudget } from '../../../src/engine/fetch/retry-budget.js'
import { deterministic } from '../../../src/net/errors.js'
import { defaultTuning, type TransferTuning } from '../../../src/net/tuning.js'

const badServer = new DownloadError('HTTP_ERROR', 'HTTP 500', { retryable: true })
const noNetwork = new DownloadError('CONNECT_FAILED', 'refused', { retryable: true })
const make = (tuning: Partial<TransferTuning> = {}) =>
  new RetryBudget(
    { ...defaultTuning, maxAttempts: 3, outageMs: 1_000, minDelayMs: 0, maxDelayMs: 0, ...tuning },
    0,
  )

describe('RetryBudget', () => {
  it('is over after as many failures as are allowed', () => {
    const budget = make()
    expect(budget.failed(badServer, 1)).toEqual({ kind: 'wait', attempt: 1, delayMs: 0 })
    expect(budget.failed(badServer, 2)).toMatchObject({ kind: 'wait', attempt: 2 })
    expect(budget.failed(badServer, 3)).toEqual({ kind: 'give-up', reason: 'attempts' })
    expect(budget.attempts).toBe(3)
  })

  it('waits for a file handle without counting, for ten minutes', () => {
    const cause = Object.assign(new Error('too many open files'), { code: 'EMFILE' })
    const noHandle = new DownloadError('DISK_IO', 'too many', { retryable: true, cause })
    const budget = make()
    for (let now = 0; now < 600_000; now += 10_000) {
      const verdict = budget.failed(noHandle, now)
      expect(verdict).toMatchObject({ kind: 'wait', attempt: 1 })
      // A wait of 0 ms would be a busy loop.
      expect(verdict.kind === 'wait' && verdict.delayMs).toBeGreaterThanOrEqual(100)
      expect(verdict.kind === 'wait' && verdict.delayMs).toBeLessThan(500)
    }
    expect(budget.failed(noHandle, 600_000)).toMatchObject({ attempt: 1 })
    expect(budget.attempts).toBe(1)
    budget.failed(noHandle, 600_000)
    expect(budget.failed(noHandle, 600_000)).toEqual({ kind: 'give-up', reason: 'attempts' })
  })

  it('waits for a file handle for ten minutes after the last byte', () => {
    const cause = Object.assign(new Error('too many open files'), { code: 'EMFILE' })
    const noHandle = new DownloadError('DISK_IO', 'too many', { retryable: true, cause })
    const budget = make()
    budget.noteBytes(1, 400_000)
    budget.failed(noHandle, 999_999)
    expect(budget.attempts).toBe(0)
    budget.failed(noHandle, 1_000_000)
    expect(budget.attempts).toBe(1)
  })

  it('waits for a file handle for a random time, so that not all connections try at once', () => {
    const cause = Object.assign(new Error('too many open files'), { code: 'EMFILE' })
    const noHandle = new DownloadError('DISK_IO', 'too many', { retryable: true, cause })
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    expect(make().failed(noHandle, 1)).toEqual({ kind: 'wait', attempt: 1, delayMs: 300 })
    vi.restoreAllMocks()
  })

  it('is whole again after any new byte', () => {
    const budget = make()
    for (let bytes = 1; bytes <= 20; bytes += 1) {
      budget.failed(badServer, bytes)
      budget.failed(badServer, bytes)
      budget.noteBytes(bytes, bytes)
      expect(budget.attempts).toBe(0)
    }
  })

  it('does not count the same bytes fetched once more', () => {
    const budget = make()
    budget.noteBytes(500, 1)
    budget.failed(badServer, 2)
    budget.noteBytes(100, 3)
    budget.noteBytes(500, 4)
    expect(budget.attempts).toBe(1)
    budget.noteBytes(501, 5)
    expect(budget.attempts).toBe(0)
  })

  it('counts them when the file is another one', () => {
    const budget = make()
    budget.noteBytes(500, 1)
    budget.failed(badServer, 2)
    budget.forgetBytes()
    budget.noteBytes(1, 3)
    expect(budget.attempts).toBe(0)
  })

  it('does not count a few bytes between stalls', () => {
    const stalled = new DownloadError('STALLED', 'next to nothing', { retryable: true })
    const budget = make({ lowSpeedBytesPerSecond: 1_000, lowSpeedTimeMs: 2_000 })
    budget.noteBytes(5_000, 0)
    for (let turn = 1; turn <= 2; turn += 1) {
      expect(budget.failed(stalled, turn)).toMatchObject({ kind: 'wait', attempt: turn })
      budget.noteBytes(5_000 + turn * 1_999, turn)
    }
    expect(budget.failed(stalled, 3)).toEqual({ kind: 'give-up', reason: 'attempts' })
    budget.noteBytes(11_000, 4)
    expect(budget.failed(stalled, 4)).toMatchObject({ kind: 'wait', attempt: 1 })
  })

  it('outlasts a dead network for a while once bytes have come', () => {
    const budget = make()
    budget.noteBytes(1, 0)
    for (let now = 100; now < 1_000; now += 100) expect(budget.failed(noNetwork, now).kind).toBe('wait')
    expect(budget.failed(noNetwork, 1_000)).toEqual({ kind: 'give-up', reason: 'attempts' })
  })

  it('does not outlast a network that was never there', () => {
    const budget = make()
    budget.failed(noNetwork, 1)
    budget.failed(noNetwork, 2)
    expect(budget.failed(noNetwork, 3).kind).toBe('give-up')
  })

  it('remembers the last failure', () => {
    const budget = make()
    expect(budget.lastError).toBeNull()
    budget.failed(badServer, 1)
    budget.failed(noNetwork, 2)
    expect(budget.lastError).toBe(noNetwork)
  })

  it('outlasts an outage of the network only, not a server that answers', () => {
    const budget = make()
    budget.noteBytes(1, 0)
    budget.failed(badServer, 1)
    budget.failed(badServer, 2)
    expect(budget.failed(badServer, 3).kind).toBe('give-up')
    expect(budget.failed(noNetwork, 4)).toMatchObject({ kind: 'wait', attempt: 4 })
  })

  it('keeps the failures between two stalls whatever their kind, if hardly a byte has come', () => {
    const stalled = new DownloadError('STALLED', 'next to nothing', { retryable: true })
    const budget = make({ lowSpeedBytesPerSecond: 1_000, lowSpeedTimeMs: 2_000 })
    budget.failed(badServer, 1)
    budget.noteBytes(1, 2)
    expect(budget.failed(stalled, 3)).toMatchObject({ kind: 'wait', attempt: 2 })
    budget.noteBytes(2, 4)
    // Another failure than a stall is not about speed: any new byte counts.
    expect(budget.failed(badServer, 5)).toMatchObject({ kind: 'wait', attempt: 1 })
  })

  it('counts exactly as many bytes as a slow server sends in its time as progress', () => {
    const stalled = new DownloadError('STALLED', 'next to nothing', { retryable: true })
    const budget = make({ lowSpeedBytesPerSecond: 1_000, lowSpeedTimeMs: 2_000 })
    budget.failed(stalled, 1)
    budget.noteBytes(2_000, 2)
    expect(budget.failed(stalled, 3)).toMatchObject({ kind: 'wait', attempt: 1 })
    budget.noteBytes(3_999, 4)
    expect(budget.failed(stalled, 5)).toMatchObject({ kind: 'wait', attempt: 2 })
  })

  it('measures a download that starts over from its first byte', () => {
    const stalled = new DownloadError('STALLED', 'next to nothing', { retryable: true })
    const budget = make({ lowSpeedBytesPerSecond: 1_000, lowSpeedTimeMs: 2_000 })
    budget.noteBytes(9_000, 0)
    budget.failed(stalled, 1)
    budget.forgetBytes()
    budget.noteBytes(2_000, 2)
    expect(budget.failed(stalled, 3)).toMatchObject({ kind: 'wait', attempt: 1 })
    budget.forgetBytes()
    budget.noteBytes(1, 4)
    expect(budget.failed(stalled, 5)).toMatchObject({ kind: 'wait', attempt: 2 })
  })

  it('waits as long as the server asks, up to a limit', () => {
    const budget = make({ maxRetryAfterMs: 5_000 })
    const asks = (retryAfterMs: number) =>
      new DownloadError('HTTP_ERROR', 'HTTP 503', { retryable: true, retryAfterMs })
    expect(budget.failed(asks(5_000), 1)).toEqual({ kind: 'wait', attempt: 1, delayMs: 5_000 })
    expect(budget.failed(asks(5_001), 2)).toEqual({ kind: 'give-up', reason: 'retry-after' })
  })

  it('does not count a wait for a server that has served others since the failure before', () => {
    const budget = make({ maxAttempts: 2 })
    const limited = new DownloadError('HTTP_ERROR', 'HTTP 429', { retryable: true, retryAfterMs: 500 })
    const sinces: number[] = []
    const served = (answer: boolean) => (since: number) => (sinces.push(since), answer)
    for (const now of [10, 20, 30]) {
      expect(budget.failed(limited, now, served(true))).toEqual({ kind: 'wait', attempt: 1, delayMs: 500 })
    }
    expect(budget.failed(limited, 40, served(false))).toMatchObject({ kind: 'wait', attempt: 1 })
    expect(budget.failed(limited, 50, served(false))).toEqual({ kind: 'give-up', reason: 'attempts' })
    // One that it has served lately counts, too.
    expect(sinces.slice(1)).toEqual([20, 30, 40, 50].map((now) => now - 5_000))
    const alone = make({ maxAttempts: 2 })
    expect(alone.failed(limited, 10)).toMatchObject({ kind: 'wait', attempt: 1 })
    expect(alone.failed(limited, 20)).toEqual({ kind: 'give-up', reason: 'attempts' })
  })

  describe('with an error that the next request will meet again', () => {
    const broken = (message = 'not HTTP') =>
      deterministic(new DownloadError('PROTOCOL_ERROR', message, { retryable: true }))
    const alert = () => deterministic(new DownloadError('TLS_ERROR', 'alert', { retryable: true }))
    const over = { kind: 'give-up', reason: 'attempts' }

    it('is over after the second time in a row', () => {
      const budget = make()
      expect(budget.failed(broken(), 1)).toMatchObject({ kind: 'wait' })
      expect(budget.failed(broken(), 2)).toEqual(over)
    })

    it('goes on after another error, and after progress', () => {
      const budget = make({ maxAttempts: 9 })
      for (const error of [broken(), broken('a huge length'), badServer, broken()])
        expect(budget.failed(error, 1)).toMatchObject({ kind: 'wait' })
      budget.noteBytes(1, 2)
      expect(budget.failed(broken(), 3)).toMatchObject({ kind: 'wait', attempt: 1 })
      expect(budget.failed(broken(), 4)).toEqual(over)
    })

    it('is patient with handshakes of a server that has worked', () => {
      const budget = make()
      expect(budget.failed(alert(), 1)).toMatchObject({ kind: 'wait' })
      expect(budget.failed(alert(), 2)).toEqual(over)
      const worked = make()
      worked.noteBytes(1, 0)
      for (let now = 1; now < 1_000; now += 100)
        expect(worked.failed(alert(), now)).toMatchObject({ kind: 'wait' })
      expect(worked.failed(alert(), 1_001)).toEqual(over)
    })
  })
})
