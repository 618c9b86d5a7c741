/** What `serve` was asked for, checked before anything is opened. Pure. */
import { DownloadError } from '../errors.js'
import { isLoopbackAddress } from '../http/access.js'
import { type CorsOptions, normalOrigin } from '../http/cors.js'
import { parseAllowedHost } from '../net/address-policy.js'
import { UsageError } from './arguments.js'
import { plain } from './format.js'

/** The options of `serve`, as they stand on the command line. */
export interface ServeOptions {
  port: number
  host: string
  directory: string
  catalog?: string | undefined
  token?: string | undefined
  cors?: string[] | undefined
  allowPrivateNetwork?: boolean | undefined
  allowHost?: string[] | undefined
  /** Whether to serve the dashboard; commander makes it false for `--no-ui`. */
  ui?: boolean | undefined
  quiet?: boolean | undefined
}

/** How `serve` is to listen, and to whom. */
export interface ServeSettings {
  /** As `net.Server.listen` takes it: an IPv6 address without brackets. */
  host: string
  port: number
  /** Null: callers on this machine need none, and there are no others. */
  token: string | null
  cors: CorsOptions | undefined
  allowedHosts: string[]
  ui: boolean
}

/** Where a token may stand instead of on the command line, which everybody on the machine can read. */
export const tokenVariable = 'MODEL_DOWNLOADER_TOKEN'

/**
 * Checks the options of `serve` against each other.
 *
 * @param environment - may hold the token; the command line goes first.
 * @throws UsageError.
 */
export function serveSettings(
  options: ServeOptions,
  environment: Readonly<Record<string, string | undefined>>,
): ServeSettings {
  const host = options.host.replace(/^\[(.*)\]$/, '$1')
  // Node would take an empty one for every address of the machine.
  if (host === '' || /[\s/\\@?#]/.test(host)) {
    throw new UsageError(`--host: "${options.host}" is neither an address nor a name of this machine.`)
  }
  const token = tokenOf(options, environment)
  if (token === null && !isLoopback(host)) {
    throw new UsageError(
      `--host ${options.host} lets other machines in, so it needs a token: give --token, or set ${tokenVariable}.`,
    )
  }
  return {
    host,
    port: options.port,
    token,
    cors: corsOf(options.cors ?? []),
    allowedHosts: (options.allowHost ?? []).map(checkAllowedHost),
    ui: options.ui ?? true,
  }
}

/** Whether a host to listen on can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host.toLowerCase() === 'localhost' || isLoopbackAddress(host)
}

function tokenOf(
  options: ServeOptions,
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  const source = options.token === undefined ? tokenVariable : '--token'
  const token = options.token ?? environment[tokenVariable]
  if (token === undefined || (token === '' && source === tokenVariable)) return null
  // RFC 9110 section 5.5: other characters don't get through a header line unchanged.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new UsageError(`${source}: a token has visible ASCII characters only, at least one, and no spaces.`)
  }
  return token
}

function corsOf(given: readonly string[]): CorsOptions | undefined {
  if (given.length === 0) return undefined
  if (given.includes('*')) return { origins: '*' }
  return {
    origins: given.map((origin) => {
      try {
        return normalOrigin(origin)
      } catch (error) {
        if (!(error instanceof DownloadError)) throw error
        throw new UsageError(
          `--cors: "${origin}" is neither * nor an origin such as https://app.example.com.`,
        )
      }
    }),
  }
}

function checkAllowedHost(given: string): string {
  if (given.length <= 300 && parseAllowedHost(given) !== null) return given
  throw new UsageError(`--allow-host: "${given}" is neither host nor host:port (IPv6 in brackets).`)
}

/** What a {@link banner} tells. */
export interface BannerFacts extends ServeSettings {
  /** Where it listens. */
  url: string
  directory: string
  /** Null for none. */
  catalog: { file: string | null; entries: readonly unknown[] } | null
}

/** The first words of the server: a block for a person at a terminal, one line for a log or a script. */
export function banner(isTerminal: boolean, facts: BannerFacts): string {
  const { url, directory, catalog, token, cors, ui } = facts
  if (!isTerminal) return `listening on ${url}\n`
  const count = catalog?.entries.length ?? 0
  const models = `${count} ${count === 1 ? 'model' : 'models'}`
  const rows = [
    ...(ui ? [['dashboard', `${url}/api/models/ui`] as const] : []),
    ['directory', directory],
    ['catalog', catalog === null ? 'none (--catalog FILE)' : `${catalog.file ?? ''} (${models})`],
    ['callers', token === null ? 'on this machine only' : 'with the token'],
    ['web pages', cors === undefined ? 'none of other origins (--cors ORIGIN)' : originsOf(cors)],
    ['API', `${url}/api/models/openapi.json`],
  ] as const
  return `
Listening on ${url}

${rows.map(([name, value]) => `  ${name.padEnd(11)}${plain(value)}\n`).join('')}
Ctrl-C stops it. What was fetched is kept.

`
}

function originsOf({ origins }: CorsOptions): string {
  return origins === '*' ? 'of every origin' : origins.join(', ')
}
