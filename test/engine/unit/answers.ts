/** What the tests of the response rules expect and are answered: a file of 1,000 bytes, from its beginning or in part. */
import type { Expectation } from '../../../src/engine/fetch/response-rules.js'
import type { Identity } from '../../../src/engine/part/identity.js'
import type { ResponseHead } from '../../../src/net/exchange.js'

export const total = 1000
export const date = 'Mon, 15 Jan 2024 12:00:00 GMT'
export const modified = 'Mon, 01 Jan 2024 00:00:00 GMT'
export const known: Identity = { total, etag: '"a"', lastModified: modified, lastModifiedStrong: true }
export const bare: Identity = { total, etag: null, lastModified: null, lastModifiedStrong: false }

/** The first request for the file. */
export const first: Expectation = { start: 0, end: null, identity: null, digestKnown: false, size: null }
/** One for a segment of the file that is known by now. */
export const later: Expectation = { start: 400, end: 600, identity: known, digestKnown: false, size: null }

/** The head of an answer. */
export function answer(status: number, headers: ResponseHead['headers'] = {}): ResponseHead {
  return { status, headers }
}
