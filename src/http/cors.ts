/**
 * Cross-origin resource sharing (https://fetch.spec.whatwg.org/#http-cors-protocol): which pages may read
 * responses.
 */
import { DownloadError } from '../errors.js'

/** Which other origins may call. */
export interface CorsOptions {
  /** Origins such as `https://app.example.com` (scheme, host, port, nothing else), or `*` for all. */
  origins: '*' | readonly string[]
  /**
   * Let pages of the listed origins send cookies and other credentials. Cannot be combined with `*`. Default
   * false.
   */
  credentials?: boolean
}

/** Response headers that scripts of other origins may read besides the safelisted ones. */
const exposed = 'Allow, Retry-After, WWW-Authenticate'

/** How long browsers may cache a preflight, in seconds. */
const maxAgeSeconds = '600'

const headerNames = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*$/

/** Validated {@link CorsOptions}. */
export class CorsPolicy {
  readonly #origins: '*' | ReadonlySet<string>
  readonly #credentials: boolean

  /**
   * @param options - default: no other origin is allowed.
   * @throws DownloadError `INVALID_OPTIONS`.
   */
  constructor(options?: CorsOptions) {
    const { origins = [], credentials = false } = options ?? {}
    if (origins === '*' && credentials) throw invalid('credentials', 'cannot be combined with all origins')
    this.#origins = origins === '*' ? '*' : new Set(origins.map(normalOrigin))
    this.#credentials = credentials
  }

  /** Whether pages of an origin may call. */
  allows(origin: string): boolean {
    return this.#origins === '*' || this.#origins.has(origin)
  }

  /** Adds the CORS headers to a response. */
  apply(request: Request, headers: Headers): void {
    if (this.#origins === '*') {
      headers.set('Access-Control-Allow-Origin', '*')
    } else {
      if (this.#origins.size === 0) return
      // Needed even if this response allows nobody, because a cache must not reuse it for an allowed origin.
      headers.append('Vary', 'Origin')
      const origin = request.headers.get('origin')
      if (origin === null || !this.allows(origin)) return
      headers.set('Access-Control-Allow-Origin', origin)
      if (this.#credentials) headers.set('Access-Control-Allow-Credentials', 'true')
    }
    headers.set('Access-Control-Expose-Headers', exposed)
  }

  /**
   * Headers of a preflight response, besides those of {@link apply}; empty when the origin is not allowed.
   */
  preflight(request: Request, methods: readonly string[]): Headers {
    const headers = new Headers()
    const origin = request.headers.get('origin')
    if (origin === null || !this.allows(origin)) return headers
    headers.append('Vary', 'Access-Control-Request-Method, Access-Control-Request-Headers')
    headers.set('Access-Control-Allow-Methods', methods.join(', '))
    headers.set('Access-Control-Max-Age', maxAgeSeconds)
    const wanted = request.headers.get('access-control-request-headers')
    if (wanted !== null && headerNames.test(wanted)) headers.set('Access-Control-Allow-Headers', wanted)
    // https://wicg.github.io/private-network-access/: a public page requests access to a server on a private
    // network.
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
 * Normalizes an origin as browsers do: `HTTPS://App.example:443/` becomes `https://app.example`. `null` is
 * refused: browsers send it for every file and every sandboxed frame, whoever made them.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function normalOrigin(origin: string): string {
  const url = URL.canParse(origin) ? new URL(origin) : null
  // A URL with more than an origin would never match, so it must be a mistake.
  const bare =
    url !== null && url.origin !== 'null' && url.href === `${url.origin}/` && !url.host.includes('*')
  if (!bare) throw invalid('origins', `"${origin}" is not an origin such as https://app.example.com`)
  return url.origin
}

function invalid(path: string, message: string): DownloadError {
  const issues = [{ path: `cors.${path}`, message }]
  return new DownloadError('INVALID_OPTIONS', `createHandler options: cors.${path}: ${message}`, { issues })
}
