import type { Preloader } from '../catalog/preloader.js'
import type { Locale } from '../catalog/types.js'
import type { DownloadManager } from '../manager.js'
import { DownloadError } from '../errors.js'
import type { Authorize, RequestContext } from './access.js'
import type { CorsOptions } from './cors.js'

export type { Action, Authorize, Permission, RequestContext } from './access.js'
export type { CorsOptions } from './cors.js'

/** What {@link createHandler} takes. */
export interface HandlerOptions {
  /** Keeps the downloads. The handler never closes it. */
  manager: DownloadManager
  /** Brings a catalog to disk. Without one the preload routes answer 404. */
  preloader?: Preloader | undefined
  /** Decides who may do what. Default: only callers on this machine, who ask for it by a loopback name. */
  authorize?: Authorize | undefined
  /** Which web pages of other origins may call. Default: none. */
  cors?: CorsOptions | undefined
  /** Stands in front of every path: `/ml` makes `/ml/api/…`. Default: nothing. */
  basePath?: string | undefined
  /** Let URLs that come over HTTP reach private, loopback and link-local addresses. Default false. */
  allowPrivateNetwork?: boolean | undefined
  /** Hosts (`host` or `host:port`) that such URLs may reach whatever their address; not what they redirect to. */
  allowedHosts?: readonly string[] | undefined
  /** Language of messages for people when `Accept-Language` asks for none that we have. Default `en-US`. */
  locale?: Locale | undefined
  /** How many downloads may wait for a slot before further ones are refused with 429. Default 10,000. */
  maxQueued?: number | undefined
}

/**
 * The routes as one function from `Request` to `Response`. Never rejects: every failure is a response.
 *
 * @param request - with an absolute URL, whose path includes the mount base.
 * @param context - what the server knows besides.
 */
export interface Handler {
  (request: Request, context?: RequestContext): Promise<Response>
  /** Whether a path, mount base included, is one of ours; others are the host's own. */
  owns(pathname: string): boolean
  /** Ends all event streams. Other routes go on. Harmless when closed. */
  close(): void
}

/**
 * Makes the routes for a manager.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function createHandler(_options: HandlerOptions): Handler {
  throw new DownloadError('INTERNAL', 'Not there yet.')
}
