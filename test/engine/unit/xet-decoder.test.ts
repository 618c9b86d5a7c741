/** The two decoders against each other, and against encoders: ours, and that of the official client. */
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { beforeAll, describe, expect, test } from 'vitest'
import { ChunkReader, maxRawBytes, parseChunkHead, type Scheme } from '../../../src/engine/xet/chunk.js'
import { chunkDecoder, plainDecoder, wasmDecoder } from '../../../src/engine/xet/decoder.js'
import fc from '../../support/properties.js'
import { chunkHead, type FrameOptions, groupBytes, lz4Frame, packChunk } from '../../support/xet-pack.js'

/** A property as a test. */
function property<T extends [unknown, ...unknown[]]>(
  name: string,
  values: { [K in keyof T]: fc.Arbitrary<T[K]> },
  check: (...given: T) => void,
): void {
  test(name, () => {
    fc.assert(
      fc.property(...values, (...given) => check(...given)),
      { numRuns: 50 },
    )
  })
}

const decoders = [
  { name: 'WebAssembly', decoder: wasmDecoder() },
  { name: 'JavaScript', decoder: plainDecoder() },
]

/** Data with literals, short and long matches, and short distances. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.integer({ min: 2, max: 60 }))
        .map(([unit, times]) =>
          Uint8Array.from({ length: unit.length * times }, (_, index) => unit[index % unit.length] ?? 0),
        ),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts))

const options: fc.Arbitrary<FrameOptions> = fc.record({
  blockBytes: fc.constantFrom(1, 7, 64, 300, 65_536),
  linked: fc.boolean(),
  contentSize: fc.boolean(),
  checksums: fc.boolean(),
})

/** The encoder of the official client, which it does not export. */
let official: (data: Uint8Array) => Uint8Array
beforeAll(async () => {
  const entry = new URL('../../../node_modules/@huggingface/hub/src/vendor/lz4js/index.ts', import.meta.url)
  const { outputFiles } = buildSync({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    format: 'esm',
    write: false,
    logLevel: 'error',
  })
  const code = Buffer.from(outputFiles[0]?.contents ?? []).toString('base64')
  const module = (await import(`data:text/javascript;base64,${code}`)) as { compress: typeof official }
  official = module.compress
})

describe.each(decoders)('the decoder in $name', ({ decoder }) => {
  const unpack = (scheme: Scheme, packed: Uint8Array, raw: number) => {
    const result = decoder.unpack(scheme, packed, raw)
    return result === null ? null : Buffer.from(result)
  }

  property('unpacks what our encoder packs, whatever the frame says', [content, options], (data, how) => {
    expect(unpack(1, lz4Frame(data, how), data.length)).toEqual(data)
    expect(unpack(2, lz4Frame(groupBytes(data), how), data.length)).toEqual(data)
    expect(unpack(0, data, data.length)).toEqual(data)
  })

  property('unpacks what the official encoder packs', [content], (data) => {
    expect(unpack(1, official(data), data.length)).toEqual(data)
    expect(unpack(2, official(groupBytes(data)), data.length)).toEqual(data)
  })

  test('unpacks chunks of the largest size, also of words that differ in few bytes', () => {
    const words = Buffer.alloc(maxRawBytes)
    for (let at = 0; at < words.length; at += 4) words.writeFloatLE(Math.sin(at), at)
    for (const data of [words, words.subarray(0, 100_001), Buffer.alloc(maxRawBytes, 7)]) {
      expect(unpack(1, lz4Frame(data), data.length)?.equals(data)).toBe(true)
      expect(unpack(2, lz4Frame(groupBytes(data)), data.length)?.equals(data)).toBe(true)
    }
  })

  property(
    'refuses another length than the head states',
    [content, fc.integer({ min: 1, max: 9 })],
    (data, by) => {
      const frame = lz4Frame(data)
      expect(unpack(1, frame, data.length + by)).toBeNull()
      if (by < data.length) expect(unpack(1, frame, data.length - by)).toBeNull()
      expect(unpack(0, data, data.length + by)).toBeNull()
    },
  )

  test('stops at the stated length of a frame that expands without end', () => {
    const bomb = lz4Frame(Buffer.alloc(8 * 1024 * 1024), { blockBytes: 8 * 1024 * 1024 })
    expect(bomb.length).toBeLessThan(64 * 1024)
    expect(unpack(1, bomb, maxRawBytes)).toBeNull()
    expect(unpack(2, bomb, maxRawBytes)).toBeNull()
  })

  test('refuses a frame with a dictionary, of another version, or with something behind it', () => {
    const data = Buffer.from('a text that is long enough for a match: a text that is long enough')
    const frame = lz4Frame(data)
    const changed = (at: number, value: number) => {
      const copy = Buffer.from(frame)
      copy[at] = value
      return unpack(1, copy, data.length)
    }
    expect(changed(4, 0x61)).toBeNull()
    expect(changed(4, 0xa0)).toBeNull()
    expect(changed(0, 0x05)).toBeNull()
    expect(unpack(1, Buffer.concat([frame, Buffer.from('x')]), data.length)).toBeNull()
    for (let length = 0; length < frame.length; length += 1)
      expect(unpack(1, frame.subarray(0, length), data.length)).toBeNull()
  })
})

describe('the decoders', () => {
  const [first, second] = decoders
  const both = (scheme: Scheme, packed: Uint8Array, raw: number) =>
    [first, second].map((each) => {
      const result = each?.decoder.unpack(scheme, packed, raw) ?? null
      return result === null ? null : Buffer.from(result)
    })

  property(
    'agree on broken frames',
    [
      content,
      options,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
    ],
    (data, how, changes) => {
      const frame = lz4Frame(data, how)
      for (const [at, value] of changes) frame[at % frame.length] = value
      for (const scheme of [1, 2] as const) {
        const [wasm, plain] = both(scheme, frame, data.length)
        expect(wasm).toEqual(plain)
      }
    },
  )

  test('are one for all, in WebAssembly where it is allowed', () => {
    expect(chunkDecoder()).toBe(chunkDecoder())
  })
})

describe('chunks', () => {
  property(
    'are the same however the stream is cut',
    [
      fc.array(fc.tuple(fc.constantFrom(0, 1, 2), content), { minLength: 1, maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }),
      fc.boolean(),
    ],
    (chunks, cuts, keeps) => {
      const stream = Buffer.concat(chunks.map(([scheme, data]) => packChunk(scheme, data)))
      const reader = new ChunkReader()
      const decoder = chunkDecoder()
      const found: Buffer[] = []
      let at = 0
      for (let turn = 0; at < stream.length; turn += 1) {
        const end = at + (cuts[turn % cuts.length] ?? 1)
        // The memory is used again afterwards.
        const piece = Buffer.from(stream.subarray(at, end))
        reader.push(piece)
        if (keeps && turn % 3 === 0) reader.keep()
        else {
          for (let chunk = reader.next(); chunk !== null; chunk = reader.next()) {
            if (chunk === 'invalid') throw new Error('A chunk is invalid.')
            found.push(Buffer.from(decoder.unpack(chunk.scheme, chunk.bytes, chunk.raw) ?? []))
          }
        }
        piece.fill(0xff)
        at = end
      }
      for (let chunk = reader.next(); chunk !== null && chunk !== 'invalid'; chunk = reader.next())
        found.push(Buffer.from(decoder.unpack(chunk.scheme, chunk.bytes, chunk.raw) ?? []))
      expect(found).toEqual(chunks.map(([, data]) => data))
      expect(reader.isBetweenChunks).toBe(true)
    },
  )

  test.each([
    ['another version', chunkHead(1, 20, 20, 1)],
    ['an unknown scheme', chunkHead(3, 20, 20)],
    ['more than 128 KiB', chunkHead(1, 20, maxRawBytes + 1)],
    ['no bytes', chunkHead(1, 20, 0)],
    ['nothing packed', chunkHead(1, 0, 20)],
    ['more packed bytes than any encoder makes', chunkHead(1, 2 * maxRawBytes + 1, maxRawBytes)],
    ['stored bytes of another length', chunkHead(0, 19, 20)],
  ])('with %s are refused by their head', (_, head) => {
    expect(parseChunkHead(head)).toBeNull()
    const reader = new ChunkReader()
    reader.push(Buffer.concat([head, Buffer.alloc(30)]))
    expect(reader.next()).toBe('invalid')
  })

  test('that are cut short do not end the stream', () => {
    const reader = new ChunkReader()
    reader.push(packChunk(1, Buffer.from('some text')).subarray(0, 12))
    expect(reader.next()).toBeNull()
    expect(reader.isBetweenChunks).toBe(false)
  })
})
