import fc from '../support/properties.js'
import { describe, expect, it } from 'vitest'
import { SseParser, type SseEvent } from '../../src/client/events.js'

const encoder = new TextEncoder()

interface Read {
  events: SseEvent[]
  lastEventId: string
  retryMs: number | null
}

function read(bytes: Uint8Array, sizes: readonly number[] = []): Read {
  const parser = new SseParser()
  const events: SseEvent[] = []
  let at = 0
  for (const size of sizes) {
    events.push(...parser.push(bytes.subarray(at, at + size)))
    at += size
  }
  events.push(...parser.push(bytes.subarray(at)))
  return { events, lastEventId: parser.lastEventId, retryMs: parser.retryMs }
}

const readText = (text: string) => read(encoder.encode(text))

describe('reads', () => {
  it.each<[string, string, SseEvent[]]>([
    ['an event', 'event: state\ndata: {}\n\n', [{ event: 'state', data: '{}' }]],
    ['one without a name', 'data: x\n\n', [{ event: 'message', data: 'x' }]],
    ['data of several lines', 'data: a\ndata:\ndata: b\n\n', [{ event: 'message', data: 'a\n\nb' }]],
    ['no more than one space away', 'data:  x\ndata:y\n\n', [{ event: 'message', data: ' x\ny' }]],
    ['a colon in data', 'data: a: b:c\n\n', [{ event: 'message', data: 'a: b:c' }]],
    ['empty data', 'data\n\n', [{ event: 'message', data: '' }]],
    ['no data as no event', 'event: x\nid: 1\n\n', []],
    ['a name for its own event only', 'event: x\n\ndata: a\n\n', [{ event: 'message', data: 'a' }]],
    ['comments as nothing', ': ping\n\n:\ndata: a\n: b\ndata: c\n\n', [{ event: 'message', data: 'a\nc' }]],
    ['unknown names as nothing', 'data: a\nDATA: b\nx\n\n', [{ event: 'message', data: 'a' }]],
    ['CR', 'data: a\r\rdata: b\r\r:', ['a', 'b'].map((data) => ({ event: 'message', data }))],
    ['CRLF', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b'].map((data) => ({ event: 'message', data }))],
    ['all ends of lines mixed', 'data: a\rdata: b\ndata: c\r\n\n', [{ event: 'message', data: 'a\nb\nc' }]],
    ['a byte order mark as nothing', '\uFEFFdata: a\n\n', [{ event: 'message', data: 'a' }]],
    ['only the first one so', '\uFEFF\uFEFFdata: a\n\n', []],
    ['no event that lacks its end', 'data: a\n', []],
    ['no line that lacks its end', 'data: a\n\ndata: b', [{ event: 'message', data: 'a' }]],
  ])('%s', (_, text, events) => {
    expect(readText(text).events).toEqual(events)
  })

  it('the id of the last whole event', () => {
    expect(readText('id: 1\ndata: a\n\nid: 2\ndata: b\n').lastEventId).toBe('1')
    expect(readText('id: 1\ndata: a\n\ndata: b\n\n').lastEventId).toBe('1')
    expect(readText('id: 1\ndata: a\n\nid\ndata: b\n\n').lastEventId).toBe('')
    expect(readText('id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n').lastEventId).toBe('1')
  })

  it('how long to wait before asking again', () => {
    expect(readText('retry: 2000\n').retryMs).toBe(2000)
    expect(readText('retry: 2000\nretry: 2s\nretry: -1\nretry:\n').retryMs).toBe(2000)
    expect(readText('data: a\n\n').retryMs).toBeNull()
  })

  it('on from where another stream broke off', () => {
    const first = new SseParser()
    first.push(encoder.encode('retry: 7\nid: 5\ndata: a\n\nid: 6\nevent: x\ndata: lost'))
    const second = new SseParser(first)
    expect(second).toMatchObject({ lastEventId: '5', retryMs: 7 })
    expect(second.push(encoder.encode('data: b\n\n'))).toEqual([{ event: 'message', data: 'b' }])
    expect(second.lastEventId).toBe('5')
  })
})

describe('wherever chunks end', () => {
  it('CRLF in two chunks is one end of a line, also with nothing in between', () => {
    const parser = new SseParser()
    const chunks = ['data: a\r', '', '\n', '\r', '\n', 'data: b\r', '\ndata: c\r', '\n\r\n']
    const events = chunks.flatMap((chunk) => parser.push(encoder.encode(chunk)))
    expect(events.map(({ data }) => data)).toEqual(['a', 'b\nc'])
  })

  it('what was sent is read', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map((value) => value.replace(/[\r\n]/g, ''))
    const event = fc.record({ event: text, data: fc.array(text, { minLength: 1, maxLength: 3 }) })
    const sent = fc.array(event, { maxLength: 6 })
    fc.assert(
      fc.property(
        sent,
        fc.constantFrom('\n', '\r\n'),
        fc.array(fc.boolean(), { maxLength: 40 }),
        fc.array(fc.nat(9), { maxLength: 60 }),
        (events, end, comments, sizes) => {
          const lines = events.flatMap(({ event: name, data }) => [
            `event: ${name}`,
            ...data.map((line) => `data: ${line}`),
            '',
          ])
          const noisy = lines.flatMap((line, index) => (comments[index] === true ? [':é☃', line] : [line]))
          const whole = noisy.map((line) => line + end).join('')
          expect(read(encoder.encode(whole), sizes).events).toEqual(
            events.map(({ event: name, data }) => ({
              event: name === '' ? 'message' : name,
              data: data.join('\n'),
            })),
          )
        },
      ),
    )
  })

  it('any bytes give the same events, in whatever chunks they come', () => {
    const pieces = [
      ...['\n', '\r\n', '\n\n', ':', ' ', 'data', 'data:', 'data: x', 'event: y', 'id: 1', 'id: \0'],
      ...['retry: 10', 'retry: x', '\uFEFF', '☃', '🎈', 'é'],
    ].map((piece) => encoder.encode(piece))
    const piece = fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...pieces) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 4 }).filter((bytes) => !bytes.includes(13)) },
    )
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 40 }),
        fc.array(fc.nat(6), { maxLength: 60 }),
        (parts, sizes) => {
          const bytes = Uint8Array.from(parts.flatMap((part) => [...part]))
          expect(read(bytes, sizes)).toEqual(read(bytes))
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

describe('an event without an end', () => {
  const mebi = encoder.encode('x'.repeat(1024 * 1024))
  const feed = (parser: SseParser, start: string, chunk: Uint8Array, count: number) => {
    parser.push(encoder.encode(start))
    for (let index = 0; index < count; index++) parser.push(chunk)
  }
  const tooLong = expect.objectContaining({ code: 'PROTOCOL_ERROR', retryable: false }) as unknown

  it.each([
    ['one line of data', 'data: ', mebi],
    ['one comment', ': ', mebi],
    ['one field that nobody knows', 'x', mebi],
    ['many lines of data', '', encoder.encode(`data: ${'x'.repeat(1024 * 1024)}\n`)],
  ])('is refused beyond 16 Mi characters: %s', (_, start, chunk) => {
    const parser = new SseParser()
    feed(parser, start, chunk, 15)
    expect(() => {
      feed(parser, '', chunk, 2)
    }).toThrow(tooLong)
    // The stream is of no use from then on.
    expect(() => parser.push(encoder.encode('\n\ndata: a\n\n'))).toThrow(tooLong)
  })

  it('is refused after the events before it in the same chunk', () => {
    const parser = new SseParser()
    const events = parser.push(encoder.encode(`id: 7\ndata: a\n\ndata: ${'x'.repeat(17 * 1024 * 1024)}`))
    expect(events).toEqual([{ event: 'message', data: 'a' }])
    expect(parser.lastEventId).toBe('7')
    expect(() => parser.push(encoder.encode('x'))).toThrow(tooLong)
  })

  it('is accepted when many long events follow each other', () => {
    const parser = new SseParser()
    const long = encoder.encode(`data: ${'x'.repeat(4 * 1024 * 1024)}\n\n`)
    for (let index = 0; index < 10; index++) expect(parser.push(long)).toHaveLength(1)
  })
})

it('a long line in small chunks takes linear time', () => {
  const parser = new SseParser()
  const chunk = encoder.encode('x'.repeat(64))
  parser.push(encoder.encode('data: '))
  for (let index = 0; index < 100_000; index++) parser.push(chunk)
  const [event] = parser.push(encoder.encode('\n\n'))
  expect(event?.data).toHaveLength(6_400_000)
})
