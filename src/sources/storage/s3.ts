/** The source for S3 and the many stores that speak its protocol. */
import { DownloadError } from '../../errors.js'
import { serverTime } from '../../net/requested-wait.js'
import { systemClock } from '../../util/clock.js'
import type { ApiAnswer, Resolution, ResolveContext, ResolvedFile, Source } from '../source.js'
import { unusable } from '../support.js'
import { s3Digests } from './digests.js'
import { groupOfObjects } from './object-folder.js'
import { escapeComponent, isPrefix, nameOfKey, type ObjectRef, parseObjectRef } from './object-ref.js'
import { isSkewed, otherRegion, refusalOf } from './s3-errors.js'
import { inRegion, objectUrl, placeOf, type S3Options, type S3Place } from './s3-place.js'
import { signedHeaders, signedUrl } from './s3-sign.js'
import { elementsIn, textIn } from './xml.js'

export type { S3Credentials } from './aws-config.js'
export type { S3Options } from './s3-place.js'

const bucketName = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{1,253})[A-Za-z0-9]$/

/** A page lists 1,000 keys of up to 1,024 bytes, each of which may be escaped. */
const maxPageBytes = 8 * 1024 * 1024

/** Markers of folders may make a list longer than its files. */
const maxPages = 200

/** What reading an entry of a list and signing its address costs, in units of {@link Slices}. */
const entryUnits = 1_500

/** Statuses that are looked at instead of being errors: a region, a clock or the body says what is wrong. */
const refusals = [301, 307, 308, 400, 401, 403, 404, 405, 416]

/** One object of a list. */
interface Listed {
  key: string
  size: number
  etag: string | null
}

/**
 * Creates the source for `s3://bucket/key`, which stands for an object, and `s3://bucket/prefix/`, which stands for all
 * objects below it.
 *
 * @example
 * new DownloadManager({
 *   sources: [s3({ name: 'r2', scheme: 'r2', endpoint: 'https://ACCOUNT.r2.cloudflarestorage.com', profile: 'r2' })],
 * })
 * @throws DownloadError `INVALID_OPTIONS` for a scheme that can't be one.
 */
export function s3(options: S3Options = {}): Source {
  const { name = 's3', scheme = 's3' } = options
  if (!/^[a-z][a-z0-9+.-]{0,31}$/.test(scheme) || /^(?:https?|file)$/.test(scheme)) {
    const message =
      'must be lower-case letters, digits, plus, dots or dashes, and none of http, https and file'
    throw new DownloadError('INVALID_OPTIONS', `The scheme of an S3 source ${message}.`, {
      issues: [{ path: 'scheme', message }],
    })
  }
  const prefix = `${scheme}:`
  const parse = (ref: string) => parseS3Ref(ref, scheme)
  return {
    name,
    match: (ref) => ref.slice(0, prefix.length).toLowerCase() === prefix,
    filenameOf: (ref) => nameOfKey(parse(ref).key),
    address: async (ref, context) => {
      const { bucket, key, version } = parse(ref)
      const place = await placeOf(bucket, options, context)
      return { url: await signedUrl(place, objectUrl(place, key, versionQuery(version))), headers: {} }
    },
    resolve: async (ref, context) => {
      const parsed = parse(ref)
      const client = new Client(await placeOf(parsed.bucket, options, context), context)
      if (isPrefix(parsed.key)) return await folder(client, parsed, context)
      return { files: [await oneFile(client, parsed, scheme)] }
    },
  }
}

/**
 * Parses `s3://bucket/key`, with `?versionId=…` for a version of an object.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseS3Ref(ref: string, scheme = 's3'): ObjectRef {
  const text = ref.slice(scheme.length + 1).replace(/^\/\//, '')
  const example = `${scheme}://bucket/key or, for all objects below a prefix, ${scheme}://bucket/prefix/`
  return parseObjectRef(text, { isBucket: bucketName, versionName: 'versionId', example })
}

function versionQuery(version: string | null): string {
  return version === null ? '' : `versionId=${escapeComponent(version)}`
}

/** Requests of one resolution. It learns the bucket's region and the store's time from the first answers. */
class Client {
  place: S3Place
  readonly #context: ResolveContext

  constructor(place: S3Place, context: ResolveContext) {
    this.place = place
    this.#context = context
  }

  /** Makes a request that is signed with what is known of the bucket; the answer may be a refusal. */
  async ask(
    key: string,
    query: string,
    { method = 'GET', headers = {} }: { method?: 'GET' | 'HEAD'; headers?: Record<string, string> } = {},
  ): Promise<ApiAnswer> {
    let isCorrected = false
    for (let attempt = 0; ; attempt += 1) {
      const { place } = this
      const url = objectUrl(place, key, query)
      const signed = await signedHeaders(place, url, method, headers)
      const answer = await this.#context.fetchText(url, {
        method,
        headers: signed,
        accept: refusals,
        maxBytes: maxPageBytes,
        explain: (refused) => refusalOf(refused, place, key),
      })
      const region = otherRegion(answer, place.region)
      if (region !== null && attempt < 2) {
        this.place = inRegion(place, region)
        continue
      }
      const now = serverTime(answer.headers)
      if (isSkewed(answer) && !isCorrected && now !== null) {
        isCorrected = true
        this.place = { ...place, skewMs: now - systemClock.wallNow() }
        continue
      }
      return answer
    }
  }

  /** Like {@link ask}, but a refusal is an error. */
  async require(key: string, query: string, headers: Record<string, string> = {}): Promise<ApiAnswer> {
    const answer = await this.ask(key, query, { headers })
    const { status, url } = answer
    if (status < 300) return answer
    throw (
      refusalOf(answer, this.place, key) ??
      new DownloadError('HTTP_ERROR', `${new URL(url).host} answered with HTTP ${String(status)}.`, {
        status,
      })
    )
  }
}

async function oneFile(client: Client, ref: ObjectRef, scheme: string): Promise<ResolvedFile> {
  const { key } = ref
  const query = versionQuery(ref.version)
  const headers = { 'x-amz-checksum-mode': 'ENABLED' }
  let head = await client.ask(key, query, { method: 'HEAD', headers })
  // An answer to HEAD has no body that would say what is wrong, and some keys may be used with GET only.
  if (head.status >= 300) head = await lookAgain(client, ref, scheme)
  const { place } = client
  const etag = etagOf(head.headers['etag'])
  return {
    filename: nameOfKey(key) ?? key,
    urls: [await signedUrl(place, objectUrl(place, key, query))],
    size: sizeOf(head),
    ...s3Digests(head.headers),
    ...(etag === null ? {} : { revision: etag }),
    headers: {},
  }
}

/** Asks for the first byte of an object, which also tells why it can't be had. */
async function lookAgain(
  client: Client,
  { key, version, bucket }: ObjectRef,
  scheme: string,
): Promise<ApiAnswer> {
  const answer = await client.ask(key, versionQuery(version), { headers: { range: 'bytes=0-0' } })
  // An empty object has no first byte.
  if (answer.status < 300 || answer.status === 416) return answer
  const error = refusalOf(answer, client.place, key)
  if (answer.status !== 404 || error?.code !== 'NOT_FOUND') {
    throw error ?? new DownloadError('HTTP_ERROR', `The store answered with HTTP ${String(answer.status)}.`)
  }
  const below = await client.ask('', listQuery(`${key}/`, null, 1)).catch(() => null)
  const isFolder = below !== null && below.status < 300 && textIn(below.text, 'Key') !== null
  if (!isFolder) throw error
  const message = `The bucket ${bucket} has no ${JSON.stringify(key)}, but objects below it: write ${scheme}://${bucket}/${key}/ for these.`
  throw new DownloadError('NOT_FOUND', message, { status: 404 })
}

function sizeOf({ headers, status }: ApiAnswer): number | undefined {
  const range = /\/(\d{1,15})$/.exec(headers['content-range'] ?? '')?.[1]
  const length = range ?? (status === 206 ? undefined : headers['content-length'])
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined
}

/** An entity tag without quotes, as it is written in lists and headers; null for one that is weak or none. */
function etagOf(text: string | null | undefined): string | null {
  const found = /^"?([\x21\x23-\x7e]{1,200})"?$/.exec(text?.trim() ?? '')?.[1] ?? null
  return found === null || found.startsWith('W/') ? null : found
}

async function folder(client: Client, ref: ObjectRef, context: ResolveContext): Promise<Resolution> {
  return await groupOfObjects(ref, context, {
    pages: pages(client, ref.key),
    entryUnits,
    objectOf: (entry) => entry,
    // With the place as the list has left it: the client learns the region of the bucket.
    fileOf: async ({ key, size, etag }, filename) => ({
      filename,
      urls: [await signedUrl(client.place, objectUrl(client.place, key))],
      size,
      ...(etag === null ? {} : { revision: etag }),
      headers: {},
    }),
    words: { bucket: 'bucket', objects: 'objects' },
  })
}

/** The parameters in the order of their names, as signatures need them. */
function listQuery(prefix: string, token: string | null, maxKeys = 1_000): string {
  const parameters = {
    ...(token === null ? {} : { 'continuation-token': token }),
    'encoding-type': 'url',
    'list-type': '2',
    'max-keys': String(maxKeys),
    prefix,
  }
  return Object.entries(parameters)
    .map(([name, value]) => `${name}=${escapeComponent(value)}`)
    .join('&')
}

async function* pages(client: Client, prefix: string): AsyncGenerator<Listed[]> {
  let token: string | null = null
  for (let page = 0; page < maxPages; page += 1) {
    const { text, url }: ApiAnswer = await client.require('', listQuery(prefix, token))
    if (!/<(?:\w+:)?ListBucketResult[\s>]/.test(text)) throw unusable(url)
    const isEscaped = textIn(text, 'EncodingType') === 'url'
    yield [...elementsIn(text, 'Contents')].map((entry) => listedOf(entry, isEscaped, url))
    if (textIn(text, 'IsTruncated') !== 'true') return
    const next = textIn(text, 'NextContinuationToken')
    if (next === null || next === '' || next === token) break
    token = next
  }
  throw new DownloadError('PROTOCOL_ERROR', "The store's list of objects is endless.")
}

function listedOf(entry: string, isEscaped: boolean, url: string): Listed {
  const key = unescapedKey(textIn(entry, 'Key'), isEscaped)
  const size = textIn(entry, 'Size') ?? ''
  if (key === null || !/^\d{1,15}$/.test(size)) throw unusable(url)
  return { key, size: Number(size), etag: etagOf(textIn(entry, 'ETag')) }
}

/** With `encoding-type=url`, stores write a space as `+`. */
function unescapedKey(key: string | null, isEscaped: boolean): string | null {
  if (key === null || key === '' || !isEscaped) return key === '' ? null : key
  try {
    return decodeURIComponent(key.replace(/\+/g, ' '))
  } catch {
    return null
  }
}
