import * as z from 'zod'
import type { Fleet } from '../catalog/fleet/fleet.js'
import type { Preloader } from '../catalog/preloader.js'
import { addChinese } from '../download/chinese.js'
import { sentenceError, type Voice } from '../download/error-text.js'
import { parseOptions, remoteSchema } from '../download/options.js'
import { toDownloadError } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { chooseLocale, type Locale, locales } from '../util/locale.js'
import { redactUrls } from '../util/redact.js'
import {
  callerOf,
  foreignOriginOf,
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
import { RecentLogs } from './download-logs.js'
import { downloadEvents } from './download-events.js'
import { fleetEvents } from './fleet/fleet-routes.js'
import { openApiDocument } from './openapi.js'
import {
  type MetricsRegistry,
  type OperationPage,
  operationPages,
  type ProbeOptions,
} from './operation/pages.js'
import { BlobServer, type PeerServing, peerServingSchema } from './peers/blobs.js'
import { preloadEvents } from './preload-routes.js'
import { isServerFault, jsonHeaders, problemHeaders, toProblem } from './problem.js'
import { RefusedOrigins } from './refused-origins.js'
import { type StatusFastPath, statusFastPath } from './status-fast-path.js'
import { components, type Route, type RouteCall, type Services } from './route.js'
import { dashboardPath, routes, routesByPath } from './routes.js'
import { type CountedReader, SseChannel } from './sse.js'
import { StoredFileLists, VerifyQueue } from './stored-files.js'
import { Lookups } from './upstream/lookups.js'

export type { Action, Authorize, AuthorizeContext, Permission, RequestContext } from './access.js'

export type { CorsOptions } from './cors.js'

export type { MetricsRegistry, ProbeOptions } from './operation/pages.js'
export type { PeerServing } from './peers/blobs.js'

/**
 * Options of {@link createHandler}. `Native` is the type of the request object that `authorize` receives as
 * `context.native`.
 */
export interface HandlerOptions<Native = unknown> {
  /** The manager whose downloads are served. The handler never closes it. */
  manager: DownloadManager
  /** The preloader of a catalog. Without one, the preload routes answer 404. */
  preloader?: Preloader | undefined
  /** This server as a node of a fleet. Without one, the routes of the fleet answer 404. */
  fleet?: Fleet | undefined
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
   * Language of texts for people, such as `error` and `detail`, when `Accept-Language` requests no supported one;
   * also that of the handler's own log messages. Default `en-US`.
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
  /**
   * Answer probes: `GET /healthz` (the process answers) and `GET /readyz` (the list of downloads is loaded and the engine
   * answers; 503 until then). They answer everybody, and name nothing. Default false.
   */
  probes?: boolean | ProbeOptions | undefined
  /**
   * A registry of prom-client, to which `registerMetrics` of `model-downloader/metrics` may have added those of the
   * manager. `GET /metrics` returns what is in it to callers with the permission `downloads:read`. Default: none.
   */
  metrics?: MetricsRegistry | undefined
  /**
   * Serves finished files by their digest to other instances, at `GET /api/models/blobs/<sha256>`. The token alone decides
   * who may fetch them: neither `authorize` nor the address of the caller counts. Only files whose digest is known, and
   * that have not been changed since it was computed, are served. Default: none are.
   */
  peers?: PeerServing | undefined
  /**
   * Whether messages name the options of the command (`--cors`) instead of those above. Default false.
   *
   * @internal
   */
  command?: boolean | undefined
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
  locale: z.enum(locales).default(locales[0]),
  cors: z
    .object({
      origins: z.union([z.literal('*'), z.array(z.string())], "must be '*' or a list of origins"),
      credentials: z.boolean().default(false),
    })
    .optional(),
  authorize: z.custom<Authorize>((value) => typeof value === 'function', 'must be a function').optional(),
  maxQueued: z.number().int().min(0).default(10_000),
  peers: peerServingSchema.optional(),
  ui: z.union([z.boolean(), z.string().min(1)], 'must be a boolean or the page').default(false),
  probes: z
    .union(
      [z.boolean(), z.object({ whenPreloaded: z.boolean().optional() })],
      'must be a boolean or an object',
    )
    .default(false),
  metrics: z
    .custom<MetricsRegistry>(
      (value) => typeof value === 'object' && value !== null && 'metrics' in value && 'contentType' in value,
      'must be a registry of prom-client',
    )
    .optional(),
  command: z.boolean().default(false),
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
  addChinese()
  const { manager, authorize, ui, locale, command } = checked
  const hostVoice: Voice = { locale, command }
  const { preloader = null, fleet = null } = options
  const remote = { allowPrivateNetwork: checked.allowPrivateNetwork, allowedHosts: checked.allowedHosts }
  parseOptions(remoteSchema, remote, 'createHandler options')
  const base = checked.basePath.replace(/\/$/, '')
  const served = ui !== false ? routes : routes.filter(({ path }) => path !== dashboardPath)
  let document: object | null = null
  const { clock, catchUp } = manager[internals]
  const services: Services = {
    manager,
    preloader,
    fleet,
    remote,
    admission: new Admission(manager, checked.maxQueued),
    storedFiles: new StoredFileLists(manager),
    verifications: new VerifyQueue(),
    comparisons: new VerifyQueue(),
    lookups: new Lookups(),
    downloadLogs: new RecentLogs(manager, clock),
    downloadEvents: inEachLanguage(
      (one, counted) => new SseChannel(downloadEvents(manager, { locale: one, command }), { counted }, clock),
    ),
    preloadEvents:
      preloader === null
        ? null
        : inEachLanguage(
            (one, counted) =>
              new SseChannel(preloadEvents(preloader, { locale: one, command }), { counted }, clock),
          ),
    fleetEvents: fleet === null ? null : new SseChannel(fleetEvents(fleet), {}, clock),
    dashboard: createDashboard(typeof ui === 'string' ? ui : null),
    document: () => (document ??= openApiDocument(served, base)),
  }
  const pages = operationPages({
    manager,
    preloader,
    fleet,
    probes: checked.probes,
    metrics: checked.metrics ?? null,
  })
  const pageAt = (path: string) => (path.startsWith(base) ? pages.get(path.slice(base.length)) : undefined)
  const cors = new CorsPolicy(checked.cors)
  const refused = new RefusedOrigins(hostVoice)
  const blobs = checked.peers === undefined ? null : new BlobServer(manager, checked.peers)
  const blobAt = (pathname: string) =>
    blobs !== null && pathname.startsWith(base) ? blobs.digestIn(pathname.slice(base.length)) : null

  const routesAt = (pathname: string) => {
    if (!pathname.startsWith(base)) return undefined
    const given = pathname.slice(base.length)
    // People and proxies add a slash to the address of a page.
    const path = given === `${dashboardPath}/` ? dashboardPath : given
    return path === dashboardPath && ui === false ? undefined : routesByPath.get(path)
  }

  const answer = async (request: Request, context: RequestContext, voice: Voice): Promise<Response> => {
    const url = new URL(request.url)
    const page = pageAt(url.pathname)
    if (page !== undefined) return await answerPage(page, request, context, voice)
    const digest = blobAt(url.pathname)
    if (blobs !== null && digest !== null) {
      if (request.method === 'GET' || request.method === 'HEAD') return await blobs.serve(request, digest)
      return methodNotAllowed(request.method, ['GET', 'HEAD'], voice)
    }
    const here = routesAt(url.pathname)
    if (here === undefined) throw sentenceError('NOT_FOUND', 'nothingHere', [])
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
    if (route === undefined) return methodNotAllowed(request.method, allowed, voice)
    if (method !== 'GET')
      requireOwnPage(request, context, (origin) => cors.allows(origin), authorize !== undefined)
    const told = { ...context, native: context.native }
    if (authorize !== undefined && route.action !== null)
      await requirePermission(authorize, route.action, request, told)
    // Without `authorize`, the caller is on this machine and may do everything.
    const permission = async (action: Action): Promise<Permission> =>
      authorize === undefined || (await authorize(action, request, told))
    // The last request of this caller may have gone to another instance.
    if (catchUp !== null && route.action !== null) await catchUp()
    return await run(route, { services, request, permission, voice }, url, context)
  }

  const answerPage = async (
    page: OperationPage,
    request: Request,
    context: RequestContext,
    voice: Voice,
  ): Promise<Response> => {
    if (!page.open && authorize === undefined) requireLocal(request, context)
    else if (!page.open) requireHost(request, context)
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return methodNotAllowed(request.method, ['GET', 'HEAD'], voice)
    if (!page.open && authorize !== undefined)
      await requirePermission(authorize, 'downloads:read', request, { ...context, native: context.native })
    return await page.answer()
  }

  /** The reason goes to the log, since a browser keeps the response from the page that would show it. */
  const noteRefusedOrigin = (request: Request, context: RequestContext) => {
    const origin = foreignOriginOf(request, context, authorize !== undefined)
    const message = origin === null || cors.allows(origin) ? null : refused.note(origin)
    if (message !== null) manager.emit('log', { level: 'warn', message })
  }

  const handle = async (request: Request, context: RequestContext = {}): Promise<Response> => {
    const voice = { locale: chooseLocale(request.headers.get('accept-language'), locale), command }
    noteRefusedOrigin(request, context)
    let response: Response
    try {
      response = await answer(request, context, voice)
    } catch (error) {
      if (isServerFault(error)) {
        const message = `A request failed: ${redactUrls(toDownloadError(error).message)}`
        manager.emit('log', { level: 'error', message })
      }
      const problem = toProblem(error, voice)
      response = json(problem, problem.status, problemHeaders(problem.status))
    }
    cors.apply(request, response.headers)
    return request.method === 'HEAD' ? await withoutBody(response) : response
  }

  return Object.assign(handle, {
    owns: (pathname: string) =>
      routesAt(pathname) !== undefined || pageAt(pathname) !== undefined || blobAt(pathname) !== null,
    // With `authorize` or CORS, the complete request is needed; and in a cluster, others have to be asked.
    fastPath:
      authorize === undefined && checked.cors === undefined && catchUp === null
        ? statusFastPath(manager, base, hostVoice)
        : null,
    close: () => {
      services.downloadLogs.close()
      services.fleetEvents?.close()
      for (const one of locales) {
        services.downloadEvents[one].close()
        services.preloadEvents?.[one].close()
      }
    },
  })
}

/**
 * Event streams contain texts for people, so each language has its own channel, which costs nothing without readers.
 * The limits apply to all of them together.
 */
function inEachLanguage(
  make: (locale: Locale, counted: Set<CountedReader>) => SseChannel,
): Record<Locale, SseChannel> {
  const counted = new Set<CountedReader>()
  return { 'en-US': make('en-US', counted), 'zh-CN': make('zh-CN', counted) }
}

/** Validates query and body with their schemas and runs the route. */
async function run(
  route: Route,
  call: Pick<RouteCall<unknown, unknown>, 'services' | 'request' | 'permission' | 'voice'>,
  url: URL,
  context: RequestContext,
): Promise<Response> {
  const { request } = call
  const query =
    route.query === null
      ? {}
      : parseOptions(route.query, queryFields(route.query, url.searchParams), 'The query')
  let body: unknown
  if (route.body !== null) {
    const missing = route.bodyIsOptional ? null : {}
    const given = (await readJson(request, context.body)) ?? missing
    body = parseOptions(components[route.body], given, 'The body')
  }
  const result = await route.handle({
    ...call,
    query,
    body,
    caller: callerOf(request, context),
  })
  return result instanceof Response ? result : json(result, 200, {})
}

/** The fields of a query. One that is a list has the values of all its repetitions, any other one the last value. */
function queryFields({ shape }: z.ZodObject, params: URLSearchParams): Record<string, string | string[]> {
  const lists = new Set(
    Object.entries(shape).flatMap(([name, field]) =>
      (field instanceof z.ZodOptional ? field.unwrap() : field) instanceof z.ZodArray ? [name] : [],
    ),
  )
  return Object.fromEntries(
    [...params].map(([name, value]) => [name, lists.has(name) ? params.getAll(name) : value]),
  )
}

function allowedMethods(here: readonly Route[]): string[] {
  const methods: string[] = here.map(({ method }) => method)
  return [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS']
}

function methodNotAllowed(method: string, allowed: readonly string[], voice: Voice): Response {
  const names: [string, string] = [method, allowed.join(', ')]
  const problem = toProblem(sentenceError('INVALID_OPTIONS', 'wrongMethod', names, { status: 405 }), voice)
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
