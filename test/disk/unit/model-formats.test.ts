import fc from '../../support/properties.js'
import { describe, expect, it } from 'vitest'
import { checkFormat, checkHead, extensionFor } from '../../../src/disk/model-formats.js'

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

describe('checkHead', () => {
  it.each([
    ['GGUF 1', 'a.gguf', gguf(1)],
    ['GGUF 3', 'a.gguf', gguf(3)],
    ['GGUF 3, big-endian', 'a.gguf', gguf(3, false)],
    ['GGUF 64', 'a.gguf', gguf(64)],
    ['safetensors', 'a.safetensors', safetensors({ a: tensor(0, 4) }, 4)],
    ['an unknown name', 'a.bin', text('anything at all')],
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
    ['a header of 8 bytes', 'a.gguf', gguf(3).subarray(0, 7), /too short/],
  ])('refuses %s as %s', (_what, name, bytes, reason) => {
    expect(checkHead(name, bytes, bytes.length)).toMatch(reason)
  })

  it('needs no more than the bytes that it looks at', () => {
    expect(checkHead('a.gguf', gguf(3).subarray(0, 8), null)).toBeNull()
    expect(checkHead('a.safetensors', safetensors('{}', 10).subarray(0, 9), null)).toBeNull()
    expect(checkHead('a.safetensors', safetensors('{}', 10).subarray(0, 8), null)).toMatch(/too short/)
  })

  it('takes a safetensors header of up to 100 MB', () => {
    const of = (length: bigint) => checkHead('a.safetensors', safetensors('{}', 10, length), null)
    expect(of(100_000_000n)).toBeNull()
    expect(of(100_000_001n)).toMatch(/does not begin with/)
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
        if (wrong !== null) expect(wrong).toMatch(/\.$/)
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
    ['an unknown name', 'a.xyz', text('anything')],
    ['an empty file of an unknown name', 'a.txt', new Uint8Array(0)],
  ])('takes %s', async (_what, name, bytes) => {
    expect(await check(name, bytes)).toBeNull()
  })

  it.each([
    ['a file that was cut off', safetensors({ a: tensor(0, 8) }, 7), /8 bytes of tensors, .* contains 7/],
    ['a file with more behind it', safetensors({ a: tensor(0, 8) }, 9), /8 bytes of tensors, .* contains 9/],
    ['broken JSON', safetensors('{"a":', 0), /JSON/],
    ['broken UTF-8', safetensors('{"\u00ff":1}', 0, 4n), /JSON/],
    [
      'a tensor without a type',
      safetensors({ a: { shape: [1], data_offsets: [0, 4] } }, 4),
      /describes a tensor incorrectly/,
    ],
    [
      'a tensor without a shape',
      safetensors({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4),
      /describes a tensor incorrectly/,
    ],
    [
      'a tensor without a place',
      safetensors({ a: { dtype: 'F32', shape: [1] } }, 4),
      /describes a tensor incorrectly/,
    ],
    [
      'a tensor that ends before it begins',
      safetensors({ a: tensor(4, 0) }, 4),
      /describes a tensor incorrectly/,
    ],
    ['a negative place', safetensors({ a: tensor(-4, 4) }, 4), /describes a tensor incorrectly/],
    ['a fractional place', safetensors({ a: tensor(0, 4.5) }, 4), /describes a tensor incorrectly/],
    [
      'a negative shape',
      safetensors({ a: { ...tensor(0, 4), shape: [-1] } }, 4),
      /describes a tensor incorrectly/,
    ],
    ['a tensor that is null', safetensors({ a: null }, 4), /describes a tensor incorrectly/],
    ['a tensor that is a number', safetensors({ a: 5 }, 4), /describes a tensor incorrectly/],
    ['a tensor with an empty type', safetensors({ a: { ...tensor(0, 4), dtype: '' } }, 4), /describes a tensor incorrectly/], // prettier-ignore
    ['a tensor whose type is a number', safetensors({ a: { ...tensor(0, 4), dtype: 16 } }, 4), /describes a tensor incorrectly/], // prettier-ignore
    ['a tensor with three offsets', safetensors({ a: { ...tensor(0, 4), data_offsets: [0, 4, 4] } }, 4), /describes a tensor incorrectly/], // prettier-ignore
    ['a name in Latin-1', Uint8Array.from([...safetensors('{"?":1}', 0)].map((byte) => (byte === 63 ? 255 : byte))), /JSON/], // prettier-ignore
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

  it('reads nothing behind the end', async () => {
    const bytes = safetensors({ a: tensor(0, 4) }, 4)
    const reads: number[] = []
    await checkFormat('a.safetensors', bytes.length, async (position, length) => {
      reads.push(position + length)
      return bytes.subarray(position, position + length)
    })
    expect(reads).toEqual([bytes.length, bytes.length - 4])
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

describe('the formats of the table', () => {
  const bytes = (...parts: (string | readonly number[])[]) =>
    Buffer.concat(
      parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))),
    )
  /** A tar archive with one empty file; `magic` as in POSIX, or empty as in the oldest format. */
  const tar = (magic: string): Buffer => {
    const header = Buffer.alloc(1024)
    header.write('model/weights.bin')
    header.write('0000644\0', 100)
    header.write('        ', 148)
    header.write(magic, 257, 'latin1')
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    )
    return header
  }
  /** Fields of a ModelProto: ir_version, producer_name, and a graph of 2,000 bytes. */
  const onnx = bytes([0x08, 0x08, 0x12, 0x07], 'pytorch', [0x3a, 0xd0, 0x0f], '\0'.repeat(2000))
  const pickled = bytes([0x80, 0x02, 0x7d, 0x71, 0x00])
  const hdf5 = '\x89HDF\r\n\x1a\n'

  it.each<readonly [string, Uint8Array]>([
    ['a.zip', bytes('PK\x03\x04 and so on')],
    ['empty.zip', bytes('PK\x05\x06', '\0'.repeat(18))],
    ['a.npz', bytes('PK\x03\x04 and so on')],
    ['pytorch_model.pt', bytes('PK\x03\x04 and so on')],
    ['pytorch_model.PTH', pickled],
    ['old.pt', tar('ustar\0' + '00')],
    ['sd.ckpt', pickled],
    ['mindspore.ckpt', bytes([0x0a, 0x20], 'conv1.weight')],
    ['tensorflow.ckpt', bytes([0, 0, 0x18, 0x0a])],
    ['a.pkl', pickled],
    ['protocol-0.pkl', bytes('(dp0\n')],
    ['protocol-0.pickle', bytes('ccollections\nOrderedDict\np0\n')],
    ['zlib.joblib', bytes([0x78, 0x9c, 1, 2])],
    ...[2, 3, 4, 5].map((version) => [`protocol-${version}.pkl`, bytes([0x80, version])] as const),
    ['one header.tar', tar('').subarray(0, 512)],
    ['of 2,048 bytes.onnx', bytes([0x08, 0x08, 0x3a, 0x80, 0x10], '\0'.repeat(2048))],
    ['a.onnx', onnx],
    ['of two bytes.onnx', bytes([0x08, 0x08])],
    ['a.ort', bytes([0x20, 0, 0, 0], 'ORTM')],
    ['a.h5', bytes(hdf5, '\0'.repeat(100))],
    ['with user block.hdf5', bytes('\0'.repeat(512), hdf5)],
    ['new.keras', bytes('PK\x03\x04 and so on')],
    ['old.keras', bytes(hdf5)],
    ['a.npy', bytes('\x93NUMPY\x01\0')],
    ['a.tar', tar('ustar\0' + '00')],
    ['gnu.tar', tar('ustar  \0')],
    ['of the seventies.tar', tar('')],
    ['empty.tar', Buffer.alloc(1024)],
    ['a.nemo', tar('ustar\0' + '00')],
    ['packed.nemo', bytes([0x1f, 0x8b, 8, 0])],
    ['a.tar.gz', bytes([0x1f, 0x8b, 8, 0])],
    ['a.tgz', bytes([0x1f, 0x8b, 8, 0])],
    ['a.tar.zst', bytes([0x28, 0xb5, 0x2f, 0xfd])],
    ['skippable first.zst', bytes([0x5f], '*M\x18')],
    ['a.tar.xz', bytes([0xfd], '7zXZ', [0])],
    ['a.tar.bz2', bytes('BZh9')],
    ['a.lz4', bytes([4, 0x22, 0x4d, 0x18])],
    ['a.7z', bytes('7z', [0xbc, 0xaf, 0x27, 0x1c])],
    ['a.rar', bytes('Rar!', [0x1a, 7, 0])],
    ['a.tflite', bytes([0x1c, 0, 0, 0], 'TFL3')],
    ['a.ggml', bytes('lmgg')],
    ['a.sqlite', bytes('SQLite format 3\0')],
    ['a.parquet', bytes('PAR1')],
  ])('take %s', async (name, content) => {
    expect(await check(name, content)).toBeNull()
    if (content.length > 1024) expect(checkHead(name, content.subarray(0, 1024), null)).toBeNull()
  })

  it.each([
    ['protocol-1.pkl', bytes([0x80, 1])],
    ['protocol-6.pkl', bytes([0x80, 6])],
    ['no zlib.joblib', bytes([0x78, 0x9d])],
    ['no zlib either.joblib', bytes([0, 0x9c])],
    ['changed.tar', Buffer.from(tar('').map((byte, at) => (at === 0 ? byte + 1 : byte)))],
    ['shifted.tar', Buffer.from(tar('').map((byte, at, all) => (at < 148 || at > 155 ? byte : at === 148 ? 0x78 : (all[at - 1] ?? 0))))], // prettier-ignore
    ['an unknown field.onnx', bytes([0x08, 0x08, 0x7a, 1, 0])],
    ['a number without an end.onnx', bytes([0x08, ...new Array<number>(10).fill(0x80), 1])],
  ])('do not take %s', async (name, content) => {
    expect(await check(name, content)).toMatch(/does not begin as/)
  })

  it.each([
    ['in the middle of a tag', [0x08, 0x08, 0xd2], true],
    ['behind a tag', [0x08, 0x08, 0x3a], true],
    ['behind an unknown tag', [0x08, 0x08, 0x7a], false],
  ])('take an ONNX model whose beginning ends %s: %s', (_, head, more) => {
    expect(checkHead('a.onnx', Uint8Array.from(head), 2_000) === null).toBe(more)
    expect(checkHead('a.onnx', Uint8Array.from(head), null) === null).toBe(more)
    expect(checkHead('a.onnx', Uint8Array.from(head), head.length)).not.toBeNull()
  })

  it('take an ONNX model whose beginning ends in the middle of a length', () => {
    const head = Uint8Array.from([0x08, 0x08, 0x3a, 0xff])
    expect(checkHead('a.onnx', head, 100)).toBeNull()
    expect(checkHead('a.onnx', head, 4)).not.toBeNull()
  })

  it.each([
    ['zip', 'a ZIP archive'],
    ['gz', 'a gzip file'],
    ['zst', 'a Zstandard file'],
    ['xz', 'an xz file'],
    ['bz2', 'a bzip2 file'],
    ['lz4', 'an LZ4 file'],
    ['7z', 'a 7z archive'],
    ['rar', 'a RAR archive'],
    ['tar', 'a tar archive'],
    ['nemo', 'a NeMo archive'],
    ['pt', 'a PyTorch file'],
    ['ckpt', 'a checkpoint'],
    ['pkl', 'a pickle'],
    ['onnx', 'an ONNX model'],
    ['ort', 'an ONNX Runtime model'],
    ['h5', 'an HDF5 file'],
    ['keras', 'a Keras model'],
    ['npy', 'a NumPy array'],
    ['tflite', 'a TensorFlow Lite model'],
    ['ggml', 'a GGML file'],
    ['sqlite', 'an SQLite database'],
    ['parquet', 'a Parquet file'],
  ])('are named: .%s is %s', (extension, name) => {
    expect(checkHead(`a.${extension}`, text('words'), 5)).toBe(
      `The content does not begin as ${name}, which the file name stands for.`,
    )
  })

  const extensions =
    'zip npz pt pth ckpt pkl joblib onnx ort h5 keras npy tar nemo tar.gz tgz zst xz bz2 lz4 7z rar tflite ggml sqlite parquet gguf safetensors'
  it.each(extensions.split(' '))('refuse words, and nothing, as .%s', async (extension) => {
    for (const words of [
      '',
      '{"error":"rate limit exceeded, try later"}',
      'rate limit exceeded',
      'Bad gateway',
      'Internal error',
    ])
      expect(await check(`model.${extension}`, text(words)), words).toMatch(/\.$/)
  })

  it.each([
    'model.bin',
    'model.json',
    'model.model',
    'data.db',
    'model.zip.001',
    'model.gguf-split-a',
    'gguf',
  ])('are none that %s stands for', async (name) => {
    expect(await check(name, text('anything'))).toBeNull()
  })

  it.each([
    ['gguf', gguf(3), null],
    ['safetensors', safetensors({ a: tensor(0, 4) }, 4), null],
    ['onnx', onnx, null],
    ['tar', tar('ustar\0' + '00'), null],
    ['gz', bytes([0x1f, 0x8b, 8, 0]), 'text/plain'],
    ['h5', bytes(hdf5), null],
    ['npy', bytes('\x93NUMPY\x01\0'), null],
    ['zip', bytes('PK\x03\x04', '\0'.repeat(22), [5, 0, 0, 0], 'a.txt'), null],
    ['npz', bytes('PK\x03\x04', '\0'.repeat(22), [5, 0, 0, 0], 'a.npy'), null],
    ['pt', bytes('PK\x03\x04', '\0'.repeat(22), [16, 0, 0, 0], 'archive/data.pkl'), null],
    ['pt', bytes([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]), null],
    ['pkl', pickled, null],
    ['bin', Buffer.alloc(1024), null],
    ['bin', bytes('anything'), 'application/octet-stream'],
    ['json', bytes('{}'), 'application/json; charset=utf-8'],
    ['txt', bytes('words'), 'text/plain'],
    ['bin', bytes(''), null],
    ['bin', bytes(''), 'text/plain'],
    ['yaml', bytes('a: b'), 'application/yaml'],
    ['csv', bytes('a,b'), ' Text/CSV ; charset=utf-8'],
    ['md', bytes('# a'), 'text/markdown'],
    ['bin', bytes([0x12, 0x07], 'pytorch'), null],
    ['zip', bytes('PK\x03\x04', '\0'.repeat(22), [10, 0, 0, 0], 'a/version2'), null],
    ['pt', bytes('PK\x03\x04', '\0'.repeat(22), [4, 2, 0, 0], 'x'.repeat(507), '/data.pkl'), null],
  ])('are recognized where nobody names the file: %s (%#)', (extension, content, type) => {
    expect(extensionFor(content.subarray(0, 1024), type)).toBe(extension)
  })

  it('never throw, whatever the bytes are', () => {
    const names = fc.constantFrom(...extensions.split(' ').map((extension) => `a.${extension}`))
    fc.assert(
      fc.property(
        names,
        fc.uint8Array({ maxLength: 1024 }),
        fc.option(fc.nat(), { nil: null }),
        (name, head, total) => {
          const wrong = checkHead(name, head, total)
          if (wrong !== null) expect(wrong).toMatch(/\.$/)
        },
      ),
    )
  })
})
