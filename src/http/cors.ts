/** Cross-origin resource sharing (https://fetch.spec.whatwg.org/#http-cors-protocol): which pages may read answers. */
import { DownloadError } from '../errors.js'

/** Which web pages of other origins may call. */
export interface CorsOptions {
  /** Origins such as `https://app.example.com` (scheme, host, port, nothing else), or `*` for all. */
  origins: '*' | readonly string[]
  /** Let pages of the listed origins send cookies and other credentials. Not with `*`. Default false. */
  credentials?: boolean
}

/** Answers that scripts of other origins may read besides the harmless ones. */
const exposed = 'Allow, Retry-After, WWW-Authenticate'

/** How long browsers may remember a preflight, in seconds. */
const maxAgeSeconds = '600'

const headerNames = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*$/

/** {@link CorsOptions}, checked and ready for use. */
export class CorsPolicy {
  readonly #origins: '*' | ReadonlySet<string>
  readonly #credentials: boolean

  /**
   * @param options - without them no other origin is allowed.
   * @throws DownloadError `INVALID_OPTIONS`.
   */
  constructor(options?: CorsOptions) {
    const { origins = [], credentials = false } = options ?? {}
    if (origins === '*' && credentials) throw invalid('credentials', 'cannot be combined with all origins')
    this.#origins = origins === '*' ? '*' : new Set(origins.map(normalOrigin))
    this.#credentials = credentials
  }

  /** Whether pages of an origin, as the `Origin` field names it, may call. */
  allows(origin: string): boolean {
    return this.#origins === '*' || this.#origins.has(origin)
  }

  /** Adds to an answer what the browser looks for. */
  apply(request: Request, headers: Headers): void {
    if (this.#origins === '*') {
      headers.set('Access-Control-Allow-Origin', '*')
    } else {
      if (this.#origins.size === 0) return
      // Also when this answer allows nobody: a cache must not give it to an origin that is allowed.
      headers.append('Vary', 'Origin')
      const origin = request.headers.get('origin')
      if (origin === null || !this.allows(origin)) return
      headers.set('Access-Control-Allow-Origin', origin)
      if (this.#credentials) headers.set('Access-Control-Allow-Credentials', 'true')
    }
    headers.set('Access-Control-Expose-Headers', exposed)
  }

  /** The headers of an answer to a preflight, besides those of {@link apply}; empty when the origin is not allowed. */
  preflight(request: Request, methods: readonly string[]): Headers {
    const headers = new Headers()
    const origin = request.headers.get('origin')
    if (origin === null || !this.allows(origin)) return headers
    headers.append('Vary', 'Access-Control-Request-Method, Access-Control-Request-Headers')
    headers.set('Access-Control-Allow-Methods', methods.join(', '))
    headers.set('Access-Control-Max-Age', maxAgeSeconds)
    const wanted = request.headers.get('access-control-request-headers')
    if (wanted !== null && headerNames.test(wanted)) headers.set('Access-Control-Allow-Headers', wanted)
    // https://wicg.github.io/private-network-access/: a public page asks for a server on a private network.
    if (request.headers.get('access-control-request-private-network') === 'true') {
      headers.set('Access-Control-Allow-Private-Network', 'true')
    }
    return headers
  }
}

/** Whether a request is a preflight. */
export function isPreflight(request: Request): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.headers.has('origin') &&
    request.headers.has('access-control-request-method')
  )
}

/**
 * An origin as browsers write it: `HTTPS://App.example:443/` becomes `https://app.example`. `null`, which browsers send
 * for files and sandboxed frames, stays.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function normalOrigin(origin: string): string {
  if (origin === 'null') return origin
  const url = URL.canParse(origin) ? new URL(origin) : null
  // What has more than an origin would never match, so it is a mistake.
  const bare =
    url !== null && url.origin !== 'null' && url.href === `${url.origin}/` && !url.host.includes('*')
  if (!bare) throw invalid('origins', `"${origin}" is not an origin such as https://app.example.com`)
  return url.origin
}

function invalid(path: string, message: string): DownloadError {
  const issues = [{ path: `cors.${path}`, message }]
  return new DownloadError('INVALID_OPTIONS', `createHandler options: cors.${path}: ${message}`, { issues })
}
