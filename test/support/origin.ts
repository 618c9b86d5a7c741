/**
 * A programmable origin that misbehaves on demand. It uses raw sockets, so that it can send anything. Without faults it
 * serves static files as nginx does.
 *
 * @example
 * await using origin = await startOrigin()
 * const content = ggufContent(8_000_000)
 * origin.serve('/model.gguf', {
 *   content,
 *   bytesPerSecond: 4_000_000,
 *   faults: [
 *     { type: 'status', status: 503, retryAfter: 1, times: 2 },               // the first two requests
 *     { type: 'reset', afterBytes: 100_000, when: (r) => r.range?.start !== 0 }, // every other segment
 *   ],
 * })
 * // … fetch origin.url('/model.gguf') …
 * origin.requests('/model.gguf')    // requests with their responses, bytes sent, and applied faults
 * origin.serve('/model.gguf', { content: other })                           // replaces it at any time
 *
 * Each request gets at most one fault: the first of the list that matches it (`when`, `after`, `times`). Responses that
 * have started are not affected by later changes. See `origin-types.ts` for all faults.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket, type SecureContext } from 'node:tls'
import { certificate, type CertificateName } from './certificate.js'
import { ConnectionGone, OriginConnection } from './origin-connection.js'
import { parseRanges, type ParsedRequest } from './origin-http.js'
import { defaultEtag, planResponse, simplePlan } from './origin-plan.js'
import { sendPlan } from './origin-send.js'
import type { Fault, OriginRequest, Resource } from './origin-types.js'
import { waitFor, withTimeout } from './wait.js'
import { listenOn, listenOnOwnPort } from './ports.js'

export type { Fault, FaultKind, OriginRequest, Resource } from './origin-types.js'
export { defaultEtag }

/** Options of an origin. */
export interface OriginOptions {
  /** TLS with a certificate of `certificate.ts`; true for the valid one. Default: plain HTTP. */
  tls?: boolean | CertificateName
  /** Host to listen on. Default: 127.0.0.1. */
  host?: '127.0.0.1' | '::1'
  /** Port to listen on. Default: a free one. */
  port?: number
  /** Idle time after which a connection is closed, in milliseconds. Default: 60,000. */
  keepAliveTimeoutMs?: number
}

/** A resource, or a function that creates one for each request. */
export type ResourceSource = Resource | ((request: OriginRequest) => Resource)

/** The resource at a path, and its state. */
class Served {
  requests = 0
  active = 0
  readonly #used = new Map<Fault, { matched: number; used: number }>()
  #swapped: Partial<Resource> = {}

  constructor(readonly source: ResourceSource) {}

  resource(request: OriginRequest): Resource {
    const resource = typeof this.source === 'function' ? this.source(request) : this.source
    return { ...resource, ...this.#swapped }
  }

  /** The fault for this request, if any. */
  pick(resource: Resource, request: OriginRequest): Fault | undefined {
    const { faults = [] } = resource
    if (typeof faults === 'function') return faults(request)
    let picked: Fault | undefined
    for (const fault of faults) {
      if (fault.when !== undefined && !fault.when(request)) continue
      const state = this.#used.get(fault) ?? { matched: 0, used: 0 }
      this.#used.set(fault, state)
      state.matched += 1
      const times = fault.type === 'swapContent' ? 1 : (fault.times ?? Infinity)
      if (picked !== undefined || state.matched <= (fault.after ?? 0) || state.used >= times) continue
      state.used += 1
      picked = fault
    }
    return picked
  }

  /** Replaces the content. A fixed ETag belonged to the old content, so it is dropped; no ETag stays none. */
  swap(resource: Resource, { content, etag, lastModified }: Fault & { type: 'swapContent' }): Resource {
    this.#swapped = {
      content,
      etag: etag !== undefined ? etag : resource.etag === null ? null : defaultEtag(content),
      ...(lastModified === undefined ? {} : { lastModified }),
    }
    return { ...resource, ...this.#swapped }
  }
}

/** Starts an origin on loopback. Close it: `await using`, or `close()`. */
export async function startOrigin(options: OriginOptions = {}): Promise<Origin> {
  const origin = new Origin(options)
  await origin.listenAgain()
  return origin
}

/** A programmable origin, see {@link startOrigin}. */
export class Origin {
  readonly #host: string
  readonly #idleMs: number
  readonly #secureContext: SecureContext | null
  readonly #served = new Map<string, Served>()
  readonly #log: OriginRequest[] = []
  /** Open TCP sockets and their numbers. */
  readonly #sockets = new Map<Socket, number>()
  readonly #connections = new Map<Socket, OriginConnection>()
  #server: Server | null = null
  #port: number
  #total = 0
  #requests = 0
  #paused: Socket[] | null = null
  #hangUps = { times: 0, reset: false }
  #handshakes: (connection: number) => TlsTrouble | null = () => null

  constructor({ tls = false, host = '127.0.0.1', port = 0, keepAliveTimeoutMs = 60_000 }: OriginOptions) {
    this.#host = host
    this.#port = port
    this.#idleMs = keepAliveTimeoutMs
    this.#secureContext =
      tls === false ? null : createSecureContext(certificate(tls === true ? 'valid' : tls))
  }

  /** The port, which never changes. */
  get port(): number {
    return this.#port
  }

  /** For example `http://127.0.0.1:34567`. */
  get origin(): string {
    const host = this.#host.includes(':') ? `[${this.#host}]` : this.#host
    return `${this.#secureContext !== null ? 'https' : 'http'}://${host}:${this.#port}`
  }

  /** The URL of a path. */
  url(path = '/'): string {
    return this.origin + path
  }

  /** Serves a resource at a path (without query), or replaces it. The path `*` is the fallback for all other paths. */
  serve(path: string, resource: ResourceSource): void {
    this.#served.set(path, new Served(resource))
  }

  /** Removes the resource at a path, which then answers with 404. */
  remove(path: string): void {
    this.#served.delete(path)
  }

  /** The log, oldest first. */
  requests(path?: string): OriginRequest[] {
    return path === undefined ? [...this.#log] : this.#log.filter((request) => request.path === path)
  }

  /** Clears the log. Request numbers continue. */
  clearRequests(): void {
    this.#log.length = 0
  }

  /** Number of body bytes written to sockets so far. */
  bytesSent(path?: string): number {
    return this.requests(path).reduce((sum, request) => sum + request.bytesSent, 0)
  }

  /** Number of open connections, including those held by {@link pause}. */
  get openConnections(): number {
    return this.#sockets.size
  }

  /** Number of connections accepted so far. */
  get totalConnections(): number {
    return this.#total
  }

  /** Number of responses in progress. */
  get activeRequests(): number {
    return this.#log.filter((request) => request.outcome === 'open').length
  }

  /** Resolves to the first request in the log that matches, waiting for it if necessary. Default deadline: 5 s. */
  async waitForRequest(
    predicate: (request: OriginRequest) => boolean = () => true,
    timeoutMs = 5_000,
  ): Promise<OriginRequest> {
    const found = await waitFor(() => this.#log.find(predicate), { timeoutMs, what: 'a request' })
    if (found === undefined) throw new Error('No request.')
    return found
  }

  /** Waits until this many body bytes have been sent for a path in total. Default deadline: 5 s. */
  async waitForBytes(path: string, bytes: number, timeoutMs = 5_000): Promise<void> {
    await waitFor(() => this.bytesSent(path) >= bytes, { timeoutMs, what: `${bytes} bytes of ${path}` })
  }

  /**
   * Cuts all open connections with FIN, or with RST. Nothing is sent for 50 ms before an RST, so that clients see it as
   * one. New connections are accepted.
   */
  destroyConnections({ reset = false }: { reset?: boolean } = {}): void {
    for (const socket of this.#sockets.keys()) {
      const connection = this.#connections.get(socket)
      if (reset) (connection ?? { resetSoon: () => socket.resetAndDestroy() }).resetSoon()
      else (connection ?? socket).destroy()
    }
  }

  /** Closes the next connections right after accepting them. */
  hangUpOnAccept(times = Infinity, { reset = false }: { reset?: boolean } = {}): void {
    this.#hangUps = { times, reset }
  }

  /** Answers handshakes with trouble: a fatal alert, or HTTP without TLS. The function is given the connection's number. */
  failHandshakes(trouble: (connection: number) => TlsTrouble | null): void {
    this.#handshakes = trouble
  }

  /** Does not read from new connections until {@link resume}. Open ones continue. */
  pause(): void {
    this.#paused ??= []
  }

  /** Serves the connections that {@link pause} held. */
  resume(): void {
    const held = this.#paused ?? []
    this.#paused = null
    for (const socket of held) if (!socket.destroyed) this.#open(socket)
  }

  /** Refuses new connections (ECONNREFUSED). Open ones continue. */
  stopListening(): void {
    this.#server?.close()
    this.#server = null
  }

  /** Listens on the same port again. */
  async listenAgain(): Promise<void> {
    if (this.#server !== null) return
    const server = createServer({ highWaterMark: 1024 * 1024 }, (socket) => {
      this.#accept(socket)
    })
    this.#server = server
    if (this.#port === 0) this.#port = await listenOnOwnPort(server, this.#host)
    else await listenOn(server, this.#port, this.#host)
  }

  /** Stops the origin and cuts all connections. Takes less than a second. */
  async close(): Promise<void> {
    const server = this.#server
    this.#server = null
    const closed = new Promise<void>((resolve) => {
      if (server === null) resolve()
      else
        server.close(() => {
          resolve()
        })
    })
    this.destroyConnections()
    await withTimeout(closed, 1_000, 'the origin to close')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(socket: Socket): void {
    this.#total += 1
    this.#sockets.set(socket, this.#total)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#connections.delete(socket)
    })
    if (this.#hangUps.times > 0) {
      this.#hangUps.times -= 1
      if (this.#hangUps.reset) socket.resetAndDestroy()
      else socket.destroy()
    } else if (this.#paused !== null) this.#paused.push(socket)
    else this.#open(socket)
  }

  #open(tcp: Socket): void {
    const id = this.#sockets.get(tcp) ?? 0
    const secureContext = this.#secureContext
    const trouble = secureContext === null ? null : this.#handshakes(id)
    if (trouble !== null) {
      tcp.once('data', () => tcp.end(tlsTroubles[trouble]))
      return
    }
    const socket = secureContext === null ? tcp : new TLSSocket(tcp, { isServer: true, secureContext })
    this.#connections.set(tcp, new OriginConnection(id, socket, tcp, this.#respond.bind(this), this.#idleMs))
  }

  async #respond(connection: OriginConnection, parsed: ParsedRequest): Promise<boolean> {
    const served = this.#served.get(parsed.path) ?? this.#served.get('*')
    const nth = served === undefined ? 1 : (served.requests += 1)
    const request = this.#note(connection, parsed, nth)
    if (served !== undefined) served.active += 1
    try {
      const goesOn = await this.#answer(connection, request, served)
      request.outcome = 'done'
      return goesOn
    } catch (error) {
      request.outcome = 'aborted'
      if (error instanceof ConnectionGone) throw error
      // An error in a function of the test must not look like an intended fault.
      console.error(`The origin failed to answer ${request.target}:`, error)
      connection.destroy()
      throw error
    } finally {
      request.endedAt = performance.now()
      if (served !== undefined) served.active -= 1
    }
  }

  #note(connection: OriginConnection, parsed: ParsedRequest, nth: number): OriginRequest {
    const { method, target, path, query, headers, body } = parsed
    const request: OriginRequest = {
      ...{ n: this.#requests + 1, nth, method, target, path, query, headers, body },
      range: parseRanges(headers['range'])?.[0] ?? null,
      connection: connection.id,
      at: performance.now(),
      status: 0,
      bytesSent: 0,
      headOnly: false,
      fault: null,
      outcome: 'open',
      endedAt: null,
    }
    this.#requests = request.n
    this.#log.push(request)
    return request
  }

  async #answer(
    connection: OriginConnection,
    request: OriginRequest,
    served: Served | undefined,
  ): Promise<boolean> {
    if (served === undefined) {
      return sendPlan(connection, simplePlan(request, 404, 'nothing here\n'), request, undefined)
    }
    let resource = served.resource(request)
    const { maxConnections } = resource
    const most = typeof maxConnections === 'number' ? { count: maxConnections, status: 503 } : maxConnections
    if (most !== undefined && served.active > most.count) {
      const retry = 'retryAfter' in most ? { 'Retry-After': String(most.retryAfter) } : {}
      const plan = simplePlan(request, most.status, 'too many connections\n', retry, resource)
      return sendPlan(connection, plan, request, undefined)
    }
    const fault = served.pick(resource, request)
    request.fault = fault?.type ?? null
    if (fault?.type === 'swapContent') resource = served.swap(resource, fault)
    if (fault !== undefined && (await insteadOfAnswer(connection, request, fault))) return false
    return sendPlan(connection, planResponse(request, resource, fault), request, fault)
  }
}

/** What a handshake is answered with instead. */
const tlsTroubles = {
  /** A record with a fatal alert: internal error. */
  alert: Buffer.from([21, 3, 3, 0, 2, 2, 80]),
  'plain HTTP': Buffer.from('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n'),
}

/** See {@link Origin.failHandshakes}. */
type TlsTrouble = keyof typeof tlsTroubles

const noise = Buffer.from('\x16\x03\x01\x00\xffnot a response\xfe\r\n\r\n\x00\x01\x02', 'latin1')

/** Applies faults that replace the response, and resolves to whether it did. */
async function insteadOfAnswer(
  connection: OriginConnection,
  request: OriginRequest,
  fault: Fault,
): Promise<boolean> {
  switch (fault.type) {
    case 'hangUp':
      if (fault.reset === true) connection.reset()
      else connection.end()
      return true
    case 'stallBeforeHeaders':
      await connection.sleep(fault.forMs ?? null)
      return false
    case 'garbage':
      await connection.write(typeof fault.bytes === 'string' ? fault.bytes : (fault.bytes ?? noise))
      connection.end()
      return true
    case 'raw':
      await fault.handle(connection.socket, request)
      return true
    default:
      return false
  }
}
