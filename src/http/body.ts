/** Request bodies: JSON, at most 64 KiB, read as they come. */
import { DownloadError } from '../errors.js'

/** Most bytes that a body may have. */
export const maxBodyBytes = 64 * 1024

const jsonType = /^application\/(?:[!#$&^_.+a-z0-9-]+\+)?json$/

/**
 * The JSON value that a request carries.
 *
 * @param request - its body is read unless `given` is there; cancelled at the first byte too many.
 * @param given - what the host has parsed already; text and bytes are parsed here. What body parsers make of an empty
 * body (`{}`, `null`) counts as empty.
 * @returns undefined when there is none, whatever `Content-Type` says: axios names one even then.
 * @throws DownloadError `INVALID_OPTIONS` with status 400 (not JSON), 413 (more than 64 KiB) or 415 (another type,
 * or compressed).
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
    // Without the cause: it repeats what the body says.
    throw refused(400, 'The body is not valid JSON.')
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
 * Only what a web page can't send to another origin without asking first passes as JSON; so this also guards against
 * forms of foreign pages.
 */
function requireJson(headers: Headers): void {
  const [type = '', ...parameters] = (headers.get('content-type') ?? '').toLowerCase().split(';')
  if (!jsonType.test(type.trim()))
    throw refused(415, 'The body must be JSON (Content-Type: application/json).')
  const charset = parameters.map((each) => each.trim()).find((each) => each.startsWith('charset='))
  // RFC 8259 section 8.1: JSON that travels is UTF-8.
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw refused(415, 'The body must be encoded as UTF-8.')
  }
  const coding = headers.get('content-encoding') ?? 'identity'
  if (coding.toLowerCase() !== 'identity') throw refused(415, 'The body must not be compressed.')
}

async function readText(request: Request): Promise<string> {
  if (request.body === null) return ''
  // The chunks of a body are bytes (https://fetch.spec.whatwg.org/#concept-body); Node's types don't say so.
  const reader = (request.body as ReadableStream<Uint8Array>).getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw refused(400, 'The body ended too early.')
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
    throw refused(400, 'The body is not valid UTF-8.')
  }
}

function tooLarge(): DownloadError {
  return refused(413, `The body has more than ${maxBodyBytes} bytes.`)
}

function refused(status: number, message: string): DownloadError {
  return new DownloadError('INVALID_OPTIONS', message, { status })
}
