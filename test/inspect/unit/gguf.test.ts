import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import { type GgufFacts, noGgufFacts, parseGguf } from '../../../src/inspect/gguf.js'
import { readHeader } from '../../../src/inspect/header.js'
import { type GgufInit, ggufHeader, llamaMetadata } from '../../support/gguf.js'
import fc, { anyText } from '../../support/properties.js'

const bounds = { maxBytes: 1024 * 1024, maxReads: 64, firstBytes: 64 }

/** Parses a header out of a file, and counts what was read. */
async function parse(
  file: Uint8Array,
  own: Partial<typeof bounds> = {},
): Promise<{ facts: GgufFacts; failure: unknown; bytes: number; reads: number }> {
  const facts = noGgufFacts()
  let bytes = 0
  let reads = 0
  const read = (at: number, count: number) => {
    reads += 1
    const data = file.subarray(at, at + count)
    bytes += data.length
    return Promise.resolve(data)
  }
  const failure = await readHeader(parseGguf(facts), read, { ...bounds, ...own }).then(
    () => null,
    (error: unknown) => error,
  )
  return { facts, failure, bytes, reads }
}

const tensors = [
  { name: 'token_embd.weight', shape: [64, 100], type: 12 },
  { name: 'blk.0.attn_q.weight', shape: [64, 64], type: 14 },
  { name: 'scalar', shape: [], type: 0 },
]

describe('the header of a GGUF file', () => {
  it.each<[string, Partial<GgufInit>]>([
    ['of version 3', {}],
    ['of version 2', { version: 2 }],
    ['of version 1, with lengths of 32 bits', { version: 1 }],
    ['for big-endian machines', { isBig: true }],
  ])('%s', async (_, init) => {
    const file = ggufHeader({ metadata: llamaMetadata, tensors, ...init })
    const { facts, failure } = await parse(file)
    expect(failure).toBeNull()
    expect(facts).toEqual({
      tensors: 3,
      architecture: 'llama',
      name: 'Tiny Llama',
      contextLength: 8192,
      quantisation: 'Q4_K_M',
      hasChatTemplate: true,
      parameters: 64 * 100 + 64 * 64 + 1,
      splits: 1,
      splitTensors: null,
    })
  })

  it('says the same however its bytes come', async () => {
    const file = ggufHeader({ metadata: llamaMetadata, tensors })
    const { facts } = await parse(file)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 400 }), async (firstBytes) => {
        const again = await parse(file, { firstBytes, maxReads: 1_000 })
        expect(again).toMatchObject({ facts, failure: null })
      }),
    )
  })

  it('takes the context of its own architecture, wherever that comes', async () => {
    const metadata = {
      'clip.context_length': { u32: 77 },
      'qwen3.context_length': { u64: 40_960 },
      'general.architecture': { text: 'qwen3' },
      'general.architecture.again': { text: 'other' },
    }
    expect((await parse(ggufHeader({ metadata }))).facts).toMatchObject({
      architecture: 'qwen3',
      contextLength: 40_960,
      hasChatTemplate: false,
    })
  })

  it('names the type of most numbers where the file does not say its quantisation', async () => {
    const { facts } = await parse(ggufHeader({ metadata: { 'general.file_type': { u32: 9_999 } }, tensors }))
    expect(facts.quantisation).toBe('Q4_K')
  })

  it('knows the parts of a split model', async () => {
    const metadata = { 'split.count': { u16: 3 }, 'split.tensors.count': { u32: 900 } }
    const { facts } = await parse(ggufHeader({ metadata, tensors }))
    expect(facts).toMatchObject({ splits: 3, splitTensors: 900, tensors: 3 })
  })

  it('does not read what it skips', async () => {
    const metadata = { ...llamaMetadata, 'tokenizer.ggml.scores': { floats: 200_000 } }
    const file = ggufHeader({ metadata, tensors })
    const { facts, bytes, reads } = await parse(file)
    expect(facts.parameters).toBe(64 * 100 + 64 * 64 + 1)
    expect(file.length).toBeGreaterThan(800_000)
    expect(bytes).toBeLessThan(10_000)
    expect(reads).toBeLessThan(10)
  })

  it('says what it has read of a header that ends early, or is too long', async () => {
    const metadata = { ...llamaMetadata, 'tokenizer.ggml.merges': { texts: ['a b'.repeat(500), 'c d'] } }
    const file = ggufHeader({ metadata, tensors })
    for (const { facts, failure } of [
      await parse(file.subarray(0, file.length - 10)),
      await parse(file, { maxBytes: 450 }),
    ]) {
      expect(isDownloadError(failure, 'CONTENT_MISMATCH')).toBe(true)
      expect(facts).toMatchObject({ architecture: 'llama', contextLength: 8192, parameters: null })
    }
  })

  const u32 = (value: number) => {
    const buffer = Buffer.alloc(4)
    buffer.writeUInt32LE(value)
    return buffer
  }
  const u64 = (value: bigint) => {
    const buffer = Buffer.alloc(8)
    buffer.writeBigUInt64LE(value)
    return buffer
  }
  const max = 2n ** 64n - 1n
  /** An array of an array of an array … */
  const deep = Buffer.concat([
    u32(9),
    ...Array.from({ length: 20_000 }, () => Buffer.concat([u32(9), u64(1n)])),
  ])
  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['another file', Buffer.from('<!doctype html><html>')],
    ['no version', Buffer.from('GGUF\0\0\0\0................')],
    ['endless tensors', ggufHeader({ counts: { tensors: max } })],
    ['endless metadata', ggufHeader({ counts: { pairs: max } })],
    ['more metadata than it has', ggufHeader({ counts: { pairs: 9_000_000n } })],
    ['more tensors than it has', ggufHeader({ counts: { tensors: 9_000_000n } })],
    ['a text that is too long', ggufHeader({ metadata: { a: { raw: Buffer.concat([u32(8), u64(max)]) } } })],
    ['a key that is too long', Buffer.concat([ggufHeader({ counts: { pairs: 1n } }), u64(2n ** 40n)])],
    ['an endless list', ggufHeader({ metadata: { a: { raw: Buffer.concat([u32(9), u32(8), u64(max)]) } } })],
    ['endless numbers', ggufHeader({ metadata: { a: { raw: Buffer.concat([u32(9), u32(12), u64(max)]) } } })],
    ['lists inside lists', ggufHeader({ metadata: { a: { raw: deep } } })],
    ['a value of an unknown type', ggufHeader({ metadata: { a: { raw: u32(77) } } })],
    [
      'a list of an unknown type',
      ggufHeader({ metadata: { a: { raw: Buffer.concat([u32(9), u32(13), u64(1n)]) } } }),
    ],
    [
      'too many dimensions',
      Buffer.concat([ggufHeader({ counts: { tensors: 1n } }), u64(0n), u32(4_000_000_000)]),
    ],
    ['a tensor without end', ggufHeader({ tensors: [{ name: 'a', shape: [2 ** 40, 2 ** 40], type: 0 }] })],
  ])('is refused with %s', async (_, file) => {
    const { failure, bytes } = await parse(file)
    expect(isDownloadError(failure, 'CONTENT_MISMATCH')).toBe(true)
    expect(bytes).toBeLessThanOrEqual(2 * bounds.maxBytes)
  })

  it('of any bytes ends with facts or the one error, within its bounds', async () => {
    const valid = ggufHeader({ metadata: llamaMetadata, tensors })
    const damaged = fc
      .array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 8 })
      .map((changes) => {
        const file = Buffer.from(valid)
        for (const [at, byte] of changes) file[at] = byte
        return file
      })
    const random = fc
      .uint8Array({ maxLength: 300 })
      .map((rest) => Buffer.concat([valid.subarray(0, 24), rest]))
    await fc.assert(
      fc.asyncProperty(fc.oneof(damaged, random, fc.uint8Array({ maxLength: 64 })), async (file) => {
        const { facts, failure, reads } = await parse(file)
        if (failure !== null) expect(isDownloadError(failure, 'CONTENT_MISMATCH')).toBe(true)
        expect(reads).toBeLessThanOrEqual(bounds.maxReads)
        for (const value of [facts.parameters, facts.tensors, facts.contextLength])
          expect(value === null || Number.isSafeInteger(value)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('keeps any name, cut off where it is too long', async () => {
    await fc.assert(
      fc.asyncProperty(anyText({ maxLength: 50 }), async (name) => {
        const { facts } = await parse(ggufHeader({ metadata: { 'general.name': { text: name } } }))
        expect(facts.name).toBe(name === '' ? null : name)
      }),
    )
    const { facts } = await parse(ggufHeader({ metadata: { 'general.name': { text: 'a'.repeat(5_000) } } }))
    expect(facts.name).toHaveLength(1_024)
  })
})
