/** Resolves refs with the registered sources, and gives these the HTTP client and settings that they need. */
import { join } from 'node:path'
import { readRegularFile } from '../disk/atomic.js'
import { realpath } from '../disk/fs.js'
import { homeFolder } from '../disk/system.js'
import { DownloadError, invalidOption, isDownloadError, offlineError, toDownloadError } from '../errors.js'
import type { RemoteGrant } from '../net/address-policy.js'
import { HostGates } from '../net/host-gate.js'
import type { HostSecrets } from '../net/host-secrets.js'
import { HttpClient } from '../net/http.js'
import type { ProxySetting } from '../net/proxies.js'
import type { TransferTuning } from '../net/tuning.js'
import { hexDigest } from '../util/digests.js'
import type { Clock } from '../util/clock.js'
import { Slices } from '../util/slices.js'
import { Api, type ApiInit } from './api-client.js'
import { civitai } from './civitai.js'
import { gitHub } from './github.js'
import { FileReader } from './file-reader.js'
import { selector } from './globs.js'
import { requireNotLocal } from './identify.js'
import { huggingFace } from './huggingface.js'
import { kaggle } from './kaggle.js'
import { localFiles } from './local-files.js'
import { modelScope } from './modelscope.js'
import { ollama } from './ollama.js'
import { azure } from './storage/azure.js'
import { googleStorage } from './storage/gcs.js'
import { s3 } from './storage/s3.js'
import {
  type ApiAnswer,
  type ApiRequest,
  type FoundModel,
  type Resolution,
  type ResolveContext,
  type ResolvedFile,
  type SearchRequest,
  type Source,
  type SourceDescription,
  SourceRegistry,
  type XetFile,
} from './source.js'
import { isXetFile, parseXetToken, type XetToken } from './xet.js'

/** Dependencies of a {@link Resolver}. */
export interface ResolverInit {
  sources: SourceRegistry
  tuning: TransferTuning
  /** Whether to use the proxies that the environment names. */
  proxy: ProxySetting
  /** See `DownloadManagerOptions.ca`. */
  ca?: readonly string[] | undefined
  /** What the user sends to hosts, for trusted callers. */
  secrets?: HostSecrets | undefined
  /** Whether this host's tokens are used for remote callers. Default false. */
  remoteTokens?: boolean
  /** Servers that asked to wait. Default: none yet. */
  gates?: HostGates
  /** See `DownloadManagerOptions.offline`. */
  offline?: boolean | undefined
  /** Default: `process.env`. */
  env?: Readonly<Record<string, string | undefined>>
  clock: Clock
}

/** Options for resolving one ref. */
export interface ResolveRequest {
  /** The addresses that a remote caller may reach; null for a trusted caller. */
  remote: RemoteGrant | null
  signal: AbortSignal
  onRetry?: ApiInit['onRetry']
  include?: readonly string[] | undefined
  exclude?: readonly string[] | undefined
  /** See {@link ResolveContext.revision}. */
  revision?: string | undefined
  /** Make one short attempt only, because there is another answer if the source can't be reached. Default false. */
  brief?: boolean
}

/** What checking a file costs, and what each of its addresses adds to that, in units of {@link Slices}. */
const fileUnits = 50
const urlUnits = 1_000

/** Far larger than any token. */
const maxTextBytes = 64 * 1024

/** Resolves refs, and probes plain URLs, on connections that it keeps for trusted callers. */
export class Resolver {
  readonly #init: ResolverInit
  #http: HttpClient | null = null
  readonly #gates: HostGates

  constructor(init: ResolverInit) {
    this.#init = init
    this.#gates = init.gates ?? new HostGates()
  }

  /** The source that a ref belongs to; null for a plain URL. */
  find(ref: string): Source | null {
    return this.#init.sources.find(ref)
  }

  /**
   * Whether no request may be made for a URL or a ref.
   *
   * @param asked - what the download itself sets; it takes precedence over the manager, and that over the environment.
   */
  isOffline(ref: string, asked?: boolean): boolean {
    const { offline, env = process.env } = this.#init
    return asked ?? offline ?? this.find(ref)?.isOffline?.(env) ?? false
  }

  /**
   * Resolves a ref with its source.
   *
   * @throws DownloadError whatever the source throws, with `INTERNAL` for other errors than a DownloadError;
   * `INVALID_URL` when no source matches; `PROTOCOL_ERROR` when the result is not valid; `NOT_FOUND` when the
   * globs select no file.
   */
  async resolve(ref: string, request: ResolveRequest): Promise<Resolution> {
    const { source, context, close } = this.#begin(ref, request)
    const { include, exclude } = request
    try {
      const resolution = await source.resolve(ref, context)
      // A source may have applied the globs already, but it doesn't have to.
      const slices = new Slices()
      const isWanted = selector(include, exclude, slices)
      const files = await slices.flatMap(resolution.files, fileUnits, (file) => {
        if (!isWanted(file.filename)) return []
        for (const url of file.urls) slices.spend(urlUnits + url.length)
        requireUsable(file, source)
        return [file]
      })
      if (files.length === 0) {
        throw new DownloadError('NOT_FOUND', 'No file matches the ref and its include and exclude globs.')
      }
      return { ...resolution, files }
    } catch (error) {
      if (isDownloadError(error)) throw error
      throw toDownloadError(error)
    } finally {
      await close()
    }
  }

  /**
   * Describes what a ref belongs to, as far as its source can.
   *
   * @throws DownloadError whatever the source throws, with `INTERNAL` for other errors than a DownloadError.
   */
  async describe(ref: string, request: ResolveRequest): Promise<SourceDescription> {
    const { source, context, close } = this.#begin(ref, request)
    try {
      return (await source.describe?.(ref, context)) ?? {}
    } catch (error) {
      throw toDownloadError(error)
    } finally {
      await close()
    }
  }

  /** The sources that can be searched, by their names. */
  get searchable(): readonly string[] {
    return this.#init.sources.all.flatMap((source) => (source.search === undefined ? [] : [source.name]))
  }

  /**
   * Searches the models of a source.
   *
   * @throws DownloadError `INVALID_OPTIONS` for a source that can't be searched; `OFFLINE`; whatever the source throws.
   */
  async search(
    name: string,
    text: string,
    { gguf, limit, ...request }: SearchRequest & ResolveRequest,
  ): Promise<readonly FoundModel[]> {
    const { sources, offline, env = process.env } = this.#init
    const source = sources.all.find((one) => one.name === name)
    if (source?.search === undefined)
      throw invalidOption('source', `must be one of ${this.searchable.join(', ')}`, 'The search')
    if (offline ?? source.isOffline?.(env) ?? false) throw offlineError('The network must not be used.')
    const { context, close } = this.#contextOf(request)
    try {
      return (await source.search(text, { gguf, limit }, context)).slice(0, limit)
    } catch (error) {
      throw toDownloadError(error)
    } finally {
      await close()
    }
  }

  /**
   * Requests a token for the Xet store that has a file.
   *
   * @throws DownloadError as a metadata request does; `PROTOCOL_ERROR` for an answer that is no token.
   */
  async xetToken(
    { headers }: ResolvedFile,
    { tokenUrl }: XetFile,
    request: ResolveRequest,
  ): Promise<XetToken> {
    const { api, close } = this.#open(request)
    try {
      return parseXetToken((await api.fetchJson(tokenUrl, { headers })).json, tokenUrl)
    } finally {
      await close()
    }
  }

  /** Finds the source of a ref, and opens what it needs for one call. */
  #begin(
    ref: string,
    request: ResolveRequest,
  ): { source: Source; context: ResolveContext; close: () => Promise<void> } {
    const source = this.find(ref)
    if (source === null) throw new DownloadError('INVALID_URL', 'No source recognises this ref.')
    requireNotLocal(source, request.remote)
    return { source, ...this.#contextOf(request) }
  }

  #contextOf(request: ResolveRequest): { context: ResolveContext; close: () => Promise<void> } {
    const { tuning, env: all = process.env, remoteTokens = false } = this.#init
    const tokens = request.remote === null || remoteTokens
    const { signal, include, exclude, revision } = request
    const { api, close } = this.#open(request)
    const context: ResolveContext = {
      env: tokens ? all : withoutTokens(all),
      tokens,
      signal,
      timeoutMs: tuning.headersTimeoutMs,
      include,
      exclude,
      revision,
      fetchJson: (url, options) => api.fetchJson(url, options),
      fetchText: (url, options) => api.fetchText(url, options),
      fetchHead: (url, options) => api.fetchHead(url, options),
      readTextFile: tokens ? readTextFile : () => Promise.resolve(null),
    }
    return { context, close }
  }

  /**
   * Requests the first byte of a plain URL and returns the status and headers of the response, after all
   * redirects.
   *
   * @param what - with `beginning`, the text of the answer is the first bytes, as Latin-1.
   * @throws DownloadError the same errors as a download, as far as a single response reveals them.
   */
  async probe(
    url: URL,
    request: ResolveRequest & Pick<ApiRequest, 'headers'>,
    what: 'head' | 'beginning' = 'head',
  ): Promise<ApiAnswer> {
    const { api, close } = this.#open(request)
    try {
      // A server answers 416 for an empty file, which has no first byte.
      return await api.probe(url, { headers: request.headers ?? {}, accept: [416] }, what)
    } finally {
      await close()
    }
  }

  /**
   * Opens what reads parts of files without fetching them. Close it in the end.
   *
   * @param request - `signal` ends every read.
   */
  reader(request: ResolveRequest): FileReader {
    const { api, close } = this.#open(request)
    return new FileReader(api, close)
  }

  /**
   * Requests a text, such as a file of checksums.
   *
   * @param maxBytes - a longer one is an error.
   * @throws DownloadError the same errors as a request for metadata.
   */
  async fetchText(url: URL, request: ResolveRequest, maxBytes: number): Promise<string> {
    const { api, close } = this.#open(request)
    try {
      return (await api.fetchText(url, { maxBytes, headers: { accept: '*/*' } })).text
    } finally {
      await close()
    }
  }

  /** Closes the connections. */
  async close(): Promise<void> {
    await this.#http?.close()
  }

  #open({ remote, signal, onRetry, brief }: ResolveRequest): { api: Api; close: () => Promise<void> } {
    const { tuning, proxy, clock } = this.#init
    const http = remote === null ? this.#shared() : this.#client(remote)
    const timeoutMs = tuning.headersTimeoutMs
    const gate = this.#gates.for({ remote: remote !== null })
    return {
      api: new Api({ http, proxy, tuning, clock, signal, timeoutMs, gate, onRetry, brief }),
      close: () => (remote === null ? Promise.resolve() : http.close()),
    }
  }

  #shared(): HttpClient {
    this.#http ??= this.#client(null)
    return this.#http
  }

  #client(remote: RemoteGrant | null): HttpClient {
    const { tuning, ca, secrets, clock } = this.#init
    return new HttpClient({ connectTimeoutMs: tuning.connectTimeoutMs, remote, secrets, ca, clock })
  }
}

/** The variables from which the built-in sources take tokens, or the paths of files with tokens. */
const tokenVariables: ReadonlySet<string> = new Set([
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AZURE_STORAGE_SAS_TOKEN',
  'CIVITAI_API_KEY',
  'CIVITAI_API_TOKEN',
  'CIVITAI_TOKEN',
  'CLOUDSDK_AUTH_ACCESS_TOKEN',
  'GH_TOKEN',
  'GITHUB_TOKEN',
  'HF_TOKEN',
  'HF_TOKEN_PATH',
  'GOOGLE_OAUTH_ACCESS_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'KAGGLE_API_TOKEN',
  'KAGGLE_KEY',
  'KAGGLE_USERNAME',
  'MODELSCOPE_API_TOKEN',
])

function withoutTokens(env: ResolveContext['env']): ResolveContext['env'] {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !tokenVariables.has(name)))
}

/** Validates a file before the engine gets it: the source may be a third party's. */
function requireUsable(
  { urls, sha256, digests = [], gitOid, size, xet }: ResolvedFile,
  { name, local }: Source,
): void {
  const allowed = local === true ? /^(?:https?|file):$/ : /^https?:$/
  const usable =
    urls.length > 0 &&
    urls.every((url) => URL.canParse(url) && allowed.test(new URL(url).protocol)) &&
    (sha256 === undefined || /^[0-9a-f]{64}$/.test(sha256)) &&
    digests.every(({ algorithm, value }) => hexDigest(algorithm, value)?.value === value) &&
    (gitOid === undefined || /^[0-9a-f]{40}$/.test(gitOid)) &&
    (size === undefined || (Number.isSafeInteger(size) && size >= 0)) &&
    (xet === undefined || isXetFile(xet, urls[0] ?? ''))
  if (!usable) throw new DownloadError('PROTOCOL_ERROR', `The source ${name} returned an invalid file.`)
}

async function readTextFile(path: string): Promise<string | null> {
  const home = homeFolder()
  if (path.startsWith('~/') && home === null) return null
  const full = path.startsWith('~/') ? join(home ?? '', path.slice(2)) : path
  try {
    // Mounted secrets can be symlinks, and users may link their own token files.
    const { data, stats } = await readRegularFile(await realpath(full), maxTextBytes)
    return stats.size > maxTextBytes ? null : data.toString('utf8')
  } catch {
    return null
  }
}

// ---- The built-in sources.

/** Creates a registry of the host's sources and the built-in ones. */
export function sourceRegistry(own: readonly Source[] = []): SourceRegistry {
  const hubs = [huggingFace(), modelScope(), gitHub(), ollama(), civitai(), kaggle()]
  return new SourceRegistry(own, [...hubs, s3(), azure(), googleStorage(), localFiles()])
}
