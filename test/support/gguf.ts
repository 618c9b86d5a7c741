/** Makes GGUF and safetensors files with headers as models have them. */
import { bufferContent, type Content, patchedContent, randomContent } from './content.js'

/** A value of the metadata, by its type. */
export type GgufValue =
  | { u32: number }
  | { u64: number }
  | { u16: number }
  | { f32: number }
  | { bool: boolean }
  | { text: string }
  | { texts: readonly string[] }
  | { floats: number }
  | { nested: readonly (readonly string[])[] }
  /** Bytes of the value as they are, with its type before them. */
  | { raw: Buffer }

/** A tensor. */
export interface GgufTensor {
  name: string
  shape: readonly number[]
  /** Number of its `ggml_type`. */
  type: number
}

/** What to write. */
export interface GgufInit {
  version?: number
  isBig?: boolean
  metadata?: Readonly<Record<string, GgufValue>>
  tensors?: readonly GgufTensor[]
  /** What the header states instead of the real numbers. */
  counts?: { tensors?: bigint; pairs?: bigint }
}

/** Writes a GGUF header. */
export function ggufHeader({
  version = 3,
  isBig = false,
  metadata = {},
  tensors = [],
  counts = {},
}: GgufInit): Buffer {
  const number = (bytes: number, value: number | bigint) => {
    const buffer = Buffer.alloc(bytes)
    const big = BigInt(value)
    for (let index = 0; index < bytes; index += 1) {
      const at = isBig ? bytes - 1 - index : index
      buffer[at] = Number((big >> BigInt(8 * index)) & 0xffn)
    }
    return buffer
  }
  const u32 = (value: number) => number(4, value)
  const u64 = (value: number | bigint) => number(8, value)
  const length = (value: number | bigint) => (version === 1 ? number(4, value) : u64(value))
  const text = (value: string) => {
    const bytes = Buffer.from(value)
    return Buffer.concat([length(bytes.length), bytes])
  }
  const texts = (values: readonly string[]) =>
    Buffer.concat([u32(8), length(values.length), ...values.map(text)])
  const valueOf = (value: GgufValue): Buffer => {
    if ('u16' in value) return Buffer.concat([u32(2), number(2, value.u16)])
    if ('u32' in value) return Buffer.concat([u32(4), u32(value.u32)])
    if ('f32' in value) return Buffer.concat([u32(6), Buffer.alloc(4)])
    if ('bool' in value) return Buffer.concat([u32(7), number(1, Number(value.bool))])
    if ('text' in value) return Buffer.concat([u32(8), text(value.text)])
    if ('texts' in value) return Buffer.concat([u32(9), texts(value.texts)])
    if ('floats' in value)
      return Buffer.concat([u32(9), u32(6), length(value.floats), Buffer.alloc(4 * value.floats)])
    if ('nested' in value)
      return Buffer.concat([u32(9), u32(9), length(value.nested.length), ...value.nested.map(texts)])
    if ('u64' in value) return Buffer.concat([u32(10), u64(value.u64)])
    return value.raw
  }
  const pairs = Object.entries(metadata)
  return Buffer.concat([
    Buffer.from('GGUF'),
    u32(version),
    length(counts.tensors ?? tensors.length),
    length(counts.pairs ?? pairs.length),
    ...pairs.flatMap(([key, value]) => [text(key), valueOf(value)]),
    ...tensors.flatMap(({ name, shape, type }) => [
      text(name),
      u32(shape.length),
      ...shape.map((size) => length(size)),
      u32(type),
      u64(0),
    ]),
  ])
}

/** The metadata of a small Llama with a chat template. */
export const llamaMetadata: Readonly<Record<string, GgufValue>> = {
  'general.architecture': { text: 'llama' },
  'general.name': { text: 'Tiny Llama' },
  'general.file_type': { u32: 15 },
  'llama.context_length': { u32: 8192 },
  'llama.rope.freq_base': { f32: 1 },
  'tokenizer.ggml.tokens': { texts: ['<s>', '</s>', 'hello', 'wörld'] },
  'tokenizer.ggml.scores': { floats: 4 },
  'tokenizer.chat_template': { text: '{% for message in messages %}…{% endfor %}' },
}

/** A GGUF file with a header like that of a model, followed by random bytes up to `size`. */
export function ggufModel(size: number, init: GgufInit, seed: string | number = 1): Content {
  return patchedContent(randomContent(size, seed), [{ at: 0, data: ggufHeader(init) }])
}

/** A safetensors file with these tensors, whose data are zeros. */
export function safetensorsModel(
  tensors: Readonly<Record<string, { dtype: string; shape: readonly number[]; bytes: number }>>,
): Content {
  let offset = 0
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const data_offsets = [offset, (offset += bytes)]
    return [name, { dtype, shape, data_offsets }]
  })
  const header = Buffer.from(
    JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) }),
  )
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return bufferContent(Buffer.concat([length, header, Buffer.alloc(offset)]))
}
