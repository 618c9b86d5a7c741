import { describe, expect, it } from 'vitest'
import { DownloadError } from '../../../src/errors.js'
import { FoundConnections } from '../../../src/engine/fetch/connection-ramp.js'
import { FetchConnection } from '../../../src/engine/fetch/connection.js'
import type { Outcome } from '../../../src/engine/fetch/outcome.js'
import { BufferPool } from '../../../src/engine/part/batch-writer.js'
import { HostGates } from '../../../src/net/host-gate.js'
import type { ExchangeListener } from '../../../src/net/exchange.js'
import type { HttpClient } from '../../../src/net/http.js'
import { firstHop } from '../../../src/net/redirects.js'
import { defaultTuning } from '../../../src/net/tuning.js'
import { ManualClock } from '../../support/clock.js'
import { waitFor } from '../../support/wait.js'

const reset = new DownloadError('TRUNCATED', 'The connection was reset.', { retryable: true })

/** A connection whose response the test sends itself, and what it has written. */
function begin() {
  let listener: ExchangeListener | null = null
  const exchange = { pause: () => undefined, resume: () => undefined, abort: () => undefined }
  const http = {
    exchange: (_request: unknown, given: ExchangeListener) => {
      listener = given
      return exchange
    },
    beGentle: () => undefined,
  }
  const written = Buffer.alloc(100)
  const sink = {
    blocks: true,
    write: () => Promise.resolve(),
    writeNow: (buffer: Buffer, position: number) => void buffer.copy(written, position),
  }
  const outcomes: Outcome[] = []
  const connection = new FetchConnection(
    1,
    { hop: firstHop(new URL('http://host/a'), {}), start: 0, end: null, headersTimeoutMs: 1_000 },
    {
      // Only these methods are used.
      http: http as unknown as HttpClient,
      tuning: defaultTuning,
      buckets: [],
      proxy: false,
      batchesFor: () => new BufferPool(1024, 2),
      found: new FoundConnections(),
      clock: new ManualClock(),
      gate: new HostGates().for({ remote: false }),
    },
    {
      onHead: () => undefined,
      onBytes: () => undefined,
      onRangeEnd: () => null,
      onClose: (_connection, outcome) => void outcomes.push(outcome),
    },
  )
  connection.start({})
  const server = listener as ExchangeListener | null
  if (server === null) throw new Error('No request was sent.')
  server.onSent()
  server.onHead({ status: 200, headers: { 'content-length': '100' } })
  const text = () => written.toString('latin1').replace(/\0+$/, '')
  return { connection, server, sink, outcomes, text }
}

describe('a response that is cut before it is accepted', () => {
  it('is used as far as it was received, and fails afterwards', async () => {
    const { connection, server, sink, outcomes, text } = begin()
    server.onData(Buffer.from('what has '))
    server.onData(Buffer.from('come'))
    server.onError(reset)
    expect(connection.isClosed).toBe(false)
    expect(outcomes).toEqual([])
    connection.accept(sink, { end: 100, bodyEnd: 100 })
    await waitFor(() => outcomes.length > 0)
    expect(outcomes).toEqual([{ kind: 'failed', error: reset, local: false }])
    expect(text()).toBe('what has come')
    expect(connection.position).toBe(13)
  })

  it('is used if its first bytes are read meanwhile', async () => {
    const { connection, server, sink, outcomes, text } = begin()
    const first = connection.peek(4)
    server.onData(Buffer.from('what has come'))
    server.onError(reset)
    expect((await first).toString()).toBe('what')
    connection.accept(sink, { end: 100, bodyEnd: 100 })
    await waitFor(() => outcomes.length > 0)
    expect(text()).toBe('what has come')
  })

  it.each(['before', 'after'])('has failed if its first bytes are missing, asked for %s', async (when) => {
    const { connection, server, outcomes } = begin()
    const before = when === 'before' ? connection.peek(50) : null
    server.onData(Buffer.from('too few'))
    server.onError(reset)
    await expect(before ?? connection.peek(50)).rejects.toMatchObject({ code: 'TRUNCATED' })
    await waitFor(() => outcomes.length > 0)
    expect(outcomes).toEqual([{ kind: 'failed', error: reset, local: false }])
  })

  it('is dropped if nobody wants it', async () => {
    const { connection, server, outcomes, text } = begin()
    server.onData(Buffer.from('unwanted'))
    server.onError(reset)
    connection.stop()
    await waitFor(() => outcomes.length > 0)
    expect(outcomes).toEqual([{ kind: 'stopped' }])
    expect(text()).toBe('')
  })

  it('is complete if all of it has come', async () => {
    const { connection, server, sink, outcomes } = begin()
    server.onData(Buffer.alloc(100, 'x'))
    server.onError(reset)
    connection.accept(sink, { end: 100, bodyEnd: 100 })
    await waitFor(() => outcomes.length > 0)
    expect(outcomes).toEqual([{ kind: 'done' }])
  })
})
