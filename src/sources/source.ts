/** The interface that a source of models implements: it turns a ref into files that can be downloaded. */
import { type DownloadError, invalidOption } from '../errors.js'
import type { Digest } from '../util/digests.js'
import type { Layout } from '../layouts/hf-paths.js'

/** A repository on the Hugging Face hub, as it was requested. */
export interface HubRepository {
  /** Kind of repository, as the hub's API spells it. */
  type: 'models' | 'datasets' | 'spaces'
  /** `owner/name`. */
  name: string
  /** Requested branch, tag or commit. Default: `main`. */
  revision: string
}

/** One file of a repository on the Hugging Face hub. */
export interface CachedRef {
  /** The repository, with the requested revision. */
  repository: HubRepository
  /** Path in the repository, with slashes. */
  path: string
}

/** A file in the Xet store of a Hugging Face hub. */
export interface XetFile {
  /** Hash of the file in the store: 64 lower-case hexadecimal digits. Not its SHA-256. */
  hash: string
  /**
   * URL that answers with the address of the store and a token for it; on the origin of the first of `urls`, with whose
   * headers it is requested.
   */
  tokenUrl: string
}

/** One file that a ref stands for. */
export interface ResolvedFile {
  /**
   * Path inside the repository or release, with slashes, such as `onnx/model.onnx`. The last segment names
   * the file on disk.
   */
  filename: string
  /**
   * One or more http or https URLs (`file:` URLs of a source that is {@link Source.local}), tried in this order; those after the first are mirrors. When `revision`
   * is set, they must point to that revision.
   */
  urls: readonly string[]
  /** Size in bytes, if the source states it. */
  size?: number | undefined
  /** Lower-case hex SHA-256 of the content, if the source states it. */
  sha256?: string | undefined
  /**
   * Digests of the content by other algorithms, in lower-case hex, if the source states them. The downloaded file is
   * verified against all of them.
   */
  digests?: readonly Digest[] | undefined
  /** Revision that the file belongs to, such as a commit. The same revision must always have the same content. */
  revision?: string | undefined
  /**
   * Git object ID of the content (40 hex digits), if the source keeps it in git. The downloaded file is
   * verified against it.
   */
  gitOid?: string | undefined
  /**
   * The Hugging Face repository that contains the file. Without it the file can't be stored in a Hugging Face
   * cache.
   */
  repository?: HubRepository | undefined
  /**
   * Where the Xet store of the Hugging Face hub has the file; it is then another address of it. `size` and `sha256` must be
   * known as well. Default: not there.
   */
  xet?: XetFile | undefined
  /**
   * Request headers, such as a token. Sent only to the origin of the first of `urls`. Never logged, never
   * stored.
   */
  headers: Readonly<Record<string, string>>
  /** Headers for the origins of the other `urls`, by origin, under the same rules. Default: none. */
  otherHeaders?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined
}

/** An address of a file, with the headers that it needs. */
export interface FileAddress {
  /** An http or https URL. */
  url: string
  /** Sent to the origin of `url` only. */
  headers: Readonly<Record<string, string>>
}

/** What a ref resolves to. */
export interface Resolution {
  /**
   * Name of the group, such as the repository's: several files go into a folder of this name. Default:
   * `model`.
   */
  name?: string | undefined
  /** At least one file, in the order in which the source lists them. */
  files: readonly ResolvedFile[]
}

/** How a metadata request differs from a plain GET. */
export interface ApiRequest {
  /** Default: `GET`. A response to `HEAD` has no body. */
  method?: 'GET' | 'HEAD'
  /** Sent only to the origin of the URL; dropped when a redirect leads to another origin. */
  headers?: Readonly<Record<string, string>>
  /**
   * Statuses other than 2xx that are not errors, such as 401 for a source that then requests a token. A redirect among
   * them is returned instead of being followed.
   */
  accept?: readonly number[]
  /**
   * Maximum size of the body, in bytes; a larger one is an error. Default 16 MiB. JSON is parsed in slices, and one
   * with far more values than a list of files has is an error, too.
   */
  maxBytes?: number
  /**
   * Creates the error for an unexpected status. If it is missing or returns null, the error is a generic one.
   *
   * @param answer - the response; its body is cut off after 64 KiB.
   */
  explain?: (answer: ApiAnswer) => DownloadError | null
}

/** The response to a metadata request. */
export interface ApiAnswer {
  /** HTTP status. */
  status: number
  /** Header names are in lower case; repeated headers are joined by commas. */
  headers: Readonly<Record<string, string>>
  /** URL of the response, after redirects. */
  url: string
  /** The body, as UTF-8; empty for {@link ResolveContext.fetchHead}. */
  text: string
}

/** An {@link ApiAnswer} whose body is JSON. */
export interface JsonAnswer extends ApiAnswer {
  /** The parsed body, not validated. Null when an accepted response other than 2xx contains no JSON. */
  json: unknown
}

/** What a source can use while it resolves a ref. */
export interface ResolveContext {
  /** The environment, which may hold tokens and endpoints. */
  readonly env: Readonly<Record<string, string | undefined>>
  /**
   * Whether this host's tokens may be used. False for a remote caller, unless the manager has the option
   * `remoteTokens`; then `env` contains no tokens of the built-in sources, and no file is read.
   */
  readonly tokens?: boolean | undefined
  /** Aborts when the result is no longer needed. The requests below are then aborted automatically. */
  readonly signal: AbortSignal
  /** Timeout of one request, not counting its retries, in milliseconds. */
  readonly timeoutMs: number
  /**
   * Globs of the paths to download when a ref stands for several files. Default: all. A source may use them
   * to avoid unnecessary requests; they are applied to its result in any case.
   */
  readonly include?: readonly string[] | undefined
  /** Globs of the paths to leave out, applied in the same way. */
  readonly exclude?: readonly string[] | undefined
  /**
   * The revision that the ref resolved to the first time ({@link ResolvedFile.revision}); the files are
   * needed as they were then. A source that can't resolve a revision ignores it; the engine notices when the
   * content has changed.
   */
  readonly revision?: string | undefined
  /**
   * Sends a GET request for metadata. Redirects are followed. 429 and 5xx are retried, honouring
   * `Retry-After` and `RateLimit`. For a remote caller the address policy applies.
   *
   * @throws DownloadError for an unexpected status, for a body that is too long or not JSON, and for network
   * failures. No message contains a header, a query or a body.
   */
  fetchJson(url: string | URL, request?: ApiRequest): Promise<JsonAnswer>
  /**
   * Like {@link ResolveContext.fetchJson}, for a body of any other kind, such as XML. Unlike there, no `Accept` is sent
   * unless `request` has one.
   *
   * @throws DownloadError in the same cases, except that any text is valid.
   */
  fetchText(url: string | URL, request?: ApiRequest): Promise<ApiAnswer>
  /**
   * Requests the first byte with GET and returns the status and headers without the body. Redirects are
   * followed within the origin only; one that leads to another origin, such as a CDN, is returned as the
   * response. The returned headers include the `x-` headers of the redirects before it.
   *
   * @throws DownloadError in the same cases as {@link ResolveContext.fetchJson}.
   */
  fetchHead(url: string | URL, request?: ApiRequest): Promise<ApiAnswer>
  /**
   * Reads a small text file on this machine, such as a token file; null when it doesn't exist or can't be read.
   *
   * @param path - absolute, or beginning with `~/`.
   */
  readTextFile(path: string): Promise<string | null>
}

/** What a source says about a repository or model as a whole. */
export interface SourceDescription {
  /** Web page for people. */
  page?: string | undefined
  /** Licence, as the source names it, such as `apache-2.0`. */
  license?: string | undefined
  /** Whether only accounts that have accepted its terms get the files. */
  gated?: boolean | undefined
}

/** How a source is searched. */
export interface SearchRequest {
  /** Only models that have GGUF files. */
  gguf: boolean
  /** Maximum number of models, 1 to 100. */
  limit: number
}

/** A model that a search has found. What the source does not tell is null. */
export interface FoundModel {
  /** Ref that stands for the model, such as `hf:owner/repo`. */
  ref: string
  /** Name for people, such as `owner/repo`. */
  name: string
  /** How often it was downloaded lately. */
  downloads: number | null
  /** How many people like it. */
  likes: number | null
  /** When it was last changed; ISO 8601 in UTC. */
  updatedAt: string | null
  /** Licence, as the source names it. */
  license: string | null
  /** What the model is for, such as `text-generation`. */
  task: string | null
  /** Whether only accounts that have accepted its terms get the files. */
  gated: boolean | null
}

/**
 * A place that models are downloaded from, such as a hub or a registry.
 *
 * @example
 * const mine: Source = {
 *   name: 'mine',
 *   match: (ref) => ref.startsWith('mine:'),
 *   resolve: async (ref) => ({
 *     files: [{ filename: 'model.gguf', urls: [`https://models.example.com/${ref.slice(5)}`], headers: {} }],
 *   }),
 * }
 */
export interface Source {
  /**
   * Unique name, used in logs and messages: 1 to 32 lower-case letters, digits and dashes, beginning with a
   * letter.
   */
  readonly name: string
  /**
   * Whether its files are on this machine, so that their `urls` may be `file:` URLs. Remote callers can't use such a
   * source, whatever they are allowed otherwise. Default false.
   */
  readonly local?: boolean
  /** Layouts besides `flat` that its files can be stored in. Default: none. */
  readonly layouts?: readonly Layout[]
  /**
   * Whether a ref belongs to this source. Must look at the text only and be fast, since it runs for every
   * download.
   */
  match(ref: string): boolean
  /**
   * The file name of a ref that stands for one file, if the ref alone determines it; otherwise null.
   *
   * @throws DownloadError `INVALID_URL` for a ref that belongs to this source but is malformed.
   */
  filenameOf?(ref: string): string | null
  /**
   * The file in a Hugging Face cache that a ref stands for; null for several files, or if the ref alone does not
   * determine it. Only for sources whose files can be stored in such a cache: without it, files that another program
   * has put there are not found while the source can't be reached.
   */
  cachedFile?(ref: string): CachedRef | null
  /**
   * The address of the only file that a ref stands for, made from the ref alone, without a request; so whether the file
   * exists is not known. Only for sources that can be a mirror of others, as object stores can.
   *
   * @throws DownloadError `INVALID_URL` and `INVALID_OPTIONS`, as {@link resolve}.
   */
  address?(ref: string, context: ResolveContext): Promise<FileAddress>
  /**
   * Whether the environment forbids requests to this source, as `HF_HUB_OFFLINE` does for the Hugging Face hub. It
   * counts only where neither the download nor its manager sets `offline`. Default: it does not.
   */
  isOffline?(env: Readonly<Record<string, string | undefined>>): boolean
  /**
   * Describes what a ref belongs to. Only shown to people, so what is unknown may be missing. Default: nothing is known.
   *
   * @throws DownloadError in the same cases as {@link resolve}.
   */
  describe?(ref: string, context: ResolveContext): Promise<SourceDescription>
  /**
   * Searches the models of the source, the most popular ones first. Default: it can't be searched.
   *
   * @throws DownloadError whatever the context throws.
   */
  search?(text: string, request: SearchRequest, context: ResolveContext): Promise<readonly FoundModel[]>
  /**
   * Resolves a ref to the files that it stands for now.
   *
   * @throws DownloadError whose message states the cause and the remedy: `INVALID_URL` for a malformed ref,
   * `NOT_FOUND`, `ACCESS_DENIED`, and whatever the context throws.
   */
  resolve(ref: string, context: ResolveContext): Promise<Resolution>
}

const namePattern = /^[a-z][a-z0-9-]{0,31}$/

/** The sources that a manager uses. A text that matches none of them is treated as a plain URL. */
export class SourceRegistry {
  readonly #sources: readonly Source[]

  /**
   * @param own - the host's sources. They come first, and one with the name of a built-in source replaces it.
   * @param builtIn - the sources that this package includes.
   * @throws DownloadError `INVALID_OPTIONS` for an invalid or duplicate name.
   */
  constructor(own: readonly Source[], builtIn: readonly Source[]) {
    const names = new Set<string>()
    for (const { name } of own) {
      if (!namePattern.test(name) || names.has(name)) {
        const message = names.has(name) ? `two sources are named ${name}` : 'a name is not valid'
        throw invalidOption('sources', message, 'DownloadManager options')
      }
      names.add(name)
    }
    this.#sources = [...own, ...builtIn.filter(({ name }) => !names.has(name))]
  }

  /** The source that a ref belongs to; null for a plain URL. */
  find(ref: string): Source | null {
    return this.#sources.find((source) => matches(source, ref)) ?? null
  }

  /** All sources. */
  get all(): readonly Source[] {
    return this.#sources
  }
}

/** A `match` of the host that throws counts as "no match". */
function matches(source: Source, ref: string): boolean {
  try {
    return source.match(ref)
  } catch {
    return false
  }
}
