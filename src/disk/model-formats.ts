/**
 * Checks whether a file has the format that its name says. This detects a login page or half a model, but
 * doesn't prove that a model is intact; only a digest does. Pure.
 */
import { substituteBytes, substituteIn } from './substitutes.js'

/** A format that a file name may promise. */
interface Format {
  /** Endings of names, in lower case. */
  extensions: readonly string[]
  /**
   * Checks the first bytes.
   *
   * @returns null when nothing is wrong; otherwise one sentence that describes the problem.
   */
  check: (head: Uint8Array, total: number | null) => string | null
}

/** Bytes that a file begins with, or has at `at`. A character stands for a byte (Latin-1). */
interface Magic {
  at?: number
  bytes: string
}

const zip: readonly Magic[] = [{ bytes: 'PK\x03\x04' }, { bytes: 'PK\x05\x06' }, { bytes: 'PK\x07\x08' }]
const gzip: readonly Magic[] = [{ bytes: '\x1f\x8b' }]
const bzip2: readonly Magic[] = [{ bytes: 'BZh' }]
const xz: readonly Magic[] = [{ bytes: '\xfd7zXZ\0' }]
const lz4: readonly Magic[] = [{ bytes: '\x04"M\x18' }, { bytes: '\x02!L\x18' }]
/** A frame, or a skippable frame (RFC 8878 section 3.1). */
const zstd: readonly Magic[] = [
  { bytes: '\x28\xb5\x2f\xfd' },
  ...Array.from({ length: 16 }, (_, low) => ({ bytes: `${String.fromCharCode(0x50 + low)}*M\x18` })),
]
/** Protocols 2 to 5 of Python's pickle. */
const pickle: readonly Magic[] = ['\x02', '\x03', '\x04', '\x05'].map((version) => ({
  bytes: `\x80${version}`,
}))
/** At the beginning, or after a user block of 512 bytes. */
const hdf5: readonly Magic[] = [{ bytes: '\x89HDF\r\n\x1a\n' }, { at: 512, bytes: '\x89HDF\r\n\x1a\n' }]

function has(head: Uint8Array, { at = 0, bytes }: Magic): boolean {
  for (let index = 0; index < bytes.length; index += 1) {
    if (head[at + index] !== bytes.charCodeAt(index)) return false
  }
  return true
}

function byMagic(name: string, extensions: readonly string[], magics: readonly Magic[]): Format {
  return by(name, extensions, (head) => magics.some((magic) => has(head, magic)))
}

function by(
  name: string,
  extensions: readonly string[],
  fits: (head: Uint8Array, total: number | null) => boolean,
): Format {
  const wrong = `The content does not begin as ${name}, which the file name stands for.`
  return { extensions, check: (head, total) => (fits(head, total) ? null : wrong) }
}

const hasAny = (head: Uint8Array, ...lists: readonly (readonly Magic[])[]) =>
  lists.some((magics) => magics.some((magic) => has(head, magic)))

/**
 * The formats that are checked. A format is listed only with extensions that nothing else uses: `.bin`, `.model`
 * and `.db` may have any content.
 */
const formats: readonly Format[] = [
  { extensions: ['.gguf'], check: checkGgufHead },
  { extensions: ['.safetensors'], check: checkSafetensorsHead },
  byMagic('a ZIP archive', ['.zip', '.npz', '.dduf', '.pt2'], zip),
  byMagic('a gzip file', ['.gz', '.tgz'], gzip),
  byMagic('a Zstandard file', ['.zst', '.tzst'], zstd),
  byMagic('an xz file', ['.xz', '.txz'], xz),
  byMagic('a bzip2 file', ['.bz2', '.tbz2'], bzip2),
  byMagic('an LZ4 file', ['.lz4'], lz4),
  byMagic('a 7z archive', ['.7z'], [{ bytes: "7z\xbc\xaf'\x1c" }]),
  byMagic('a RAR archive', ['.rar'], [{ bytes: 'Rar!\x1a\x07' }]),
  by('a tar archive', ['.tar'], isTar),
  by('a NeMo archive', ['.nemo'], (head) => isTar(head) || hasAny(head, gzip)),
  // Old versions of PyTorch wrote pickles and, before these, tar archives; new ones write ZIP archives.
  by('a PyTorch file', ['.pt', '.pth'], (head) => hasAny(head, zip, pickle) || isTar(head)),
  by('a checkpoint', ['.ckpt'], isCheckpoint),
  by('a pickle', ['.pkl', '.pickle', '.joblib'], isPickle),
  by('an ONNX model', ['.onnx'], isOnnx),
  byMagic('an ONNX Runtime model', ['.ort'], [{ at: 4, bytes: 'ORTM' }]),
  byMagic('an HDF5 file', ['.h5', '.hdf5'], hdf5),
  byMagic('a Keras model', ['.keras'], [...zip, ...hdf5]),
  byMagic('a NumPy array', ['.npy'], [{ bytes: '\x93NUMPY' }]),
  byMagic('a TensorFlow Lite model', ['.tflite'], [{ at: 4, bytes: 'TFL3' }]),
  // Little-endian: ggml, ggmf, ggjt, ggla.
  byMagic(
    'a GGML file',
    ['.ggml'],
    ['lmgg', 'fmgg', 'tjgg', 'algg', 'GGUF'].map((bytes) => ({ bytes })),
  ),
  byMagic('an SQLite database', ['.sqlite', '.sqlite3'], [{ bytes: 'SQLite format 3\0' }]),
  byMagic('a Parquet file', ['.parquet'], [{ bytes: 'PAR1' }, { bytes: 'PARE' }]),
]

/** The format that a file name stands for; null if it isn't one that can be checked. */
function formatOf(filename: string): Format | null {
  const name = filename.toLowerCase()
  return formats.find(({ extensions }) => extensions.some((ending) => name.endsWith(ending))) ?? null
}

/** Extensions of formats whose files can be recognized by their first bytes alone. */
const recognizable =
  '.gguf .safetensors .gz .zst .xz .bz2 .lz4 .7z .rar .h5 .npy .tflite .ort .ggml .sqlite .parquet .tar .onnx'.split(
    ' ',
  )

/** The beginning of what PyTorch wrote before version 1.6: a pickle of its magic number. */
const oldPyTorch: Magic = { bytes: '\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19' }

/** Types of text, which has no magic, by their media type. */
const textTypes: Readonly<Record<string, string>> = {
  'application/json': 'json',
  'application/yaml': 'yaml',
  'text/csv': 'csv',
  'text/markdown': 'md',
  'text/plain': 'txt',
}

/**
 * Chooses an extension for a file without a name.
 *
 * @param head - the file's first {@link headBytes} bytes, or the whole file.
 * @param mediaType - what the server says about its type; null if nothing.
 * @returns without the dot; `bin` if the format is not recognized.
 */
export function extensionFor(head: Uint8Array, mediaType: string | null): string {
  // The type of an empty file may be that of the words with which the server refused the range.
  if (head.length === 0) return 'bin'
  if (hasAny(head, zip)) return zipExtension(head)
  if (hasAny(head, pickle)) return has(head, oldPyTorch) ? 'pt' : 'pkl'
  // Zeros could be an empty archive, and other fields of a ModelProto are not distinctive enough.
  const ambiguous = { '.tar': head[0] === 0, '.onnx': head[0] !== 0x08 }
  const found = recognizable.find(
    (extension) =>
      !ambiguous[extension as keyof typeof ambiguous] && formatOf(extension)?.check(head, null) === null,
  )
  const type = mediaType?.split(';')[0]?.trim().toLowerCase() ?? ''
  return found?.slice(1) ?? textTypes[type] ?? 'bin'
}

/** PyTorch and NumPy write ZIP archives, which their first entry tells apart. */
function zipExtension(head: Uint8Array): string {
  const nameAt = 30
  const length = (head[26] ?? 0) + 256 * (head[27] ?? 0)
  const name = String.fromCharCode(...head.subarray(nameAt, nameAt + length))
  if (/\/(?:data\.pkl|version|\.format_version)$/.test(name)) return 'pt'
  return name.endsWith('.npy') ? 'npz' : 'zip'
}

/** Upper bound of a plausible version; the current one is 3. */
const maxGgufVersion = 64

/** The maximum size that the reference implementation accepts. */
const maxSafetensorsHeaderBytes = 100_000_000

/** How many of the first bytes {@link checkHead} needs. */
export const headBytes = substituteBytes

/**
 * Checks the first bytes of a file against its name: that they are neither a web page nor a Git LFS pointer, and
 * that they begin as files of the format do that the name stands for.
 *
 * - GGUF: the magic `GGUF`, then the version as a 32-bit number, little-endian or, in models for big-endian
 *   machines, big-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 * - safetensors: the header's length as a 64-bit little-endian number, then the header, a JSON object that
 *   begins with `{` (https://huggingface.co/docs/safetensors/index#format).
 * - ONNX: the fields of a `ModelProto` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 * - tar: the checksum of the first header, since archives of the oldest format have no magic.
 * - All others: the magic bytes of the format.
 *
 * @param head - the file's first {@link headBytes} bytes, or the whole file.
 * @param total - size of the file in bytes; null if unknown.
 * @returns null when nothing is wrong; otherwise one sentence that describes the problem.
 */
export function checkHead(filename: string, head: Uint8Array, total: number | null): string | null {
  return substituteIn(filename, head, total) ?? formatOf(filename)?.check(head, total) ?? null
}

function checkGgufHead(head: Uint8Array): string | null {
  if (head.length < 8) return 'The file is too short for a GGUF file.'
  const view = viewOf(head)
  if (view.getUint32(0) !== 0x47475546) return 'The content does not begin with the GGUF magic number.'
  const little = view.getUint32(4, true)
  const big = view.getUint32(4, false)
  const plausible = (version: number) => version >= 1 && version <= maxGgufVersion
  return plausible(little) || plausible(big) ? null : 'The GGUF header has no valid version.'
}

function checkSafetensorsHead(head: Uint8Array, total: number | null): string | null {
  if (head.length < 9) return 'The file is too short for a safetensors file.'
  const length = viewOf(head).getBigUint64(0, true)
  if (length < 2n || length > BigInt(maxSafetensorsHeaderBytes) || head[8] !== 0x7b) {
    return 'The content does not begin with a safetensors header.'
  }
  if (total !== null && 8 + Number(length) > total) {
    return 'The safetensors header is longer than the whole file.'
  }
  return null
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Checks a complete file against its name, like {@link checkHead}. Of safetensors, also that the header can be
 * parsed, that each tensor in it has a type, a shape and offsets, and that the last tensor ends at the end of
 * the file (https://huggingface.co/docs/safetensors/index#format).
 *
 * @param size - size of the file, in bytes.
 * @param read - reads `length` bytes from `position`, or fewer at the end of the file.
 * @returns null when nothing is wrong or the format can't be checked; otherwise one sentence that describes
 * the problem.
 * @throws whatever `read` throws.
 */
export async function checkFormat(
  filename: string,
  size: number,
  read: (position: number, length: number) => Promise<Uint8Array>,
): Promise<string | null> {
  const head = await read(0, Math.min(size, headBytes))
  const wrong = checkHead(filename, head, size)
  if (wrong !== null || !filename.toLowerCase().endsWith('.safetensors')) return wrong
  const length = Number(viewOf(head).getBigUint64(0, true))
  const header = await read(8, length)
  if (header.length !== length) return 'The safetensors header is cut off.'
  return checkSafetensorsHeader(header, size - 8 - length)
}

function checkSafetensorsHeader(bytes: Uint8Array, dataBytes: number): string | null {
  let header: Record<string, unknown>
  try {
    // An object, since it begins with a brace.
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Record<string, unknown>
  } catch {
    return 'The safetensors header is not valid JSON.'
  }
  let dataEnd = 0
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const end = tensorEnd(entry)
    if (end === null) return 'The safetensors header describes a tensor incorrectly.'
    dataEnd = Math.max(dataEnd, end)
  }
  if (dataEnd === dataBytes) return null
  const what = `${String(dataEnd)} bytes of tensors, but the file contains ${String(dataBytes)}`
  return `The safetensors header declares ${what}.`
}

/** Offset of the end of a tensor's data, relative to the end of the header; null for a malformed entry. */
function tensorEnd(entry: unknown): number | null {
  // Any value but null can be read like this; what is read is checked.
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>
  if (typeof dtype !== 'string' || dtype === '') return null
  if (!isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) return null
  const [begin = 0, end = 0] = offsets
  return begin <= end ? end : null
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0)
}

// ---- Formats without a magic number of their own.

/** Size of a tar header, and where its checksum is in it. */
const tarHeaderBytes = 512
const tarSum = { at: 148, end: 156 }

/** Whether the first header has a valid checksum, or the archive is empty: then it begins with zeros. */
function isTar(head: Uint8Array): boolean {
  if (head.length < tarHeaderBytes) return false
  const header = head.subarray(0, tarHeaderBytes)
  if (header.every((byte) => byte === 0)) return true
  const stated = /^[\0 ]*([0-7]{1,7})[\0 ]/.exec(
    String.fromCharCode(...header.subarray(tarSum.at, tarSum.end)),
  )
  // The checksum is computed with spaces in its own place.
  const sum = header.reduce((sum, byte, at) => sum + (at >= tarSum.at && at < tarSum.end ? 0x20 : byte), 0)
  return stated !== null && Number.parseInt(stated[1] ?? '', 8) === sum
}

/** Of PyTorch, MindSpore (a protobuf whose field 1 is repeated), or TensorFlow 1 (a table with an empty key). */
function isCheckpoint(head: Uint8Array): boolean {
  const others: readonly Magic[] = [{ bytes: '\x0a' }, { bytes: '\0\0' }]
  return hasAny(head, zip, pickle, others) || isTar(head)
}

/** The first instructions of pickles of protocol 0 and 1, which have no header. */
const oldPickle = /^(?:\(|\]|\}|c[\w.]+\r?\n[\w.]+\r?\n)/

/** A pickle, or what joblib makes of one: it may be compressed. */
function isPickle(head: Uint8Array): boolean {
  // zlib: a header with the window of 32 KiB, whose check bits make it divisible by 31 (RFC 1950 section 2.2).
  const zlib = head[0] === 0x78 && (0x7800 + (head[1] ?? 0)) % 31 === 0
  if (zlib || hasAny(head, pickle, zip, gzip, bzip2, xz, lz4, zstd)) return true
  return oldPickle.test(String.fromCharCode(...head.subarray(0, 200)))
}

/** Wire types of the fields of a `ModelProto`, by their number: 0 is a varint, 2 has a length. */
const onnxFields: ReadonlyMap<number, 0 | 2> = new Map([
  ...[1, 5].map((field) => [field, 0] as const),
  ...[2, 3, 4, 6, 7, 8, 14, 20, 25, 26].map((field) => [field, 2] as const),
])

/** Whether the bytes are fields of a `ModelProto`, as far as they go. */
function isOnnx(head: Uint8Array, total: number | null): boolean {
  if (head.length === 0) return false
  const end = total ?? Infinity
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = head[at] ?? 0
      at += 1
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return Number.NaN
  }
  while (at < head.length) {
    const tag = varint()
    const type = tag % 8
    if (at <= head.length && onnxFields.get(Math.floor(tag / 8)) !== type) return false
    const value = varint()
    // The field continues after these bytes, unless they are the whole file.
    if (at > head.length) return head.length < end
    if (type === 2) at += value
    if (Number.isNaN(value) || at > end) return false
  }
  return true
}
