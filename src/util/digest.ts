import crypto from 'node:crypto'

/** Node's own function, which takes a third of the time. Some runtimes lack it, where importing it by name would fail. */
const hash = (crypto as Partial<typeof crypto>).hash

/** SHA-256 in lower-case hex of something that is in memory. */
export function sha256HexOf(data: string | Uint8Array): string {
  if (hash !== undefined) return hash('sha256', data)
  return crypto.createHash('sha256').update(data).digest('hex')
}
