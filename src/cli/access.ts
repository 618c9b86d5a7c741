import { createHash, timingSafeEqual } from 'node:crypto'
import type { Authorize } from '../http/access.js'

/**
 * Lets in who sends `Authorization: Bearer <token>` (RFC 6750 section 2.1), for everything. A missing or a wrong token
 * is answered with 401. How long the comparison takes tells nothing of the token.
 */
export function bearer(token: string): Authorize {
  const expected = digest(token)
  return (_action, request) => {
    const given = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
    return given !== undefined && timingSafeEqual(digest(given), expected) ? true : 'unauthenticated'
  }
}

/** Digests are of one length, which `timingSafeEqual` needs. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
