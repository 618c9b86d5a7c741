import { describe, expect, it } from 'vitest'
import type { TransferResult } from '../../../src/engine/protocol.js'
import { DownloadError } from '../../../src/errors.js'
import { jobEventOf } from '../../../src/job/transfer-events.js'

const error = new DownloadError('HTTP_ERROR', 'The server is busy.', { status: 503, retryable: true })
const result: TransferResult = {
  path: '/models/model.gguf',
  filename: 'model.gguf',
  size: 5,
  sha256: 'a'.repeat(64),
  verification: { algorithm: 'sha256', value: 'a'.repeat(64), from: 'caller' },
  existed: false,
  fetchedBytes: 3,
  adoptedFrom: null,
  stamp: null,
}

describe('what a job tells of its transfer', () => {
  it.each([
    { type: 'phase', phase: 'resolving' },
    { type: 'phase', phase: 'verifying' },
    { type: 'progress', downloaded: 0, total: null, connections: 0 },
    { type: 'progress', downloaded: 3, total: 5, connections: 2 },
    { type: 'failed', error: error.toJSON() },
    { type: 'stopped', mode: 'pause' },
    { type: 'stopped', mode: 'close' },
    { type: 'stopped', mode: 'cancel' },
  ] as const)('is the same for $type', (event) => {
    expect(jobEventOf(event)).toEqual(event)
    // A name goes before messages only.
    expect(jobEventOf(event, 'a.bin')).toEqual(event)
  })

  it('is an error again when it is tried again, since only plain data comes out of a transfer', () => {
    const told = jobEventOf({ type: 'retrying', attempt: 2, delayMs: 500, error: error.toJSON() })
    expect(told).toMatchObject({ type: 'retrying', attempt: 2, delayMs: 500 })
    const again = told.type === 'retrying' ? told.error : null
    expect(again).toBeInstanceOf(DownloadError)
    expect(again).toMatchObject({
      code: 'HTTP_ERROR',
      status: 503,
      retryable: true,
      message: error.message,
    })
  })

  it.each([
    [undefined, ''],
    [null, ''],
    ['a.bin', 'a.bin: '],
    ['deep/b.bin', 'deep/b.bin: '],
  ])('names the file before each message, if it is one of several (%s)', (filename, prefix) => {
    for (const level of ['debug', 'info', 'warn', 'error'] as const) {
      const told = jobEventOf({ type: 'log', level, message: 'Going on.' }, filename)
      expect(told).toEqual({ type: 'log', level, message: `${prefix}Going on.` })
    }
    expect(jobEventOf({ type: 'restarted', error: error.toJSON() }, filename)).toEqual({
      type: 'log',
      level: 'warn',
      message: `${prefix}Starting over: The server is busy.`,
    })
  })

  it('is what is recorded of a file, and what its run was, when it is completed', () => {
    expect(jobEventOf({ type: 'completed', result })).toEqual({
      type: 'completed',
      patch: {
        filename: 'model.gguf',
        named: true,
        downloaded: 5,
        total: 5,
        resultSha256: result.sha256,
        verified: true,
        stamp: null,
      },
      run: result,
    })
  })
})
