/** The only file that knows undici: sockets, agents, proxies, and one exchange of request and response. */
import { Agent, buildConnector, type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici'
import { DownloadError, toDownloadError } from '../errors.js'
import type { RemoteGrant } from './address-policy.js'
import { type ExchangePhase, networkError } from './errors.js'
import { guardedConnect, requireAllowed, type AddressResolver } from './guard.js'
import { largeReadBytes, mendSocket, receiveInto, smallReadBytes, type SocketEnds } from './sockets.js'

/** Hears what becomes of an exchange. After `onEnd` or `onError`, and after an abort, nothing more comes. */
export interface ExchangeListener {
  /** The request was written to an open connection. */
  onSent(): void
  onHead(head: ResponseHead): void
  /** The chunk is the listener's during this call only. */
  onData(chunk: Buffer): void
  onEnd(): void
  onError(error: DownloadError): void
}

/** One request under way. */
export interface Exchange {
  /** Stops reading from the socket. */
  pause(): void
  resume(): void
  /** Drops it, and its connection unless the response was complete. The listener hears nothing of it. */
  abort(): void
}

/** A request of ours. */
export interface ExchangeRequest {
  url: URL
  headers: Readonly<Record<string, string>>
  /** Whether the proxies of the environment may be used. */
  proxy: boolean
}

/** How an {@link HttpClient} connects. */
export interface HttpClientOptions {
  connectTimeoutMs: number
  /** Bounds where it connects to, without proxies: for URLs of untrusted callers. Default null: it goes anywhere. */
  remote?: RemoteGrant | null
  /** Resolves names where connections are bounded. Default: the system's way. */
  resolve?: AddressResolver | undefined
}

/** Header block larger than this is refused (FAULTS row 19). */
const maxHeaderBytes = 32 * 1024

/** How long sockets read little at a time after somebody asked for it, in milliseconds. */
const gentleMs = 2_000

/** Keeps connections, makes exchanges. Redirects, retries and stalls are somebody else's. */
export class HttpClient {
  readonly #direct: Agent
  readonly #options: Agent.Options
  readonly #open: OpenExchanges = { paused: new Set(), unframed: new Set() }
  readonly #remote: RemoteGrant | null
  readonly #resolve: AddressResolver | undefined
  readonly #ends = this.#endsOf(this.#open)
  #proxied: EnvHttpProxyAgent | null = null
  #gentleUntil = 0

  constructor({ connectTimeoutMs, remote = null, resolve }: HttpClientOptions) {
    this.#remote = remote
    this.#resolve = resolve
    this.#options = {
      connect: {
        timeout: connectTimeoutMs,
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: 250,
        // undici hands it on to net.connect and tls.connect.
        onread: receiveInto(() => (performance.now() < this.#gentleUntil ? smallReadBytes : largeReadBytes)),
      },
      // The engine has its own, finer timers for headers and body.
      headersTimeout: 0,
      bodyTimeout: 0,
      pipelining: 1,
      maxHeaderSize: maxHeaderBytes,
      allowH2: false,
      factory: (origin, options: Pool.Options) =>
        new Pool(origin, { ...options, connect: this.#connector(options.connect) }),
    }
    this.#direct = new Agent(this.#options)
  }

  /** The given way to connect, or the usual one, with its sockets mended. */
  #connector(given: Pool.Options['connect']): buildConnector.connector {
    const connect = typeof given === 'function' ? given : this.#bounded(given)
    return (options, callback) => {
      connect(options, (...outcome) => {
        const [error, socket] = outcome
        if (error === null) mendSocket(socket, this.#ends)
        callback(...outcome)
      })
    }
  }

  #bounded(given: Exclude<Pool.Options['connect'], buildConnector.connector>): buildConnector.connector {
    const build = (options: buildConnector.BuildOptions) =>
      buildConnector({ ...given, ...options, allowH2: false })
    return this.#remote === null ? build({}) : guardedConnect(this.#remote, build, this.#resolve)
  }

  /** Which exchange is on the socket that ends isn't known. */
  #endsOf(open: OpenExchanges): SocketEnds {
    return {
      // The others pause again with their next chunk.
      release: () => {
        for (const exchange of [...open.paused]) exchange.release()
      },
      get matters() {
        return open.unframed.size > 0
      },
      // Another one that ends in the same turn is fetched again for nothing.
      reset: () => {
        for (const exchange of open.unframed) exchange.doubt()
      },
    }
  }

  /** A rate limit holds: for the next two seconds sockets read little at a time. */
  beGentle(): void {
    this.#gentleUntil = performance.now() + gentleMs
  }

  /** Starts an exchange. The listener is never called from inside this call. */
  exchange(request: ExchangeRequest, listener: ExchangeListener): Exchange {
    const exchange = new UndiciExchange(listener, this.#open)
    // Not queueMicrotask, which makes an asynchronous resource of each; starting never throws.
    void Promise.resolve().then(() => exchange.start(() => this.#dispatcher(request), request))
    return exchange
  }

  #dispatcher({ proxy, url }: ExchangeRequest): Dispatcher {
    if (this.#remote !== null) {
      requireAllowed(this.#remote, url)
      return this.#direct
    }
    const proxies = proxy ? proxiesOf(process.env) : null
    if (proxies === null) return this.#direct
    // Plain http goes through a proxy in absolute form, as every other client does it; https through a tunnel.
    this.#proxied ??= new EnvHttpProxyAgent({
      ...this.#options,
      httpProxy: proxies.http ?? '',
      httpsProxy: proxies.https ?? '',
      proxyTunnel: false,
    })
    return this.#proxied
  }

  /** Destroys every connection. */
  async close(): Promise<void> {
    await Promise.all([this.#direct.destroy(), this.#proxied?.destroy()])
  }
}

/** Exchanges under way that the ends of sockets concern; each enters and leaves by itself. */
interface OpenExchanges {
  readonly paused: Set<UndiciExchange>
  /** Those whose body ends with the connection only. */
  readonly unframed: Set<UndiciExchange>
}

class UndiciExchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #listener: ExchangeListener
  #controller: Dispatcher.DispatchController | null = null
  #phase: ExchangePhase = 'connect'
  #over = false
  #doubtful = false
  readonly #open: OpenExchanges

  constructor(listener: ExchangeListener, open: OpenExchanges) {
    this.#listener = listener
    this.#open = open
  }

  start(dispatcher: () => Dispatcher, { url, headers }: ExchangeRequest): void {
    if (this.#over) return
    try {
      dispatcher().dispatch(
        { origin: url.origin, path: url.pathname + url.search, method: 'GET', headers },
        this,
      )
    } catch (error) {
      this.#fail(error)
    }
  }

  pause(): void {
    if (this.#over) return
    this.#open.paused.add(this)
    this.#controller?.pause()
  }

  resume(): void {
    if (this.#open.paused.delete(this)) this.#controller?.resume()
  }

  /** Takes what its socket holds already, paused or not; nothing of it can pause the parser again. */
  release(): void {
    this.#open.paused.delete(this)
    this.#controller?.resume()
    if (!this.#over) this.#open.paused.add(this)
  }

  /** An end that comes in this turn is none. */
  doubt(): void {
    this.#doubtful = true
    setImmediate(() => {
      this.#doubtful = false
    })
  }

  abort(): void {
    if (this.#finish()) this.#controller?.abort(aborted)
  }

  /** Whether this is the end of it. */
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
    this.#tell(() => this.#listener.onHead({ status, headers }))
    if (this.#open.paused.has(this)) controller.pause()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return
    this.#tell(() => this.#listener.onData(chunk))
    if (this.#open.paused.has(this)) controller.pause()
  }

  onResponseEnd(): void {
    if (this.#doubtful) this.#fail(Object.assign(new Error('other side reset'), { code: 'UND_ERR_SOCKET' }))
    else if (this.#finish()) this.#listener.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error)
  }

  /** A listener that throws has a bug, which undici would report as a broken connection, to be tried again. */
  #tell(what: () => void): void {
    try {
      what()
    } catch (error) {
      const { message } = toDownloadError(error)
      this.abort()
      this.#listener.onError(new DownloadError('INTERNAL', message, { cause: error }))
    }
  }

  #fail(error: unknown): void {
    if (this.#finish()) this.#listener.onError(networkError(error, this.#phase))
  }
}

const aborted = new DownloadError('CANCELED', 'The request was dropped.')

/** Status and headers of a final (not redirect) response; header names in lower case. */
export interface ResponseHead {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
}

// ---- Which proxies the environment names. Pure.

/** Addresses of proxies, by what they are for; null where there is none. */
export interface Proxies {
  http: string | null
  https: string | null
}

/**
 * The proxies of an environment: `http_proxy` and `https_proxy`, or the same in capitals. As with curl, an address
 * without a scheme is one of an http proxy.
 *
 * @returns null when there are none.
 * @throws DownloadError `CONNECT_FAILED` for an address that is none; going around the proxy is not ours to decide.
 */
export function proxiesOf(env: Readonly<Record<string, string | undefined>>): Proxies | null {
  const http = addressIn(env, 'http_proxy')
  const https = addressIn(env, 'https_proxy')
  return http === null && https === null ? null : { http, https }
}

function addressIn(env: Readonly<Record<string, string | undefined>>, name: string): string | null {
  const value = (env[name] ?? env[name.toUpperCase()] ?? '').trim()
  if (value === '') return null
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`
  const scheme = URL.canParse(address) ? new URL(address).protocol : ''
  // Without the address: it may hold a password.
  if (!['http:', 'https:', 'socks:', 'socks5:'].includes(scheme)) {
    throw new DownloadError(
      'CONNECT_FAILED',
      `The environment names a proxy in ${name} that is not a valid one.`,
    )
  }
  return address
}

// ---- request-headers

/** Unless the caller names another. */
const userAgent = 'model-downloader'

/** The headers of one request: the caller's, our own for the range, and no content coding (transfer rule 1). */
export function requestHeaders(
  caller: Readonly<Record<string, string>>,
  range: Readonly<Record<string, string>>,
): Record<string, string> {
  const given = Object.entries(caller).map(([name, value]) => [name.toLowerCase(), value])
  return {
    'user-agent': userAgent,
    accept: '*/*',
    // Object.fromEntries forgets that both halves are strings.
    ...(Object.fromEntries(given) as Record<string, string>),
    ...range,
    'accept-encoding': 'identity',
  }
}
