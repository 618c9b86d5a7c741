import * as z from 'zod'
import type { Locale } from '../catalog/messages.js'
import type { Preloader } from '../catalog/preloader.js'
import { parseOptions, remoteSchema } from '../download/options.js'
import { DownloadError, toDownloadError } from '../errors.js'
import type { DownloadManager } from '../manager/manager.js'
import { redactUrls } from '../util/redact.js'
import {
  type Action,
  type Authorize,
  type Permission,
  type RequestContext,
  requireHost,
  requireLocal,
  requireOwnPage,
  requirePermission,
} from './access.js'
import { Admission } from './admission.js'
import { readJson } from './body.js'
import { type CorsOptions, CorsPolicy, isPreflight } from './cors.js'
import { downloadEvents } from './download-events.js'
import { openApiDocument } from './openapi.js'
import { preloadEvents } from './preload-routes.js'
import { isServerFault, jsonHeaders, problemHeaders, toProblem } from './problem.js'
import { type StatusFastPath, statusFastPath } from './status-fast-path.js'
import { components, type Route, type Services } from './route.js'
import { dashboardPath, routes, routesByPath } from './routes.js'
import { SseChannel } from './sse.js'

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
  /**
   * Serve the dashboard, a page for people, at `/api/models/ui`. It holds no data, so it comes without `authorize` being
   * asked; all that it shows and does goes through the routes. Default false.
   */
  ui?: boolean | undefined
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
  /** @internal The short way for what is asked most; null where there is none. */
  readonly quick?: StatusFastPath | null
}

const optionsSchema = z.object({
  manager: z.custom<DownloadManager>(
    (value) => typeof value === 'object' && value !== null && 'download' in value,
    'must be a DownloadManager',
  ),
  basePath: z
    .string()
    .regex(/^(?:\/[^/?#\s]+)*\/?$/, 'must be empty or a path such as /ml')
    .default(''),
  allowPrivateNetwork: z.boolean().default(false),
  allowedHosts: z.array(z.string()).default([]),
  locale: z.enum(['en-US', 'zh-CN']).default('en-US'),
  cors: z
    .object({
      origins: z.union([z.literal('*'), z.array(z.string())], "must be '*' or a list of origins"),
      credentials: z.boolean().default(false),
    })
    .optional(),
  authorize: z.custom<Authorize>((value) => typeof value === 'function', 'must be a function').optional(),
  maxQueued: z.number().int().min(0).default(10_000),
  ui: z.boolean().default(false),
})

/**
 * Makes the routes for a manager.
 *
 * @param options - see {@link HandlerOptions}.
 * @throws DownloadError `INVALID_OPTIONS`.
 *
 * @example
 * const handler = createHandler({ manager, authorize: (action, request) => isMember(request) })
 * const response = await handler(new Request('http://localhost/api/models/download/status'), { remoteAddress })
 */
export function createHandler(options: HandlerOptions): Handler {
  const checked = parseOptions(optionsSchema, options, 'createHandler options')
  const { manager, basePath, allowPrivateNetwork, allowedHosts, locale, maxQueued, authorize, ui } = checked
  const { preloader = null } = options
  const remote = { allowPrivateNetwork, allowedHosts }
  parseOptions(remoteSchema, remote, 'createHandler options')
  const base = basePath.replace(/\/$/, '')
  const served = ui ? routes : routes.filter(({ path }) => path !== dashboardPath)
  let document: object | null = null
  const services: Services = {
    manager,
    preloader,
    locale,
    remote,
    admission: new Admission(manager, maxQueued),
    downloadEvents: new SseChannel(downloadEvents(manager)),
    preloadEvents: preloader === null ? null : new SseChannel(preloadEvents(preloader)),
    document: () => (document ??= openApiDocument(served, base)),
  }
  const cors = new CorsPolicy(checked.cors)

  const routesAt = (pathname: string) => {
    if (!pathname.startsWith(base)) return undefined
    const path = pathname.slice(base.length)
    return path === dashboardPath && !ui ? undefined : routesByPath.get(path)
  }

  const answer = async (request: Request, context: RequestContext): Promise<Response> => {
    const url = new URL(request.url)
    const here = routesAt(url.pathname)
    if (here === undefined) throw new DownloadError('NOT_FOUND', 'There is nothing at this path.')
    if (authorize === undefined) requireLocal(request, context)
    else requireHost(request, context)
    const allowed = allowedMethods(here)
    if (isPreflight(request))
      return new Response(null, { status: 204, headers: cors.preflight(request, allowed) })
    if (request.method === 'OPTIONS') {
      return new Response(null, { status: 204, headers: { Allow: allowed.join(', ') } })
    }
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const route = here.find((each) => each.method === method)
    if (route === undefined) return methodNotAllowed(request.method, allowed)
    if (method !== 'GET')
      requireOwnPage(request, context, (origin) => cors.allows(origin), authorize === undefined)
    if (authorize !== undefined && route.action !== null)
      await requirePermission(authorize, route.action, request, context)
    // Callers on this machine, of whom this is one then, may do everything.
    const permission = async (action: Action): Promise<Permission> =>
      authorize === undefined || (await authorize(action, request, context))
    return await run(route, services, request, url, context, permission)
  }

  const handle = async (request: Request, context: RequestContext = {}): Promise<Response> => {
    let response: Response
    try {
      response = await answer(request, context)
    } catch (error) {
      if (isServerFault(error)) {
        const message = `A request failed: ${redactUrls(toDownloadError(error).message)}`
        manager.emit('log', { level: 'error', message })
      }
      const problem = toProblem(error)
      response = json(problem, problem.status, problemHeaders(problem.status))
    }
    cors.apply(request, response.headers)
    return request.method === 'HEAD' ? await withoutBody(response) : response
  }

  return Object.assign(handle, {
    owns: (pathname: string) => routesAt(pathname) !== undefined,
    // With `authorize` or CORS every request is looked at as a whole.
    quick: authorize === undefined && checked.cors === undefined ? statusFastPath(manager, base) : null,
    close: () => {
      services.downloadEvents.close()
      services.preloadEvents?.close()
    },
  })
}

/** Query and body go through their schemas, and on to the route. */
async function run(
  route: Route,
  services: Services,
  request: Request,
  url: URL,
  context: RequestContext,
  permission: (action: Action) => Promise<Permission>,
): Promise<Response> {
  const query =
    route.query === null ? {} : parseOptions(route.query, Object.fromEntries(url.searchParams), 'The query')
  let body: unknown
  if (route.body !== null) {
    const missing = route.bodyIsOptional ? null : {}
    const given = (await readJson(request, context.body)) ?? missing
    body = parseOptions(components[route.body], given, 'The body')
  }
  const result = await route.handle({ services, request, query, body, permission })
  return result instanceof Response ? result : json(result, 200, {})
}

function allowedMethods(here: readonly Route[]): string[] {
  const methods: string[] = here.map(({ method }) => method)
  return [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS']
}

function methodNotAllowed(method: string, allowed: readonly string[]): Response {
  const message = `${method} is not possible here, only ${allowed.join(', ')}.`
  const problem = toProblem(new DownloadError('INVALID_OPTIONS', message, { status: 405 }))
  return json(problem, 405, { ...problemHeaders(405), Allow: allowed.join(', ') })
}

const encoder = new TextEncoder()

function json(value: object, status: number, headers: Record<string, string>): Response {
  const bytes = encoder.encode(JSON.stringify(value))
  return new Response(bytes, { status, headers: { ...jsonHeaders(bytes.byteLength), ...headers } })
}

/** What HEAD answers: what GET would, less the body (RFC 9110 section 9.3.2). */
async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel()
  return new Response(null, { status: response.status, headers: response.headers })
}
