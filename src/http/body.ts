/** Reads request bodies: JSON of at most 64 KiB. */
import type { ErrorSentences } from '../download/error-sentences.js'
import { sentenceError } from '../download/error-text.js'
import type { DownloadError } from '../errors.js'

/** Maximum size of a request body, in bytes. */
export const maxBodyBytes = 64 * 1024

const jsonType = /^application\/(?:[!#$&^_.+a-z0-9-]+\+)?json$/

/**
 * Returns the JSON value of a request.
 *
 * @param request - its body is read unless `given` is defined; reading stops as soon as the body exceeds the
 * limit.
 * @param given - the body as the host application has parsed it; strings and bytes are parsed here. What body
 * parsers produce for an empty body (`{}`, `null`) counts as empty.
 * @returns undefined when there is no body, regardless of `Content-Type`, which axios sends even then.
 * @throws DownloadError `INVALID_OPTIONS` with status 400 (invalid JSON), 413 (more than 64 KiB) or 415
 * (another type, or compressed).
 */
export async function readJson(request: Request, given: unknown): Promise<unknown> {
  if (isParsed(given)) {
    if (isEmpty(given)) return undefined
    requireJson(request.headers)
    return given
  }
  if (Number(request.headers.get('content-length')) > maxBodyBytes) {
    await request.body?.cancel()
    throw tooLarge()
  }
  const text = given === undefined ? await readText(request) : decode([bytesOf(given)])
  if (text.trim() === '') return undefined
  requireJson(request.headers)
  try {
    return JSON.parse(text) as unknown
  } catch {
    // The cause is omitted, because it quotes the body.
    throw refused(400, 'bodyInvalidJson', [])
  }
}

function isParsed(given: unknown): boolean {
  return given !== undefined && typeof given !== 'string' && !(given instanceof Uint8Array)
}

function isEmpty(given: unknown): boolean {
  return given === null || (typeof given === 'object' && Object.keys(given).length === 0)
}

function bytesOf(given: unknown): Uint8Array {
  const bytes = given instanceof Uint8Array ? given : new TextEncoder().encode(String(given))
  if (bytes.byteLength > maxBodyBytes) throw tooLarge()
  return bytes
}

/**
 * Accepts only content types that a web page cannot send to another origin without a preflight, which also
 * protects against forms on foreign pages.
 */
function requireJson(headers: Headers): void {
  const [type = '', ...parameters] = (headers.get('content-type') ?? '').toLowerCase().split(';')
  if (!jsonType.test(type.trim())) throw refused(415, 'notJson', [])
  const charset = parameters.map((each) => each.trim()).find((each) => each.startsWith('charset='))
  // RFC 8259 section 8.1: JSON exchanged between systems is UTF-8.
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw refused(415, 'bodyNotUtf8', [])
  }
  const coding = headers.get('content-encoding') ?? 'identity'
  if (coding.toLowerCase() !== 'identity') throw refused(415, 'bodyCompressed', [])
}

async function readText(request: Request): Promise<string> {
  if (request.body === null) return ''
  // The chunks of a body are bytes (https://fetch.spec.whatwg.org/#concept-body), which the types of Node do
  // not say.
  const reader = (request.body as ReadableStream<Uint8Array>).getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw refused(400, 'bodyEndedEarly', [])
    })
    if (done) return decode(chunks)
    size += value.byteLength
    if (size > maxBodyBytes) {
      await reader.cancel().catch(() => undefined)
      throw tooLarge()
    }
    chunks.push(value)
  }
}

function decode(chunks: readonly Uint8Array[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch {
    throw refused(400, 'bodyInvalidUtf8', [])
  }
}

function tooLarge(): DownloadError {
  return refused(413, 'bodyTooLarge', [String(maxBodyBytes)])
}

function refused<Key extends keyof ErrorSentences>(
  status: number,
  key: Key,
  names: Parameters<ErrorSentences[Key]>,
): DownloadError {
  return sentenceError('INVALID_OPTIONS', key, names, { status })
}
