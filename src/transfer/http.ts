/** The only file that knows undici: sockets, agents, proxies, and one exchange of request and response. */
import { Agent, EnvHttpProxyAgent, type Dispatcher } from 'undici'
import { DownloadError } from '../errors.js'
import { networkError, type ExchangePhase } from './network-errors.js'
import { proxiesOf } from './proxies.js'
import { isResetting, unwatchResets, watchResets } from './resets.js'
import type { ResponseHead } from './rules.js'

/** Hears what becomes of an exchange. After `onEnd` or `onError`, and after an abort, nothing more comes. */
export interface ExchangeListener {
  /** The request was written to an open connection. */
  onSent(): void
  onHead(head: ResponseHead): void
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

/** Timeouts of an {@link HttpClient}, in milliseconds. */
export interface HttpClientOptions {
  connectTimeoutMs: number
}

/** Header block larger than this is refused (FAULTS row 19). */
const maxHeaderBytes = 32 * 1024

/** Keeps connections, makes exchanges. Redirects, retries and stalls are somebody else's. */
export class HttpClient {
  readonly #direct: Agent
  readonly #options: Agent.Options
  #proxied: EnvHttpProxyAgent | null = null

  constructor({ connectTimeoutMs }: HttpClientOptions) {
    this.#options = {
      connect: { timeout: connectTimeoutMs, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 250 },
      // The engine has its own, finer timers for headers and body.
      headersTimeout: 0,
      bodyTimeout: 0,
      pipelining: 1,
      maxHeaderSize: maxHeaderBytes,
      allowH2: false,
    }
    this.#direct = new Agent(this.#options)
    watchResets()
  }

  /** Starts an exchange. The listener is never called from inside this call. */
  exchange(request: ExchangeRequest, listener: ExchangeListener): Exchange {
    const exchange = new UndiciExchange(listener)
    queueMicrotask(() => exchange.start(() => this.#dispatcher(request.proxy), request))
    return exchange
  }

  #dispatcher(proxy: boolean): Dispatcher {
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
    unwatchResets()
  }
}

class UndiciExchange implements Exchange, Dispatcher.DispatchHandler {
  readonly #listener: ExchangeListener
  #controller: Dispatcher.DispatchController | null = null
  #phase: ExchangePhase = 'connect'
  #over = false
  #paused = false

  constructor(listener: ExchangeListener) {
    this.#listener = listener
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
    this.#paused = true
    this.#controller?.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#controller?.resume()
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#controller?.abort(aborted)
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
    this.#listener.onHead({ status, headers })
    if (this.#paused) controller.pause()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return
    this.#listener.onData(chunk)
    if (this.#paused) controller.pause()
  }

  onResponseEnd(): void {
    if (isResetting()) this.#fail(new Error('The connection was reset.'))
    if (this.#over) return
    this.#over = true
    this.#listener.onEnd()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error)
  }

  #fail(error: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#listener.onError(networkError(error, this.#phase))
  }
}

const aborted = new DownloadError('CANCELED', 'The request was dropped.')
