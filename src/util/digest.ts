import { createHash } from 'node:crypto'

/**
 * SHA-256 in lower-case hex of something that is in memory. Node's own function for that is newer than some runtimes, where
 * importing it by name would hide why they aren't supported.
 */
export function sha256HexOf(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}
