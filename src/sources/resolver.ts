/** Finds out what refs mean: the registry of sources with the machinery that they need. */
import { realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { readRegularFile } from '../disk/atomic.js'
import { DownloadError, isDownloadError, toDownloadError } from '../errors.js'
import type { RemoteGrant } from '../net/address-policy.js'
import { HttpClient } from '../net/http.js'
import type { TransferTuning } from '../net/tuning.js'
import { Api, type ApiInit } from './api-client.js'
import { gitHub } from './github.js'
import { selects } from './globs.js'
import { huggingFace } from './huggingface.js'
import { modelScope } from './modelscope.js'
import { ollama } from './ollama.js'
import {
  type ApiAnswer,
  type ApiRequest,
  type Resolution,
  type ResolveContext,
  type ResolvedFile,
  type Source,
  SourceRegistry,
} from './source.js'

/** What a {@link Resolver} works with. */
export interface ResolverInit {
  sources: SourceRegistry
  tuning: TransferTuning
  /** Whether the proxies of the environment may be used. */
  proxy: boolean
  env?: Readonly<Record<string, string | undefined>>
}

/** How one ref is to be resolved. */
export interface ResolveRequest {
  /** How far the caller may reach; null for a trusted one. */
  remote: RemoteGrant | null
  signal: AbortSignal
  onRetry?: ApiInit['onRetry']
  include?: readonly string[] | undefined
  exclude?: readonly string[] | undefined
  /** See {@link ResolveContext.revision}. */
  revision?: string | undefined
}

/** Far more than any token has. */
const maxTextBytes = 64 * 1024

/** See the file's head. */
export class Resolver {
  readonly #init: ResolverInit
  #http: HttpClient | null = null

  constructor(init: ResolverInit) {
    this.#init = init
  }

  /** The source that a ref is meant for; null for a plain URL. */
  find(ref: string): Source | null {
    return this.#init.sources.find(ref)
  }

  /**
   * Asks the ref's source.
   *
   * @throws DownloadError what the source throws; `INTERNAL` when it breaks; `PROTOCOL_ERROR` for an answer that is none.
   */
  async resolve(ref: string, request: ResolveRequest): Promise<Resolution> {
    const { tuning, env = process.env } = this.#init
    const source = this.find(ref)
    if (source === null) throw new DownloadError('INVALID_URL', 'No source knows what this means.')
    const { signal, include, exclude, revision } = request
    const { api, close } = this.#open(request)
    const context: ResolveContext = {
      env,
      signal,
      timeoutMs: tuning.headersTimeoutMs,
      include,
      exclude,
      revision,
      fetchJson: (url, options) => api.fetchJson(url, options),
      fetchHead: (url, options) => api.fetchHead(url, options),
      readTextFile,
    }
    try {
      const resolution = await source.resolve(ref, context)
      // A source may have looked at the globs already, but it needn't.
      const files = resolution.files.filter(({ filename }) => selects(filename, include, exclude))
      for (const file of files) requireUsable(file, source)
      if (files.length === 0) throw new DownloadError('NOT_FOUND', 'The ref names no file that is wanted.')
      return { ...resolution, files }
    } catch (error) {
      if (isDownloadError(error)) throw error
      throw toDownloadError(error)
    } finally {
      await close()
    }
  }

  /**
   * Asks for the first byte of a plain URL: the head of the answer, after all redirects.
   *
   * @throws DownloadError as a download would, as far as one answer tells.
   */
  async probe(url: URL, request: ResolveRequest & Pick<ApiRequest, 'headers'>): Promise<ApiAnswer> {
    const { api, close } = this.#open(request)
    try {
      // An empty file has no first byte.
      return await api.probe(url, { headers: request.headers ?? {}, accept: [416] })
    } finally {
      await close()
    }
  }

  /** Closes the connections. */
  async close(): Promise<void> {
    await this.#http?.close()
  }

  #open({ remote, signal, onRetry }: ResolveRequest): { api: Api; close: () => Promise<void> } {
    const { tuning, proxy } = this.#init
    const http = remote === null ? this.#shared() : this.#client(remote)
    const timeoutMs = tuning.headersTimeoutMs
    return {
      api: new Api({ http, proxy: proxy && remote === null, tuning, signal, timeoutMs, onRetry }),
      close: () => (remote === null ? Promise.resolve() : http.close()),
    }
  }

  #shared(): HttpClient {
    this.#http ??= this.#client(null)
    return this.#http
  }

  #client(remote: RemoteGrant | null): HttpClient {
    return new HttpClient({ connectTimeoutMs: this.#init.tuning.connectTimeoutMs, remote })
  }
}

/** A source may be anybody's: what goes on to the engine is looked at here. */
function requireUsable({ urls, sha256, gitOid, size }: ResolvedFile, { name }: Source): void {
  const usable =
    urls.length > 0 &&
    urls.every((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) &&
    (sha256 === undefined || /^[0-9a-f]{64}$/.test(sha256)) &&
    (gitOid === undefined || /^[0-9a-f]{40}$/.test(gitOid)) &&
    (size === undefined || (Number.isSafeInteger(size) && size >= 0))
  if (!usable)
    throw new DownloadError('PROTOCOL_ERROR', `The source ${name} told something that cannot be used.`)
}

async function readTextFile(path: string): Promise<string | null> {
  const full = path.startsWith('~/') ? join(homedir(), path.slice(2)) : path
  try {
    // Secrets are mounted as links in places, and people's own links are theirs to follow.
    const { data, stats } = await readRegularFile(await realpath(full), maxTextBytes)
    return stats.size > maxTextBytes ? null : data.toString('utf8')
  } catch {
    return null
  }
}

// ---- The sources that come with this package.

/** A registry of the host's sources and those of this package. */
export function sourceRegistry(own: readonly Source[] = []): SourceRegistry {
  return new SourceRegistry(own, [huggingFace(), modelScope(), gitHub(), ollama()])
}
