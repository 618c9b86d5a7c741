/** What a source of models is: a name that people know goes in, files that can be fetched come out. */
import { type DownloadError, invalidOption } from '../errors.js'
import type { Layout } from '../layouts/hf-paths.js'

/** A repository of the Hugging Face hub, as it was asked for. */
export interface HubRepository {
  /** Its kind. */
  type: 'models' | 'datasets' | 'spaces'
  /** `owner/name`. */
  name: string
  /** Branch, tag or commit that was asked for; `main` when none was. */
  revision: string
}

/** One file that a ref means. */
export interface ResolvedFile {
  /** Path inside what the ref names, with slashes, such as `onnx/model.onnx`. Its last segment names the file on disk. */
  filename: string
  /** http or https, in the order in which they are to be tried, the others as mirrors; at least one. Bound to `revision` where there is one. */
  urls: readonly string[]
  /** Bytes, where the source tells. */
  size?: number | undefined
  /** Lower-case hex SHA-256 of the content, where the source tells. */
  sha256?: string | undefined
  /** What the files are bound to, such as a commit: the same revision is the same content for ever. */
  revision?: string | undefined
  /** Git's name for the content (40 hex digits), where the source keeps it in git. What arrives is held against it. */
  gitOid?: string | undefined
  /** The repository of the Hugging Face hub that it is of; without it the file can't go into a cache of that hub. */
  repository?: HubRepository | undefined
  /** Sent to the origin of the first of `urls` only, such as a token. Never logged, never stored. */
  headers: Readonly<Record<string, string>>
}

/** What a ref means. */
export interface Resolution {
  /** What all of it is called, such as the repository: several files go to a folder of this name. Default: `model`. */
  name?: string | undefined
  /** At least one; in the order of the source. */
  files: readonly ResolvedFile[]
}

/** How a metadata request differs from a plain GET that wants JSON. */
export interface ApiRequest {
  /** Sent to the origin of the URL only; after a redirect elsewhere they are dropped. */
  headers?: Readonly<Record<string, string>>
  /** Statuses besides 2xx that are answers, not errors, such as 401 for a source that then asks for a token. */
  accept?: readonly number[]
  /** Longest body that is read, in bytes. Default 16 MiB. */
  maxBytes?: number
  /**
   * The error for a status that is no answer. Null, or no function: a general one.
   *
   * @param answer - its body is read, as far as it is not longer than 64 KiB.
   */
  explain?: (answer: ApiAnswer) => DownloadError | null
}

/** An answer to a metadata request. */
export interface ApiAnswer {
  /** Of the response. */
  status: number
  /** Names in lower case; what came several times is joined by commas. */
  headers: Readonly<Record<string, string>>
  /** Where it came from, after redirects. */
  url: string
  /** The body, as UTF-8; empty for {@link ResolveContext.fetchHead}. */
  text: string
}

/** An {@link ApiAnswer} whose body is JSON. */
export interface JsonAnswer extends ApiAnswer {
  /** Not validated. Null when an accepted answer that is not 2xx holds no JSON. */
  json: unknown
}

/** What a source may use. */
export interface ResolveContext {
  /** The environment: tokens, endpoints. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborts when nobody wants the answer any more; the requests below end with it by themselves. */
  readonly signal: AbortSignal
  /** For one request, its retries not counted, in milliseconds. */
  readonly timeoutMs: number
  /** Of a ref that means several files: globs of the paths that are wanted, to spare work; they are heeded anyway. None: all. */
  readonly include?: readonly string[] | undefined
  /** Globs of the paths that are not wanted. */
  readonly exclude?: readonly string[] | undefined
  /**
   * What the files were bound to when they were first asked for ({@link ResolvedFile.revision}): they are wanted as they
   * were then. A source that can't tell any more answers as ever, and the difference is noticed.
   */
  readonly revision?: string | undefined
  /**
   * GET of metadata. Redirects are followed; 429 and 5xx are tried again, as the server's `Retry-After` says; the address
   * policy of a remote caller holds.
   *
   * @throws DownloadError for a status that is no answer, for a body that is too long or no JSON, and for the network's
   * failures. No message holds a header, a query or a body.
   */
  fetchJson(url: string | URL, request?: ApiRequest): Promise<JsonAnswer>
  /**
   * The head of the answer to a GET of the first byte, without its body. Redirects are followed inside the origin only:
   * one that leads elsewhere, as to a CDN, is the answer. `x-` headers of the hops on the way are among its headers.
   *
   * @throws DownloadError as above.
   */
  fetchHead(url: string | URL, request?: ApiRequest): Promise<ApiAnswer>
  /**
   * A small text file of this machine, such as a token's; null when there is none or it can't be read.
   *
   * @param path - absolute, or beginning with `~/`.
   */
  readTextFile(path: string): Promise<string | null>
}

/**
 * A place that models come from.
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
  /** For people and logs. Lower-case letters, digits and dashes; one source has it. */
  readonly name: string
  /** Layouts besides `flat` that its files can have. Default: none. */
  readonly layouts?: readonly Layout[]
  /** Whether a ref is meant for this source. Looks at the text only, and is quick: it is asked for every download. */
  match(ref: string): boolean
  /**
   * What the one file of a ref will be called, as far as the ref alone tells; else null.
   *
   * @throws DownloadError `INVALID_URL` for a ref that is meant for this source and makes no sense.
   */
  filenameOf?(ref: string): string | null
  /**
   * Finds out what a ref means now.
   *
   * @throws DownloadError that names the cause and the remedy: `INVALID_URL` for a ref that makes no sense, `NOT_FOUND`,
   * `ACCESS_DENIED`, and what the context throws.
   */
  resolve(ref: string, context: ResolveContext): Promise<Resolution>
}

const namePattern = /^[a-z][a-z0-9-]{0,31}$/

/** The sources that a manager knows. What none of them matches is a plain URL. */
export class SourceRegistry {
  readonly #sources: readonly Source[]

  /**
   * @param own - the host's; they are asked first, and one with the name of a built-in one takes its place.
   * @param builtIn - those of this package.
   * @throws DownloadError `INVALID_OPTIONS` for a bad name, or one that comes twice.
   */
  constructor(own: readonly Source[], builtIn: readonly Source[]) {
    const names = new Set<string>()
    for (const { name } of own) {
      if (!namePattern.test(name) || names.has(name)) {
        const message = names.has(name) ? `two are called ${name}` : 'a name is not valid'
        throw invalidOption('sources', message, 'DownloadManager options')
      }
      names.add(name)
    }
    this.#sources = [...own, ...builtIn.filter(({ name }) => !names.has(name))]
  }

  /** The source that a ref is meant for; null for a plain URL. */
  find(ref: string): Source | null {
    return this.#sources.find((source) => matches(source, ref)) ?? null
  }
}

/** A host's source that breaks over a ref does not want it. */
function matches(source: Source, ref: string): boolean {
  try {
    return source.match(ref)
  } catch {
    return false
  }
}
