import { constants } from 'node:os'
import { Preloader } from '../catalog/preloader.js'
import { toDownloadError } from '../errors.js'
import { createHandler } from '../http/handler.js'
import { DownloadManager } from '../manager.js'
import { isActive } from '../states.js'
import { bearer } from './access.js'
import { modesFor, readCatalog } from './catalog.js'
import { ServeLog } from './serve-log.js'
import { banner, serveSettings, type ServeOptions } from './serve-settings.js'
import { ApiServer } from './server.js'
import { onSignal } from './signals.js'
import { asUsageError, exitCodes } from './usage.js'

/** How long answers under way may take when the server is to end, in milliseconds. */
const graceMs = 2_000
/** After this it ends whatever still hangs: it promises 5 s. What is not written by then is fetched again. */
const drainMs = 4_500

const sigterm = 128 + constants.signals.SIGTERM

/** What `serve` runs. */
interface House {
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
async function drain({ server, preloader, manager, log }: House): Promise<void> {
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
