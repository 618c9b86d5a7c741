/** Metadata requests of sources: small answers, with retries, on the engine's own connections. */
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOfStatus, DownloadError, isRetryableStatus, toDownloadError } from '../errors.js'
import { isNetworkFailure } from '../net/errors.js'
import type { HttpClient, ResponseHead } from '../net/http.js'
import { firstHop, type Hop, isRedirect, nextHop } from '../net/redirects.js'
import { initialRetryState, onFailure, parseRetryAfter } from '../net/retry.js'
import type { TransferTuning } from '../net/tuning.js'
import type { ApiAnswer, ApiRequest, JsonAnswer } from './source.js'

/** What an {@link Api} works with. */
export interface ApiInit {
  http: HttpClient
  /** Whether the proxies of the environment may be used. */
  proxy: boolean
  tuning: TransferTuning
  signal: AbortSignal
  /** For one request without its retries, from the first byte sent to the last one got, in milliseconds. */
  timeoutMs: number
  /** Hears of every wait. */
  onRetry?: ((error: DownloadError, attempt: number, delayMs: number) => void) | undefined
}

/** Some hosts answer nobody who does not say who asks. */
const userAgent = 'model-downloader'

const defaultMaxBytes = 16 * 1024 * 1024

/** What is read of the body of an answer that is none. */
const maxErrorBytes = 64 * 1024

/**
 * How much of a body is read, in bytes. `head`: nothing; `own-head`: neither, and redirects to other origins are left to the
 * caller.
 */
type Appetite = number | 'head' | 'own-head'

/** The requests of one resolution. */
export class Api {
  readonly #init: ApiInit

  constructor(init: ApiInit) {
    this.#init = init
  }

  /** See `ResolveContext.fetchJson`. */
  async fetchJson(url: string | URL, request: ApiRequest = {}): Promise<JsonAnswer> {
    const answer = await this.#persist(url, request, request.maxBytes ?? defaultMaxBytes, {
      accept: 'application/json',
    })
    return { ...answer, json: parseJson(answer) }
  }

  /** See `ResolveContext.fetchHead`. */
  fetchHead(url: string | URL, request: ApiRequest = {}): Promise<ApiAnswer> {
    return this.#persist(url, request, 'own-head', { range: 'bytes=0-0' })
  }

  /** The same, but redirects are followed wherever they lead. */
  probe(url: string | URL, request: ApiRequest = {}): Promise<ApiAnswer> {
    return this.#persist(url, request, 'head', { range: 'bytes=0-0' })
  }

  async #persist(
    url: string | URL,
    request: ApiRequest,
    appetite: Appetite,
    own: Readonly<Record<string, string>>,
  ): Promise<ApiAnswer> {
    const { tuning, signal, onRetry } = this.#init
    const hop = firstHop(new URL(url), request.headers ?? {})
    let state = initialRetryState(performance.now())
    for (;;) {
      const outcome = await this.#follow(hop, request, appetite, own).catch(toDownloadError)
      requireWanted(signal)
      if (!(outcome instanceof DownloadError)) return outcome
      if (!outcome.retryable) throw outcome
      const failure = {
        now: performance.now(),
        networkFailure: isNetworkFailure(outcome),
        ...(outcome.retryAfterMs === undefined ? {} : { retryAfterMs: outcome.retryAfterMs }),
      }
      const next = onFailure(state, failure, tuning, Math.random)
      state = next.state
      if (next.verdict.kind === 'give-up') throw outcome
      const { attempt, delayMs } = next.verdict
      onRetry?.(outcome, attempt, delayMs)
      await sleep(delayMs, undefined, { signal }).catch(() => undefined)
      requireWanted(signal)
    }
  }

  /** One attempt, with its redirects. */
  async #follow(
    start: Hop,
    request: ApiRequest,
    appetite: Appetite,
    own: Readonly<Record<string, string>>,
  ): Promise<ApiAnswer> {
    let hop = start
    let told: Record<string, string> = {}
    for (;;) {
      const got = await this.#exchange(hop, appetite, own)
      const answer = appetite === 'own-head' ? { ...got, headers: { ...told, ...got.headers } } : got
      if (isRedirect(answer.status)) {
        const next = nextHop(hop, answer.headers['location'] ?? null, this.#init.tuning.maxRedirects)
        if (appetite === 'own-head' && next.url.origin !== hop.url.origin) return answer
        hop = next
        // What the first of several answers says of the file, its cache may not repeat.
        told = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => name.startsWith('x-')))
        continue
      }
      const { status } = answer
      if ((status >= 200 && status < 300) || request.accept?.includes(status) === true) return answer
      throw failureOf(answer, request.explain)
    }
  }

  #exchange(hop: Hop, appetite: Appetite, own: Readonly<Record<string, string>>): Promise<ApiAnswer> {
    const { http, proxy, signal, timeoutMs } = this.#init
    // Bodies are small; what a coding would save is not worth a decoder.
    const headers = { 'user-agent': userAgent, ...own, ...hop.headers, 'accept-encoding': 'identity' }
    return new Promise((resolve, reject) => {
      let head: ResponseHead | null = null
      const chunks: Buffer[] = []
      let bytes = 0
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
      }
      const fail = (error: DownloadError) => {
        end()
        exchange.abort()
        reject(error)
      }
      const finish = () => {
        end()
        exchange.abort()
        const status = head?.status ?? 0
        resolve({
          status,
          headers: joined(head?.headers ?? {}),
          url: hop.url.href,
          text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(chunks)),
        })
      }
      const onAbort = () => {
        fail(aborted())
      }
      const timer = setTimeout(() => {
        fail(
          new DownloadError('STALLED', `${hop.url.host} sent no complete answer in time.`, {
            retryable: true,
          }),
        )
      }, timeoutMs)
      const exchange = http.exchange(
        { url: hop.url, headers, proxy },
        {
          onSent: () => undefined,
          onHead: (got) => {
            head = got
            const wanted = typeof appetite === 'number' || got.status >= 400
            if (!wanted || isRedirect(got.status)) finish()
          },
          onData: (chunk) => {
            bytes += chunk.length
            const success = head !== null && head.status < 300
            if (success && bytes > (typeof appetite === 'number' ? appetite : 0)) fail(tooLong(hop.url))
            else if (!success && bytes > maxErrorBytes) finish()
            // The chunk is ours during this call only.
            else chunks.push(Buffer.from(chunk))
          },
          onEnd: finish,
          onError: fail,
        },
      )
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}

function joined(headers: ResponseHead['headers']): Record<string, string> {
  const result: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name] = typeof value === 'string' ? value : value.join(', ')
  }
  return result
}

function parseJson({ status, text, url }: ApiAnswer): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    if (status >= 300) return null
    // A page for people, as captive portals and proxies send it. Without the cause, which would repeat its text.
    throw new DownloadError('PROTOCOL_ERROR', `${new URL(url).host} answered with something that is no JSON.`)
  }
}

/** The error for a status that is no answer. */
function failureOf(answer: ApiAnswer, explain: ApiRequest['explain']): DownloadError {
  const { status, headers } = answer
  const { host } = new URL(answer.url)
  const explained = explain?.(answer) ?? null
  if (explained !== null) return explained
  if (isRetryableStatus(status)) {
    const retryAfterMs = retryAfterOf(headers)
    const message =
      status === 429
        ? `${host} limits how often it may be asked (HTTP 429).`
        : `${host} has a problem of its own (HTTP ${String(status)}).`
    return new DownloadError('HTTP_ERROR', message, {
      status,
      retryable: true,
      ...(retryAfterMs === null ? {} : { retryAfterMs }),
    })
  }
  const code = codeOfStatus(status)
  const messages = {
    NOT_FOUND: `${host} does not know it (HTTP ${String(status)}).`,
    ACCESS_DENIED: `${host} refuses access (HTTP ${String(status)}).`,
    HTTP_ERROR: `${host} answered with HTTP ${String(status)}.`,
  }
  return new DownloadError(code, messages[code], { status })
}

/** `Retry-After`, else what is left of the window by `RateLimit` (draft-ietf-httpapi-ratelimit-headers: `"api";r=0;t=55`). */
export function retryAfterOf(headers: Readonly<Record<string, string>>): number | null {
  const date = Date.parse(headers['date'] ?? '')
  const asked = parseRetryAfter(headers['retry-after'], Number.isNaN(date) ? Date.now() : date)
  if (asked !== null) return asked
  const left = /;\s*t=(\d{1,9})(?:\s*[;,]|\s*$)/.exec(headers['ratelimit'] ?? '')?.[1]
  return left === undefined ? null : Number(left) * 1000
}

function tooLong(url: URL): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', `${url.host} answered with more than is ever needed.`)
}

function requireWanted(signal: AbortSignal): void {
  if (signal.aborted) throw aborted()
}

function aborted(): DownloadError {
  return new DownloadError('CANCELED', 'Nobody waits for the answer any more.')
}
