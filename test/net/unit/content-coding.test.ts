/** What a `Content-Encoding` means that nobody asked for, and how it is undone. */
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import fc from '../../support/properties.js'
import { type Coding, contentCodingOf } from '../../../src/net/content-coding.js'
import { BodyDecoder, decodeBody } from '../../../src/net/decoder.js'
import type { DownloadError } from '../../../src/errors.js'

const url = new URL('https://host/model.bin')
const of = (encoding: string | string[], more: Record<string, string> = {}, at = url) =>
  contentCodingOf({ 'content-encoding': encoding, ...more }, at)

describe('a Content-Encoding', () => {
  it('means nothing where there is none', () => {
    expect(contentCodingOf({}, url)).toEqual({ codings: [], ignored: null, unsupported: null })
  })

  it.each(['', 'identity', 'Identity, identity', ' , '])('of %j means nothing', (encoding) => {
    expect(of(encoding)).toEqual({ codings: [], ignored: null, unsupported: null })
  })

  it.each([
    'aws-chunked',
    'UTF-8',
    'none',
    'binary',
    '8bit',
    'utf8, binary',
    'chunked',
    '*',
    '"gzip"',
    'constructor',
  ])('of %j is ignored', (encoding) => {
    expect(of(encoding)).toEqual({ codings: [], ignored: encoding, unsupported: null })
  })

  it.each<[string | string[], string[]]>([
    ['gzip', ['gzip']],
    [' GZIP ', ['gzip']],
    ['x-gzip', ['gzip']],
    ['br', ['br']],
    ['deflate', ['deflate']],
    ['zstd', ['zstd']],
    ['identity, gzip', ['gzip']],
    ['aws-chunked,gzip', ['gzip']],
    [
      ['gzip', 'br'],
      ['gzip', 'br'],
    ],
  ])('of %j can be undone', (encoding, codings) => {
    expect(of(encoding)).toMatchObject({ codings, unsupported: null })
  })

  it.each(['compress', 'x-compress', 'dcb', 'gzip, exi', 'gzip, gzip, gzip, gzip'])(
    'of %j can not be undone',
    (encoding) => {
      expect(of(encoding)).toEqual({ codings: [], ignored: null, unsupported: encoding })
    },
  )

  it.each<[string | string[], string]>([
    [' aws-chunked ', 'aws-chunked'],
    [['a', 'b'], 'a, b'],
    ['identity, none', 'identity, none'],
  ])('of %j is ignored as %j', (encoding, ignored) => {
    expect(of(encoding)).toEqual({ codings: [], ignored, unsupported: null })
  })

  it('can be undone up to three times, beside words that mean nothing', () => {
    const three = ['gzip', 'gzip', 'gzip']
    expect(of(three)).toEqual({ codings: three, ignored: null, unsupported: null })
    expect(of('UTF-8, gzip')).toEqual({ codings: ['gzip'], ignored: 'UTF-8, gzip', unsupported: null })
  })

  it('is not that of the file itself if there are several, or if no file has it', () => {
    const at = new URL('/model.gz', url)
    expect(of('gzip, br', {}, at).codings).toEqual(['gzip', 'br'])
    expect(of('deflate', {}, at).codings).toEqual(['deflate'])
    expect(of('br', {}, new URL('/model.brx', url)).codings).toEqual(['br'])
    expect(of('zstd', {}, new URL('/model.zstx', url)).codings).toEqual(['zstd'])
  })

  it.each([
    ...['application/gzip', 'application/x-gzip', 'application/x-tgz', 'application/x-gtar'],
    ...['application/x-compressed', 'application/x-compressed-tar', 'APPLICATION/GZIP; charset=binary'],
  ])('is that of the file itself with the type %s', (type) => {
    expect(of('gzip', { 'content-type': type }).codings).toEqual([])
  })

  it.each([
    ['gzip', 'application/xgzip'],
    ['gzip', 'application/gzipped'],
    ['gzip', 'text/application/gzip'],
    ['gzip', 'application/zstd'],
    ['br', 'application/brx'],
    ['br', 'x-application/br'],
    ['zstd', 'application/zstdx'],
    ['zstd', 'x-application/zstd'],
  ])('is not that of the file itself: %s with the type %s', (encoding, type) => {
    expect(of(encoding, { 'content-type': type }).codings).toEqual([encoding])
  })

  it.each<[string, Record<string, string>, string]>([
    ['zstd', { 'content-type': 'application/zstd' }, '/download'],
    ['zstd', { 'content-type': 'application/x-zstd' }, '/download'],
    ['zstd', {}, '/model.tzst'],
    ['br', { 'content-type': 'application/br' }, '/download'],
    ['br', { 'content-type': 'application/x-br' }, '/download'],
    ['br', { 'content-type': 'application/brotli' }, '/download'],
    ['gzip', {}, '/a.gzip'],
    ['gzip', {}, '/a.svgz'],
    ['gzip', { 'content-disposition': 'attachment; filename=a.gz; size=1' }, '/download'],
    ['zstd', { 'content-disposition': 'attachment; filename="a.zst"' }, '/download'],
    ['zstd', { 'content-disposition': 'attachment; filename=a.zst ; size=1' }, '/download'],
    ['br', { 'content-disposition': 'attachment; filename="a.br"' }, '/download'],
    ['br', { 'content-disposition': 'attachment; filename=a.br ; size=1' }, '/download'],
    ['x-gzip', {}, '/model.tar.gz'],
    ['gzip', {}, '/model.TGZ'],
    ['gzip', { 'content-type': 'application/x-gzip' }, '/download'],
    ['gzip', { 'content-disposition': 'attachment; filename="model.tar.gz"' }, '/download'],
    ['zstd', {}, '/model.tar.zst'],
    ['br', {}, '/model.js.br'],
  ])('of %j is that of the file itself: %o %s', (encoding, headers, path) => {
    expect(of(encoding, headers, new URL(path, url))).toEqual({
      codings: [],
      ignored: encoding,
      unsupported: null,
    })
  })

  it.each(['/model.gz.bin', '/gz', '/model.zst', '/model.gzx', '/modelgz'])('is not that of %s', (path) => {
    expect(of('gzip', { 'content-type': 'application/octet-stream' }, new URL(path, url)).codings).toEqual([
      'gzip',
    ])
  })

  it('is one thing only, whatever it says', () => {
    const words = fc.constantFrom('gzip', 'br', 'compress', 'none', 'identity', '', ' x ')
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string())), (list) => {
        const { codings, unsupported } = of(list)
        expect(codings.length === 0 || unsupported === null).toBe(true)
      }),
    )
  })
})

const content = Buffer.from('model '.repeat(50_000))

/** Decodes in pieces of 1,000 bytes. */
function decoded(codings: ('gzip' | 'br' | 'deflate')[], body: Buffer): Promise<Buffer | DownloadError> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let paused = false
    const decoder = new BodyDecoder(
      codings,
      { pause: () => (paused = true), resume: () => (paused = false), abort: () => undefined },
      {
        onData: (chunk) => chunks.push(Buffer.from(chunk)),
        onEnd: () => {
          resolve(Buffer.concat(chunks))
        },
        onError: resolve,
      },
    )
    decoder.resume()
    // The memory of a chunk is reused.
    const reused = Buffer.alloc(1000)
    for (let at = 0; at < body.length; at += 1000) {
      const count = body.copy(reused, 0, at)
      decoder.write(reused.subarray(0, count))
      reused.fill(0)
    }
    decoder.end()
    expect(typeof paused).toBe('boolean')
  })
}

describe('a body', () => {
  it.each<[('gzip' | 'br' | 'deflate')[], Buffer]>([
    [['gzip'], gzipSync(content)],
    [['gzip'], Buffer.concat([gzipSync(content.subarray(0, 5)), gzipSync(content.subarray(5))])],
    [['br'], brotliCompressSync(content)],
    [['deflate'], deflateSync(content)],
    [['deflate'], deflateRawSync(content)],
    [['gzip', 'br'], brotliCompressSync(gzipSync(content))],
  ])('in %j is decoded (%#)', async (codings, body) => {
    expect(content.equals((await decoded(codings, body)) as Buffer)).toBe(true)
    expect(content.equals(await decodeBody(body, codings, 1_000_000))).toBe(true)
  })

  it('that is cut off is TRUNCATED', async () => {
    const cut = gzipSync(content).subarray(0, -20)
    expect(await decoded(['gzip'], cut)).toMatchObject({ code: 'TRUNCATED', retryable: true })
    expect(await decoded(['gzip'], Buffer.alloc(0))).toMatchObject({ code: 'TRUNCATED' })
    await expect(decodeBody(cut, ['gzip'], 1_000_000)).rejects.toThrow(/ended before/)
  })

  it('that is not encoded is PROTOCOL_ERROR', async () => {
    expect(await decoded(['gzip'], content)).toMatchObject({ code: 'PROTOCOL_ERROR', retryable: true })
    await expect(decodeBody(content, ['br'], 1_000_000)).rejects.toThrow(/not encoded as/)
  })

  it('may not become larger than expected', async () => {
    await expect(decodeBody(gzipSync(content), ['gzip'], 1_000)).rejects.toThrow(/too large/)
  })

  it('is decoded while the event loop goes on, however large it becomes', async () => {
    const large = Buffer.alloc(8 * 1024 * 1024, '{"path":"model"},')
    const bodies: [Coding, Buffer][] = [
      ['gzip', gzipSync(large, { level: 1 })],
      ['br', brotliCompressSync(large, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
      ['deflate', deflateRawSync(large, { level: 1 })],
    ]
    for (const [coding, body] of bodies) {
      let turns = 0
      let isDone = false
      const turn = () => {
        turns += 1
        if (!isDone) setImmediate(turn)
      }
      setImmediate(turn)
      const decodedBody = await decodeBody(body, [coding], large.length)
      isDone = true
      expect(large.equals(decodedBody)).toBe(true)
      // Each piece of the result is a turn of its own.
      expect(turns, coding).toBeGreaterThan(100)
    }
  })
})
