/** Headers of downloads in the store of a cluster, which others may read. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { DownloadError } from '../errors.js'

/** Name of the only header of a record whose headers are sealed. */
const sealedName = 'x-sealed'

/** Headers that hold no secret. */
const plainNames = new Set([
  'accept',
  'accept-language',
  'cache-control',
  'origin',
  'pragma',
  'referer',
  'user-agent',
])

const key = (secret: string) =>
  Buffer.from(hkdfSync('sha256', secret, '', 'model-downloader cluster headers', 32))

/**
 * Encrypts headers (AES-256-GCM) if one of them may hold a secret.
 *
 * @param secret - of the hosts of the cluster; null if they have none.
 * @throws DownloadError `INVALID_OPTIONS` if there is something to encrypt and no secret.
 */
export function sealHeaders(
  headers: Readonly<Record<string, string>>,
  secret: string | null,
): Record<string, string> {
  if (Object.keys(headers).every((name) => plainNames.has(name.toLowerCase()) || name === sealedName))
    return { ...headers }
  if (secret === null)
    throw new DownloadError(
      'INVALID_OPTIONS',
      'Headers with secrets can only be stored in a cluster whose instances share a secret; set the option secret.',
    )
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key(secret), iv)
  const text = Buffer.concat([cipher.update(JSON.stringify(headers), 'utf8'), cipher.final()])
  return { [sealedName]: Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64') }
}

/** Decrypts headers; none if they were encrypted with another secret. */
export function unsealHeaders(
  headers: Readonly<Record<string, string>>,
  secret: string | null,
): Record<string, string> {
  const sealed = headers[sealedName]
  if (sealed === undefined) return { ...headers }
  if (secret === null) return {}
  try {
    const data = Buffer.from(sealed, 'base64')
    const decipher = createDecipheriv('aes-256-gcm', key(secret), data.subarray(0, 12))
    decipher.setAuthTag(data.subarray(12, 28))
    const text = Buffer.concat([decipher.update(data.subarray(28)), decipher.final()]).toString('utf8')
    return JSON.parse(text) as Record<string, string> // it was encrypted by sealHeaders
  } catch {
    return {}
  }
}
