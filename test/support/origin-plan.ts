/** Plans the response to a request from a resource and at most one fault. Pure; `origin-send.ts` sends the response. */
import { createHash } from 'node:crypto'
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { bufferContent, patchedContent, randomContent, textContent, type Content } from './content.js'
import { applyHeaders, formatRetryAfter, parseRanges, resolveRange, type HeaderLines } from './origin-http.js'
import type { Fault, FaultKind, HeaderValues, OriginRequest, Resource } from './origin-types.js'

/** Where and how the body is interrupted. */
export interface BodyBreak {
  afterBytes: number
  how: 'fin' | 'reset' | 'stall'
  /** Duration of a stall, in milliseconds; null means until the client closes the connection. */
  forMs: number | null
  /** Ends a stall as soon as it holds. */
  until: (() => boolean) | null
}

/** A response that is ready to be sent. */
export interface Plan {
  status: number
  headers: HeaderLines
  /** The body is this content from `start` to `end`; null for no body. */
  body: { content: Content; start: number; end: number } | null
  headOnly: boolean
  framing: 'length' | 'chunked' | 'close'
  close: boolean
  latencyMs: number
  chunkBytes: number
  bytesPerSecond: number | null
  trickle: { bytesPerSecond: number; afterBytes: number } | null
  break: BodyBreak | null
  /** Additional bytes that are sent after the body. */
  extra: Buffer | null
  /** Number of bytes of additional headers. */
  floodBytes: number
}

const defaultLastModified = new Date('2024-01-01T00:00:00Z')

/** The default ETag of a content, which is a strong one. */
export function defaultEtag(content: Content): string {
  return `"${createHash('sha256').update(content.label).digest('hex').slice(0, 24)}"`
}

const empty = textContent('')

/** The representation of a resource for one request. */
interface Representation {
  content: Content
  etag: string | null
  lastModified: Date | null
  date: Date | null
}

function represent(resource: Resource, request: OriginRequest): Representation {
  const content = resource.content ?? empty
  const { etag, lastModified = defaultLastModified, date = new Date() } = resource
  const tag = typeof etag === 'function' ? etag(request.nth) : etag
  return { content, etag: tag === undefined ? defaultEtag(content) : tag, lastModified, date }
}

/** Evaluates If-Range (RFC 9110 section 13.1.5): an equal strong ETag, or the exact date if that is a strong one. */
function ifRangeHolds(value: string | undefined, { etag, lastModified, date }: Representation): boolean {
  if (value === undefined) return true
  if (value.startsWith('"')) return value === etag
  if (lastModified === null || date === null) return false
  return value === lastModified.toUTCString() && date.getTime() - lastModified.getTime() >= 1000
}

function basePlan(resource: Resource, request: OriginRequest): Plan {
  const { date = new Date() } = resource
  return {
    status: 200,
    headers: date === null ? [] : [['Date', date.toUTCString()]],
    body: null,
    headOnly: request.method === 'HEAD',
    framing: 'length',
    close: resource.close === true || /\bclose\b/i.test(request.headers['connection'] ?? ''),
    latencyMs: resource.latencyMs ?? 0,
    chunkBytes: resource.chunkBytes ?? 256 * 1024,
    bytesPerSecond: resource.bytesPerSecond ?? null,
    trickle: null,
    break: null,
    extra: null,
    floodBytes: 0,
  }
}

/** Plans a short response, such as an error, a redirect or a page. */
export function simplePlan(
  request: OriginRequest,
  status: number,
  body: string,
  headers: HeaderValues = {},
  resource: Resource = {},
): Plan {
  const plan = basePlan(resource, request)
  const content = textContent(body)
  plan.status = status
  plan.headers.push(['Content-Type', 'text/plain; charset=utf-8'])
  plan.headers = applyHeaders(plan.headers, headers)
  plan.body = { content, start: 0, end: content.size }
  return plan
}

const loginPage =
  '<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form>Please sign in.</form></body></html>\n'

/** Plans a response that does not depend on the content; null when the content is to be served. */
function planOtherwise(
  request: OriginRequest,
  resource: Resource,
  fault: FaultKind | undefined,
): Plan | null {
  if (fault?.type === 'status') {
    const { status, body = `status ${status}\n`, headers = {}, retryAfter } = fault
    const retry = retryAfter === undefined ? {} : { 'Retry-After': formatRetryAfter(retryAfter) }
    return simplePlan(request, status, body, { ...retry, ...headers }, resource)
  }
  if (fault?.type === 'htmlPage') {
    const type = { 'Content-Type': 'text/html; charset=utf-8' }
    return simplePlan(request, 200, fault.body ?? loginPage, type, resource)
  }
  if (resource.auth !== undefined && request.headers['authorization'] !== resource.auth) {
    return simplePlan(request, 401, 'who are you?\n', { 'WWW-Authenticate': 'Bearer' }, resource)
  }
  const refusal = resource.requires?.(request)
  if (refusal !== undefined) return simplePlan(request, refusal, `status ${refusal}\n`, {}, resource)
  if (resource.redirect !== undefined) {
    const location = typeof resource.redirect === 'string' ? resource.redirect : resource.redirect(request)
    const headers = { Location: location, ...resource.headers }
    return simplePlan(request, resource.redirectStatus ?? 302, 'moved\n', headers, resource)
  }
  return null
}

/** The range to serve, `unsatisfiable`, or null for the complete content. */
function chooseRange(
  request: OriginRequest,
  resource: Resource,
  representation: Representation,
  fault: FaultKind | undefined,
): { start: number; end: number } | 'unsatisfiable' | null {
  if (resource.ranges === false || resource.status !== undefined || fault?.type === 'ignoreRange') return null
  if (request.method !== 'GET' && request.method !== 'HEAD') return null
  const ranges = parseRanges(request.headers['range'])
  if (ranges === null || ranges.length > 1) return null
  if (!ifRangeHolds(request.headers['if-range'], representation)) return null
  const [asked] = ranges
  if (asked === undefined) return 'unsatisfiable'
  return resolveRange(asked, representation.content.size) ?? 'unsatisfiable'
}

/** Plans the response to a request and applies the fault. */
export function planResponse(request: OriginRequest, resource: Resource, fault: Fault | undefined): Plan {
  const plan = planOtherwise(request, resource, fault) ?? planContent(request, resource, fault)
  if (fault !== undefined) spoilFraming(plan, fault)
  return plan
}

function planContent(request: OriginRequest, resource: Resource, fault: FaultKind | undefined): Plan {
  const representation = represent(resource, request)
  const { etag, lastModified } = representation
  const { content } = representation
  const range = chooseRange(request, resource, representation, fault)
  if (range === 'unsatisfiable') {
    return simplePlan(
      request,
      416,
      'no such range\n',
      { 'Content-Range': `bytes */${content.size}` },
      resource,
    )
  }
  const plan = basePlan(resource, request)
  plan.status = resource.status ?? (range === null ? 200 : 206)
  plan.body = { content, ...(range ?? { start: 0, end: content.size }) }
  const type = resource.contentType === undefined ? 'application/octet-stream' : resource.contentType
  if (type !== null) plan.headers.push(['Content-Type', type])
  if (lastModified !== null) plan.headers.push(['Last-Modified', lastModified.toUTCString()])
  if (etag !== null) plan.headers.push(['ETag', etag])
  // A 206 implies it, so like nginx it is not sent there.
  if (resource.ranges !== false && range === null) plan.headers.push(['Accept-Ranges', 'bytes'])
  if (resource.contentDisposition !== undefined) {
    plan.headers.push(['Content-Disposition', resource.contentDisposition])
  }
  if (resource.contentLength === false) plan.framing = resource.close === true ? 'close' : 'chunked'
  if (range !== null) {
    plan.headers.push(['Content-Range', `bytes ${range.start}-${range.end - 1}/${content.size}`])
    if (fault !== undefined) spoilRange(plan, fault, range)
  }
  if (fault !== undefined) spoilContent(plan, fault)
  plan.headers = applyHeaders(plan.headers, resource.headers ?? {})
  return plan
}

/** Applies faults that only a 206 can have. */
function spoilRange(plan: Plan, fault: FaultKind, { start, end }: { start: number; end: number }): void {
  const { body } = plan
  if (body === null) return
  const { size } = body.content
  const tell = (first: number, last: number, total: number | '*' = size) => {
    plan.headers = applyHeaders(plan.headers, { 'Content-Range': `bytes ${first}-${last}/${total}` })
  }
  switch (fault.type) {
    case 'wrongOffset': {
      body.start = Math.max(0, Math.min(start + fault.shift, size - 1))
      body.end = Math.min(size, body.start + end - start)
      if (fault.silent !== true) tell(body.start, body.end - 1)
      break
    }
    case 'wrongTotal':
      tell(start, end - 1, fault.total)
      break
    case 'wrongEnd': {
      if (fault.headerOnly === true) {
        tell(start, end - 1 + fault.shift)
        break
      }
      body.end = Math.max(start + 1, Math.min(size, end + fault.shift))
      tell(start, body.end - 1)
      break
    }
    case 'multipartRanges': {
      const boundary = '00000000000000000042'
      const partHead =
        `\r\n--${boundary}\r\nContent-Type: application/octet-stream\r\n` +
        `Content-Range: bytes ${start}-${end - 1}/${size}\r\n\r\n`
      const part = Buffer.concat([
        Buffer.from(partHead),
        body.content.slice(start, end),
        Buffer.from(`\r\n--${boundary}--\r\n`),
      ])
      plan.body = { content: bufferContent(part), start: 0, end: part.length }
      plan.headers = applyHeaders(plan.headers, {
        'Content-Range': null,
        'Content-Type': `multipart/byteranges; boundary=${boundary}`,
      })
      break
    }
    default:
  }
}

function encoded(bytes: Buffer, coding: string): Buffer {
  if (coding === 'br') return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })
  if (coding === 'deflate') return deflateSync(bytes)
  if (coding === 'deflate-raw') return deflateRawSync(bytes)
  return coding === 'gzip, br' ? encoded(gzipSync(bytes), 'br') : gzipSync(bytes)
}

/** Applies faults in the bytes of the body. */
function spoilContent(plan: Plan, fault: FaultKind): void {
  const { body } = plan
  if (body === null) return
  if (fault.type === 'flipByte' && fault.at < body.content.size) {
    const flipped = (body.content.slice(fault.at, fault.at + 1)[0] ?? 0) ^ 0xff
    body.content = patchedContent(body.content, [{ at: fault.at, data: Buffer.of(flipped) }])
  }
  if (fault.type === 'contentEncoding') {
    const { coding = 'gzip' } = fault
    plan.headers.push(['Content-Encoding', coding === 'deflate-raw' ? 'deflate' : coding])
    if (fault.plain === true) return
    const packed = encoded(body.content.slice(body.start, body.end), coding)
    plan.body = { content: bufferContent(packed), start: 0, end: packed.length }
  }
}

/** Applies faults in the head, the framing and the timing of the body. */
function spoilFraming(plan: Plan, fault: FaultKind): void {
  const cut = (afterBytes: number, reset?: boolean): BodyBreak => {
    return { afterBytes, how: reset === true ? 'reset' : 'fin', forMs: null, until: null }
  }
  switch (fault.type) {
    case 'truncate':
      plan.break = cut(fault.afterBytes)
      break
    case 'reset':
      plan.break = cut(fault.afterBytes, true)
      break
    case 'chunkedCut':
      plan.framing = 'chunked'
      plan.break = cut(fault.afterBytes, fault.reset)
      break
    case 'closeDelimited':
      plan.framing = 'close'
      plan.close = true
      if (fault.afterBytes !== undefined || fault.reset === true) {
        plan.break = cut(fault.afterBytes ?? Infinity, fault.reset)
      }
      break
    case 'conflictingLengths':
      if (fault.chunked === true) plan.framing = 'chunked'
      break
    case 'stallBody':
      plan.break = {
        afterBytes: fault.afterBytes,
        how: 'stall',
        forMs: fault.forMs ?? null,
        until: fault.until ?? null,
      }
      break
    case 'trickle':
      plan.trickle = { bytesPerSecond: fault.bytesPerSecond, afterBytes: fault.afterBytes ?? 0 }
      break
    case 'extraBytes':
      plan.extra = randomContent(fault.count, 'extra').slice(0, fault.count)
      break
    case 'headerFlood':
      plan.floodBytes = fault.bytes
      break
    case 'headers':
      plan.headers = applyHeaders(plan.headers, fault.headers)
      break
    case 'duplicateHeader':
      plan.headers.push([fault.name, fault.value])
      break
    default:
  }
}

/** The headers for length and connection, which are sent last. */
export function framingHeaders(plan: Plan, fault: Fault | undefined): HeaderLines {
  const length = plan.body === null ? 0 : plan.body.end - plan.body.start
  const connection: [string, string] = ['Connection', plan.close ? 'close' : 'keep-alive']
  const set = new Set(plan.headers.map(([name]) => name.toLowerCase()))
  const lines: HeaderLines = []
  if (plan.status >= 200 && plan.status !== 204 && plan.status !== 304) {
    if (fault?.type === 'negativeLength') lines.push(['Content-Length', '-1'])
    else if (fault?.type === 'hugeLength') {
      lines.push(['Content-Length', fault.value ?? '99999999999999999999999'])
    } else if (fault?.type === 'conflictingLengths') {
      lines.push(['Content-Length', String(length)])
      lines.push(
        fault.chunked === true ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(length + 1)],
      )
    } else if (plan.framing === 'chunked') lines.push(['Transfer-Encoding', 'chunked'])
    else if (plan.framing === 'length') lines.push(['Content-Length', String(length)])
  }
  // A resource or fault that sets Content-Length or Connection itself takes precedence.
  return [...lines, connection].filter(([name]) => !set.has(name.toLowerCase()))
}
