/**
 * A programmable origin that misbehaves on demand. Raw sockets, so that it can say anything; without faults it
 * answers static files as nginx does.
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
 * origin.requests('/model.gguf')    // what was asked, answered, sent, and which fault was used
 * origin.serve('/model.gguf', { content: other })                           // replaced, at any time
 *
 * A fault of a list is used for each request that it matches (`when`, `after`, `times`), the first of the list that
 * applies; one fault per request. Responses under way keep what they began with. See `origin-types.ts` for all of
 * them.
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

/** How an origin listens. */
export interface OriginOptions {
  /** TLS with a certificate of `certificate.ts`; true for the valid one. Default: plain HTTP. */
  tls?: boolean | CertificateName
  /** Default 127.0.0.1. */
  host?: '127.0.0.1' | '::1'
  /** Port; default: a free one. */
  port?: number
  /** After how much idling a connection is closed. Default 60,000. */
  keepAliveTimeoutMs?: number
}

/** A resource, or what makes one for each request. */
export type ResourceSource = Resource | ((request: OriginRequest) => Resource)

/** What lies at a path, and what it remembers. */
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

  /** From now on another content. A fixed ETag was the old content's; no ETag stays none. */
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

/** See the head of this file, and {@link startOrigin}. */
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

  constructor({ tls = false, host = '127.0.0.1', port = 0, keepAliveTimeoutMs = 60_000 }: OriginOptions) {
    this.#host = host
    this.#port = port
    this.#idleMs = keepAliveTimeoutMs
    this.#secureContext =
      tls === false ? null : createSecureContext(certificate(tls === true ? 'valid' : tls))
  }

  /** The port, the same for the origin's whole life. */
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

  /** Puts something at a path (without query), or replaces it. The path `*` answers for all that have nothing. */
  serve(path: string, resource: ResourceSource): void {
    this.#served.set(path, new Served(resource))
  }

  /** Takes a path away: 404 from now on. */
  remove(path: string): void {
    this.#served.delete(path)
  }

  /** The log, oldest first. */
  requests(path?: string): OriginRequest[] {
    return path === undefined ? [...this.#log] : this.#log.filter((request) => request.path === path)
  }

  /** Forgets the log; numbers go on. */
  clearRequests(): void {
    this.#log.length = 0
  }

  /** Body bytes given to sockets so far. */
  bytesSent(path?: string): number {
    return this.requests(path).reduce((sum, request) => sum + request.bytesSent, 0)
  }

  /** Connections that are open now, also those held by {@link pause}. */
  get openConnections(): number {
    return this.#sockets.size
  }

  /** Connections that were ever accepted. */
  get totalConnections(): number {
    return this.#total
  }

  /** Responses under way. */
  get activeRequests(): number {
    return this.#log.filter((request) => request.outcome === 'open').length
  }

  /** The first request of the log, past or to come, that fits. Default deadline: 5 s. */
  async waitForRequest(
    predicate: (request: OriginRequest) => boolean = () => true,
    timeoutMs = 5_000,
  ): Promise<OriginRequest> {
    const found = await waitFor(() => this.#log.find(predicate), { timeoutMs, what: 'a request' })
    if (found === undefined) throw new Error('No request.')
    return found
  }

  /** Waits until a path has sent that many body bytes in all. Default deadline: 5 s. */
  async waitForBytes(path: string, bytes: number, timeoutMs = 5_000): Promise<void> {
    await waitFor(() => this.bytesSent(path) >= bytes, { timeoutMs, what: `${bytes} bytes of ${path}` })
  }

  /**
   * Cuts all open connections, with FIN, or with RST, before which nothing is sent for 50 ms so that clients see it
   * as one. New ones are welcome.
   */
  destroyConnections({ reset = false }: { reset?: boolean } = {}): void {
    for (const socket of this.#sockets.keys()) {
      const connection = this.#connections.get(socket)
      if (reset) (connection ?? { resetSoon: () => socket.resetAndDestroy() }).resetSoon()
      else (connection ?? socket).destroy()
    }
  }

  /** Hangs up on the next connections right after accepting them. */
  hangUpOnAccept(times = Infinity, { reset = false }: { reset?: boolean } = {}): void {
    this.#hangUps = { times, reset }
  }

  /** Leaves new connections waiting, unread, until {@link resume}. Open ones go on. */
  pause(): void {
    this.#paused ??= []
  }

  /** Takes up the connections that {@link pause} held. */
  resume(): void {
    const held = this.#paused ?? []
    this.#paused = null
    for (const socket of held) if (!socket.destroyed) this.#open(socket)
  }

  /** New connections are refused (ECONNREFUSED); open ones go on. */
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

  /** Stops, cuts everything. Takes less than a second. */
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
      // A mistake of the test's own functions must not look like a fault that was meant.
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

const noise = Buffer.from('\x16\x03\x01\x00\xffnot a response\xfe\r\n\r\n\x00\x01\x02', 'latin1')

/** Faults that put something else in the place of an answer; whether they did. */
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
