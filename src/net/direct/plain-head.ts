/**
 * Parses the heads of plain responses, those whose body the engine reads from the socket itself. Pure.
 *
 * It accepts only what no two implementations read differently. Everything else is "odd", and goes to undici, which is
 * lenient where it is safe to be: so this parser never has to decide what a malformed head means.
 */

/** The head of a plain response: HTTP/1.1, one length, no transfer coding. */
export interface PlainHead {
  status: number
  /** Names are in lower case. Of a repeated name, the values are in an array. */
  headers: Record<string, string | string[]>
  /** Length of the body in bytes. */
  bodyBytes: number
  /** Whether the connection can be used for another request after the body. */
  isReusable: boolean
  /** How long the server keeps an idle connection, in milliseconds; null if it doesn't say. */
  idleMs: number | null
  /** Length of the head in bytes, with the empty line. */
  headBytes: number
}

/** A longer head is odd, in bytes. Real ones have one or two thousand. */
export const maxPlainHeadBytes = 16 * 1024

const statusLine = /^HTTP\/1\.1 ([2-5]\d\d) [\t\x20-\x7e\x80-\xff]*$/
const prefix = 'HTTP/1.1 '
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/
const contentLength = /^\d{1,15}$/

/**
 * Names that may change how a message is read, which is left to a complete parser, and those that are properties of
 * every object.
 */
const oddNames = new Set(['transfer-encoding', 'upgrade', 'proxy-connection', '__proto__', 'constructor'])

/** They have no body whatever their fields say (RFC 9112 section 6.3). */
const withoutBody = new Set([204, 304])

/**
 * Parses what has been received of a response (RFC 9112 sections 2 to 6).
 *
 * @param bytes - all bytes from the beginning of the response. What follows the head is ignored.
 * @returns `incomplete` if the head may still become a plain one, `odd` if it can't.
 */
export function parsePlainHead(bytes: Buffer): PlainHead | 'incomplete' | 'odd' {
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, maxPlainHeadBytes))
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return mayBecomePlain(text) ? 'incomplete' : 'odd'
  const lines = text.slice(0, end).split('\r\n')
  const match = statusLine.exec(lines[0] ?? '')
  if (match === null) return 'odd'
  const status = Number(match[1])
  const headers = fieldsOf(lines)
  if (headers === null || withoutBody.has(status)) return 'odd'
  const length = headers['content-length']
  const connection = headers['connection'] ?? 'keep-alive'
  if (typeof length !== 'string' || !contentLength.test(length)) return 'odd'
  if (typeof connection !== 'string' || !/^(?:keep-alive|close)$/i.test(connection)) return 'odd'
  return {
    status,
    headers,
    bodyBytes: Number(length),
    isReusable: connection.toLowerCase() === 'keep-alive',
    idleMs: idleTimeOf(headers['keep-alive']),
    headBytes: end + 4,
  }
}

function mayBecomePlain(text: string): boolean {
  const start = text.slice(0, prefix.length)
  return (
    text.length < maxPlainHeadBytes &&
    start === prefix.slice(0, start.length) &&
    !/[^\r]\n|\r[^\n]/.test(text)
  )
}

/** The fields after the status line; null if any of them is odd. */
function fieldsOf(lines: readonly string[]): Record<string, string | string[]> | null {
  const headers: Record<string, string | string[]> = {}
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':')
    if (colon === -1) return null
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).replace(/^[\t ]+/, '')
    if (!token.test(name) || oddNames.has(name) || !fieldValue.test(value) || /[\t ]$/.test(value))
      return null
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else if (Array.isArray(before)) before.push(value)
    else headers[name] = [before, value]
  }
  return headers
}

/** Of `Keep-Alive: timeout=5, max=100` (RFC 2068 section 19.7.1.1). */
function idleTimeOf(keepAlive: string | string[] | undefined): number | null {
  const match = typeof keepAlive === 'string' ? /\btimeout=(\d{1,6})\b/i.exec(keepAlive) : null
  return match === null ? null : Number(match[1]) * 1000
}
