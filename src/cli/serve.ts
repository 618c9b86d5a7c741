import { createHash, timingSafeEqual } from 'node:crypto'
import { constants } from 'node:os'
import { Preloader } from '../catalog/preloader.js'
import { logLine } from '../catalog/run.js'
import type { Download } from '../download/download.js'
import { isActive } from '../download/states.js'
import { toDownloadError } from '../errors.js'
import type { Authorize } from '../http/access.js'
import { createHandler } from '../http/handler.js'
import { DownloadManager } from '../manager/manager.js'
import { formatDuration } from '../util/format.js'
import { asUsageError, exitCodes } from './arguments.js'
import { modesFor, readCatalog } from './catalog.js'
import { finishedLine, plain } from './format.js'
import type { Print } from './reporters.js'
import { banner, type ServeOptions, serveSettings } from './serve-settings.js'
import { ApiServer } from './server.js'
import { onSignal } from './signals.js'

/** How long answers under way may take when the server is to end, in milliseconds. */
const graceMs = 2_000

/** After this it ends whatever still hangs: it promises 5 s. What is not written by then is fetched again. */
const drainMs = 4_500

const sigterm = 128 + constants.signals.SIGTERM

/** What `serve` runs. */
interface ServerParts {
  server: ApiServer
  preloader: Preloader | undefined
  manager: DownloadManager
  log: ServeLog
}

/**
 * Serves the routes until a signal comes.
 *
 * @returns the exit code: 0 after SIGTERM, which is how a service is meant to end; 128 and its number after another one.
 * @throws UsageError for options that make no sense, before anything was opened; Error when it can't listen;
 * DownloadError `STORE_ERROR`.
 */
export async function serve(options: ServeOptions): Promise<number> {
  const settings = serveSettings(options, process.env)
  const { token, cors, allowedHosts, ui } = settings
  const catalog = options.catalog === undefined ? null : await readCatalog(options.catalog)
  const log = new ServeLog((text) => void process.stderr.write(text), options.quiet === true)
  const server = new ApiServer()
  // First of all: a second one by mistake must end here, before it touches the files of the first.
  await server.listen(settings.host, settings.port)

  const manager = asUsageError(
    () => new DownloadManager({ directory: options.directory, modes: modesFor(catalog) }),
  )
  log.follow(manager)
  manager.warmUp()
  const preloader = catalog === null ? undefined : asUsageError(() => new Preloader({ manager, catalog }))
  if (preloader !== undefined) log.followPreload(preloader)
  server.attach(
    createHandler({
      manager,
      preloader,
      cors,
      allowedHosts,
      ui,
      allowPrivateNetwork: options.allowPrivateNetwork ?? false,
      ...(token === null ? {} : { authorize: bearer(token) }),
    }),
  )
  let stop: () => void = () => undefined
  const stopped = new Promise<void>((resolve) => (stop = resolve))
  const interruption = onSignal(async () => {
    stop()
  })
  // Not before a signal is heard: whoever reads this may send one at once.
  process.stdout.write(
    banner(process.stdout.isTTY, { ...settings, url: server.url, directory: manager.directory, catalog }),
  )
  if (cors?.origins === '*' && token === null)
    log.line('server', 'every web page that is open on this machine may call: set a token', 'warning')

  try {
    await Promise.race([stopped, Promise.all([manager.ready, preloader?.ready])])
    await stopped
  } finally {
    await drain({ server, preloader, manager, log })
    interruption.dispose()
  }
  return interruption.exitCode === sigterm ? exitCodes.done : (interruption.exitCode ?? exitCodes.failed)
}

/** Ends everything in good order, and keeps the bytes. Never rejects, and takes 4.5 s at most. */
async function drain({ server, preloader, manager, log }: ServerParts): Promise<void> {
  const working = manager.list().filter(({ state }) => state === 'queued' || isActive(state)).length
  log.line('server', working === 0 ? 'stopping' : `stopping; ${working} downloads go on at the next start`)
  const close = async () => {
    await preloader?.close()
    await manager.close()
  }
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      log.line('server', 'not everything has ended in time; what was fetched is kept', 'warning')
      resolve()
    }, drainMs)
  })
  await Promise.race([late, Promise.allSettled([server.close(graceMs), close()]).then(tell)])
  clearTimeout(timer)

  function tell(ends: PromiseSettledResult<void>[]): void {
    for (const end of ends) {
      if (end.status === 'rejected') log.line('server', toDownloadError(end.reason).message, 'error')
    }
  }
}

// ---- access

/**
 * Lets in who sends `Authorization: Bearer <token>` (RFC 6750 section 2.1), for everything. A missing or a wrong token
 * is answered with 401. How long the comparison takes tells nothing of the token.
 */
export function bearer(token: string): Authorize {
  const expected = digest(token)
  return (_action, request) => {
    const given = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
    return given !== undefined && timingSafeEqual(digest(given), expected) ? true : 'unauthenticated'
  }
}

/** Digests are of one length, which `timingSafeEqual` needs. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

// ---- What `serve` writes to standard error: a line for whatever a person who runs it may want to know.

/** How much a line matters. */
export type Level = 'info' | 'warning' | 'error'

/** Lines with their time: `2026-02-15T02:00:01Z [llm/model.gguf] started: https://…`, without secrets. */
export class ServeLog {
  readonly #print: Print
  readonly #quiet: boolean

  /** @param quiet - errors only. */
  constructor(print: Print, quiet: boolean) {
    this.#print = print
    this.#quiet = quiet
  }

  /**
   * Writes a line.
   *
   * @param about - `server`, or what file it is about.
   */
  line(about: string, message: string, level: Level = 'info'): void {
    if (this.#quiet && level !== 'error') return
    const mark = level === 'info' ? '' : `${level}: `
    this.#print(`${plain(logLine(new Date(), about, mark + message))}\n`)
  }

  /** Tells of every download's start and end, and of what goes wrong between them. */
  follow(manager: DownloadManager): void {
    const began = new WeakMap<Download, number>()
    manager.on('started', ({ download }) => {
      began.set(download, performance.now())
      this.line(nameOf(download), `started: ${download.url}`)
    })
    manager.on('completed', ({ download, file }) => {
      const now = performance.now()
      const seconds = (now - (began.get(download) ?? now)) / 1000
      this.line(nameOf(download), `completed: ${finishedLine({ ...file, seconds })}`)
    })
    manager.on('failed', ({ download, error }) =>
      this.line(nameOf(download), `${error.message} (${error.code})`, 'error'),
    )
    manager.on('retrying', ({ download, error, delayMs }) => {
      const wait = formatDuration(Math.ceil(delayMs / 1000))
      this.line(nameOf(download), `${error.message} (${error.code}); again in ${wait}`, 'warning')
    })
    manager.on('paused', ({ download }) => this.line(nameOf(download), 'paused'))
    manager.on('canceled', ({ download }) => this.line(nameOf(download), 'canceled'))
    manager.on('log', ({ download, level, message }) => {
      if (level !== 'warn' && level !== 'error') return
      const about = download === undefined ? 'server' : nameOf(download)
      this.line(about, message, level === 'warn' ? 'warning' : 'error')
    })
  }

  /** Tells of preloads as a whole; of their files the manager tells. */
  followPreload(preloader: Preloader): void {
    preloader.on('log', ({ line }) => {
      const message = /^\S+ \[preload\] (.*)$/.exec(line)?.[1]
      if (message !== undefined) this.line('preload', message)
    })
  }
}

function nameOf({ mode, filename }: Download): string {
  return mode === null ? filename : `${mode}/${filename}`
}
