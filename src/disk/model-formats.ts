/**
 * Checks whether a file has the format that its name says. This detects a login page or half a model, but
 * doesn't prove that a model is intact; only a digest does.
 */

/** Formats that can be checked. */
export type ModelFormat = 'gguf' | 'safetensors'

/** The format for a file name's extension; null if it isn't one that can be checked. */
export function formatOf(filename: string): ModelFormat | null {
  const name = filename.toLowerCase()
  if (name.endsWith('.gguf')) return 'gguf'
  if (name.endsWith('.safetensors')) return 'safetensors'
  return null
}

/** Upper bound of a plausible version; the current one is 3. */
const maxGgufVersion = 64

/** The maximum size that the reference implementation accepts. */
const maxSafetensorsHeaderBytes = 100_000_000

/**
 * Checks the first bytes of a file against the format that its name says.
 *
 * - GGUF: the magic `GGUF`, then the version as a 32-bit number, little-endian or, in models for big-endian
 *   machines, big-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 * - safetensors: the header's length as a 64-bit little-endian number, then the header, a JSON object that
 *   begins with `{` (https://huggingface.co/docs/safetensors/index#format).
 *
 * @param head - the file's first bytes: at least 16, or the whole file.
 * @param total - size of the file in bytes; null if unknown.
 * @returns null when nothing is wrong; otherwise one sentence that describes the problem.
 */
export function checkHead(filename: string, head: Uint8Array, total: number | null): string | null {
  const format = formatOf(filename)
  if (format === null) return null
  const wrong = format === 'gguf' ? checkGgufHead(head) : checkSafetensorsHead(head, total)
  if (wrong === null) return null
  return looksLikeHtml(head) ? 'The content is an HTML page, not a model file.' : wrong
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
 * Checks a complete file against the format that its name says. GGUF: like {@link checkHead}. safetensors:
 * also that the header can be parsed, that each tensor in it has a type, a shape and offsets, and that the
 * last tensor ends at the end of the file (https://huggingface.co/docs/safetensors/index#format).
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
  const format = formatOf(filename)
  if (format === null) return null
  // Enough for the HTML check to look past white space and comments.
  const head = await read(0, Math.min(size, 1024))
  const wrong = checkHead(filename, head, size)
  if (wrong !== null || format === 'gguf') return wrong
  const length = Number(viewOf(head).getBigUint64(0, true))
  const header = await read(8, length)
  if (header.length !== length) return 'The safetensors header is cut off.'
  return checkSafetensorsHeader(header, size - 8 - length)
}

function checkSafetensorsHeader(bytes: Uint8Array, dataBytes: number): string | null {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return 'The safetensors header is not valid JSON.'
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    return 'The safetensors header is not an object.'
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
  if (typeof entry !== 'object' || entry === null) return null
  if (!('dtype' in entry && 'shape' in entry && 'data_offsets' in entry)) return null
  const { dtype, shape, data_offsets: offsets } = entry
  if (typeof dtype !== 'string' || dtype === '') return null
  if (!isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) return null
  const [begin = 0, end = 0] = offsets
  return begin <= end ? end : null
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0)
}

/**
 * The tags by which the MIME Sniffing standard recognises HTML, after optional white space and comments
 * (https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type). Each part can match
 * in only one way, so that no input makes this slow.
 */
const html =
  /^(?:\xef\xbb\xbf)?(?:\s|<!--(?:(?!-->)[^])*-->|<\?xml[^>]*>)*<(?:!doctype html|html|head|body|title|meta|script|style|h1|div|table|iframe|a|p|br|b)(?:[\s>/]|$)/i

/**
 * Whether bytes are the beginning of an HTML page, such as a login form or an error page in place of a model.
 *
 * @param head - the first bytes; only 1,024 of them are looked at.
 */
export function looksLikeHtml(head: Uint8Array): boolean {
  return html.test(Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 1024)).toString('latin1'))
}
