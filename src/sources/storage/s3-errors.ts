/** What S3 and its relatives answer when they refuse a request, and what to do about it. Pure. */
import { DownloadError, type DownloadErrorCode } from '../../errors.js'
import { rateLimited } from '../support.js'
import type { ApiAnswer } from '../source.js'
import type { S3Place } from './s3-place.js'
import { textIn } from './xml.js'

/** The code in an answer, such as `NoSuchKey`; null when it has none, as that to a `HEAD` request. */
export function codeIn({ text }: Pick<ApiAnswer, 'text'>): string | null {
  const code = textIn(text, 'Code')?.trim() ?? ''
  return /^[A-Za-z0-9.]{1,64}$/.test(code) ? code : null
}

/** The region of the bucket, if an answer says that it is another one than the request was signed for. */
export function otherRegion({ status, headers, text }: ApiAnswer, region: string): string | null {
  if (status < 300 || status === 404) return null
  const isMalformed = codeIn({ text }) === 'AuthorizationHeaderMalformed'
  const named = headers['x-amz-bucket-region'] ?? (isMalformed ? textIn(text, 'Region') : null)
  const isName = named !== null && /^[a-z0-9][a-z0-9-]{0,62}$/i.test(named)
  return isName && named !== region ? named : null
}

/** Codes of keys and signatures that are not accepted. */
const badCredentials = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'NotSignedUp',
  'InvalidSecurity',
])

const expiredCredentials = new Set([
  'ExpiredToken',
  'TokenRefreshRequired',
  'InvalidToken',
  'ExpiredTokenException',
])

/** Whether the store refuses a request because this machine's clock is wrong. */
export function isSkewed(answer: ApiAnswer): boolean {
  const code = codeIn(answer)
  return code === 'RequestTimeTooSkewed' || code === 'RequestExpired'
}

/** Explains a refusal; null for what is not known. `key` is that of the object, or empty for a list. */
export function refusalOf(answer: ApiAnswer, place: S3Place, key: string): DownloadError | null {
  const { status } = answer
  const { bucket, credentials, region } = place
  const host = new URL(answer.url).host
  const code = codeIn(answer)
  const make = (kind: DownloadErrorCode, message: string) => new DownloadError(kind, message, { status })
  const what = key === '' ? `the bucket ${bucket}` : JSON.stringify(key)
  if (code !== null && expiredCredentials.has(code)) {
    return make(
      'ACCESS_DENIED',
      `The session token for ${host} has expired or is not valid: renew the credentials.`,
    )
  }
  if (code !== null && badCredentials.has(code)) {
    const message = `${host} does not accept the credentials (${code}): check the access key, its secret and the region (${region}).`
    return make('ACCESS_DENIED', message)
  }
  if (isSkewed(answer)) {
    return make('ACCESS_DENIED', `${host} refuses the time of the request: set the clock of this machine.`)
  }
  switch (code) {
    case 'NoSuchBucket':
      return make('NOT_FOUND', `${host} has no bucket ${bucket}. Check its name and the endpoint.`)
    case 'InvalidBucketName':
      return make('INVALID_URL', `${host} does not allow ${bucket} as the name of a bucket.`)
    case 'NoSuchVersion':
      return make('NOT_FOUND', `The bucket ${bucket} has no such version of ${what}.`)
    case 'InvalidObjectState':
      return make('ACCESS_DENIED', `${what} in the bucket ${bucket} is archived: restore it first.`)
    case 'SlowDown':
      return rateLimited(answer, 'wait')
    case 'MethodNotAllowed':
      return make('NOT_FOUND', `This version of ${what} is a delete marker.`)
    default:
  }
  if (status === 404) return make('NOT_FOUND', `The bucket ${bucket} has no ${what}.`)
  if (status === 401 || status === 403) return make('ACCESS_DENIED', denied(what, place, host))
  if (status >= 300 && status < 400) {
    const message = `${host} says that the bucket ${bucket} is elsewhere; set the endpoint and the region that it belongs to.`
    return make('REDIRECT_BLOCKED', message)
  }
  if (status === 400 && code !== null) return make('HTTP_ERROR', `${host} refuses the request (${code}).`)
  return credentials === null && status === 400 ? make('ACCESS_DENIED', denied(what, place, host)) : null
}

function denied(what: string, { bucket, credentials, hint }: S3Place, host: string): string {
  if (hint !== null) return `${host} denies access to ${what}. ${hint}`
  if (credentials === null) {
    return `${host} denies access to ${what} without credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.`
  }
  const needed = what.startsWith('"') ? 's3:GetObject' : 's3:ListBucket'
  return `The credentials give no access to ${what} in ${bucket} on ${host}, or it does not exist: they need ${needed}.`
}
