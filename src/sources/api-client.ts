/** HTTP client for the metadata requests of sources: small responses, with redirects, timeouts and retries. */
import { headBytes } from '../disk/model-formats.js'
import { codeOfStatus, DownloadError, isRetryableStatus, toDownloadError } from '../errors.js'
import { contentCodingOf } from '../net/content-coding.js'
import { canDecode, decodeBody } from '../net/decoder.js'
import { isNetworkFailure, isRepeated } from '../net/errors.js'
import type { HostGate } from '../net/host-gate.js'
import type { ResponseHead } from '../net/exchange.js'
import type { HttpClient } from '../net/http.js'
import type { ProxySetting } from '../net/proxies.js'
import { firstHop, followRedirect, headersOf, type Hop, isRedirect } from '../net/redirects.js'
import { growingTimeout, initialRetryState, onFailure, othersServedSince } from '../net/retry.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Clock } from '../util/clock.js'
import { decodeInTurn } from '../util/decode.js'
import { parseJson } from './json.js'
import type { ApiAnswer, ApiRequest, JsonAnswer } from './source.js'

/** Dependencies of an {@link Api}. */
export interface ApiInit {
  http: HttpClient
  /** Which proxy to use. */
  proxy: ProxySetting
  tuning: TransferTuning
  clock: Clock
  signal: AbortSignal
  /**
   * Timeout of the first request, from connecting to the last byte received, in milliseconds. Retries get more after
   * it has passed.
   */
  timeoutMs: number
  /** Servers that asked to wait. */
  gate: HostGate
  /** Called before each wait: for a retry, or because the server has asked others to wait. */
  onRetry?: ((error: DownloadError, attempt: number, delayMs: number) => void) | undefined
  /** Make one short attempt at each request, and don't wait for a server that has asked others to wait. */
  brief?: boolean | undefined
}

/** Longest time until a short attempt is connected, in milliseconds. */
const briefConnectMs = 5_000

/** Longest time of a short attempt, in milliseconds. A server that is reached at all may be slow. */
const briefTimeoutMs = 15_000

/** Some hosts refuse requests without a User-Agent. */
const userAgent = 'model-downloader'

const defaultMaxBytes = 16 * 1024 * 1024

/** How many bytes of an error's body are read. */
const maxErrorBytes = 64 * 1024

/**
 * What to read of a response: a body of at most so many bytes, only the head, or also the first `bytes` of the body. With
 * `own-head`, redirects to other origins aren't followed but returned to the caller.
 */
type ReadLimit = number | 'head' | 'own-head' | { bytes: number }

/** A wait for a host that is longer than this is worth telling, in milliseconds. */
const tellMs = 1_000

/** How to make one attempt of a request. */
interface Attempt {
  limit: ReadLimit
  method: ApiRequest['method']
  /** Headers besides those of the caller. */
  own: Readonly<Record<string, string>>
  timeoutMs: number
  /** Set to the origin of each request. */
  last: { origin: string }
}

/** Makes the requests for resolving one ref. */
export class Api {
  readonly #init: ApiInit

  constructor(init: ApiInit) {
    this.#init = init
  }

  /** See `ResolveContext.fetchJson`. */
  async fetchJson(url: string | URL, request: ApiRequest = {}): Promise<JsonAnswer> {
    const answer = await this.#requestWithRetries(url, request, request.maxBytes ?? defaultMaxBytes, {
      accept: 'application/json',
    })
    return { ...answer, json: await jsonOf(answer) }
  }

  /** See `ResolveContext.fetchText`. */
  fetchText(url: string | URL, request: ApiRequest = {}): Promise<ApiAnswer> {
    return this.#requestWithRetries(url, request, request.maxBytes ?? defaultMaxBytes, {})
  }

  /** See `ResolveContext.fetchHead`. */
  fetchHead(url: string | URL, request: ApiRequest = {}): Promise<ApiAnswer> {
    return this.#requestWithRetries(url, request, 'own-head', { range: 'bytes=0-0' })
  }

  /**
   * Like {@link Api.fetchHead}, but follows redirects to other origins, too.
   *
   * @param what - with `beginning`, the text of the answer is the first {@link headBytes} bytes, as Latin-1.
   */
  probe(
    url: string | URL,
    request: ApiRequest = {},
    what: 'head' | 'beginning' = 'head',
  ): Promise<ApiAnswer> {
    if (what === 'beginning') return this.range(url, request, { from: 0, bytes: headBytes })
    return this.#requestWithRetries(url, request, what, { range: 'bytes=0-0' })
  }

  /** Requests some bytes of a file, following redirects. The text of the answer is what came of them, as Latin-1. */
  range(
    url: string | URL,
    request: ApiRequest,
    { from, bytes }: { from: number; bytes: number },
  ): Promise<ApiAnswer> {
    return this.#requestWithRetries(url, request, { bytes }, { range: `bytes=${from}-${from + bytes - 1}` })
  }

  async #requestWithRetries(
    url: string | URL,
    request: ApiRequest,
    limit: ReadLimit,
    own: Readonly<Record<string, string>>,
  ): Promise<ApiAnswer> {
    const { http, tuning, clock, signal, gate, onRetry, brief = false } = this.#init
    const hop = firstHop(new URL(url), request.headers ?? {}, http.secrets)
    let state = initialRetryState(clock.now())
    let failedAt = clock.now()
    let silences = 0
    let before: DownloadError | null = null
    for (;;) {
      const timeoutMs = brief
        ? Math.min(this.#init.timeoutMs, briefTimeoutMs)
        : growingTimeout(this.#init.timeoutMs, silences)
      // The host that answered last; with redirects it need not be that of the URL.
      const last = { origin: hop.url.origin }
      const attempt = { limit, method: request.method, own, timeoutMs, last }
      const outcome = await this.#follow(hop, request, attempt).catch(toDownloadError)
      throwIfAborted(signal)
      if (!(outcome instanceof DownloadError)) return outcome
      if (brief || !outcome.retryable || isRepeated(outcome, before)) throw outcome
      before = outcome
      if (outcome.code === 'STALLED') silences += 1
      const failure = {
        now: clock.now(),
        networkFailure: isNetworkFailure(outcome),
        othersServed: gate.hasServedSince(last.origin, othersServedSince(state, failedAt, clock.now())),
        limited: outcome.status === 429,
        ...(outcome.retryAfterMs === undefined ? {} : { retryAfterMs: outcome.retryAfterMs }),
      }
      const next = onFailure(state, failure, tuning, Math.random)
      state = next.state
      failedAt = failure.now
      if (next.verdict.kind === 'give-up') throw outcome
      const { delayMs } = next.verdict
      onRetry?.(outcome, next.verdict.attempt, delayMs)
      await clock.sleep(delayMs, signal)
      throwIfAborted(signal)
    }
  }

  /** Makes one attempt, following redirects. */
  async #follow(start: Hop, request: ApiRequest, attempt: Attempt): Promise<ApiAnswer> {
    const { limit, last } = attempt
    const { tuning, clock, gate } = this.#init
    let hop = start
    let hopHeaders: Record<string, string> = {}
    for (;;) {
      const { origin } = hop.url
      last.origin = origin
      await this.#waitForHost(hop.url)
      const { answer: got, head } = await this.#exchange(hop, attempt)
      const answer = limit === 'own-head' ? { ...got, headers: { ...hopHeaders, ...got.headers } } : got
      const isAccepted = request.accept?.includes(answer.status) === true
      if (isRedirect(answer.status) && !isAccepted) {
        const next = followRedirect(hop, head, tuning.maxRedirects, clock.wallNow())
        if (limit === 'own-head' && next.url.origin !== hop.url.origin) return answer
        hop = next
        // The hub describes the file in the first response; the ones after it may not repeat that.
        hopHeaders = Object.fromEntries(
          Object.entries(answer.headers).filter(([name]) => name.startsWith('x-')),
        )
        continue
      }
      const { status } = answer
      if ((status >= 200 && status < 300) || isAccepted) {
        gate.noteServed(origin, clock.now())
        return answer
      }
      const error = failureOf(answer, request.explain)
      const times = { now: clock.now(), wallNow: clock.wallNow(), maxMs: tuning.maxRetryAfterMs }
      throw error.retryable ? gate.heed(origin, head, error, times) : error
    }
  }

  /** Waits while a host gets no request, because it asked another request to wait. */
  async #waitForHost({ origin, host }: URL): Promise<void> {
    const { clock, signal, gate, onRetry, brief = false } = this.#init
    for (;;) {
      const waitMs = Math.ceil(gate.wait(origin, clock.now()))
      if (waitMs === 0) return
      if (brief && waitMs > tellMs) throw askedToWait(host, waitMs)
      if (waitMs > tellMs) onRetry?.(askedToWait(host, waitMs), 1, waitMs)
      await clock.sleep(waitMs, signal)
      throwIfAborted(signal)
    }
  }

  #exchange(
    hop: Hop,
    { limit, method, own, timeoutMs }: Attempt,
  ): Promise<{ answer: ApiAnswer; head: ResponseHead }> {
    const { http, proxy, clock, signal, brief = false } = this.#init
    // Bodies are small, so compression isn't worth a decoder.
    const headers = { 'user-agent': userAgent, ...own, ...headersOf(hop), 'accept-encoding': 'identity' }
    return new Promise((resolve, reject) => {
      let head: ResponseHead | null = null
      const chunks: Buffer[] = []
      let bytes = 0
      const end = () => {
        timer.cancel()
        connecting?.cancel()
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
        const { status, headers } = head ?? { status: 0, headers: {} }
        const read = async () => {
          const body = await decode(Buffer.concat(chunks), { status, headers })
          const text =
            typeof limit === 'object' ? body.toString('latin1', 0, limit.bytes) : await decodeInTurn(body)
          return { status, headers: joined(headers), url: hop.url.href, text }
        }
        read().then((answer) => resolve({ answer, head: { status, headers } }), reject)
      }
      /** Some servers compress although they are asked not to. */
      const decode = async (body: Buffer, { status, headers }: ResponseHead): Promise<Buffer> => {
        if (typeof limit !== 'number' || status >= 300) return body
        const { codings } = contentCodingOf(headers, hop.url)
        return codings.length > 0 && canDecode(codings) ? decodeBody(body, codings, limit) : body
      }
      const onAbort = () => {
        fail(aborted())
      }
      const timer = clock.timer(() => {
        fail(
          new DownloadError('STALLED', `${hop.url.host} did not send a complete response in time.`, {
            retryable: true,
          }),
        )
      }, timeoutMs)
      const connecting = brief
        ? clock.timer(() => {
            const message = `${hop.url.host} did not accept a connection in time.`
            fail(new DownloadError('CONNECT_FAILED', message, { retryable: true }))
          }, briefConnectMs)
        : null
      const exchange = http.exchange(
        { url: hop.url, method, headers, proxy },
        {
          onSent: () => connecting?.cancel(),
          onHead: (got) => {
            head = got
            const wanted = typeof limit !== 'string' || got.status >= 400
            if (!wanted || isRedirect(got.status)) finish()
          },
          onData: (chunk) => {
            bytes += chunk.length
            const success = head !== null && head.status < 300
            if (success && typeof limit === 'object') {
              chunks.push(Buffer.from(chunk))
              if (bytes >= limit.bytes) finish()
            } else if (success && bytes > (typeof limit === 'number' ? limit : 0)) fail(tooLong(hop.url))
            else if (!success && bytes > maxErrorBytes) finish()
            // The chunk is valid only during this call.
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

async function jsonOf({ status, text, url }: ApiAnswer): Promise<unknown> {
  try {
    return await parseJson(text)
  } catch {
    if (status >= 300) return null
    // Probably an HTML page of a captive portal or proxy. No cause: its message would quote the page.
    throw new DownloadError(
      'PROTOCOL_ERROR',
      `The response from ${new URL(url).host} is not JSON, or too complex.`,
    )
  }
}

/** Creates the error for an unexpected status. */
function failureOf(answer: ApiAnswer, explain: ApiRequest['explain']): DownloadError {
  const { status } = answer
  const { host } = new URL(answer.url)
  const explained = explain?.(answer) ?? null
  if (explained !== null) return explained
  if (isRetryableStatus(status)) {
    const message =
      status === 429
        ? `The rate limit of ${host} is exceeded (HTTP 429).`
        : `${host} reported a server error (HTTP ${String(status)}).`
    return new DownloadError('HTTP_ERROR', message, { status, retryable: true })
  }
  const code = codeOfStatus(status)
  const messages = {
    NOT_FOUND: `Not found on ${host} (HTTP ${String(status)}).`,
    ACCESS_DENIED: `${host} denies access (HTTP ${String(status)}).`,
    HTTP_ERROR: `${host} answered with HTTP ${String(status)}.`,
  }
  return new DownloadError(code, messages[code], { status })
}

function askedToWait(host: string, retryAfterMs: number): DownloadError {
  const message = `${host} asked another request to wait (HTTP 429).`
  return new DownloadError('HTTP_ERROR', message, { status: 429, retryable: true, retryAfterMs })
}

function tooLong(url: URL): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', `The response from ${url.host} is too large.`)
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw aborted()
}

function aborted(): DownloadError {
  return new DownloadError('CANCELED', 'The request was canceled.')
}
