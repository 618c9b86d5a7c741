import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { checkFormat, checkHead, formatOf, looksLikeHtml } from '../../../src/disk/model-formats.js'
import { cpuMs } from '../../support/cost.js'

const text = (value: string) => new TextEncoder().encode(value)

function gguf(version: number, littleEndian = true): Uint8Array {
  const bytes = new Uint8Array(64)
  bytes.set(text('GGUF'))
  new DataView(bytes.buffer).setUint32(4, version, littleEndian)
  return bytes
}

/** A safetensors file; `header` as it is when a string, else as JSON. */
function safetensors(header: unknown, dataBytes: number, length?: bigint): Uint8Array {
  const json = text(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + json.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true)
  bytes.set(json, 8)
  return bytes
}

const check = (name: string, bytes: Uint8Array) =>
  checkFormat(name, bytes.length, async (position, length) => bytes.subarray(position, position + length))

const tensor = (begin: number, end: number) => ({ dtype: 'F16', shape: [1, 2], data_offsets: [begin, end] })
const page = text('<!DOCTYPE html><html><body>Please log in</body></html>')

describe('formatOf', () => {
  it.each([
    ['model.gguf', 'gguf'],
    ['MODEL.GGUF', 'gguf'],
    ['model-00001-of-00002.safetensors', 'safetensors'],
    ['model.safetensors.index.json', null],
    ['model.gguf-split-a', null],
    ['model.bin', null],
    ['gguf', null],
  ])('%s → %s', (name, format) => {
    expect(formatOf(name)).toBe(format)
  })
})

describe('checkHead', () => {
  it.each([
    ['GGUF 1', 'a.gguf', gguf(1)],
    ['GGUF 3', 'a.gguf', gguf(3)],
    ['GGUF 3, big-endian', 'a.gguf', gguf(3, false)],
    ['GGUF 64', 'a.gguf', gguf(64)],
    ['safetensors', 'a.safetensors', safetensors({ a: tensor(0, 4) }, 4)],
    ['an unknown name', 'a.bin', page],
  ])('takes %s', (_what, name, bytes) => {
    expect(checkHead(name, bytes, bytes.length)).toBeNull()
    expect(checkHead(name, bytes.subarray(0, 16), null)).toBeNull()
  })

  it.each([
    ['a wrong magic', 'a.gguf', text('GGML0123456789ab'), /magic/],
    ['zeros', 'a.gguf', new Uint8Array(16), /magic/],
    ['version 0', 'a.gguf', gguf(0), /version/],
    ['version 65', 'a.gguf', gguf(65), /version/],
    ['nothing', 'a.gguf', new Uint8Array(0), /too short/],
    ['a page', 'a.gguf', page, /HTML/],
    ['a page', 'a.safetensors', page, /HTML/],
    ['nothing', 'a.safetensors', new Uint8Array(0), /too short/],
    ['a header of 1 byte', 'a.safetensors', safetensors('{', 10), /header/],
    ['a header of 100 MB and a byte', 'a.safetensors', safetensors('{}', 10, 100_000_001n), /header/],
    ['a header of 2^64 - 1 bytes', 'a.safetensors', safetensors('{}', 10, 2n ** 64n - 1n), /header/],
    ['a header that is no object', 'a.safetensors', safetensors('[]', 10), /header/],
    ['a header past the end', 'a.safetensors', safetensors('{}', 10, 13n), /longer than the whole file/],
    ['a GGUF model', 'a.safetensors', gguf(3), /header/],
  ])('refuses %s as %s', (_what, name, bytes, reason) => {
    expect(checkHead(name, bytes, bytes.length)).toMatch(reason)
  })

  it('looks at the right bytes of a view into a larger buffer', () => {
    const buffer = new Uint8Array(100)
    buffer.set(gguf(3), 7)
    expect(checkHead('a.gguf', buffer.subarray(7, 23), null)).toBeNull()
  })

  it('never throws', () => {
    const names = fc.constantFrom('a.gguf', 'a.safetensors', 'a.bin')
    const totals = fc.option(fc.nat(), { nil: null })
    fc.assert(
      fc.property(names, fc.uint8Array(), totals, (name, bytes, total) => {
        const wrong = checkHead(name, bytes, total)
        if (name === 'a.bin') expect(wrong).toBeNull()
        else if (wrong !== null) expect(wrong).toMatch(/\.$/)
      }),
    )
  })
})

describe('checkFormat', () => {
  it.each([
    ['a GGUF model', 'a.gguf', gguf(3)],
    ['one tensor', 'a.safetensors', safetensors({ a: tensor(0, 4) }, 4)],
    ['tensors in any order', 'a.safetensors', safetensors({ b: tensor(4, 9), a: tensor(0, 4) }, 9)],
    ['metadata', 'a.safetensors', safetensors({ __metadata__: { format: 'pt' }, a: tensor(0, 4) }, 4)],
    ['a padded header', 'a.safetensors', safetensors(`${JSON.stringify({ a: tensor(0, 4) })}     `, 4)],
    ['no tensor at all', 'a.safetensors', safetensors('{}', 0)],
    ['a long header', 'a.safetensors', safetensors({ ['x'.repeat(100_000)]: tensor(0, 4) }, 4)],
    ['an empty tensor and a scalar', 'a.safetensors', safetensors({ a: tensor(0, 0), b: { ...tensor(0, 4), shape: [] } }, 4)], // prettier-ignore
    ['an unknown name', 'a.onnx', text('anything')],
    ['an empty file of an unknown name', 'a.txt', new Uint8Array(0)],
  ])('takes %s', async (_what, name, bytes) => {
    expect(await check(name, bytes)).toBeNull()
  })

  it.each([
    ['a file that was cut off', safetensors({ a: tensor(0, 8) }, 7), /8 bytes of tensors, .* contains 7/],
    ['a file with more behind it', safetensors({ a: tensor(0, 8) }, 9), /8 bytes of tensors, .* contains 9/],
    ['broken JSON', safetensors('{"a":', 0), /JSON/],
    ['broken UTF-8', safetensors('{"\u00ff":1}', 0, 4n), /JSON/],
    ['a tensor without a type', safetensors({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /tensor/],
    ['a tensor without a shape', safetensors({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), /tensor/],
    ['a tensor without a place', safetensors({ a: { dtype: 'F32', shape: [1] } }, 4), /tensor/],
    ['a tensor that ends before it begins', safetensors({ a: tensor(4, 0) }, 4), /tensor/],
    ['a negative place', safetensors({ a: tensor(-4, 4) }, 4), /tensor/],
    ['a fractional place', safetensors({ a: tensor(0, 4.5) }, 4), /tensor/],
    ['a negative shape', safetensors({ a: { ...tensor(0, 4), shape: [-1] } }, 4), /tensor/],
    ['a tensor that is null', safetensors({ a: null }, 4), /tensor/],
    ['a page', page, /HTML/],
    ['an empty file', new Uint8Array(0), /too short/],
  ])('refuses %s', async (_what, bytes, reason) => {
    expect(await check('a.safetensors', bytes)).toMatch(reason)
  })

  it('refuses a header that can not be read to its end', async () => {
    const bytes = safetensors({ a: tensor(0, 4) }, 4)
    const wrong = await checkFormat('a.safetensors', bytes.length, async (position, length) =>
      bytes.subarray(position, position + Math.min(length, 30)),
    )
    expect(wrong).toMatch(/cut off/)
  })

  it('lets failures of the disk through', async () => {
    const broken = async () => Promise.reject(new Error('EIO'))
    await expect(checkFormat('a.gguf', 100, broken)).rejects.toThrow('EIO')
  })

  it('finds every cut', async () => {
    const whole = safetensors({ a: tensor(0, 40), b: tensor(40, 100) }, 100)
    expect(await check('a.safetensors', whole)).toBeNull()
    for (let length = 0; length < whole.length; length++) {
      expect(await check('a.safetensors', whole.slice(0, length)), `cut at ${length}`).not.toBeNull()
    }
  })
})

describe('looksLikeHtml', () => {
  it.each([
    '<!doctype html>',
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN">',
    '\ufeff  \r\n\t<html lang="en">',
    '<HEAD>',
    '<html',
    '<!-- a comment --> <!-- another --><html>',
    '<?xml version="1.0"?><!DOCTYPE html>',
    '<script>location = 1</script>',
    '<title>Sign in</title>',
  ])('knows %j', (content) => {
    expect(looksLikeHtml(text(content))).toBe(true)
  })

  it.each([
    '',
    ' ',
    '<',
    'GGUF',
    '{"error":"no"}',
    '<xml/>',
    '<htmlx>',
    'text <html>',
    '<?xml version="1.0"?>',
  ])('does not take %j for a page', (content) => {
    expect(looksLikeHtml(text(content))).toBe(false)
  })

  it.each([' '.repeat(1e5), '<!---->'.repeat(1e4), '<!--'.repeat(1e4), '<?xml>'.repeat(1e4)])(
    'is fast on any input (%#)',
    async (content) => {
      // Milliseconds when linear; an exponential pattern would not come back at all.
      const cost = await cpuMs(() => {
        expect(looksLikeHtml(text(`${content}x`))).toBe(false)
      })
      expect(cost).toBeLessThan(500)
    },
  )
})
