import { afterAll, describe, expect, it } from 'vitest'
import type { Exchange } from '../../../src/net/exchange.js'
import { HttpClient } from '../../../src/net/http.js'
import fc from '../../support/properties.js'
import { body, compareReaders, oddScript, outcomeOf } from '../../support/body-readers.js'
import { startScriptedServer } from '../../support/scripted-server.js'
import { withTimeout } from '../../support/wait.js'

const bytes = (text: string) => Buffer.from(text, 'latin1')

const server = await startScriptedServer()
afterAll(() => server[Symbol.asyncDispose]())

describe('the fast body reader', () => {
  it('reads every response as the standard one does', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(oddScript, async (given) => {
        const { fast, standard } = await compareReaders(server, given)
        expect(fast).toEqual(standard)
      }),
      { numRuns: 400 },
    )
  })

  const plain = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`

  it('uses a connection again, in both ways', async () => {
    const before = server.connections
    await using http = disposable(new HttpClient({ connectTimeoutMs: 5_000, bodyReader: 'fast' }))
    const url = server.answer('/again', { pieces: [bytes(plain)], then: 'keep' })
    for (let count = 0; count < 3; count += 1) {
      expect(await outcomeOf(http.client, url)).toMatchObject({ body, end: 'complete' })
    }
    expect(server.connections - before).toBe(1)
    const odd = server.answer('/odd', {
      pieces: [bytes('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n')],
      then: 'keep',
    })
    // On the idle connection; the next ones are undici's from the beginning.
    for (let count = 0; count < 4; count += 1) {
      expect(await outcomeOf(http.client, odd)).toMatchObject({ body: 'abc', end: 'complete' })
      // undici uses a connection again in the turn after the end of a response.
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(server.connections - before).toBe(2)
  })

  it('does not use a connection again that the server closes, or has sent too much on', async () => {
    for (const answer of [plain.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'), `${plain}x`]) {
      const before = server.connections
      await using http = disposable(new HttpClient({ connectTimeoutMs: 5_000, bodyReader: 'fast' }))
      const url = server.answer('/once', { pieces: [bytes(answer)], then: 'keep' })
      for (let count = 0; count < 2; count += 1) {
        expect(await outcomeOf(http.client, url)).toMatchObject({ body, end: 'complete' })
      }
      expect(server.connections - before).toBe(2)
    }
  })

  it('asks again when an idle connection turns out to be closed', async () => {
    const before = server.connections
    await using http = disposable(new HttpClient({ connectTimeoutMs: 5_000, bodyReader: 'fast' }))
    // Without a word that it will close the connection.
    const url = server.answer('/closing', { pieces: [bytes(plain)], then: 'end' })
    for (let count = 0; count < 4; count += 1) {
      expect(await outcomeOf(http.client, url)).toMatchObject({ body, end: 'complete' })
    }
    expect(server.connections - before).toBeLessThanOrEqual(4)
    // But only once, and only when nothing was said.
    const never = server.answer('/never', { pieces: [], then: 'end' })
    expect(await outcomeOf(http.client, never)).toMatchObject({ body: '', end: 'CONNECT_FAILED' })
  })

  it('passes on nothing while it is paused, but for what has been read', async () => {
    await using http = disposable(new HttpClient({ connectTimeoutMs: 5_000, bodyReader: 'fast' }))
    const size = 8 << 20
    const url = server.answer('/large', {
      pieces: [bytes(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`), Buffer.alloc(size, 'x')],
      then: 'keep',
    })
    let received = 0
    let whilePaused: number | null = null
    let exchange: Exchange | null = null
    await withTimeout(
      new Promise<void>((resolve, reject) => {
        exchange = http.client.exchange(
          { url, headers: {}, proxy: false },
          {
            onSent: () => undefined,
            onHead: () => undefined,
            onData: (chunk) => {
              received += chunk.length
              if (received < size / 4 || whilePaused !== null) return
              exchange?.pause()
              const before = received
              whilePaused = 0
              // The kernel has more by then, which a reader that does not pause would read first.
              setImmediate(() =>
                setImmediate(() => {
                  whilePaused = received - before
                  exchange?.resume()
                }),
              )
            },
            onEnd: resolve,
            onError: reject,
          },
        )
      }),
      10_000,
      'the end of the exchange',
    )
    expect({ received, whilePaused }).toEqual({ received: size, whilePaused: 0 })
  })

  it.each([
    ['fast', 'onHead'],
    ['fast', 'onData'],
    ['standard', 'onHead'],
    ['standard', 'onData'],
  ] as const)('takes what a listener throws for a bug: %s, %s', async (bodyReader, where) => {
    await using http = disposable(new HttpClient({ connectTimeoutMs: 5_000, bodyReader }))
    const url = server.answer('/bug', { pieces: [bytes(plain)], then: 'keep' })
    const fails = (name: string) => {
      if (name === where) throw new TypeError('a bug')
    }
    const error = await withTimeout(
      new Promise((resolve) => {
        const listener = { onSent: () => undefined, onEnd: () => resolve('complete'), onError: resolve }
        const calls = { onHead: () => fails('onHead'), onData: () => fails('onData') }
        http.client.exchange({ url, headers: {}, proxy: false }, { ...listener, ...calls })
      }),
      10_000,
      'the end of the exchange',
    )
    expect(error).toMatchObject({ code: 'INTERNAL', message: 'Unexpected failure: a bug' })
  })

  it('tells whoever waits that it is closed', async () => {
    const http = new HttpClient({ connectTimeoutMs: 5_000, bodyReader: 'fast' })
    const silent = server.answer('/silent', { pieces: [], then: 'keep' })
    const cut = outcomeOf(http, silent)
    const opening = outcomeOf(http, silent)
    await new Promise((resolve) => setImmediate(resolve))
    await http.close()
    expect((await cut).end).toBe('CONNECT_FAILED')
    expect((await opening).end).toBe('CONNECT_FAILED')
  })
})

function disposable(client: HttpClient) {
  return { client, [Symbol.asyncDispose]: () => client.close() }
}
