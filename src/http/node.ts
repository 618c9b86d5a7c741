/**
 * The bridge between Node's `req`/`res` and the Web's `Request`/`Response`: what the adapters of Node frameworks share.
 * It never throws into its host, and it never parses what the handler judges.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { DownloadError } from '../errors.js'
import type { RequestContext } from './access.js'
import type { Handler } from './handler.js'
import { jsonHeaders, problemHeaders, toProblem } from './problem.js'

/** What an adapter knows that `req` and `res` alone don't tell. */
export interface BridgeOptions {
  /** The request's target as its mount sees it. Default `req.url`, from which Express and Connect cut the mount's path. */
  target?: string | undefined
  /** What the host has parsed; heeded only when the request's own body was read. Default `req.body`. */
  body?: unknown
  /** Where to read the body instead of `req`: what a hook of the host made of it. */
  stream?: Readable | undefined
  /** What the host calls a request; `authorize` finds it as `context.native`. Default `req`. */
  native?: unknown
}

/** A request as the handler takes it. */
export interface BridgedRequest {
  request: Request
  context: RequestContext
  /** Whether the client has left before its answer was complete. */
  hasLeft: () => boolean
}

/** How much of a body that the handler left is still taken before the answer goes out, and for how long. */
const leftoverBytes = 8 * 1024 * 1024

const leftoverMs = 500

/** Stands in for a host that is missing or none; nobody's name (RFC 2606 section 2). The handler judges `context.host`. */
const noHost = 'host.invalid'

/** Methods that a `Request` refuses to carry (Fetch standard, "forbidden method"). The handler knows neither name. */
const forbiddenMethods = new Set(['CONNECT', 'TRACE', 'TRACK'])

/** The parts of a request target: origin-form, or absolute-form, whose authority outranks `Host` (RFC 9112 section 3.2.2). */
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
 * Whether a path means the same before and after it went through a URL. One that does not (`/x/../api`, `%2e`, a
 * backslash) is never ours: guards that the host put before our routes have looked at what was written.
 */
function isVerbatim(path: string): boolean {
  try {
    return path.startsWith('/') && new URL(`http://${noHost}${path}`).pathname === path
  } catch {
    return false
  }
}

/**
 * Whether a request is the handler's.
 *
 * @param target - as in {@link BridgeOptions}.
 */
export function isOurs(handler: Handler, target: string | undefined): boolean {
  const { path } = partsOf(target ?? '')
  return isVerbatim(path) && handler.owns(path)
}

/**
 * A request as the handler takes it. Its body is read only when the handler does, unless the host has parsed it
 * already; its signal is aborted when the client leaves before its answer is complete.
 *
 * Call it once for a request, before anything else is awaited.
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
  // A client that leaves while nobody reads must not become an uncaught error.
  source.on('error', () => undefined)
  let left = false
  let gone: AbortController | undefined
  res.once('close', () => {
    left = !res.writableFinished
    if (left) gone?.abort()
  })
  // Unread bytes would keep the connection's next request waiting. Node drops those of a body that nobody touched.
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
  // Made when somebody asks for it, which is seldom: it costs as much as the rest of the request.
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
 * Asks the handler. What it left of the body is taken first, within bounds: a client that is still writing when the
 * connection closes may never see its answer (RFC 9112 section 9.6).
 *
 * @returns the answer; 500 when the handler fails. Never rejects.
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
      // Nobody is there any more; whoever sends this one may not notice.
      await response.body?.cancel()
      response = new Response(null, { status: 400 })
    }
  } catch (error) {
    response = failed(error)
  }
  // A stream that its server ends leaves nothing to wait for; kept alive, its connection would hold up the closing.
  if (isEventStream(response) && req.httpVersionMajor === 1) response.headers.set('connection', 'close')
  if (!req.complete) await takeLeftover(options.stream ?? req)
  return response
}

/** Whether an answer goes on until somebody leaves. */
export function isEventStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') === true
}

/**
 * Answers a request of a plain `node:http` server, or hands it to `next` when it is not the handler's. Without `next`
 * the handler answers everything. Never throws.
 */
export function listen(handler: Handler, req: IncomingMessage, res: ServerResponse, next?: () => void): void {
  if (next !== undefined && !isOurs(handler, req.url)) {
    next()
    return
  }
  const { method, url: target, headers } = req
  const context = { remoteAddress: req.socket.remoteAddress, ...hostField(hostOf(req)) }
  const quick = handler.quick?.({ method, target, headers, context }) ?? null
  if (quick !== null) {
    const body = Buffer.from(JSON.stringify(quick))
    res.writeHead(200, jsonHeaders(body.length)).end(body)
    return
  }
  void answer(handler, req, res).then((response) => sendResponse(res, response))
}

/**
 * Sends an answer: status, headers, and the body at the client's pace. A client that leaves cancels the body at once;
 * a body that fails cuts the connection, so that nobody takes a part for the whole. Headers that the host has set
 * stay, unless the answer has its own.
 *
 * @returns when the last byte was handed over or the client is gone. Never rejects.
 */
export async function sendResponse(res: ServerResponse, response: Response): Promise<void> {
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader()
  const cancel = () => void reader?.cancel().catch(() => undefined)
  if (res.destroyed || res.headersSent) {
    cancel()
    return
  }
  // A writer that waits for `drain` hears of a client that left by `close` only, of a broken connection by `error`.
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
    // Of an answer that is all there, head and body go out in one piece; of a stream the head goes ahead.
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

/** Where headers go: a `ServerResponse`, or what a framework has in its place. */
export interface HeaderTarget {
  getHeader(name: string): HeaderValue
  setHeader(name: string, value: string | string[]): unknown
}

/** Copies an answer's headers; cookies and `Vary` join those that the host has set already. */
export function copyHeaders(response: Response, target: HeaderTarget): void {
  for (const [name, value] of response.headers) {
    if (name === 'set-cookie') continue
    const before = name === 'vary' ? listOf(target.getHeader(name)) : []
    const known = new Set(before.flatMap((line) => line.toLowerCase().split(/\s*,\s*/)))
    const fresh =
      before.length === 0 ? [value] : value.split(/\s*,\s*/).filter((item) => !known.has(item.toLowerCase()))
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

/** What the client calls us; several `Host` lines come out as no valid name (RFC 9112 section 3.2: answer 400). */
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

/** As the host sees them, so that what it took out or put in stays so; Node has joined repeated ones. */
function headersOf(req: IncomingMessage): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(req.headers)) {
    // HTTP/2 keeps method, path and the like among the headers.
    if (value === undefined || name.startsWith(':')) continue
    for (const line of listOf(value)) headers.append(name, line)
  }
  return headers
}

/** The request's own body, as long as nobody has read it. What a parser leaves that found nothing to do is no body. */
function ownBody(req: IncomingMessage, source: Readable): ReadableStream<Uint8Array> | undefined {
  if (source.readableDidRead || source.readableEnded) return undefined
  // RFC 9112 section 6.3: a request without these two has none. HTTP/2 has frames instead.
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  const hasBody = (length !== undefined && length !== '0') || coding !== undefined || req.httpVersionMajor > 1
  return hasBody ? streamOf(source) : undefined
}

/** What the host made of the body, once somebody has read it. */
function parsedBody(req: IncomingMessage, source: Readable, options: BridgeOptions): unknown {
  if (!source.readableDidRead && !source.readableEnded) return undefined
  if ('body' in options) return options.body
  return 'body' in req ? req.body : undefined
}

/** A body that is read when asked for, and stays where it is when canceled: its end belongs to the connection. */
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
      controller.error(new Error('The request ended before its body did.'))
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
      clearTimeout(timer)
      source.off('data', onData).off('end', end).off('error', end).off('close', end)
      resolve()
    }
    const timer = setTimeout(end, leftoverMs)
    if (source.readableEnded || source.destroyed) end()
    else source.on('data', onData).on('end', end).on('error', end).on('close', end).resume()
  })
  source.pause()
}

/** A handler that rejects has a bug; its text stays inside. */
function failed(error: unknown): Response {
  const problem = toProblem(new DownloadError('INTERNAL', 'The handler failed.', { cause: error }))
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: problemHeaders(problem.status),
  })
}
