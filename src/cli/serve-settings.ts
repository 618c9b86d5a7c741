/** Validation of the options of `serve`, before anything is opened. Pure. */
import { DownloadError } from '../errors.js'
import { isLoopbackAddress } from '../http/access.js'
import { type CorsOptions, normalOrigin } from '../http/cors.js'
import { dashboardPath } from '../http/routes.js'
import type { XetMode } from '../download/xet.js'
import type { Layout } from '../layouts/hf-paths.js'
import { parseAllowedHost } from '../net/address-policy.js'
import { UsageError } from './checks/usage-error.js'
import { displayWidth, plain } from './format.js'
import { texts } from './language.js'
import type { NetworkOptions } from './network.js'
import type { ClusterOptions } from './serve/cluster.js'
import type { FleetOptionsGiven } from './serve/fleet.js'
import type { LimitOptions } from './serve/limits.js'
import type { OperationOptions } from './serve/operation.js'

/** Options of `serve` as given on the command line. */
export interface ServeOptions
  extends NetworkOptions, LimitOptions, ClusterOptions, FleetOptionsGiven, OperationOptions {
  port: number
  host: string
  directory: string
  /** False if `directory` is the default one: a Hugging Face cache is then where the environment says. */
  ownDirectory?: boolean | undefined
  layout?: Layout | undefined
  xet?: XetMode | undefined
  catalog?: string | undefined
  token?: string | undefined
  cors?: string[] | undefined
  allowPrivateNetwork?: boolean | undefined
  allowHost?: string[] | undefined
  /** Whether to serve the dashboard. Commander sets it to false for `--no-ui`. */
  ui?: boolean | undefined
  /** See `DownloadManagerOptions.linkedModes`. */
  linkedModes?: boolean | undefined
  /** See `DownloadManagerOptions.remoteTokens`. */
  remoteTokens?: boolean | undefined
  /** See `DownloadManagerOptions.remoteMaxFileBytes`. */
  remoteMaxSize?: number | undefined
  /** See `DownloadManagerOptions.remoteMinBytesPerSecond`. */
  remoteMinRate?: number | undefined
  quiet?: boolean | undefined
}

/** Validated settings of `serve`. */
export interface ServeSettings {
  /** As expected by `net.Server.listen`: an IPv6 address has no brackets. */
  host: string
  port: number
  /** Null: only callers on this machine are accepted, and they need no token. */
  token: string | null
  cors: CorsOptions | undefined
  allowedHosts: string[]
  ui: boolean
}

/** Environment variable for the token, since everybody on the machine can read the command line. */
export const tokenVariable = 'MODEL_DOWNLOADER_TOKEN'

/**
 * Validates the options of `serve` and their combination.
 *
 * @param environment - may contain the token; the command line takes precedence.
 * @throws UsageError for invalid options.
 */
export function serveSettings(
  options: ServeOptions,
  environment: Readonly<Record<string, string | undefined>>,
): ServeSettings {
  const host = options.host.replace(/^\[(.*)\]$/, '$1')
  // Node would treat an empty host as all addresses of the machine.
  if (host === '' || /[\s/\\@?#]/.test(host)) {
    throw new UsageError(texts().badHost(options.host))
  }
  const token = tokenOf(options, environment)
  if (token === null && !isLoopback(host)) {
    throw new UsageError(texts().needsToken(options.host, tokenVariable))
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

/** Whether a listening address can be reached from this machine only. */
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
  // RFC 9110 section 5.5: other characters may not survive transport in a header field.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new UsageError(texts().badToken(source))
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
        throw new UsageError(texts().badOrigin(origin))
      }
    }),
  }
}

function checkAllowedHost(given: string): string {
  if (given.length <= 300 && parseAllowedHost(given) !== null) return given
  throw new UsageError(texts().badAllowedHost(given))
}

/** Information shown by the {@link banner}. */
export interface BannerFacts extends ServeSettings {
  /** URL of the server. */
  url: string
  directory: string
  /** Null if there is none. */
  catalog: { file: string | null; entries: readonly unknown[] } | null
}

/** Text printed when the server starts: a block for a terminal, one line for a log or a script. */
export function banner(isTerminal: boolean, facts: BannerFacts): string {
  const { url, directory, catalog, token, cors, ui } = facts
  const page = ui ? `${url}${dashboardPath}` : null
  if (!isTerminal) return `listening on ${url}\n${page === null ? '' : `dashboard at ${page}\n`}`
  const words = texts().banner
  const rows = [
    ...(page === null ? [] : [[words.dashboard, page] as const]),
    [words.directory, directory],
    [
      words.catalog,
      catalog === null ? words.noCatalog : words.models(catalog.file ?? '', catalog.entries.length),
    ],
    [words.callers, token === null ? words.localCallers : words.tokenCallers],
    [words.pages, cors === undefined ? words.ownPages : originsOf(cors)],
    [words.api, `${url}/api/models/openapi.json`],
  ] as const
  return `
${words.listening} ${url}

${rows.map(([name, value]) => `  ${name}${' '.repeat(Math.max(1, 11 - displayWidth(name)))}${plain(value)}\n`).join('')}
${words.howToStop}

`
}

function originsOf({ origins }: CorsOptions): string {
  return origins === '*' ? texts().banner.allPages : origins.join(', ')
}
