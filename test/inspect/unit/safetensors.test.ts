import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../../src/errors.js'
import { readHeader } from '../../../src/inspect/header.js'
import {
  addSafetensors,
  mainType,
  readSafetensorsJson,
  summarizeSafetensors,
} from '../../../src/inspect/safetensors.js'
import { safetensorsModel } from '../../support/gguf.js'
import fc from '../../support/properties.js'

const bounds = { maxBytes: 17 * 1024 * 1024, maxReads: 4, firstBytes: 64 }

const summarize = async (file: Uint8Array) => {
  const read = (at: number, bytes: number) => Promise.resolve(file.subarray(at, at + bytes))
  return summarizeSafetensors(JSON.parse(await readHeader(readSafetensorsJson(), read, bounds)))
}

describe('the header of a safetensors file', () => {
  it('tells tensors, numbers and types', async () => {
    const content = safetensorsModel({
      embed: { dtype: 'BF16', shape: [10, 4], bytes: 80 },
      norm: { dtype: 'F32', shape: [4], bytes: 16 },
      scale: { dtype: 'F32', shape: [], bytes: 4 },
    })
    const facts = await summarize(content.slice(0, content.size))
    expect(facts).toMatchObject({ tensors: 3, parameters: 45 })
    expect(mainType(facts.types)).toBe('BF16')
    expect(addSafetensors([facts, facts])).toMatchObject({ tensors: 6, parameters: 90 })
    expect(mainType(addSafetensors([]).types)).toBeNull()
  })

  const withLength = (length: bigint, text: string) => {
    const head = Buffer.alloc(8)
    head.writeBigUInt64LE(length)
    return Buffer.concat([head, Buffer.from(text)])
  }
  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['a length that no header has', withLength(2n ** 63n, '{}')],
    ['a length of nothing', withLength(0n, '{}')],
    ['a length beyond the bound', withLength(99_000_000n, '{}')],
    ['less than its length', withLength(50n, '{"a":1}')],
    ['no object', withLength(2n, '[]')],
  ])('is refused with %s', async (_, file) => {
    const failure: unknown = await summarize(file).catch((error: unknown) => error)
    expect(isDownloadError(failure, 'CONTENT_MISMATCH')).toBe(true)
  })

  it.each<[string, unknown]>([
    ['no tensor', { a: 1 }],
    ['null', { a: null }],
    ['no type', { a: { shape: [1] } }],
    ['no shape', { a: { dtype: 'F32' } }],
    ['a negative size', { a: { dtype: 'F32', shape: [-1] } }],
    ['a broken size', { a: { dtype: 'F32', shape: [1.5] } }],
    ['more numbers than any file', { a: { dtype: 'F32', shape: [2 ** 40, 2 ** 40] } }],
    ['a list', []],
  ])('is refused with %s in it', (_, header) => {
    expect(() => summarizeSafetensors(header)).toThrow(/safetensors header/)
  })

  it('of any JSON has a summary or the one error', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        try {
          const { parameters } = summarizeSafetensors({ a: one, b: { dtype: 'F32', shape: [other] } })
          expect(Number.isSafeInteger(parameters)).toBe(true)
        } catch (error) {
          if (!isDownloadError(error, 'CONTENT_MISMATCH')) throw error
        }
      }),
    )
  })
})
