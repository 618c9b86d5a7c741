/**
 * A store that speaks the protocol of S3: signatures of version 4 in headers and in URLs, which it checks with code of its
 * own, ranges, strong ETags, checksums, lists, and the errors that clients have to deal with. The official client agrees
 * with it, see test/sources/s3-server.test.ts.
 */
import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Content, textContent } from './content.js'

/** An object. */
export interface StoredObject {
  content: Content
  /** With quotes. Default: the MD5 of small contents, else one made from the label. */
  etag?: string
  /** Checksums in base64 by algorithm, told when they are asked for. Default: that of SHA-256 for small contents. */
  checksums?: Record<string, string>
  /** Default `FULL_OBJECT`. */
  checksumType?: string
  archived?: boolean
}

/** One request to the store. */
export interface S3Request {
  method: string
  /** With the bucket, escaped, without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  /** How it was signed; null for a request without a signature. */
  signed: 'header' | 'query' | null
  status: number
  sentBytes: number
}

export interface S3Options {
  region?: string
  /** Secrets by access key. Default: `AKIATEST` with `secret/with+signs`. */
  keys?: Record<string, string>
  /** Session tokens that are valid, by access key. Default: none, and requests may have none. */
  sessions?: Record<string, string>
  /** Buckets that may be read without a signature. */
  public?: string[]
  /** Current time, in milliseconds. Default: that of this machine. */
  now?: () => number
  /** Buckets in other regions: their requests must be signed for these. */
  regions?: Record<string, string>
  /** How many keys a page of a list has. Default: 1,000. */
  pageSize?: number
}

export const s3Keys = { AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'secret/with+signs' }

/** Longest difference to the time of a signed request, in milliseconds. */
const maxSkewMs = 15 * 60_000

class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly more = '',
    readonly headers: Record<string, string> = {},
  ) {
    super(code)
  }
}

export class S3Server implements AsyncDisposable {
  readonly buckets = new Map<string, Map<string, StoredObject>>()
  readonly requests: S3Request[] = []
  /** Refuses addresses that were signed before this time, as if they had expired. */
  expiredBefore = 0
  /** Stops sending after so many bytes of each body; null to send all. */
  cutAfter: number | null = null
  readonly #options: Required<S3Options>
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy())
  })

  constructor({
    region = 'us-east-1',
    keys = { AKIATEST: 'secret/with+signs' },
    sessions = {},
    public: open = [],
    now = Date.now,
    regions = {},
    pageSize = 1_000,
  }: S3Options) {
    this.#options = { region, keys, sessions, public: open, now, regions, pageSize }
  }

  /** Adds objects; texts are contents, too. */
  add(bucket: string, objects: Record<string, StoredObject | Content | string>): void {
    const all = this.buckets.get(bucket) ?? new Map<string, StoredObject>()
    for (const [key, given] of Object.entries(objects)) {
      const object =
        typeof given === 'string'
          ? { content: textContent(given) }
          : 'content' in given
            ? given
            : { content: given }
      all.set(key, object)
    }
    this.buckets.set(bucket, all)
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('The store does not listen.')
    return `http://127.0.0.1:${address.port}`
  }

  /** Variables with which clients find the store. */
  get env(): Record<string, string> {
    return { AWS_ENDPOINT_URL_S3: this.url, AWS_REGION: this.#options.region, ...s3Keys }
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '/', search = ''] = (request.url ?? '').split('?')
    const query = new URLSearchParams(search)
    const { method = 'GET', headers } = request
    const noted: S3Request = { method, path, query, headers, signed: null, status: 0, sentBytes: 0 }
    this.requests.push(noted)
    const body: Buffer[] = []
    for await (const chunk of request) body.push(chunk as Buffer)
    try {
      const [bucket = '', ...rest] = path.slice(1).split('/')
      const key = decodeURIComponent(rest.join('/'))
      noted.signed = this.#checkSignature(method, path, search, headers, bucket)
      const objects = this.buckets.get(bucket)
      if (objects === undefined) throw new Refusal(404, 'NoSuchBucket')
      if (key === '' && method === 'GET') this.#list(bucket, objects, query, response, noted)
      else if (method === 'PUT') this.#put(objects, key, Buffer.concat(body), headers, response, noted)
      else await this.#get(objects, key, request, query, response, noted)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      noted.status = error.status
      const text = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${error.code}</Code><Message>${error.code} &amp; so on</Message>${error.more}<RequestId>1</RequestId></Error>`
      response.writeHead(error.status, { 'content-type': 'application/xml', ...error.headers })
      response.end(method === 'HEAD' ? undefined : text)
    }
  }

  #checkSignature(
    method: string,
    path: string,
    search: string,
    headers: IncomingMessage['headers'],
    bucket: string,
  ): S3Request['signed'] {
    const query = new URLSearchParams(search)
    const inQuery = query.has('X-Amz-Signature')
    const header = /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    )
    if (!inQuery && header === null) {
      if (this.#options.public.includes(bucket)) return null
      throw new Refusal(403, 'AccessDenied')
    }
    const text = (name: string) => (inQuery ? query.get(name) : String(headers[name.toLowerCase()] ?? ''))
    const credential = (inQuery ? query.get('X-Amz-Credential') : header?.[1]) ?? ''
    const signedNames = (inQuery ? query.get('X-Amz-SignedHeaders') : header?.[2]) ?? ''
    const signature = (inQuery ? query.get('X-Amz-Signature') : header?.[3]) ?? ''
    const date = text('X-Amz-Date') ?? ''
    const [accessKey = '', day = '', region = '', service = ''] = credential.split('/')
    const secret = this.#options.keys[accessKey]
    if (secret === undefined) throw new Refusal(403, 'InvalidAccessKeyId')
    const own = this.#options.regions[bucket] ?? this.#options.region
    if (region !== own) {
      // As AWS does: a bucket elsewhere is a redirect, a wrong name of the own region a malformed header.
      if (this.#options.regions[bucket] === undefined) {
        throw new Refusal(400, 'AuthorizationHeaderMalformed', `<Region>${own}</Region>`)
      }
      throw new Refusal(301, 'PermanentRedirect', `<Bucket>${bucket}</Bucket>`, {
        'x-amz-bucket-region': own,
      })
    }
    const session = this.#options.sessions[accessKey] ?? ''
    const given = text('X-Amz-Security-Token') ?? ''
    if (session !== given) throw new Refusal(400, given === '' ? 'InvalidToken' : 'ExpiredToken')
    this.#checkTime(date, inQuery ? Number(query.get('X-Amz-Expires')) : null)
    // Whatever begins with x-amz- must be signed.
    const names = signedNames.split(';')
    const unsigned = Object.keys(headers).find((name) => name.startsWith('x-amz-') && !names.includes(name))
    if (unsigned !== undefined || !names.includes('host')) throw new Refusal(403, 'AccessDenied')
    const canonicalQuery = search
      .split('&')
      .filter((part) => part !== '' && !part.startsWith('X-Amz-Signature='))
      .map((part) => (part.includes('=') ? part : `${part}=`))
      .map((part) => part.split('=', 2).map((one) => escape(decodeURIComponent(one.replace(/\+/g, ' ')))))
      .sort(([a = '', x = ''], [b = '', y = '']) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : 1))
      .map((pair) => pair.join('='))
      .join('&')
    const canonical = [
      method,
      path
        .split('/')
        .map((one) => escape(decodeURIComponent(one)))
        .join('/'),
      canonicalQuery,
      ...names.map(
        (name) =>
          `${name}:${String(headers[name] ?? '')
            .trim()
            .replace(/ +/g, ' ')}`,
      ),
      '',
      signedNames,
      inQuery ? 'UNSIGNED-PAYLOAD' : text('x-amz-content-sha256'),
    ].join('\n')
    const scope = [day, region, service, 'aws4_request'].join('/')
    const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')
    const key = [day, region, service, 'aws4_request'].reduce(
      (last: string | Buffer, part) => createHmac('sha256', last).update(part).digest(),
      `AWS4${secret}`,
    )
    const expected = createHmac('sha256', key).update(toSign).digest('hex')
    if (expected !== signature) throw new Refusal(403, 'SignatureDoesNotMatch')
    return inQuery ? 'query' : 'header'
  }

  #checkTime(date: string, expiresSeconds: number | null): void {
    const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date)
    if (parts === null) throw new Refusal(403, 'AccessDenied')
    const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
    const now = this.#options.now()
    const stamp = { date: new Date(now).toUTCString() }
    if (expiresSeconds === null) {
      if (Math.abs(now - at) > maxSkewMs) throw new Refusal(403, 'RequestTimeTooSkewed', '', stamp)
    } else if (now > at + expiresSeconds * 1_000 || at < this.expiredBefore || at > now + maxSkewMs) {
      throw new Refusal(403, 'AccessDenied', '<X-Amz-Expires>1</X-Amz-Expires>', stamp)
    }
  }

  #list(
    bucket: string,
    objects: Map<string, StoredObject>,
    query: URLSearchParams,
    response: ServerResponse,
    noted: S3Request,
  ): void {
    const prefix = query.get('prefix') ?? ''
    const after = Buffer.from(query.get('continuation-token') ?? '', 'base64').toString()
    const size = Math.min(this.#options.pageSize, Number(query.get('max-keys') ?? 1_000))
    const all = [...objects].filter(([key]) => key.startsWith(prefix) && key > after)
    all.sort(([a], [b]) => (a < b ? -1 : 1))
    const page = all.slice(0, size)
    const isEscaped = query.get('encoding-type') === 'url'
    const shown = (key: string) =>
      isEscaped ? encodeURIComponent(key).replace(/%20/g, '+').replace(/%2F/g, '/') : xml(key)
    const entries = page.map(
      ([key, object]) =>
        `<Contents><Key>${shown(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>${xml(etagOf(object))}</ETag><Size>${object.content.size}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
    )
    const isTruncated = all.length > page.length
    const token = Buffer.from(page.at(-1)?.[0] ?? '').toString('base64')
    const next = isTruncated ? `<NextContinuationToken>${token}</NextContinuationToken>` : ''
    noted.status = 200
    response.writeHead(200, { 'content-type': 'application/xml' })
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${bucket}</Name><Prefix>${shown(prefix)}</Prefix><KeyCount>${page.length}</KeyCount><MaxKeys>${size}</MaxKeys>${isEscaped ? '<EncodingType>url</EncodingType>' : ''}<IsTruncated>${isTruncated}</IsTruncated>${next}${entries.join('')}</ListBucketResult>`,
    )
  }

  #put(
    objects: Map<string, StoredObject>,
    key: string,
    body: Buffer,
    headers: IncomingMessage['headers'],
    response: ServerResponse,
    noted: S3Request,
  ): void {
    const checksums = Object.fromEntries(
      Object.entries(headers).flatMap(([name, value]) => {
        const algorithm = /^x-amz-checksum-(crc32c?|sha1|sha256)$/.exec(name)?.[1]
        return algorithm === undefined ? [] : [[algorithm, String(value)]]
      }),
    )
    const object = { content: textContent(body.toString('latin1')), checksums }
    objects.set(key, object)
    noted.status = 200
    response.writeHead(200, { etag: etagOf(object) })
    response.end()
  }

  async #get(
    objects: Map<string, StoredObject>,
    key: string,
    { method, headers }: IncomingMessage,
    query: URLSearchParams,
    response: ServerResponse,
    noted: S3Request,
  ): Promise<void> {
    const object = objects.get(key)
    if (object === undefined) throw new Refusal(404, 'NoSuchKey')
    if (object.archived === true) throw new Refusal(403, 'InvalidObjectState')
    const { content } = object
    const etag = etagOf(object)
    if (headers['if-match'] !== undefined && headers['if-match'] !== etag) {
      throw new Refusal(412, 'PreconditionFailed')
    }
    const asked = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '')
    const fits = headers['if-range'] === undefined || headers['if-range'] === etag
    const range = asked !== null && fits ? asked : null
    const start = range === null ? 0 : Number(range[1])
    const end = Math.min(range?.[2] ? Number(range[2]) + 1 : content.size, content.size)
    if (range !== null && start >= content.size) {
      throw new Refusal(416, 'InvalidRange', '', { 'content-range': `bytes */${content.size}` })
    }
    const isWhole = end - start === content.size
    const wantsChecksums = (headers['x-amz-checksum-mode'] ?? query.get('x-amz-checksum-mode')) === 'ENABLED'
    // As AWS does, checksums of the object are told for all of it only.
    const checksums = wantsChecksums && isWhole ? checksumHeaders(object) : {}
    noted.status = range === null ? 200 : 206
    response.writeHead(noted.status, {
      'accept-ranges': 'bytes',
      'content-type': 'binary/octet-stream',
      'content-length': end - start,
      etag,
      'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
      ...(range === null ? {} : { 'content-range': `bytes ${start}-${end - 1}/${content.size}` }),
      ...checksums,
    })
    if (method === 'HEAD') {
      response.end()
      return
    }
    const stop = this.cutAfter === null ? end : Math.min(end, start + this.cutAfter)
    for (let at = start; at < stop;) {
      const chunk = content.view(at, Math.min(stop, at + 256 * 1024))
      at += chunk.length
      noted.sentBytes += chunk.length
      if (!response.write(chunk)) await drained(response)
      if (response.destroyed) return
    }
    if (stop < end) response.destroy()
    else response.end()
  }
}

/** Waits until more can be written, or nothing ever. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}

/** Starts a store on loopback. */
export function startS3(options: S3Options = {}): Promise<S3Server> {
  return new S3Server(options).listen()
}

const small = 1024 * 1024

function etagOf({ content, etag }: StoredObject): string {
  if (etag !== undefined) return etag
  const text = content.size <= small ? content.slice(0, content.size) : content.label
  return `"${createHash('md5').update(text).digest('hex')}"`
}

function checksumHeaders({ content, checksums, checksumType = 'FULL_OBJECT' }: StoredObject) {
  const own = content.size <= small ? { sha256: Buffer.from(content.sha256(), 'hex').toString('base64') } : {}
  const told = Object.entries(checksums ?? own).map(([name, value]) => [`x-amz-checksum-${name}`, value])
  return { ...(Object.fromEntries(told) as Record<string, string>), 'x-amz-checksum-type': checksumType }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function escape(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function xml(text: string): string {
  return text.replace(/[<>&"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}
