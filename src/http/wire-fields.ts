/** Fields that many requests and responses have. */
import * as z from 'zod'

/** A number of bytes, or of files. */
export const byteCount = z.number().int().nonnegative()

/** A point in time. */
export const isoTime = z.iso.datetime().describe('ISO 8601 in UTC.')

/** Every response but a problem has it. */
export const succeeded = z.literal(true)

/** A SHA-256. */
export const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/)

/** How many entries a page of a list may have; in a query. */
export const pageSize = z.coerce.number().int().min(1).max(10_000).optional()
