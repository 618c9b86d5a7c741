import {
  codeOfStatus,
  DownloadError,
  downloadErrorCodes,
  isDownloadError,
  isRetryableStatus,
  type OptionIssue,
} from '../errors.js'

/** Options of {@link createClient}. */
export interface ClientOptions {
  /**
   * Where the routes are mounted: everything before `/api`. An http or https URL without credentials, query and
   * fragment, or a path (`''` is the page's own origin). A path needs a page when a request is made, not before, so
   * a client may be created on a server that renders a page. There, requests fail with `INVALID_URL`.
   */
  baseUrl: string | URL
  /** Headers for every request, or a function that is called for each, so that a token can be fresh. Default: none. */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>)
  /** Replaces the global `fetch`, for example to send cookies to another origin. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Timeout of one request including the response body, in milliseconds; greater than 0. Default: 30,000. */
  timeoutMs?: number
}

/** Options that every call takes. */
export interface CallOptions {
  /** Aborts the call with `CANCELED`. It does not stop what the server has started. */
  signal?: AbortSignal | undefined
}

/** A request. */
export interface Call extends CallOptions {
  method?: 'GET' | 'POST' | 'DELETE'
  /** Sent as JSON. */
  body?: object
  headers?: Record<string, string>
  /** Replaces {@link ClientOptions.timeoutMs}. */
  timeoutMs?: number
}

/** Sends requests and reads responses; see {@link createHttp}. */
export interface Http {
  /** Timeout of one request, in milliseconds. */
  readonly timeoutMs: number
  /** Resolves to the JSON object of a path's response. Its type is trusted, not checked. */
  json<T>(path: string, call?: Call): Promise<T>
  /** Resolves to a response of any status with its body unread. The signal aborts it. */
  open(path: string, call: Call, signal: AbortSignal): Promise<Response>
}

/**
 * Creates the HTTP layer of a client.
 *
 * @throws DownloadError `INVALID_URL`, `INVALID_OPTIONS`.
 */
export function createHttp({ baseUrl, headers, fetch, timeoutMs = 30_000 }: ClientOptions): Http {
  const base = checkBase(String(baseUrl))
  if (!(timeoutMs > 0)) throw new DownloadError('INVALID_OPTIONS', 'timeoutMs must be more than 0.')

  const open: Http['open'] = async (path, call, signal) => {
    // Only pages and workers can resolve a path; a custom fetch may be able to as well.
    if (fetch === undefined && !/^http/i.test(base) && !('location' in globalThis)) throw noPage(base)
    const all = new Headers(typeof headers === 'function' ? await freshHeaders(headers) : headers)
    for (const [name, value] of Object.entries(call.headers ?? {})) all.set(name, value)
    const init: RequestInit = { method: call.method ?? 'GET', headers: all, signal }
    if (call.body !== undefined) {
      all.set('content-type', 'application/json')
      init.body = JSON.stringify(call.body)
    }
    // The global is looked up for each call and called as a plain function: browsers reject another `this`.
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
    // Every successful response of our server has this member; JSON from elsewhere does not.
    if ('success' in answer && answer.success === true) return answer
    throw unexpectedResponse(undefined, response.status)
  }

  return {
    timeoutMs,
    open,
    async json<T>(path: string, call: Call = {}): Promise<T> {
      const controller = new AbortController()
      try {
        // The type of the response is trusted, see `Http.json`.
        return (await within(
          () => exchange(path, call, controller.signal),
          call.timeoutMs ?? timeoutMs,
          call.signal,
        )) as T
      } catch (error) {
        throw toClientError(error)
      } finally {
        // Frees the connection after a timeout or an abort. It has no effect on a response that was read completely.
        controller.abort()
      }
    },
  }
}

function checkBase(base: string): string {
  const trimmed = base.replace(/\/+$/, '')
  if (/^https?:\/\//i.test(base)) {
    try {
      const { username, password, search, hash } = new URL(base)
      if (username + password + search + hash === '') return trimmed
    } catch {
      // Reported below without the cause, which would contain the URL and any secret in it.
    }
    // Browsers read a backslash as a slash, and two slashes begin with another host.
  } else if (/^(?:\/(?![/\\])[^?#\\]*|)$/.test(trimmed)) return trimmed
  throw new DownloadError(
    'INVALID_URL',
    'baseUrl must be an http(s) URL without credentials and query, or a path that begins with a slash.',
  )
}

function noPage(base: string): DownloadError {
  return new DownloadError(
    'INVALID_URL',
    `baseUrl is ${JSON.stringify(base)}, which only a page can resolve. On a server, use the whole URL.`,
  )
}

async function freshHeaders(make: () => Record<string, string> | Promise<Record<string, string>>) {
  try {
    return await make()
  } catch (cause) {
    if (isDownloadError(cause)) throw cause
    // The most common reason is a token that can't be refreshed at the moment.
    throw new DownloadError('ACCESS_DENIED', 'headers() failed.', { cause, retryable: true })
  }
}

/** Converts the error of a request to a DownloadError. Errors of other types come from `fetch`, hence the network. */
export function toClientError(cause: unknown): DownloadError {
  if (isDownloadError(cause)) return cause
  return new DownloadError('CONNECT_FAILED', "The server can't be reached.", { cause, retryable: true })
}

/**
 * Parses a JSON object.
 *
 * @throws DownloadError `PROTOCOL_ERROR` when the text is not one.
 */
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

/** The error of a failed response, from its problem document (RFC 9457) where it has one, otherwise from its status. */
export async function errorOf(response: Response): Promise<DownloadError> {
  const { status } = response
  let problem: { code?: unknown; detail?: unknown; error?: unknown; issues?: unknown } = {}
  try {
    problem = parseObject(await response.text())
  } catch {
    // The body is an HTML page or incomplete. The status is enough.
  }
  const { code, detail, error, issues } = problem
  const retryAfterMs = retryAfter(response.headers.get('retry-after'))
  return new DownloadError(
    // Without a code, or with one that only a newer server knows, the status has to say it.
    downloadErrorCodes.find((known) => known === code) ?? codeOfStatus(status),
    [detail, error].find((text) => typeof text === 'string') ?? `The server answered with HTTP ${status}.`,
    {
      status,
      retryable: isRetryableStatus(status),
      issues: Array.isArray(issues) ? issues.filter(isIssue) : [],
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  )
}

function isIssue(value: unknown): value is OptionIssue {
  // Reading a member of a primitive gives undefined; only null and undefined would throw.
  const { path, message } = (value ?? {}) as Partial<Record<keyof OptionIssue, unknown>>
  return typeof path === 'string' && typeof message === 'string'
}

/** Parses `Retry-After`, which is in seconds or a date (RFC 9110 section 10.2.3), to milliseconds. */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

// ---- Waiting

/** The longest delay of a timer, in milliseconds. Timers with a longer one fire immediately. */
const longestTimerMs = 0x7fffffff

/**
 * Settles like `work`, unless the signal is aborted or the time is up first. This also holds for work that never
 * settles and ignores signals; stopping it is up to the caller.
 *
 * @param work - starts the work. It is not called when the signal is already aborted.
 * @param ms - maximum wait in milliseconds, capped at the longest delay of a timer (24 days).
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
    // The race handles both promises, so a late rejection of either is not unhandled.
    return await Promise.race([work(), limit])
  } finally {
    end()
  }
}

/**
 * Waits for `ms` milliseconds.
 *
 * @throws DownloadError `CANCELED` as soon as the signal is aborted.
 */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await within(() => new Promise<never>(() => undefined), ms, signal)
  } catch (error) {
    if (!isDownloadError(error, 'STALLED')) throw error
  }
}
