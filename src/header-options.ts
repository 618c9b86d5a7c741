/** Which headers callers may send along. */
import * as z from 'zod'

const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// Visible ASCII, obs-text, space and tab; anything else would let a value break out of its line (RFC 9110 section 5.5).
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/
/** Headers that belong to the engine: a caller's Range or Host would break the transfer rules. */
const reservedHeaders = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Validates a caller's headers. */
export const headers = z.record(z.string(), z.string()).superRefine((value, context) => {
  for (const [name, content] of Object.entries(value)) {
    if (!headerName.test(name)) {
      context.addIssue({ code: 'custom', path: [name], message: 'is not a valid header name' })
    } else if (reservedHeaders.has(name.toLowerCase())) {
      context.addIssue({
        code: 'custom',
        path: [name],
        message: 'is set by the engine and cannot be overridden',
      })
    }
    if (!headerValue.test(content)) {
      context.addIssue({
        code: 'custom',
        path: [name],
        message: 'holds a character that a header value must not have',
      })
    }
  }
})
