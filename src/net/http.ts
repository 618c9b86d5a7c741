/**
 * HTTP client on top of undici, which no other file uses: connections, proxies, and exchanges of request and
 * response.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
// Not `* as tls`: a bundler would import a function by its name that this version of Node may lack.
import tls from 'node:tls'
import { Agent, buildConnector, type Dispatcher, Pool, ProxyAgent } from 'undici'
import { DownloadError } from '../errors.js'
import { type Clock, systemClock } from '../util/clock.js'
import { runtime } from '../util/runtime.js'
import type { RemoteGrant } from './address-policy.js'
import { DirectClient } from './direct/direct-client.js'
import { type ExchangePhase, networkError } from './errors.js'
import type { HostSecrets } from './host-secrets.js'
import {
  guardedConnect,
  requireAllowed,
  requireAllowedBeyond,
  resolveAllowed,
  type AddressResolver,
} from './guard.js'
import { localExchange } from './local-file.js'
import { proxyFor } from './proxies.js'
import type { Proxy } from './proxy-address.js'
import {
  bugIn,
  type Exchange,
  type ExchangeListener,
  type ExchangeRequest,
  type ResponseHead,
} from './exchange.js'
import { maxHeaderBytes } from './response-heads.js'
import {
  largeReadBytes,
  mendSocket,
  receiveInto,
  replayResponse,
  smallReadBytes,
  type SocketEnds,
} from './sockets.js'
import { socksConnector } from './socks.js'
import type { TransferTuning } from './tuning.js'

/** Options of an {@link HttpClient}. */
export interface HttpClientOptions {
  connectTimeoutMs: number
  /**
   * For URLs of untrusted callers: restricts the addresses to connect to, and disables the proxies of the
   * environment. Default null: no restriction.
   */
  remote?: RemoteGrant | null
  /** What the user sends to hosts. Ignored for remote callers. */
  secrets?: HostSecrets | undefined
  /** Resolves names if `remote` restricts connections. Default: the system's resolver. */
  resolve?: AddressResolver | undefined
  /** Certificates in PEM of authorities to trust besides those of Node. Default: none. */
  ca?: readonly string[] | undefined
  /** See {@link TransferTuning.bodyReader}. Default `standard`. */
  bodyReader?: TransferTuning['bodyReader'] | undefined
  /** Default: the system clock. */
  clock?: Clock | undefined
}

/** How long sockets use small reads after {@link HttpClient.beGentle}, in milliseconds. */
const gentleMs = 2_000

/** Keeps a pool of connections and makes exchanges on them. Redirects, retries and stalls are up to the caller. */
export class HttpClient {
  /** Made when it is needed, since much of undici is loaded with it. */
  #direct: Agent | null = null
  readonly #options: Agent.Options
  readonly #poolOptions: Pool.Options
  readonly #open: OpenExchanges = { paused: new Set(), unframed: new Set() }
  readonly #remote: RemoteGrant | null
  /** What the user sends to hosts; null for remote callers, and if there is nothing. */
  readonly secrets: HostSecrets | null
  readonly #resolve: AddressResolver | undefined
  readonly #clock: Clock
  readonly #tls: TlsOptions
  readonly #ends = this.#endsOf(this.#open)
  /** Sockets that are not connected yet. undici forgets them when it is closed, and they keep the process alive. */
  readonly #opening = new Set<Duplex>()
  /**
   * Every pool that may have requests. An agent forgets a pool as soon as its last open connection has ended, even
   * when others are being opened, and doesn't destroy what it has forgotten.
   */
  readonly #pools = new Set<Pool>()
  /** The agents of proxies, by {@link Proxy}. */
  readonly #proxied = new Map<string, Dispatcher>()
  readonly #connectTimeoutMs: number
  /** Reads the bodies of plain responses; null if undici reads them all. */
  readonly #fast: DirectClient | null
  #gentleUntil = 0

  constructor({
    connectTimeoutMs,
    remote = null,
    secrets,
    resolve,
    ca,
    bodyReader = 'standard',
    clock = systemClock,
  }: HttpClientOptions) {
    this.#remote = remote
    this.secrets = remote === null ? (secrets ?? null) : null
    this.#resolve = resolve
    this.#clock = clock
    this.#connectTimeoutMs = connectTimeoutMs
    this.#tls = tlsOptions(ca)
    const readBytes = () => (clock.now() < this.#gentleUntil ? smallReadBytes : largeReadBytes)
    const connectOptions = {
      timeout: connectTimeoutMs,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: 250,
      ...this.#tls,
    }
    this.#poolOptions = {
      // undici passes `onread` on to net.connect and tls.connect.
      connect: {
        ...connectOptions,
        ...(runtime.readsIntoBuffers ? { onread: receiveInto(readBytes) } : {}),
      },
      // The engine has its own, finer timers for headers and body.
      headersTimeout: 0,
      bodyTimeout: 0,
      pipelining: 1,
      maxHeaderSize: maxHeaderBytes,
      allowH2: false,
    }
    this.#options = {
      ...this.#poolOptions,
      factory: (origin, options: Pool.Options) => this.#pool(origin, options),
    }
    const fast = () =>
      new DirectClient({
        clock,
        readBytes,
        namesHosts: remote === null,
        connector: (onread) => this.#bounded({ ...connectOptions, onread }),
        handOver: (socket, received, request, listener) =>
          this.#handOver(socket, received, request, listener),
      })
    this.#fast = bodyReader === 'fast' && runtime.pausesReads ? fast() : null
  }

  #pool(origin: string | URL, options: Pool.Options): Pool {
    for (const pool of this.#pools) if (pool.destroyed) this.#pools.delete(pool)
    const pool = new Pool(origin, { ...options, connect: this.#connector(options.connect) })
    this.#pools.add(pool)
    return pool
  }

  /** Wraps the given connector, or the default one, so that each new socket gets the workarounds. */
  #connector(given: Pool.Options['connect']): buildConnector.connector {
    // undici's connectors return the socket, although their type does not say so.
    const connect: (...args: Parameters<buildConnector.connector>) => unknown =
      typeof given === 'function' ? given : this.#bounded(given)
    return (options, callback) => {
      const opening = connect(options, (...outcome) => {
        const [error, socket] = outcome
        if (opening instanceof Duplex) this.#opening.delete(opening)
        if (error === null) mendSocket(socket, this.#ends)
        callback(...outcome)
      })
      if (opening instanceof Duplex) this.#opening.add(opening)
    }
  }

  #bounded(given: Exclude<Pool.Options['connect'], buildConnector.connector>): buildConnector.connector {
    const build = (options: buildConnector.BuildOptions) =>
      buildConnector({ ...given, ...options, allowH2: false })
    return this.#remote === null ? build({}) : guardedConnect(this.#remote, build, this.#resolve)
  }

  /** Which exchange uses the socket that ends isn't known, so all exchanges that it may concern are notified. */
  #endsOf(open: OpenExchanges): SocketEnds {
    return {
      // The exchanges on other sockets pause again with their next chunk.
      release: () => {
        for (const exchange of [...open.paused]) exchange.release()
      },
      get matters() {
        return open.unframed.size > 0
      },
      // A complete response that ends in the same turn of the event loop is needlessly requested again.
      reset: () => {
        for (const exchange of open.unframed) exchange.treatEndAsReset()
      },
    }
  }

  /** To be called under a rate limit: for the next two seconds, sockets use small reads. */
  beGentle(): void {
    this.#gentleUntil = this.#clock.now() + gentleMs
  }

  /** Starts an exchange. The listener is never called from inside this call. */
  exchange(request: ExchangeRequest, listener: ExchangeListener): Exchange {
    if (request.url.protocol === 'file:') return localExchange(request, listener, this.#remote === null)
    if (this.#fast !== null && this.#isFast(this.#fast, request))
      return this.#fast.exchange(request, listener)
    const exchange = new UndiciExchange(listener, this.#open, this.#remote === null)
    // Not queueMicrotask, which allocates an AsyncResource for each call. `start` never throws.
    void Promise.resolve().then(() => exchange.start(() => this.#dispatcher(request), request))
    return exchange
  }

  /** What can't be requested at all is told by the standard way. */
  #isFast(fast: DirectClient, request: ExchangeRequest): boolean {
    try {
      if (this.#proxyOf(request) !== null) return false
      if (this.#remote !== null) requireAllowed(this.#remote, request.url)
      return fast.takes(request)
    } catch {
      return false
    }
  }

  /**
   * Lets undici read the response to a request that has been sent: it gets the connection, as a new one on which it
   * sends the same request, which is dropped.
   */
  #handOver(
    socket: Socket,
    received: Buffer,
    request: ExchangeRequest,
    listener: ExchangeListener,
  ): Exchange {
    const { origin } = request.url
    replayResponse(socket, received)
    const connect: buildConnector.connector = (_options, callback) => {
      if (socket.destroyed) process.nextTick(callback, lostSocket(), null)
      else process.nextTick(callback, null, socket)
    }
    const pool = this.#pool(origin, { ...this.#poolOptions, connections: 1, connect })
    const close = () => {
      this.#pools.delete(pool)
      void pool.destroy()
    }
    const exchange = new UndiciExchange(
      {
        onSent: () => undefined,
        onHead: (head) => {
          // Its files come this way, so there is no use in trying the fast one each time.
          if (head.status === 200 || head.status === 206) this.#fast?.avoid(origin)
          listener.onHead(head)
        },
        onData: (chunk) => listener.onData(chunk),
        onEnd: () => {
          close()
          listener.onEnd()
        },
        onError: (error) => {
          close()
          listener.onError(error)
        },
      },
      this.#open,
      this.#remote === null,
    )
    exchange.start(() => pool, request)
    return {
      pause: () => exchange.pause(),
      resume: () => exchange.resume(),
      abort: () => {
        exchange.abort()
        close()
      },
    }
  }

  #proxyOf({ proxy: setting, url }: ExchangeRequest): Proxy | null {
    return proxyFor(url, this.#remote !== null && setting === true ? false : setting, process.env)
  }

  #dispatcher(request: ExchangeRequest): Dispatcher | Promise<Dispatcher> {
    const remote = this.#remote
    const { url } = request
    if (remote !== null) requireAllowed(remote, url)
    const proxy = this.#proxyOf(request)
    if (proxy === null) return (this.#direct ??= new Agent(this.#options))
    const agent = this.#through(proxy)
    return remote === null ? agent : requireAllowedBeyond(remote, url, this.#resolve).then(() => agent)
  }

  #through(proxy: Proxy): Dispatcher {
    const key = JSON.stringify(proxy)
    const known = this.#proxied.get(key)
    if (known !== undefined) return known
    const agent = proxy.protocol.startsWith('socks') ? this.#socksAgent(proxy) : this.#httpProxyAgent(proxy)
    this.#proxied.set(key, agent)
    return agent
  }

  #httpProxyAgent({ protocol, host, port, credentials }: Proxy): Dispatcher {
    const timeout = this.#connectTimeoutMs
    return new ProxyAgent({
      ...this.#options,
      uri: `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}`,
      ...(credentials === null ? {} : { token: basic(credentials) }),
      proxyTls: { timeout, ...this.#tls },
      requestTls: { timeout, ...this.#tls },
      // As in other clients, plain http is proxied with absolute-form requests, and https through a tunnel.
      proxyTunnel: false,
    })
  }

  #socksAgent(proxy: Proxy): Dispatcher {
    const timeout = this.#connectTimeoutMs
    const connect = socksConnector({
      proxy,
      timeoutMs: timeout,
      connect: buildConnector({ timeout, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 250 }),
      secure: buildConnector({ ...this.#tls, timeout, allowH2: false }),
      resolve: (target) => resolveAllowed(this.#remote, target, this.#resolve),
    })
    return new Agent({
      ...this.#options,
      factory: (origin, options: Pool.Options) => this.#pool(origin, { ...options, connect }),
    })
  }

  /** Destroys every connection. */
  async close(): Promise<void> {
    this.#fast?.close()
    const pools = [...this.#pools].map(async (pool) => await pool.destroy())
    this.#pools.clear()
    const proxied = [...this.#proxied.values()].map(async (agent) => await agent.destroy())
    const closing = Promise.all([this.#direct?.destroy(), ...proxied, ...pools])
    for (const socket of this.#opening) socket.destroy()
    this.#opening.clear()
    await closing
  }
}

/** Options of TLS connections. */
interface TlsOptions {
  rejectUnauthorized: true
  ca?: string[]
}

/**
 * Certificates are always verified: `NODE_TLS_REJECT_UNAUTHORIZED=0`, which somebody may have set for another part
 * of the host application, must not let anybody in the network replace a model.
 */
function tlsOptions(ca: readonly string[] = []): TlsOptions {
  if (ca.length === 0) return { rejectUnauthorized: true }
  return { rejectUnauthorized: true, ca: [...defaultAuthorities(), ...ca] }
}

/** The authorities that Node trusts; newer versions include those of `NODE_EXTRA_CA_CERTS`. */
function defaultAuthorities(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] }
  return getCACertificates?.('default') ?? tls.rootCertificates
}

/** The open exchanges that must know when a socket ends. Each adds and removes itself. */
interface OpenExchanges {
  readonly paused: Set<UndiciExchange>
  /** Those whose body is delimited only by the end of the connection. */
  readonly unframed: Set<UndiciExchange>
}

class UndiciExchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #listener: ExchangeListener
  #controller: Dispatcher.DispatchController | null = null
  #phase: ExchangePhase = 'connect'
  #over = false
  #endIsReset = false
  readonly #open: OpenExchanges
  readonly #namesHosts: boolean

  /** @param namesHosts - whether errors may name hosts, of which a proxy may be one. */
  constructor(listener: ExchangeListener, open: OpenExchanges, namesHosts: boolean) {
    this.#listener = listener
    this.#open = open
    this.#namesHosts = namesHosts
  }

  start(dispatcher: () => Dispatcher | Promise<Dispatcher>, request: ExchangeRequest): void {
    if (this.#over) return
    try {
      const chosen = dispatcher()
      if (!(chosen instanceof Promise)) this.#dispatch(chosen, request)
      else chosen.then((agent) => this.#dispatch(agent, request)).catch((error: unknown) => this.#fail(error))
    } catch (error) {
      this.#fail(error)
    }
  }

  #dispatch(dispatcher: Dispatcher, { url, headers, method = 'GET' }: ExchangeRequest): void {
    if (this.#over) return
    dispatcher.dispatch({ origin: url.origin, path: url.pathname + url.search, method, headers }, this)
  }

  pause(): void {
    if (this.#over) return
    this.#open.paused.add(this)
    this.#controller?.pause()
  }

  resume(): void {
    if (this.#open.paused.delete(this)) this.#controller?.resume()
  }

  /** Takes the data that the socket has already read, even if paused; that data can't pause the parser again. */
  release(): void {
    this.#open.paused.delete(this)
    this.#controller?.resume()
    if (!this.#over) this.#open.paused.add(this)
  }

  /** If the response ends in this turn of the event loop, the connection was reset. */
  treatEndAsReset(): void {
    this.#endIsReset = true
    setImmediate(() => {
      this.#endIsReset = false
    })
  }

  abort(): void {
    if (this.#finish()) this.#controller?.abort(aborted)
  }

  /** Marks the exchange as finished; false if it already was. */
  #finish(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#open.paused.delete(this)
    this.#open.unframed.delete(this)
    return true
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#over) {
      controller.abort(aborted)
      return
    }
    this.#phase = 'headers'
    this.#listener.onSent()
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: ResponseHead['headers'],
  ): void {
    if (this.#over || status < 200) return
    this.#phase = 'body'
    if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) {
      this.#open.unframed.add(this)
    }
    this.#notify(() => this.#listener.onHead({ status, headers }))
    if (this.#open.paused.has(this)) controller.pause()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return
    this.#notify(() => this.#listener.onData(chunk))
    if (this.#open.paused.has(this)) controller.pause()
  }

  onResponseEnd(): void {
    if (this.#endIsReset) this.#fail(Object.assign(new Error('other side reset'), { code: 'UND_ERR_SOCKET' }))
    else if (this.#finish()) this.#listener.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error)
  }

  /**
   * Calls the listener. If it throws, that is a bug, which undici would report as a retryable connection
   * error.
   */
  #notify(call: () => void): void {
    const bug = bugIn(call)
    if (bug === null) return
    this.abort()
    this.#listener.onError(bug)
  }

  #fail(error: unknown): void {
    if (this.#finish()) this.#listener.onError(networkError(error, this.#phase, this.#namesHosts))
  }
}

function lostSocket(): Error {
  return Object.assign(new Error('The connection is lost.'), { code: 'UND_ERR_SOCKET' })
}

const aborted = new DownloadError('CANCELED', 'The request was canceled.')

/** The `Proxy-Authorization` of user and password (RFC 7617). */
function basic({ user, password }: { user: string; password: string }): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}
