/**
 * Bridge between the `req`/`res` of Node and the `Request`/`Response` of the Web, shared by the adapters of
 * Node frameworks. It never throws into the host application, and leaves validation to the handler.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { DownloadError } from '../errors.js'
import { systemClock } from '../util/clock.js'
import type { RequestContext } from './access.js'
import type { Handler } from './handler.js'
import { jsonHeaders, problemHeaders, toProblem } from './problem.js'

/** What an adapter knows besides `req` and `res`. */
export interface BridgeOptions {
  /**
   * Request target relative to the mount point. Default `req.url`, from which Express and Connect remove the
   * mount path.
   */
  target?: string | undefined
  /**
   * Body that the host application has parsed; used only if the body of the request has already been read.
   * Default `req.body`.
   */
  body?: unknown
  /** Stream to read the body from instead of `req`, if a hook of the host application has transformed it. */
  stream?: Readable | undefined
  /** Request object of the framework, available to `authorize` as `context.native`. Default `req`. */
  native?: unknown
}

/** A request in the form that the handler takes. */
export interface BridgedRequest {
  request: Request
  context: RequestContext
  /** Whether the client disconnected before the response was complete. */
  hasLeft: () => boolean
}

/**
 * How many bytes of an unread request body are read before the response is sent, and for how many
 * milliseconds.
 */
const leftoverBytes = 8 * 1024 * 1024

const leftoverMs = 500

/**
 * Placeholder for a missing or invalid host; reserved by RFC 2606 section 2. The handler checks
 * `context.host`.
 */
const noHost = 'host.invalid'

/**
 * Methods that a `Request` cannot have (Fetch standard, "forbidden method"). The handler supports none of
 * them.
 */
const forbiddenMethods = new Set(['CONNECT', 'TRACE', 'TRACK'])

/**
 * Splits a request target in origin-form or absolute-form, whose authority takes precedence over `Host` (RFC
 * 9112 section 3.2.2).
 */
function partsOf(target: string): { authority: string | undefined; path: string; search: string } {
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/is.exec(target)
  const rest = absolute?.[2] ?? target
  const end = rest.search(/[?#]/)
  return {
    authority: absolute?.[1],
    path: end === -1 ? rest : rest.slice(0, end),
    search: end === -1 ? '' : rest.slice(end),
  }
}

/**
 * Whether a path stays the same when it is parsed as part of a URL. A path that does not (`/x/../api`, `%2e`,
 * a backslash) is never handled, because access checks of the host application in front of these routes have
 * seen the original path.
 */
function isVerbatim(path: string): boolean {
  try {
    return path.startsWith('/') && new URL(`http://${noHost}${path}`).pathname === path
  } catch {
    return false
  }
}

/**
 * Whether a request belongs to the handler.
 *
 * @param target - as in {@link BridgeOptions}.
 */
export function isOurs(handler: Handler, target: string | undefined): boolean {
  const { path } = partsOf(target ?? '')
  return isVerbatim(path) && handler.owns(path)
}

/**
 * Converts a request to the form that the handler takes. The body is read only when the handler reads it,
 * unless the host application has already parsed it. The signal is aborted when the client disconnects before
 * the response is complete.
 *
 * Call it once per request, before anything is awaited.
 */
export function toRequest(
  req: IncomingMessage,
  res: ServerResponse,
  options: BridgeOptions = {},
): BridgedRequest {
  const { authority, path, search } = partsOf(options.target ?? req.url ?? '/')
  const host = authority ?? hostOf(req)
  const method = req.method ?? 'GET'
  const source = options.stream ?? req
  // A client that disconnects while nobody reads must not cause an uncaught error.
  source.on('error', () => undefined)
  let left = false
  let gone: AbortController | undefined
  res.once('close', () => {
    left = !res.writableFinished
    if (left) gone?.abort()
  })
  // Unread bytes would block the next request on the connection. Node itself discards only bodies that nobody
  // has started to read.
  res.once('finish', () => {
    source.resume()
  })

  const init: RequestInit = {
    method: forbiddenMethods.has(method) ? `X-${method}` : method,
    headers: headersOf(req),
  }
  const own = ownBody(req, source)
  if (own !== undefined && method !== 'GET' && method !== 'HEAD') {
    init.body = own
    init.duplex = 'half'
  }
  const url = `${schemeOf(req)}://${urlHost(host)}${isVerbatim(path) ? path : '/'}${search}`
  const request = new Request(url, init)
  // Created lazily: it is rarely needed and costs as much as the rest of the request.
  Object.defineProperty(request, 'signal', {
    get() {
      gone ??= new AbortController()
      if (left) gone.abort()
      return gone.signal
    },
  })
  return {
    request,
    hasLeft: () => left,
    context: {
      remoteAddress: req.socket.remoteAddress,
      native: options.native ?? req,
      body: parsedBody(req, source, options),
      ...hostField(host),
    },
  }
}

/**
 * Calls the handler. Before the response is returned, the unread rest of the body is read within limits,
 * because a client that is still sending when the connection closes may never see the response (RFC 9112
 * section 9.6).
 *
 * @returns the response; status 500 when the handler fails. Never rejects.
 */
export async function answer(
  handler: Handler,
  req: IncomingMessage,
  res: ServerResponse,
  options: BridgeOptions = {},
): Promise<Response> {
  let response: Response
  try {
    const { request, context, hasLeft } = toRequest(req, res, options)
    response = await handler(request, context)
    if (hasLeft()) {
      // The client has disconnected; the response is a formality.
      await response.body?.cancel()
      response = new Response(null, { status: 400 })
    }
  } catch (error) {
    response = failed(error)
  }
  // When the server ends an event stream, nothing else follows; a kept-alive connection would delay the
  // shutdown.
  if (isEventStream(response) && req.httpVersionMajor === 1) response.headers.set('connection', 'close')
  if (!req.complete) await takeLeftover(options.stream ?? req)
  return response
}

/** Whether a response is an event stream, which lasts until the client disconnects. */
export function isEventStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') === true
}

/**
 * Answers a request of a plain `node:http` server, or passes it to `next` if it does not belong to the
 * handler. Without `next`, the handler answers all requests. Never throws.
 */
export function listen(handler: Handler, req: IncomingMessage, res: ServerResponse, next?: () => void): void {
  if (next !== undefined && !isOurs(handler, req.url)) {
    next()
    return
  }
  const { method, url: target, headers } = req
  const context = { remoteAddress: req.socket.remoteAddress, ...hostField(hostOf(req)) }
  const status = handler.fastPath?.({ method, target, headers, context }) ?? null
  if (status !== null) {
    const body = Buffer.from(JSON.stringify(status))
    res.writeHead(200, jsonHeaders(body.length)).end(body)
    return
  }
  void answer(handler, req, res).then((response) => sendResponse(res, response))
}

/**
 * Sends a response: status, headers, and the body with backpressure. The body is canceled at once when the
 * client disconnects. A body that fails closes the connection, so that the client does not take a truncated
 * body for a complete one. Headers that the host application has set are kept, unless the response has its
 * own.
 *
 * @returns when the last byte was passed to the socket or the client has disconnected. Never rejects.
 */
export async function sendResponse(res: ServerResponse, response: Response): Promise<void> {
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader()
  const cancel = () => void reader?.cancel().catch(() => undefined)
  if (res.destroyed || res.headersSent) {
    cancel()
    return
  }
  // While waiting for `drain`, a disconnect is only signaled by `close`, and a broken connection by `error`.
  let gone = false
  const isGone = () => gone
  let wake = (): void => undefined
  const onDrain = () => {
    wake()
  }
  const onGone = () => {
    gone = true
    cancel()
    wake()
  }
  res.on('drain', onDrain).on('close', onGone).on('error', onGone)
  try {
    copyHeaders(response, res)
    res.statusCode = response.status
    if (reader === undefined || res.req.method === 'HEAD') {
      cancel()
      res.end()
      return
    }
    // A body of known length in a single chunk is sent together with the headers; for a stream, the headers
    // are sent first.
    const length = Number(response.headers.get('content-length') ?? Number.NaN)
    if (Number.isNaN(length)) res.flushHeaders()
    for (;;) {
      const { done, value } = await reader.read()
      if (isGone()) return
      if (done) break
      if (value.byteLength === length) {
        res.end(value)
        return
      }
      if (res.write(value)) continue
      await new Promise<void>((resolve) => {
        wake = resolve
      })
      if (isGone()) return
    }
    res.end()
  } catch {
    cancel()
    res.destroy()
  } finally {
    res.off('drain', onDrain).off('close', onGone).off('error', onGone)
  }
}

type HeaderValue = number | string | string[] | undefined

/** Target of headers: a `ServerResponse`, or the equivalent of a framework. */
export interface HeaderTarget {
  getHeader(name: string): HeaderValue
  setHeader(name: string, value: string | string[]): unknown
}

const itemsOf = (list: string): string[] => list.split(',').map((item) => item.trim())

/**
 * Copies the headers of a response. Cookies and `Vary` are merged with those that the host application has
 * already set.
 */
export function copyHeaders(response: Response, target: HeaderTarget): void {
  for (const [name, value] of response.headers) {
    if (name === 'set-cookie') continue
    const before = name === 'vary' ? listOf(target.getHeader(name)) : []
    const known = new Set(before.flatMap((line) => itemsOf(line.toLowerCase())))
    const fresh =
      before.length === 0 ? [value] : itemsOf(value).filter((item) => !known.has(item.toLowerCase()))
    target.setHeader(name, [...before, ...fresh].join(', '))
  }
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0)
    target.setHeader('set-cookie', [...listOf(target.getHeader('set-cookie')), ...cookies])
}

function listOf(header: HeaderValue): string[] {
  if (header === undefined) return []
  return Array.isArray(header) ? header : [String(header)]
}

function schemeOf(req: IncomingMessage): string {
  return 'encrypted' in req.socket && req.socket.encrypted === true ? 'https' : 'http'
}

/**
 * The host as the client wrote it. Several `Host` headers yield an invalid name, so that the handler answers
 * 400 (RFC 9112 section 3.2).
 */
function hostOf(req: IncomingMessage): string | undefined {
  const lines = req.rawHeaders.filter(
    (_, index, all) => index % 2 === 1 && all[index - 1]?.toLowerCase() === 'host',
  )
  if (lines.length > 1) return lines.join(', ')
  const { ':authority': authority } = req.headers
  return typeof authority === 'string' ? authority : req.headers.host
}

const hostField = (host: string | undefined) => (host === undefined ? {} : { host })

function urlHost(host: string | undefined): string {
  if (host === undefined || !/^(?:\[[0-9a-f:.]+\]|[^\s/?#@\\:[\]]+)(?::\d*)?$/i.test(host)) return noHost
  return URL.canParse(`http://${host}`) ? host : noHost
}

/**
 * Uses `req.headers`, so that changes by the host application are respected; Node has joined repeated
 * headers.
 */
function headersOf(req: IncomingMessage): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(req.headers)) {
    // In HTTP/2, `:method`, `:path` and other pseudo-headers are among the headers.
    if (value === undefined || name.startsWith(':')) continue
    for (const line of listOf(value)) headers.append(name, line)
  }
  return headers
}

/** The body of the request; undefined if it has already been read or the request has none. */
function ownBody(req: IncomingMessage, source: Readable): ReadableStream<Uint8Array> | undefined {
  if (source.readableDidRead || source.readableEnded) return undefined
  // RFC 9112 section 6.3: a request without these two headers has no body. HTTP/2 uses frames instead.
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  const hasBody = (length !== undefined && length !== '0') || coding !== undefined || req.httpVersionMajor > 1
  return hasBody ? streamOf(source) : undefined
}

/** The body as the host application parsed it, if it has been read. */
function parsedBody(req: IncomingMessage, source: Readable, options: BridgeOptions): unknown {
  if (!source.readableDidRead && !source.readableEnded) return undefined
  if ('body' in options) return options.body
  return 'body' in req ? req.body : undefined
}

/**
 * A body stream that reads on demand. Canceling it leaves the source open, because its end belongs to the
 * connection.
 */
function streamOf(source: Readable): ReadableStream<Uint8Array> {
  let detach: (() => void) | undefined
  const attach = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const onData = (chunk: Uint8Array | string) => {
      source.pause()
      controller.enqueue(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
    }
    const onEnd = () => {
      detach?.()
      controller.close()
    }
    const onGone = () => {
      detach?.()
      controller.error(new Error('The request ended before its body was complete.'))
    }
    detach = () => {
      source.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
      source.pause()
    }
    if (source.readableEnded) onEnd()
    else if (source.destroyed) onGone()
    else source.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  }
  return new ReadableStream(
    {
      pull(controller) {
        if (detach === undefined) attach(controller)
        source.resume()
      },
      cancel() {
        detach?.()
      },
    },
    { highWaterMark: 0 },
  )
}

async function takeLeftover(source: Readable): Promise<void> {
  let taken = 0
  await new Promise<void>((resolve) => {
    const onData = (chunk: Uint8Array | string) => {
      taken += chunk.length
      if (taken > leftoverBytes) end()
    }
    const end = () => {
      timer.cancel()
      source.off('data', onData).off('end', end).off('error', end).off('close', end)
      resolve()
    }
    const timer = systemClock.timer(end, leftoverMs)
    if (source.readableEnded || source.destroyed) end()
    else source.on('data', onData).on('end', end).on('error', end).on('close', end).resume()
  })
  source.pause()
}

/** A handler that rejects has a bug; the message of its error is not exposed. */
function failed(error: unknown): Response {
  const problem = toProblem(new DownloadError('INTERNAL', 'The handler failed.', { cause: error }))
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: problemHeaders(problem.status),
  })
}
