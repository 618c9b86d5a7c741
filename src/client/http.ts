import {
  DownloadError,
  type DownloadErrorCode,
  downloadErrorCodes,
  isDownloadError,
  type OptionIssue,
} from '../errors.js'

/** Where the routes are, and how they are asked. See {@link createClient}. */
export interface ClientOptions {
  /**
   * Where the routes are mounted: everything before `/api`. An http or https URL, or in a browser also a path (`''`
   * is the page's own origin).
   */
  baseUrl: string | URL
  /** Headers for every request, or what makes them: called each time, so that a token can be fresh. Default: none. */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>)
  /** Replaces the global `fetch`, for example to send cookies to another origin. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** How long one request may take, its answer's body included, in milliseconds, more than 0. Default 30,000. */
  timeoutMs?: number
}

/** What every call can be given. */
export interface CallOptions {
  /** Ends the call with `CANCELED`. What the server has begun goes on. */
  signal?: AbortSignal | undefined
}

/** One request. */
export interface Call extends CallOptions {
  method?: 'GET' | 'POST' | 'DELETE'
  /** Sent as JSON. */
  body?: object
  headers?: Record<string, string>
}

/** Sends requests and reads answers; see {@link createHttp}. */
export interface Http {
  /** Longest time for one request in milliseconds. */
  readonly timeoutMs: number
  /** The JSON object that a path answers with. Its type is the server's promise: it is not checked. */
  json<T>(path: string, call?: Call): Promise<T>
  /** A response with its body unread; the signal ends it. Whatever its status is. */
  open(path: string, call: Call, signal: AbortSignal): Promise<Response>
}

/** @throws DownloadError `INVALID_URL`, `INVALID_OPTIONS`. */
export function createHttp({ baseUrl, headers, fetch, timeoutMs = 30_000 }: ClientOptions): Http {
  const base = checkBase(String(baseUrl), fetch !== undefined)
  if (!(timeoutMs > 0)) throw new DownloadError('INVALID_OPTIONS', 'timeoutMs must be more than 0.')

  const open: Http['open'] = async (path, call, signal) => {
    const all = new Headers(typeof headers === 'function' ? await freshHeaders(headers) : headers)
    for (const [name, value] of Object.entries(call.headers ?? {})) all.set(name, value)
    const init: RequestInit = { method: call.method ?? 'GET', headers: all, signal }
    if (call.body !== undefined) {
      all.set('content-type', 'application/json')
      init.body = JSON.stringify(call.body)
    }
    // Looked up each time and called as a plain function: a browser's own refuses another `this`.
    return await (fetch ?? globalThis.fetch)(base + path, init)
  }

  const exchange = async (path: string, call: Call, signal: AbortSignal): Promise<unknown> => {
    const response = await open(
      path,
      { ...call, headers: { accept: 'application/json', ...call.headers } },
      signal,
    )
    if (!response.ok) throw await errorOf(response)
    const answer = parseObject(await response.text(), response.status)
    // Every answer of ours says so; a page that somebody else serves as JSON does not.
    if ('success' in answer && answer.success === true) return answer
    throw unexpectedResponse(undefined, response.status)
  }

  return {
    timeoutMs,
    open,
    async json<T>(path: string, call: Call = {}): Promise<T> {
      const controller = new AbortController()
      try {
        // The server's own types are trusted, see `Http.json`.
        return (await within(() => exchange(path, call, controller.signal), timeoutMs, call.signal)) as T
      } catch (error) {
        throw toClientError(error)
      } finally {
        // Frees the connection when time or patience ran out; says nothing to an answer that is read.
        controller.abort()
      }
    },
  }
}

function checkBase(base: string, hasFetch: boolean): string {
  const isAbsolute = /^https?:\/\//i.test(base)
  // Only a page or a worker knows what a path is relative to; a fetch of the caller's may.
  const isRelative = /^(?:$|\/(?!\/))/.test(base) && (hasFetch || 'location' in globalThis)
  try {
    if (isAbsolute) {
      const { username, password, search, hash } = new URL(base)
      if (username + password + search + hash === '') return base.replace(/\/+$/, '')
    } else if (isRelative) return base.replace(/\/+$/, '')
  } catch {
    // Said below, without the cause: it would repeat the URL, and what is secret in it.
  }
  throw new DownloadError('INVALID_URL', 'baseUrl must be an http(s) URL without credentials and query.')
}

async function freshHeaders(make: () => Record<string, string> | Promise<Record<string, string>>) {
  try {
    return await make()
  } catch (cause) {
    if (isDownloadError(cause)) throw cause
    // Most often a token that can't be refreshed right now.
    throw new DownloadError('ACCESS_DENIED', 'headers() failed.', { cause, retryable: true })
  }
}

/** What a failed request is thrown as. Whatever is none of ours came out of `fetch`: the network. */
export function toClientError(cause: unknown): DownloadError {
  if (isDownloadError(cause)) return cause
  return new DownloadError('CONNECT_FAILED', 'The server could not be reached.', { cause, retryable: true })
}

/** @throws DownloadError `PROTOCOL_ERROR` unless the text is a JSON object. */
export function parseObject(text: string, status?: number): object {
  let cause: unknown
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch (error) {
    cause = error
  }
  throw unexpectedResponse(cause, status)
}

/** The server, or one in between, does not speak as ours does. */
export function unexpectedResponse(cause: unknown, status?: number): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', 'The answer is not one of a model-downloader server.', {
    cause,
    ...(status === undefined ? {} : { status }),
  })
}

/** The error that a response tells of: a problem document (RFC 9457), or whatever a server in between says. */
export async function errorOf(response: Response): Promise<DownloadError> {
  const { status } = response
  let problem: { code?: unknown; detail?: unknown; error?: unknown; issues?: unknown } = {}
  try {
    problem = parseObject(await response.text())
  } catch {
    // A page, a cut body: the status says enough.
  }
  const { code, detail, error, issues } = problem
  const retryAfterMs = retryAfter(response.headers.get('retry-after'))
  return new DownloadError(
    downloadErrorCodes.find((known) => known === code) ?? codeOf(status),
    [detail, error].find((text) => typeof text === 'string') ?? `The server answered with HTTP ${status}.`,
    {
      status,
      retryable: [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505),
      issues: Array.isArray(issues) ? issues.filter(isIssue) : [],
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  )
}

/** For answers without a code, or with one that only a newer server knows. */
function codeOf(status: number): DownloadErrorCode {
  if (status === 401 || status === 403) return 'ACCESS_DENIED'
  return status === 404 || status === 410 ? 'NOT_FOUND' : 'HTTP_ERROR'
}

function isIssue(value: unknown): value is OptionIssue {
  // Reading a member of what is no object gives undefined; only null and undefined throw.
  const { path, message } = (value ?? {}) as Partial<Record<keyof OptionIssue, unknown>>
  return typeof path === 'string' && typeof message === 'string'
}

/** `Retry-After` in milliseconds: seconds, or a date (RFC 9110 section 10.2.3). */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

// ---- wait

/** With more than this, timers fire at once. */
const longestTimerMs = 0x7fffffff

/**
 * The outcome of work, unless the signal or the clock comes first. Holds even for work that never ends and heeds no
 * signal; whoever began it stops it.
 *
 * @param work - begins the work; not called when the signal is aborted already.
 * @param ms - longest wait in milliseconds. More than a timer can count (24 days) is that.
 * @throws DownloadError `CANCELED` with the signal's reason as its cause; `STALLED` when the time is up.
 */
export async function within<T>(work: () => Promise<T>, ms: number, signal?: AbortSignal): Promise<T> {
  let end: () => void = () => undefined
  const canceled = () => new DownloadError('CANCELED', 'The call was aborted.', { cause: signal?.reason })
  if (signal?.aborted === true) throw canceled()
  const limit = new Promise<never>((_, reject) => {
    const onAbort = () => {
      reject(canceled())
    }
    const timer = setTimeout(
      () => {
        reject(new DownloadError('STALLED', `The server took longer than ${ms} ms.`, { retryable: true }))
      },
      Math.min(ms, longestTimerMs),
    )
    signal?.addEventListener('abort', onAbort)
    end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  })
  try {
    // The race listens to both, so that neither's late rejection goes unhandled.
    return await Promise.race([work(), limit])
  } finally {
    end()
  }
}

/**
 * Waits.
 *
 * @throws DownloadError `CANCELED` at once when the signal is aborted.
 */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await within(() => new Promise<never>(() => undefined), ms, signal)
  } catch (error) {
    if (!isDownloadError(error, 'STALLED')) throw error
  }
}
