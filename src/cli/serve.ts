import { createHash, timingSafeEqual } from 'node:crypto'
import { constants } from 'node:os'
import { Preloader } from '../catalog/preloader.js'
import { errorText } from '../download/error-text.js'
import { isActive } from '../download/states.js'
import { toDownloadError } from '../errors.js'
import type { Authorize, RequestContext } from '../http/access.js'
import { createHandler, type Handler } from '../http/handler.js'
import { dashboardPath } from '../http/routes.js'
import { DownloadManager } from '../manager/manager.js'
import { systemClock, type Timer } from '../util/clock.js'
import { asUsageError, exitCodes } from './checks/usage.js'
import { modesFor, readCatalog } from './catalog.js'
import { texts, voice } from './language.js'
import { networkSettings } from './checks/network.js'
import { banner, type ServeOptions, serveSettings } from './serve-settings.js'
import { ApiServer } from './server.js'
import { clusterSettings, redisAccess } from './serve/cluster.js'
import { fleetSupport, type FleetSupport } from './serve/fleet.js'
import { limitSettings, logSettings } from './serve/limits.js'
import { ServeLog } from './serve/log.js'
import { metricsSupport, probeSettings } from './serve/operation.js'
import { onSignal } from './signals.js'
import { surroundings } from './process/surroundings.js'

/** How long pending responses may take when the server stops, in milliseconds. */
const graceMs = 2_000

/**
 * Time limit for the shutdown in milliseconds, below the documented 5 s. Data that is not written by then is
 * downloaded again.
 */
const drainMs = 4_500

const sigterm = 128 + constants.signals.SIGTERM

/** The parts of a running server. */
interface ServerParts {
  server: ApiServer
  preloader: Preloader | undefined
  manager: DownloadManager
  others: FleetSupport
  log: ServeLog
}

/**
 * Serves the REST API until a signal arrives.
 *
 * @returns the exit code: 0 after SIGTERM, which is how services are stopped; 128 plus its number after
 * another signal.
 * @throws UsageError for invalid options, before anything is opened; Error when the server can't listen;
 * DownloadError `STORE_ERROR`.
 */
export async function serve(options: ServeOptions): Promise<number> {
  const { stdout, stderr, env, ownsProcess } = surroundings()
  const settings = serveSettings(options, env)
  const { token, cors, allowedHosts, ui } = settings
  const { locale, command } = voice()
  const catalog = options.catalog === undefined ? null : await readCatalog(options.catalog)
  const shared = await clusterSettings(options, env, options.fleet === true)
  const others = await fleetSupport(
    options,
    { redis: redisAccess(options, env), hasCatalog: catalog !== null },
    env,
  )
  const probes = probeSettings(options, catalog !== null)
  const support = await metricsSupport(options)
  const log = new ServeLog((text) => void stderr.write(text), logSettings(options))
  const server = new ApiServer()
  // Listen first: a second server started by mistake must fail here, before it touches the files of the
  // first.
  await server.listen(settings.host, settings.port)

  const manager = asUsageError(
    () =>
      new DownloadManager({
        ...(options.ownDirectory === false ? {} : { directory: options.directory }),
        ...(options.layout === undefined ? {} : { layout: options.layout }),
        ...(options.xet === undefined ? {} : { xet: options.xet }),
        modes: modesFor(catalog),
        ...networkSettings(options),
        ...limitSettings(options),
        ...shared,
        ...others.manager,
        linkedModes: options.linkedModes ?? false,
        remoteTokens: options.remoteTokens ?? false,
        remoteMaxFileBytes: options.remoteMaxSize ?? null,
        remoteMinBytesPerSecond: options.remoteMinRate ?? null,
        ...(ownsProcess ? {} : { worker: false }),
      }),
  )
  log.follow(manager)
  manager.warmUp()
  const preloader =
    catalog === null ? undefined : asUsageError(() => new Preloader({ manager, catalog, locale }))
  if (preloader !== undefined) log.followPreload(preloader)
  const fleet = others.join(manager, preloader)
  const handler = createHandler({
    manager,
    preloader,
    fleet,
    peers: others.serving,
    cors,
    allowedHosts,
    ui,
    probes,
    metrics: support?.registryOf(manager),
    command,
    locale,
    allowPrivateNetwork: options.allowPrivateNetwork ?? false,
    ...(options.maxQueued === undefined ? {} : { maxQueued: options.maxQueued }),
    ...(token === null ? {} : { authorize: bearer(token) }),
  })
  server.attach(ui ? withHomePage(handler) : handler)
  let stop: () => void = () => undefined
  const stopped = new Promise<void>((resolve) => (stop = resolve))
  const interruption = onSignal(async () => {
    stop()
  })
  // Print this only after the signal handler is installed, because whoever reads it may send a signal at
  // once.
  stdout.write(
    banner(stdout.isTTY === true, { ...settings, url: server.url, directory: manager.directory, catalog }),
  )
  if (cors?.origins === '*' && token === null) log.server(texts().openToAllPages, 'warn')

  try {
    await Promise.race([stopped, Promise.all([manager.ready, preloader?.ready])])
    await stopped
  } finally {
    await drain({ server, preloader, manager, others, log })
    interruption.dispose()
  }
  return interruption.exitCode === sigterm ? exitCodes.done : (interruption.exitCode ?? exitCodes.failed)
}

/** Shuts everything down and keeps the downloaded data. Never rejects, and takes at most 4.5 s. */
async function drain({ server, preloader, manager, others, log }: ServerParts): Promise<void> {
  const unfinished = manager.list().filter(({ state }) => state === 'queued' || isActive(state)).length
  log.server(texts().stopping(unfinished))
  const close = async () => {
    await others.leave()
    await preloader?.close()
    await manager.close()
    others.close()
  }
  let timer: Timer | undefined
  const late = new Promise<void>((resolve) => {
    timer = systemClock.timer(() => {
      log.server(texts().stoppedLate, 'warn')
      resolve()
    }, drainMs)
  })
  await Promise.race([late, Promise.allSettled([server.close(graceMs), close()]).then(logFailures)])
  timer?.cancel()

  function logFailures(results: PromiseSettledResult<void>[]): void {
    for (const result of results) {
      if (result.status === 'rejected')
        log.server(errorText(toDownloadError(result.reason), voice()), 'error')
    }
  }
}

// ---- Home page

/** Leads from `/` to the dashboard. The location is relative, so that it is right below the prefix of a proxy, too. */
export function withHomePage(handler: Handler): Handler {
  const answer = async (request: Request, context?: RequestContext): Promise<Response> => {
    const { pathname } = new URL(request.url)
    const isHome = pathname === '/' && (request.method === 'GET' || request.method === 'HEAD')
    if (!isHome) return await handler(request, context)
    return new Response(null, { status: 302, headers: { Location: dashboardPath.slice(1) } })
  }
  return Object.assign(answer, {
    owns: (pathname: string) => pathname === '/' || handler.owns(pathname),
    close: () => {
      handler.close()
    },
    fastPath: handler.fastPath ?? null,
  })
}

// ---- Authorization

/**
 * Allows everything to callers that send `Authorization: Bearer <token>` (RFC 6750 section 2.1). A missing or
 * wrong token is answered with 401. The comparison takes constant time, so it reveals nothing about the
 * token.
 */
export function bearer(token: string): Authorize {
  const expected = digest(token)
  return (_action, request) => {
    const given = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
    return given !== undefined && timingSafeEqual(digest(given), expected) ? true : 'unauthenticated'
  }
}

/** `timingSafeEqual` requires inputs of equal length, which digests have. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
