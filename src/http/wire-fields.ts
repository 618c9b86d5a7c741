/** Fields that many requests and responses have. */
import * as z from 'zod'
import { digestAlgorithms, digestOrigins } from '../util/digests.js'

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

/** Globs that choose among the files of a ref. In a query, the field is repeated. */
export const globs = z.array(z.string().min(1).max(1_000)).max(100).optional()

/** An algorithm of digests. */
export const digestAlgorithm = z.enum(digestAlgorithms)

/** What a file was verified with. */
export const wireVerification = z.object({
  algorithm: z
    .enum([...digestAlgorithms, 'git'])
    .describe('git is the ID of a Git blob: SHA-1 over its length and its bytes.'),
  value: z.string().describe('The digest that was compared, in lower-case hex.'),
  from: z
    .enum(digestOrigins)
    .describe('Who stated it: the request, the source, a checksum file, or the headers of the file itself.'),
})
