/**
 * Reads the header of GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): its metadata, and the shapes
 * of its tensors. Pure.
 */
import { Cursor, invalidHeader, type Parsing } from './header.js'

/** What a GGUF header says, as far as it has been read. */
export interface GgufFacts {
  tensors: number | null
  architecture: string | null
  name: string | null
  contextLength: number | null
  /** Name of the quantisation, such as `Q4_K_M`. */
  quantisation: string | null
  hasChatTemplate: boolean
  /** Numbers in the tensors of this file; null until all of them have been read. */
  parameters: number | null
  /** Number of files that the model is split into. */
  splits: number
  /** Number of tensors in all of these files; null if the model is not split. */
  splitTensors: number | null
}

/** The latest version is 3; others are read in the same way. */
const maxVersion = 64

/** Longest key (GGUF specification), in bytes. */
const maxKeyBytes = 65_535

/** Longer texts are cut off, in bytes. */
const maxTextBytes = 1_024

/** Arrays inside arrays are allowed, but no model has any. */
const maxDepth = 4

/** Far more tensors, or pairs of metadata, than any model has. */
const maxCount = 10_000_000

/** ggml's bound is 4. */
const maxDimensions = 8

/** Types of values: their size in bytes, except for strings and arrays. */
const sizes: readonly (number | 'string' | 'array')[] = [1, 1, 2, 2, 4, 4, 4, 1, 'string', 'array', 8, 8, 8]

/** Values of `general.file_type`: `llama_ftype` in https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h. */
const fileTypes = new Map(
  Object.entries({
    F32: 0,
    F16: 1,
    Q4_0: 2,
    Q4_1: 3,
    Q8_0: 7,
    Q5_0: 8,
    Q5_1: 9,
    Q2_K: 10,
    Q3_K_S: 11,
    Q3_K_M: 12,
    Q3_K_L: 13,
    Q4_K_S: 14,
    Q4_K_M: 15,
    Q5_K_S: 16,
    Q5_K_M: 17,
    Q6_K: 18,
    IQ2_XXS: 19,
    IQ2_XS: 20,
    Q2_K_S: 21,
    IQ3_XS: 22,
    IQ3_XXS: 23,
    IQ1_S: 24,
    IQ4_NL: 25,
    IQ3_S: 26,
    IQ3_M: 27,
    IQ2_S: 28,
    IQ2_M: 29,
    IQ4_XS: 30,
    IQ1_M: 31,
    BF16: 32,
    TQ1_0: 36,
    TQ2_0: 37,
    MXFP4_MOE: 38,
  }).map(([name, type]) => [type, name]),
)

/** Types of tensors: `ggml_type` in https://github.com/ggml-org/ggml/blob/master/include/ggml.h. */
const tensorTypes = new Map(
  Object.entries({
    F32: 0,
    F16: 1,
    Q4_0: 2,
    Q4_1: 3,
    Q5_0: 6,
    Q5_1: 7,
    Q8_0: 8,
    Q2_K: 10,
    Q3_K: 11,
    Q4_K: 12,
    Q5_K: 13,
    Q6_K: 14,
    IQ2_XXS: 16,
    IQ2_XS: 17,
    IQ3_XXS: 18,
    IQ1_S: 19,
    IQ4_NL: 20,
    IQ3_S: 21,
    IQ2_S: 22,
    IQ4_XS: 23,
    F64: 28,
    IQ1_M: 29,
    BF16: 30,
    TQ1_0: 34,
    TQ2_0: 35,
    MXFP4: 39,
  }).map(([name, type]) => [type, name]),
)

/** Facts of which nothing is known yet. */
export function noGgufFacts(): GgufFacts {
  return {
    tensors: null,
    architecture: null,
    name: null,
    contextLength: null,
    quantisation: null,
    hasChatTemplate: false,
    parameters: null,
    splits: 1,
    splitTensors: null,
  }
}

/** Values that are kept, by their key. */
interface Kept {
  texts: Map<string, string>
  numbers: Map<string, number>
}

/**
 * Parses a header. Every value costs bytes that must be read, so bounds on these are bounds on everything.
 *
 * @param facts - filled in as far as the header can be read, also if it turns out to be damaged later.
 * @throws DownloadError `CONTENT_MISMATCH`.
 */
export function* parseGguf(facts: GgufFacts): Parsing<void> {
  const cursor = new Cursor()
  yield* cursor.fill(8)
  if (String.fromCharCode(...cursor.bytes(4)) !== 'GGUF')
    throw invalidHeader('The content does not begin with the GGUF magic number.')
  const version = readVersion(cursor)
  // Version 1 has lengths and counts of 32 bits.
  const length = version === 1 ? () => cursor.u32() : () => cursor.u64()
  const lengthBytes = version === 1 ? 4 : 8
  yield* cursor.fill(2 * lengthBytes)
  const tensors = length()
  const pairs = length()
  if (tensors > maxCount || pairs > maxCount)
    throw invalidHeader('The GGUF header states more values than a file can have.')
  facts.tensors = tensors
  const kept: Kept = { texts: new Map(), numbers: new Map() }
  const reader: Reader = { cursor, length, lengthBytes }
  for (let pair = 0; pair < pairs; pair += 1) {
    const key = yield* readKey(reader)
    yield* readValue(reader, key, kept)
    apply(kept, facts)
  }
  yield* readTensors(reader, tensors, facts)
}

/** What reads values of one file. */
interface Reader {
  cursor: Cursor
  length: () => number
  lengthBytes: number
}

/** Models for big-endian machines have all numbers the other way round. */
function readVersion(cursor: Cursor): number {
  const number = cursor.u32()
  if (number >= 1 && number <= maxVersion) return number
  const swapped =
    ((number & 0xff) << 24) | ((number & 0xff00) << 8) | ((number >>> 8) & 0xff00) | (number >>> 24)
  if (swapped < 1 || swapped > maxVersion) throw invalidHeader('The GGUF header has no valid version.')
  cursor.isLittle = false
  return swapped
}

function* readKey({ cursor, length, lengthBytes }: Reader): Parsing<string> {
  if (!cursor.has(lengthBytes)) yield* cursor.fill(lengthBytes)
  const bytes = length()
  if (bytes > maxKeyBytes) throw invalidHeader('The GGUF header has a key that is too long.')
  if (!cursor.has(bytes)) yield* cursor.fill(bytes)
  return textOf(cursor.bytes(bytes))
}

/** Reads a value, and keeps it if something is made of it. */
function* readValue(reader: Reader, key: string, kept: Kept): Parsing<void> {
  const { cursor, length, lengthBytes } = reader
  if (!cursor.has(4)) yield* cursor.fill(4)
  const type = cursor.u32()
  const size = sizeOf(type)
  if (size === 'array') {
    yield* skipArray(reader, 1)
  } else if (size === 'string') {
    if (!cursor.has(lengthBytes)) yield* cursor.fill(lengthBytes)
    const bytes = length()
    const shown = isText(key) ? Math.min(bytes, maxTextBytes) : 0
    if (!cursor.has(shown)) yield* cursor.fill(shown)
    if (shown > 0 && !kept.texts.has(key)) kept.texts.set(key, textOf(cursor.bytes(shown)))
    else cursor.skip(shown)
    cursor.skip(bytes - shown)
  } else {
    if (!cursor.has(size)) yield* cursor.fill(size)
    const value = isNumber(key) ? readNumber(cursor, type) : null
    if (value === null) cursor.skip(size)
    else if (!kept.numbers.has(key)) kept.numbers.set(key, value)
  }
}

function sizeOf(type: number): number | 'string' | 'array' {
  const size = sizes[type]
  if (size === undefined) throw invalidHeader('The GGUF header has a value of an unknown type.')
  return size
}

/** A whole number that is not negative; null for a value of another type, of which nothing has been read. */
function readNumber(cursor: Cursor, type: number): number | null {
  switch (type) {
    case 0:
      return cursor.u8()
    case 4:
    case 5:
      return cursor.u32()
    case 10:
    case 11:
      return cursor.u64()
    case 2:
    case 3: {
      const [first = 0, second = 0] = cursor.bytes(2)
      return cursor.isLittle ? first + 256 * second : 256 * first + second
    }
    default:
      return null
  }
}

function* skipArray(reader: Reader, depth: number): Parsing<void> {
  const { cursor, length, lengthBytes } = reader
  if (depth > maxDepth) throw invalidHeader('The GGUF header has too many arrays inside each other.')
  if (!cursor.has(4 + lengthBytes)) yield* cursor.fill(4 + lengthBytes)
  const size = sizeOf(cursor.u32())
  const count = length()
  if (typeof size === 'number') {
    cursor.skip(count * size)
    return
  }
  for (let item = 0; item < count; item += 1) {
    if (size === 'array') yield* skipArray(reader, depth + 1)
    else {
      if (!cursor.has(lengthBytes)) yield* cursor.fill(lengthBytes)
      cursor.skip(length())
    }
  }
}

const textKeys = new Set(['general.architecture', 'general.name', 'tokenizer.chat_template'])

const numberKeys = new Set(['general.file_type', 'split.count', 'split.tensors.count'])

function isText(key: string): boolean {
  return textKeys.has(key)
}

function isNumber(key: string): boolean {
  return numberKeys.has(key) || key.endsWith('.context_length')
}

/** The architecture may come after what depends on it. */
function apply({ texts, numbers }: Kept, facts: GgufFacts): void {
  facts.architecture = texts.get('general.architecture') ?? null
  facts.name = texts.get('general.name') ?? null
  facts.hasChatTemplate = texts.has('tokenizer.chat_template')
  const context = numbers.get(`${facts.architecture ?? ''}.context_length`) ?? null
  facts.contextLength = context !== null && Number.isSafeInteger(context) ? context : null
  facts.quantisation = fileTypes.get(numbers.get('general.file_type') ?? -1) ?? null
  facts.splits = numbers.get('split.count') ?? 1
  facts.splitTensors = facts.splits > 1 ? (numbers.get('split.tensors.count') ?? null) : null
}

function* readTensors(
  { cursor, length, lengthBytes }: Reader,
  count: number,
  facts: GgufFacts,
): Parsing<void> {
  let parameters = 0
  const byType = new Map<number, number>()
  for (let tensor = 0; tensor < count; tensor += 1) {
    if (!cursor.has(lengthBytes)) yield* cursor.fill(lengthBytes)
    cursor.skip(length())
    if (!cursor.has(4)) yield* cursor.fill(4)
    const dimensions = cursor.u32()
    if (dimensions > maxDimensions)
      throw invalidHeader('The GGUF header has a tensor with too many dimensions.')
    // After them come the type and the offset.
    const rest = dimensions * lengthBytes + 12
    if (!cursor.has(rest)) yield* cursor.fill(rest)
    let elements = 1
    for (let dimension = 0; dimension < dimensions; dimension += 1) elements *= length()
    const type = cursor.u32()
    cursor.skip(8)
    parameters += elements
    if (!Number.isSafeInteger(parameters))
      throw invalidHeader('The GGUF header has tensors that are larger than any file.')
    byType.set(type, (byType.get(type) ?? 0) + elements)
  }
  facts.parameters = parameters
  facts.quantisation ??= tensorTypes.get(largest(byType) ?? -1) ?? null
}

/** The key with the largest number. */
function largest<K>(counts: ReadonlyMap<K, number>): K | null {
  let found: [K, number] | null = null
  for (const entry of counts) if (found === null || entry[1] > found[1]) found = entry
  return found?.[0] ?? null
}

const decoder = new TextDecoder()

function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}
