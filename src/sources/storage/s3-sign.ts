/** Signatures of version 4, made by aws4fetch, which is loaded when the first one is needed. */
import { systemClock } from '../../util/clock.js'
import type { S3Place } from './s3-place.js'

/** `20260131T235959Z`, as signatures need it. */
function amzDate(at: number): string {
  return new Date(at).toISOString().replace(/[:-]|\.\d{3}/g, '')
}

async function signer(
  place: S3Place,
  url: string,
  method: 'GET' | 'HEAD',
  more: { headers?: Record<string, string>; signQuery?: boolean },
) {
  const { credentials, region, skewMs } = place
  if (credentials === null) return null
  const { AwsV4Signer } = await import('aws4fetch')
  const datetime = amzDate(systemClock.wallNow() + skewMs)
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  const session = sessionToken === undefined ? {} : { sessionToken }
  const keys = { accessKeyId, secretAccessKey, ...session }
  return new AwsV4Signer({ ...keys, url, method, service: 's3', region, datetime, ...more })
}

/**
 * The headers that sign one request. They are valid for about a quarter of an hour, which is longer than its retries
 * take.
 */
export async function signedHeaders(
  place: S3Place,
  url: string,
  method: 'GET' | 'HEAD',
  headers: Record<string, string> = {},
): Promise<Record<string, string>> {
  const request = await signer(place, url, method, { headers })
  if (request === null) return headers
  const signed = await request.sign()
  return Object.fromEntries(signed.headers)
}

/**
 * A URL of an object that is valid for some hours, for any number of requests and whatever range they ask for. Without
 * credentials it is the plain URL.
 */
export async function signedUrl(place: S3Place, url: string): Promise<string> {
  if (place.credentials === null) return url
  const target = new URL(url)
  // What is asked for with a header is part of a signature, so it is asked for here.
  target.searchParams.set('x-amz-checksum-mode', 'ENABLED')
  target.searchParams.set('X-Amz-Expires', String(place.expiresSeconds))
  const request = await signer(place, target.href, 'GET', { signQuery: true })
  return request === null ? url : (await request.sign()).url.href
}
