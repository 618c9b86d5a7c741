/** Resources and faults of an origin; start with {@link startOrigin} in `origin.ts`. */
import type { Socket } from 'node:net'
import type { Content } from './content.js'

/** A request and its outcome, as an entry of the origin's log. It is updated until `outcome` is settled. */
export interface OriginRequest {
  /** Number of this request among all requests to the origin, starting at 1. */
  readonly n: number
  /** Number of this request among those to the same path, starting at 1. */
  readonly nth: number
  readonly method: string
  /** The request target as it was sent: with the query, or in absolute form as for proxies. */
  readonly target: string
  /** Path without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** Headers by lower-case name. Repeated ones are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** The request body. */
  readonly body: Buffer
  /** The first requested range with an inclusive end; a suffix `-n` has a negative start. Null without a valid one. */
  readonly range: { start: number; end: number | null } | null
  /** Number of the connection, starting at 1. */
  readonly connection: number
  /** Time of arrival, as of `performance.now()`. */
  readonly at: number
  /** Status of the response; 0 while there is none, or when it has no status. */
  status: number
  /** Body bytes written to the socket, without framing. Some may still be buffered. */
  bytesSent: number
  /** Whether only the head was sent: HEAD, 204, 304. */
  headOnly: boolean
  /** Type of the fault that was applied, or null. */
  fault: Fault['type'] | null
  /** `done`: answered as planned, which includes planned faults; `aborted`: the connection was closed before that. */
  outcome: 'open' | 'done' | 'aborted'
  /** Time at which `outcome` was settled, as of `performance.now()`. */
  endedAt: number | null
}

/** Header values by name. An array results in several lines; null removes the header. */
export type HeaderValues = Readonly<Record<string, string | readonly string[] | null>>

/** What is served at a path. `{ content }` alone behaves like a static file of nginx. */
export interface Resource {
  /** Default: empty. */
  content?: Content
  /** Default: a strong ETag derived from the content. A function receives the request's number at this path. */
  etag?: string | null | ((nth: number) => string | null)
  /** Default: 2024-01-01T00:00:00Z. */
  lastModified?: Date | null
  /** The `Date` header. Default: now. */
  date?: Date | null
  /** Whether ranges are supported: `Accept-Ranges`, 206, 416, `If-Range` (RFC 9110 section 13.1.5). Default: true. */
  ranges?: boolean
  /**
   * Speed limit of each response, sent evenly in slices of at most 20 ms. A response never makes up for lost time, so its
   * length in slices is the least that a client sees, however busy the machine is.
   */
  bytesPerSecond?: number
  /** Delay before the head of each response, in milliseconds. */
  latencyMs?: number
  /** Maximum number of bytes in one write, or in one chunk of a chunked body. Default: 256 KiB. */
  chunkBytes?: number
  /** Default `application/octet-stream`. */
  contentType?: string | null
  contentDisposition?: string
  /** Additional headers, or other values for those above. */
  headers?: HeaderValues
  /** Status instead of 200. Ranges don't apply then. */
  status?: number
  /** Redirects the client to this address. */
  redirect?: string | ((request: OriginRequest) => string)
  /** Status of a redirect. Default 302. */
  redirectStatus?: number
  /** The exact `Authorization` header that is required. Other requests get 401. */
  auth?: string
  /** False sends no length: the body is chunked, or delimited by the close when `close` is set. Default: true. */
  contentLength?: boolean
  /** Closes the connection after each response, and sends `Connection: close`. Default: false. */
  close?: boolean
  /** Maximum number of concurrent responses. Further requests get 503, or what is given here. */
  maxConnections?: number | { count: number; status: number; retryAfter?: number | string }
  /** When it returns a status, the request is answered with that, for example for expired signatures. */
  requires?: (request: OriginRequest) => number | undefined
  /** Faults, of which the first one that matches a request is applied, or a function that selects one. */
  faults?: readonly Fault[] | ((request: OriginRequest) => Fault | undefined)
}

/** The requests that a fault of a list applies to. Default: all. */
export interface FaultLimits {
  /** Applies only to the first `times` of the matching requests. */
  times?: number
  /** Does not apply to the first `after` of the matching requests. */
  after?: number
  /** Which requests match. */
  when?: (request: OriginRequest) => boolean
}

/** How a connection ends early: with RST, or by default with FIN, as when a program exits. */
interface Cut {
  reset?: boolean
}

/**
 * A fault. `afterBytes` counts body bytes of the response; `at` is an offset in the content.
 */
export type Fault = FaultLimits & FaultKind

/** The faults by name. */
export type FaultKind =
  /** 200 with the complete content, as if ranges were not supported (`Accept-Ranges` is still sent). */
  | { type: 'ignoreRange' }
  /** 206 that starts `shift` bytes later; with `silent` it still claims the requested range. */
  | { type: 'wrongOffset'; shift: number; silent?: boolean }
  /** 206 with another total size, or `*`. */
  | { type: 'wrongTotal'; total: number | '*' }
  /** 206 that ends `shift` bytes later (or earlier); with `headerOnly` only according to Content-Range. */
  | { type: 'wrongEnd'; shift: number; headerOnly?: boolean }
  /** FIN in the middle of the body, despite the announced length. */
  | { type: 'truncate'; afterBytes: number }
  /** RST in the middle of the body, or with 0 right after the head. */
  | { type: 'reset'; afterBytes: number }
  /** Closes the connection instead of answering. */
  | ({ type: 'hangUp' } & Cut)
  /** Sends nothing instead of a head; with `forMs` the response follows after that time. */
  | { type: 'stallBeforeHeaders'; forMs?: number }
  /** Stops in the body; the rest follows after `forMs` milliseconds, or as soon as `until` holds. */
  | { type: 'stallBody'; afterBytes: number; forMs?: number; until?: () => boolean }
  /** Is very slow after `afterBytes` (default 0). */
  | { type: 'trickle'; bytesPerSecond: number; afterBytes?: number }
  /** A body that is longer than announced. */
  | { type: 'extraBytes'; count: number }
  /** A chunked body that ends early, without the last chunk. */
  | ({ type: 'chunkedCut'; afterBytes: number } & Cut)
  /** No length: the body is delimited by the close, which comes after all of it or, with `afterBytes`, too early. */
  | ({ type: 'closeDelimited'; afterBytes?: number } & Cut)
  /** Another status with a short body; `retryAfter` is in seconds, a date, or raw text. */
  | {
      type: 'status'
      status: number
      headers?: HeaderValues
      body?: string
      retryAfter?: number | Date | string
    }
  /**
   * `Content-Encoding` without being requested; `plain` only claims it. Default: gzip. `deflate-raw` is deflate without
   * the header of zlib. The content is held in memory.
   */
  | { type: 'contentEncoding'; plain?: boolean; coding?: string }
  /** 206 with multipart/byteranges, although a single range was requested. Small contents only. */
  | { type: 'multipartRanges' }
  /** A login page with status 200. */
  | { type: 'htmlPage'; body?: string }
  /** These bytes instead of HTTP, then FIN. Default: binary garbage. */
  | { type: 'garbage'; bytes?: Buffer | string }
  /** Two different Content-Length lines; with `chunked` a Content-Length in addition to Transfer-Encoding: chunked. */
  | { type: 'conflictingLengths'; chunked?: boolean }
  /** `Content-Length: -1`. */
  | { type: 'negativeLength' }
  /** A Content-Length beyond the range of integers. Default: 99999999999999999999999. */
  | { type: 'hugeLength'; value?: string }
  /** This many bytes of additional headers. */
  | { type: 'headerFlood'; bytes: number }
  /** Sets, repeats or removes headers. */
  | { type: 'headers'; headers: HeaderValues }
  /** An additional line of a header that is already sent. */
  | { type: 'duplicateHeader'; name: string; value: string }
  /** Serves another content from this request on. Its ETag is derived from the content unless given. Applies once. */
  | { type: 'swapContent'; content: Content; etag?: string | null; lastModified?: Date }
  /** One wrong byte in the body. */
  | { type: 'flipByte'; at: number }
  /** A custom handler, which takes over the socket and must close it. */
  | { type: 'raw'; handle: (socket: Socket, request: OriginRequest) => void | Promise<void> }
