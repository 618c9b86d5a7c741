/** What the engine's own parser reads, and what it leaves to a complete one. */
import { describe, expect, it } from 'vitest'
import { maxPlainHeadBytes, parsePlainHead } from '../../../src/net/direct/plain-head.js'
import { cpuMs } from '../../support/cost.js'

const bytes = (text: string) => Buffer.from(text, 'latin1')

describe('parsePlainHead', () => {
  it('reads a plain head', () => {
    const head =
      'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: "a"\r\nSet-Cookie: a=1\r\nset-cookie:  b=2\r\nX:\r\nKeep-Alive: timeout=5, max=9\r\n\r\n'
    expect(parsePlainHead(bytes(`${head}hello`))).toEqual({
      status: 206,
      headers: {
        'content-length': '5',
        etag: '"a"',
        'set-cookie': ['a=1', 'b=2'],
        x: '',
        'keep-alive': 'timeout=5, max=9',
      },
      bodyBytes: 5,
      isReusable: true,
      idleMs: 5_000,
      headBytes: head.length,
    })
    expect(parsePlainHead(bytes(head.replace('ETag: "a"', 'Connection: Close')))).toMatchObject({
      isReusable: false,
    })
  })

  it('waits for the rest of a head', () => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
    for (let length = 0; length < head.length; length += 1) {
      expect(parsePlainHead(bytes(head.slice(0, length)))).toBe('incomplete')
    }
  })

  it.each([
    'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n',
    'HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\n',
    'XHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    'http/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 200 O\0K\r\nContent-Length: 5\r\n\r\n',
    '\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.1 200 OK\nContent-Length: 5\n\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\rX: 1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n X\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nUpgrade: h2c\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, close\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nProxy-Connection: close\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nno colon\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n: no name\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA B: 1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: \x7f\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n__proto__: 1\r\n\r\n',
    'SSH-2.0-OpenSSH_9.2\r\n',
    `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: ${'a'.repeat(20_000)}`,
  ])('leaves %j to a complete parser', (head) => {
    expect(parsePlainHead(bytes(head))).toBe('odd')
  })

  it('takes a length of up to fifteen digits, and no other status than those that may have a body', () => {
    const of = (length: string, status = '200') =>
      parsePlainHead(bytes(`HTTP/1.1 ${status} OK\r\nContent-Length: ${length}\r\n\r\n`))
    expect(of('9'.repeat(15))).toMatchObject({ bodyBytes: 999_999_999_999_999 })
    expect(of('0')).toMatchObject({ bodyBytes: 0, isReusable: true, idleMs: null })
    for (const status of ['200', '206', '404', '599'])
      expect(of('5', status)).toMatchObject({ status: +status })
    for (const status of ['199', '600', '20', '2x0']) expect(of('5', status), status).toBe('odd')
  })

  it.each([
    ['timeout=7', 7_000],
    ['max=100, Timeout=20', 20_000],
    ['timeout=123456', 123_456_000],
    ['timeout=1234567', null],
    ['xtimeout=7', null],
    ['timeout=7x', null],
    ['timeout=x', null],
    ['max=7', null],
  ])('Keep-Alive: %s', (value, idleMs) => {
    const head = `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: ${value}\r\n`
    expect(parsePlainHead(bytes(`${head}\r\n`))).toMatchObject({ idleMs })
    // Two of them say nothing.
    expect(parsePlainHead(bytes(`${head}Keep-Alive: timeout=1\r\n\r\n`))).toMatchObject({ idleMs: null })
  })

  it.each([
    ['keep-alive', true],
    ['Keep-Alive', true],
    ['CLOSE', false],
  ])('Connection: %s', (value, isReusable) => {
    const head = `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: ${value}\r\n\r\n`
    expect(parsePlainHead(bytes(head))).toMatchObject({ isReusable })
  })

  it.each(['closed', 'not close', 'upgrade'])('Connection: %s is left to a complete parser', (value) => {
    const head = `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: ${value}\r\n\r\n`
    expect(parsePlainHead(bytes(head))).toBe('odd')
  })

  it('keeps all values of a name that is repeated, without blanks before them', () => {
    const fields = ['A: 1', 'a:\t 2', 'A:3 4', "!#$%&'*+-.^_`|~09Zz: \x80\xff\t~"]
    const head = `HTTP/1.1 200 \t~\xff\r\nContent-Length: 5\r\n${fields.join('\r\n')}\r\n\r\n`
    expect(parsePlainHead(bytes(head))).toMatchObject({
      headers: { a: ['1', '2', '3 4'], "!#$%&'*+-.^_`|~09zz": '\x80\xff\t~' },
    })
  })

  it.each([
    'nocolon',
    'A: 1 ',
    'A: 1\t',
    'A\t: 1',
    'constructor: 1',
    'A: \x1f',
    'A: \n1',
    '\xe9: 1',
    'a(b): 1',
  ])('leaves the field %j to a complete parser', (field) => {
    const head = `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${field}\r\n\r\n`
    expect(parsePlainHead(bytes(head))).toBe('odd')
  })

  it.each(['200 OK', '204 No Content'])(
    'does not wait for the end of a head of %s that is too long',
    (line) => {
      const start = `HTTP/1.1 ${line}\r\nA: `
      const long = (length: number) => bytes(start + 'a'.repeat(length - start.length))
      expect(parsePlainHead(long(maxPlainHeadBytes - 1))).toBe('incomplete')
      expect(parsePlainHead(long(maxPlainHeadBytes))).toBe('odd')
      // The end is not looked for behind that.
      const end = '\r\nContent-Length: 5\r\n\r\n'
      expect(parsePlainHead(Buffer.concat([long(maxPlainHeadBytes - 1), bytes(end)]))).toBe('odd')
    },
  )

  it.each([
    '\n',
    'HTTP/1.1 200 OK\n',
    'HTTP/1.1 200 OK\rA',
    'HTTP/1.1 200 OK\r\n\nA',
    'HTTP/2',
    'h',
    'HTTP/1.1\t',
  ])('does not wait for more after %j', (text) => {
    expect(parsePlainHead(bytes(text))).toBe('odd')
  })

  it('takes no longer than a head is long', async () => {
    for (const text of [' ', '\t', ':', 'a:', '\r', '\r\n', 'a: \r\n', ',']) {
      const head = bytes(`HTTP/1.1 200 OK\r\nA: ${text.repeat(16_000 / text.length)}`)
      expect(await cpuMs(() => parsePlainHead(head))).toBeLessThan(50)
    }
  })
})
