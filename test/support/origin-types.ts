/** What can be served and what can go wrong; {@link startOrigin} in `origin.ts` is the place to begin. */
import type { Socket } from 'node:net'
import type { Content } from './content.js'

/** One request, and what became of it: an entry of the origin's log. It is live until `outcome` is settled. */
export interface OriginRequest {
  /** Number of this request, from 1, over the whole origin. */
  readonly n: number
  /** Number of this request, from 1, among those to the same path. */
  readonly nth: number
  readonly method: string
  /** The request target as it was sent: with the query, or absolute as proxies get it. */
  readonly target: string
  /** Path without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** Lower-case names; repeated ones are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** What was sent along, for POST and the like. */
  readonly body: Buffer
  /** The first range asked for, both ends inclusive; a suffix `-n` has a negative start; null without a valid one. */
  readonly range: { start: number; end: number | null } | null
  /** Number of the connection, from 1. */
  readonly connection: number
  /** When it arrived, as `performance.now()` gives it. */
  readonly at: number
  /** The answer's status; 0 as long as there is none (or none with a status). */
  status: number
  /** Body bytes given to the socket, without framing. Some may still be in buffers. */
  bytesSent: number
  /** Whether only the head was sent: HEAD, 204, 304. */
  headOnly: boolean
  /** The type of the fault that was used, or null. */
  fault: Fault['type'] | null
  /** `done`: answered as planned (which may be a planned fault); `aborted`: the connection went away before. */
  outcome: 'open' | 'done' | 'aborted'
  /** When `outcome` was settled, as `performance.now()` gives it. */
  endedAt: number | null
}

/** Header values by name; a list makes several lines, null takes the header out. */
export type HeaderValues = Readonly<Record<string, string | readonly string[] | null>>

/** What lies at a path. Everything has a default: `{ content }` alone acts like nginx with a static file. */
export interface Resource {
  /** Default: empty. */
  content?: Content
  /** Default: a strong one made from the content. A function is asked with the request's number at this path. */
  etag?: string | null | ((nth: number) => string | null)
  /** Default: 2024-01-01T00:00:00Z. */
  lastModified?: Date | null
  /** The `Date` header. Default: now. */
  date?: Date | null
  /** Whether ranges are known: `Accept-Ranges`, 206, 416, `If-Range` (RFC 9110 section 13.1.5). Default true. */
  ranges?: boolean
  /** Speed limit of each response, evenly in slices of at most 20 ms. */
  bytesPerSecond?: number
  /** Pause before the head of each response. */
  latencyMs?: number
  /** Most bytes in one write, or in one chunk of a chunked body. Default 256 KiB. */
  chunkBytes?: number
  /** Default `application/octet-stream`. */
  contentType?: string | null
  contentDisposition?: string
  /** More headers, or other values for those above. */
  headers?: HeaderValues
  /** Status in place of 200; ranges don't apply then. */
  status?: number
  /** Sends the client to this address. */
  redirect?: string | ((request: OriginRequest) => string)
  /** Status of a redirect. Default 302. */
  redirectStatus?: number
  /** The exact `Authorization` header to ask for; without it 401. */
  auth?: string
  /** False sends no length: chunked, or ended by closing when `close` is set. Default true. */
  contentLength?: boolean
  /** Ends the connection after each response, and says so. Default false. */
  close?: boolean
  /** Most responses at a time; those beyond it get 503, or what is said here. */
  maxConnections?: number | { count: number; status: number; retryAfter?: number | string }
  /** Answers with this status instead when it returns one: expired signatures and the like. */
  requires?: (request: OriginRequest) => number | undefined
  /** What goes wrong: for each request the first fault of the list that applies; or a function that picks. */
  faults?: readonly Fault[] | ((request: OriginRequest) => Fault | undefined)
}

/** To which requests a fault of a list applies. Default: to every one. */
export interface FaultLimits {
  /** Only to the first `times` of the requests that match. */
  times?: number
  /** Not to the first `after` of the requests that match. */
  after?: number
  /** Which requests match. */
  when?: (request: OriginRequest) => boolean
}

/** How a connection ends early: with FIN, as at the end of a program, or with RST. Default false: FIN. */
interface Cut {
  reset?: boolean
}

/**
 * One way to go wrong. `afterBytes` counts body bytes of this response; `at` is an offset in the content.
 */
export type Fault = FaultLimits & FaultKind

/** The faults by name. */
export type FaultKind =
  /** 200 with the whole content whatever was asked, as if ranges were unknown (Accept-Ranges stays). */
  | { type: 'ignoreRange' }
  /** 206 from `shift` bytes further on; `silent` still claims the range that was asked. */
  | { type: 'wrongOffset'; shift: number; silent?: boolean }
  /** 206 that tells another total size, or `*`. */
  | { type: 'wrongTotal'; total: number | '*' }
  /** 206 that ends `shift` bytes later (or earlier); `headerOnly` only says so in Content-Range. */
  | { type: 'wrongEnd'; shift: number; headerOnly?: boolean }
  /** FIN in the middle of the body; the announced length stays. */
  | { type: 'truncate'; afterBytes: number }
  /** RST in the middle of the body (or of a body of 0 bytes: right after the head). */
  | { type: 'reset'; afterBytes: number }
  /** Hangs up instead of answering. */
  | ({ type: 'hangUp' } & Cut)
  /** Silence instead of a head; with `forMs` the answer comes after it. */
  | { type: 'stallBeforeHeaders'; forMs?: number }
  /** Silence in the body; with `forMs` the rest comes after it. */
  | { type: 'stallBody'; afterBytes: number; forMs?: number }
  /** From `afterBytes` (default 0) on hardly moves. */
  | { type: 'trickle'; bytesPerSecond: number; afterBytes?: number }
  /** More body than was announced. */
  | { type: 'extraBytes'; count: number }
  /** Chunked; ends inside it, without the last chunk. */
  | ({ type: 'chunkedCut'; afterBytes: number } & Cut)
  /** No length; the end of the connection ends the body, after all of it or (`afterBytes`) too early. */
  | ({ type: 'closeDelimited'; afterBytes?: number } & Cut)
  /** Another status with a small body; `retryAfter` in seconds, as a date, or as raw text. */
  | {
      type: 'status'
      status: number
      headers?: HeaderValues
      body?: string
      retryAfter?: number | Date | string
    }
  /** `Content-Encoding: gzip` though nobody asked; `plain` only claims it. Small contents only: it is held in memory. */
  | { type: 'contentEncoding'; plain?: boolean }
  /** 206 as multipart/byteranges, though one range was asked. Small contents only. */
  | { type: 'multipartRanges' }
  /** A login page with status 200. */
  | { type: 'htmlPage'; body?: string }
  /** These bytes instead of HTTP, then FIN. Default: some binary noise. */
  | { type: 'garbage'; bytes?: Buffer | string }
  /** Two different Content-Length lines; `chunked`: a Content-Length beside Transfer-Encoding: chunked. */
  | { type: 'conflictingLengths'; chunked?: boolean }
  /** `Content-Length: -1`. */
  | { type: 'negativeLength' }
  /** A Content-Length beyond every integer. Default 99999999999999999999999. */
  | { type: 'hugeLength'; value?: string }
  /** That many bytes of additional headers. */
  | { type: 'headerFlood'; bytes: number }
  /** Headers set, repeated or taken out. */
  | { type: 'headers'; headers: HeaderValues }
  /** One more line of a header that is there already. */
  | { type: 'duplicateHeader'; name: string; value: string }
  /** From this request on another file lies there. The ETag follows the content unless given. Happens once. */
  | { type: 'swapContent'; content: Content; etag?: string | null; lastModified?: Date }
  /** One wrong byte in the body. */
  | { type: 'flipByte'; at: number }
  /** Anything: the socket is yours; close it in the end. */
  | { type: 'raw'; handle: (socket: Socket, request: OriginRequest) => void | Promise<void> }
