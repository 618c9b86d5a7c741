import * as z from 'zod'
import type { Locale } from '../catalog/messages.js'
import type { Preloader } from '../catalog/preloader.js'
import { parseOptions, remoteSchema } from '../download/options.js'
import { DownloadError, toDownloadError } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { redactUrls } from '../util/redact.js'
import {
  callerOf,
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
import { createDashboard } from './dashboard.js'
import { downloadEvents } from './download-events.js'
import { openApiDocument } from './openapi.js'
import { preloadEvents } from './preload-routes.js'
import { isServerFault, jsonHeaders, problemHeaders, toProblem } from './problem.js'
import { type StatusFastPath, statusFastPath } from './status-fast-path.js'
import { components, type Route, type Services } from './route.js'
import { dashboardPath, routes, routesByPath } from './routes.js'
import { SseChannel } from './sse.js'

export type { Action, Authorize, AuthorizeContext, Permission, RequestContext } from './access.js'

export type { CorsOptions } from './cors.js'

/**
 * Options of {@link createHandler}. `Native` is the type of the request object that `authorize` receives as
 * `context.native`.
 */
export interface HandlerOptions<Native = unknown> {
  /** The manager whose downloads are served. The handler never closes it. */
  manager: DownloadManager
  /** The preloader of a catalog. Without one, the preload routes answer 404. */
  preloader?: Preloader | undefined
  /**
   * Decides which callers have which permissions. Default: only callers on this machine that address it by a
   * loopback name.
   */
  authorize?: Authorize<Native> | undefined
  /** Which other origins may call. Default: none. */
  cors?: CorsOptions | undefined
  /** Prefix of every path: `/ml` gives `/ml/api/…`. Default: none. */
  basePath?: string | undefined
  /** Let URLs received over HTTP reach private, loopback and link-local addresses. Default false. */
  allowPrivateNetwork?: boolean | undefined
  /**
   * Hosts (`host` or `host:port`) that such URLs may reach at any address; this does not apply to hosts they
   * redirect to. Default: none.
   */
  allowedHosts?: readonly string[] | undefined
  /**
   * Language of human-readable messages when `Accept-Language` requests no supported one. Default `en-US`.
   */
  locale?: Locale | undefined
  /** How many downloads may wait for a slot before further ones are refused with 429. Default 10,000. */
  maxQueued?: number | undefined
  /**
   * Serve the dashboard, a page for people, at `/api/models/ui`. The page itself contains no data, so it is
   * served without calling `authorize`; everything it shows and does goes through the other routes. A string is the
   * page itself, `dashboardHtml` from `model-downloader/dashboard`, for a host that is bundled into one file. Default
   * false.
   */
  ui?: boolean | string | undefined
}

/**
 * All routes as one function from `Request` to `Response`. Never rejects: every failure is a response.
 *
 * @param request - has an absolute URL, whose path includes the base path.
 * @param context - what the server knows about the request.
 */
export interface Handler {
  (request: Request, context?: RequestContext): Promise<Response>
  /**
   * Whether a path, including the base path, belongs to this handler. Other paths belong to the host
   * application.
   */
  owns(pathname: string): boolean
  /** Ends all event streams; other routes keep working. May be called repeatedly. */
  close(): void
  /** @internal Fast path for the most frequent request; null if it cannot be used. */
  readonly fastPath?: StatusFastPath | null
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
  ui: z.union([z.boolean(), z.string().min(1)], 'must be a boolean or the page').default(false),
})

/**
 * Creates the routes for a manager.
 *
 * @param options - see {@link HandlerOptions}.
 * @throws DownloadError `INVALID_OPTIONS`.
 *
 * @example
 * const handler = createHandler({ manager, authorize: (action, request) => isMember(request) })
 * const response = await handler(new Request('http://localhost/api/models/download/status'), { remoteAddress })
 */
export function createHandler<Native = unknown>(options: HandlerOptions<Native>): Handler {
  const checked = parseOptions(optionsSchema, options, 'createHandler options')
  const { manager, authorize, ui } = checked
  const { preloader = null } = options
  const remote = { allowPrivateNetwork: checked.allowPrivateNetwork, allowedHosts: checked.allowedHosts }
  parseOptions(remoteSchema, remote, 'createHandler options')
  const base = checked.basePath.replace(/\/$/, '')
  const served = ui !== false ? routes : routes.filter(({ path }) => path !== dashboardPath)
  let document: object | null = null
  const { clock } = manager[internals]
  const services: Services = {
    manager,
    preloader,
    locale: checked.locale,
    remote,
    admission: new Admission(manager, checked.maxQueued),
    downloadEvents: new SseChannel(downloadEvents(manager), {}, clock),
    preloadEvents: preloader === null ? null : new SseChannel(preloadEvents(preloader), {}, clock),
    dashboard: createDashboard(typeof ui === 'string' ? ui : null),
    document: () => (document ??= openApiDocument(served, base)),
  }
  const cors = new CorsPolicy(checked.cors)

  const routesAt = (pathname: string) => {
    if (!pathname.startsWith(base)) return undefined
    const path = pathname.slice(base.length)
    return path === dashboardPath && ui === false ? undefined : routesByPath.get(path)
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
      requireOwnPage(request, context, (origin) => cors.allows(origin), authorize !== undefined)
    const told = { ...context, native: context.native }
    if (authorize !== undefined && route.action !== null)
      await requirePermission(authorize, route.action, request, told)
    // Without `authorize`, the caller is on this machine and may do everything.
    const permission = async (action: Action): Promise<Permission> =>
      authorize === undefined || (await authorize(action, request, told))
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
    // With `authorize` or CORS, the complete request is needed.
    fastPath: authorize === undefined && checked.cors === undefined ? statusFastPath(manager, base) : null,
    close: () => {
      services.downloadEvents.close()
      services.preloadEvents?.close()
    },
  })
}

/** Validates query and body with their schemas and runs the route. */
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
  const result = await route.handle({
    services,
    request,
    query,
    body,
    permission,
    caller: callerOf(request, context),
  })
  return result instanceof Response ? result : json(result, 200, {})
}

function allowedMethods(here: readonly Route[]): string[] {
  const methods: string[] = here.map(({ method }) => method)
  return [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS']
}

function methodNotAllowed(method: string, allowed: readonly string[]): Response {
  const message = `${method} is not allowed here, only ${allowed.join(', ')}.`
  const problem = toProblem(new DownloadError('INVALID_OPTIONS', message, { status: 405 }))
  return json(problem, 405, { ...problemHeaders(405), Allow: allowed.join(', ') })
}

const encoder = new TextEncoder()

function json(value: object, status: number, headers: Record<string, string>): Response {
  const bytes = encoder.encode(JSON.stringify(value))
  return new Response(bytes, { status, headers: { ...jsonHeaders(bytes.byteLength), ...headers } })
}

/** Response to HEAD: that of GET without the body (RFC 9110 section 9.3.2). */
async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel()
  return new Response(null, { status: response.status, headers: response.headers })
}
