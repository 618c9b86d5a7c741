/** Reads the header of safetensors files (https://huggingface.co/docs/safetensors/index#format). Pure. */
import { Cursor, invalidHeader, type Parsing } from './header.js'

/** What a safetensors header says. */
export interface SafetensorsFacts {
  tensors: number
  /** Numbers in all tensors. */
  parameters: number
  /** Numbers by type, such as `BF16`. */
  types: ReadonlyMap<string, number>
}

/** Longer than any header that is worth reading: with 60,000 tensors it has 6 MB. */
const maxHeaderBytes = 16 * 1024 * 1024

/**
 * Reads the JSON of a header.
 *
 * @returns the text; it is not parsed yet.
 * @throws DownloadError `CONTENT_MISMATCH`.
 */
export function* readSafetensorsJson(): Parsing<string> {
  const cursor = new Cursor()
  yield* cursor.fill(8)
  const length = cursor.u64()
  if (length < 2 || length > maxHeaderBytes)
    throw invalidHeader('The content does not begin with a safetensors header, or its header is too long.')
  yield* cursor.fill(length)
  const bytes = cursor.bytes(length)
  if (bytes[0] !== 0x7b) throw invalidHeader('The content does not begin with a safetensors header.')
  return new TextDecoder().decode(bytes)
}

/**
 * Summarizes a header.
 *
 * @param header - the parsed JSON.
 * @throws DownloadError `CONTENT_MISMATCH`.
 */
export function summarizeSafetensors(header: unknown): SafetensorsFacts {
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw badTensor()
  let tensors = 0
  let parameters = 0
  const types = new Map<string, number>()
  for (const [name, entry] of Object.entries(header) as [string, unknown][]) {
    if (name === '__metadata__') continue
    if (typeof entry !== 'object' || entry === null) throw badTensor()
    // What is read of it is checked.
    const { dtype, shape } = entry as { dtype?: unknown; shape?: unknown }
    if (typeof dtype !== 'string' || dtype === '' || dtype.length > 32 || !Array.isArray(shape))
      throw badTensor()
    let elements = 1
    for (const size of shape as unknown[]) {
      if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw badTensor()
      elements *= size
    }
    tensors += 1
    parameters += elements
    if (!Number.isSafeInteger(parameters)) throw badTensor()
    types.set(dtype, (types.get(dtype) ?? 0) + elements)
  }
  return { tensors, parameters, types }
}

/** Adds up what the headers of several files say. */
export function addSafetensors(parts: readonly SafetensorsFacts[]): SafetensorsFacts {
  const types = new Map<string, number>()
  for (const part of parts) {
    for (const [type, elements] of part.types) types.set(type, (types.get(type) ?? 0) + elements)
  }
  const sum = (of: (part: SafetensorsFacts) => number) => parts.reduce((total, part) => total + of(part), 0)
  return { tensors: sum(({ tensors }) => tensors), parameters: sum(({ parameters }) => parameters), types }
}

/** The type of most numbers; null if there are none. */
export function mainType(types: ReadonlyMap<string, number>): string | null {
  return (
    [...types].reduce<[string, number] | null>(
      (most, entry) => (most === null || entry[1] > most[1] ? entry : most),
      null,
    )?.[0] ?? null
  )
}

function badTensor(): Error {
  return invalidHeader('The safetensors header describes a tensor incorrectly.')
}
