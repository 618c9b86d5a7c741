/** The source for the Hugging Face hub and everything with the same API: mirrors, proxies and self-hosted hubs. */
import { DownloadError, type DownloadErrorCode, isDownloadError } from '../errors.js'
import { statedSize } from '../net/content-range.js'
import { Slices } from '../util/slices.js'
import { selector } from './globs.js'
import {
  escapePath,
  gitOidOf,
  type HubRef,
  isHubScheme,
  isRecord,
  nextPage,
  parseHubLink,
  parseHubRef,
  parseTreePage,
  sha256Of,
  type TreeFile,
  xetHashOf,
} from './huggingface-ref.js'
import { searchHuggingFace } from './model-search.js'
import { isGguf, selectQuant } from './quantisation.js'
import type {
  ApiAnswer,
  HubRepository,
  Resolution,
  ResolveContext,
  ResolvedFile,
  Source,
  XetFile,
} from './source.js'
import { type MirrorOptions, requireMirror, withMirror } from './storage/mirror.js'
import { s3 } from './storage/s3.js'
import { requireEndpoint, requireToken, urlOf, variable } from './support.js'

/** Options for {@link huggingFace}. */
export interface HuggingFaceOptions {
  /** Address of the hub. Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string
  /**
   * Access token; null for none. Default: `HF_TOKEN`, else the token file of the hub's own tools
   * (`HF_TOKEN_PATH`, else `$HF_HOME/token`, else `~/.cache/huggingface/token`). It is sent to the hub's
   * origin only.
   */
  token?: string | null
  /**
   * An object store that files are fetched from first; the hub still says which files there are, and what is not in the
   * store comes from the hub. Default: `HF_MIRROR`, which is the `ref` of one on S3; else none. It is not used for
   * remote callers, unless they may use this host's tokens.
   */
  mirror?: MirrorOptions | null
}

const officialHosts = new Set(['huggingface.co', 'www.huggingface.co', 'hf.co'])

/**
 * Public mirrors whose links are recognised. Such a link is downloaded from the mirror itself, without a
 * token.
 */
const mirrors = new Set(['hf-mirror.com'])

const officialEndpoint = 'https://huggingface.co'

/** A page of the tree endpoint lists 1,000 files, so this is far more than any repository has. */
const maxPages = 1_000

/** Several times the size of a page with 1,000 long paths. */
const maxPageBytes = 4 * 1024 * 1024

/** How many entries of a page are checked at once. */
const entriesPerChunk = 250

/** What checking an entry costs, and what naming the address of a file costs, in units of {@link Slices}. */
const entryUnits = 100
const fileUnits = 500

/** Twice as many files as a group may have. Beyond that, there is no use in reading the rest of the list. */
const maxListedFiles = 20_000

/** The hub and the token to use for one ref. */
interface Hub {
  /** Without a trailing slash. */
  endpoint: string
  token: string | null
}

/**
 * Creates the source for `hf:` refs and for links to the hub's pages.
 *
 * @example
 * new DownloadManager({ sources: [huggingFace({ endpoint: 'https://hub.example.com' })] })
 */
export function huggingFace(options: HuggingFaceOptions = {}): Source {
  if (options.mirror !== undefined && options.mirror !== null) requireMirror(options.mirror)
  return {
    name: 'huggingface',
    layouts: ['hf-cache'],
    match: (ref) => isHubScheme(ref) || linkOf(ref, options) !== null,
    filenameOf: (ref) => {
      const { what } = read(ref, options)
      return what.kind === 'file' ? what.path.slice(what.path.lastIndexOf('/') + 1) : null
    },
    cachedFile: (ref) => {
      const hubRef = read(ref, options)
      return hubRef.what.kind === 'file' ? { repository: repositoryOf(hubRef), path: hubRef.what.path } : null
    },
    isOffline: (env) => isTrue(variable(env, 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE')),
    describe: async (ref, context) => {
      const hubRef = read(ref, options)
      const hub = await hubOf(hubRef, options, context)
      try {
        const { gated, license } = await revisionOf(hub, hubRef, context)
        return { page: pageOf(hub, hubRef), gated, ...(license === null ? {} : { license }) }
      } catch (error) {
        throw withRemedy(error, hub)
      }
    },
    search: async (text, request, context) => {
      const hub = await hubOf({ origin: null }, options, context)
      const searched = { endpoint: hub.endpoint, headers: authorization(hub) }
      try {
        return await searchHuggingFace(searched, text, request, context)
      } catch (error) {
        throw withRemedy(error, hub)
      }
    },
    resolve: async (ref, context) => {
      const hubRef = read(ref, options)
      const hub = await hubOf(hubRef, options, context)
      try {
        const resolution = await resolveRef(hub, hubRef, context)
        const mirror = mirrorOf(options, context)
        if (mirror === null) return resolution
        return { ...resolution, files: await withMirror(resolution.files, mirror, context) }
      } catch (error) {
        throw withRemedy(error, hub)
      }
    },
  }
}

function mirrorOf({ mirror }: HuggingFaceOptions, { env }: ResolveContext): MirrorOptions | null {
  if (mirror !== undefined) return mirror
  const ref = variable(env, 'HF_MIRROR')
  return ref === null ? null : requireMirror({ store: s3(), ref })
}

function read(ref: string, options: HuggingFaceOptions): HubRef {
  const parsed = isHubScheme(ref) ? parseHubRef(ref) : linkOf(ref, options)
  if (parsed === null) throw new DownloadError('INVALID_URL', 'This is not a Hugging Face ref.')
  return parsed
}

/** Parses a link to the configured hub, the official one or a known mirror; null for any other text. */
function linkOf(ref: string, { endpoint }: HuggingFaceOptions): HubRef | null {
  const own = endpoint ?? variable(process.env, 'HF_ENDPOINT')
  const host = plainHost.exec(ref)?.[1]
  // Most URLs have another host, which this finds out without parsing them.
  if (own === null && host !== undefined && !isHub(host.toLowerCase())) return null
  const url = /^https?:\/\//i.test(ref) ? urlOf(ref) : null
  if (url === null) return null
  const isOwn = own !== null && urlOf(own)?.origin === url.origin
  return isOwn || isHub(url.hostname) ? parseHubLink(ref) : null
}

/** The text before a colon may be a user name, but a link with userinfo is never one to a hub. */
const plainHost = /^https?:\/\/([a-z0-9.-]+)(?:[:/?#]|$)/i

function isHub(hostname: string): boolean {
  return officialHosts.has(hostname) || mirrors.has(hostname)
}

async function hubOf(
  { origin }: Pick<HubRef, 'origin'>,
  options: HuggingFaceOptions,
  context: ResolveContext,
): Promise<Hub> {
  const { env } = context
  const given = options.endpoint ?? variable(env, 'HF_ENDPOINT') ?? officialEndpoint
  const endpoint = requireEndpoint(given, 'HF_ENDPOINT')
  const elsewhere =
    origin !== null && mirrors.has(new URL(origin).hostname) && new URL(endpoint).origin !== origin
  if (elsewhere) return { endpoint: origin, token: null }
  if (context.tokens === false) return { endpoint, token: null }
  if (options.token === undefined) return { endpoint, token: await findToken(context) }
  return { endpoint, token: options.token === null ? null : requireToken(options.token, 'HF_TOKEN') }
}

/** How the hub's own tools read a boolean variable. */
function isTrue(value: string | null): boolean {
  return /^(?:1|on|yes|true)$/i.test(value ?? '')
}

/** Finds the token where the hub's own tools look for it. */
async function findToken(context: ResolveContext): Promise<string | null> {
  const { env } = context
  if (isTrue(variable(env, 'HF_HUB_DISABLE_IMPLICIT_TOKEN'))) return null
  const given = variable(env, 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN')
  if (given !== null) return requireToken(given, 'HF_TOKEN')
  const cache = variable(env, 'XDG_CACHE_HOME') ?? '~/.cache'
  const home = variable(env, 'HF_HOME') ?? `${cache}/huggingface`
  const stored = await context.readTextFile(variable(env, 'HF_TOKEN_PATH') ?? `${home}/token`)
  if (stored === null || stored.trim() === '') return null
  return requireToken(stored, 'The token file (HF_TOKEN_PATH)')
}

async function resolveRef(hub: Hub, ref: HubRef, context: ResolveContext): Promise<Resolution> {
  if (ref.what.kind === 'file') return { files: [await oneFile(hub, ref, ref.what.path, context)] }
  const { commit, gated } = await revisionOf(hub, ref, context)
  const { what } = ref
  const folder = what.kind === 'folder' ? what.path : ''
  const slices = new Slices()
  const isWanted = what.kind === 'quant' ? isGguf : selector(context.include, context.exclude, slices)
  const listed = await listTree(hub, ref, { commit, folder, isWanted, slices }, context)
  const files = what.kind === 'quant' ? selectQuant(listed, what.quant) : listed
  if (files.length === 0) {
    const where = folder === '' ? 'The repository' : 'The folder'
    throw new DownloadError('NOT_FOUND', `${where} has no matching files; see ${pageOf(hub, ref)}.`)
  }
  const [first] = files
  // The list of a gated repository is public; only a request for a file shows whether access is granted.
  if (gated && first !== undefined) await oneFile(hub, ref, first.path, context)
  return {
    name: ref.repo.slice(ref.repo.lastIndexOf('/') + 1),
    files: await slices.flatMap(files, fileUnits, ({ path, size, sha256, gitOid, xetHash }) => {
      slices.spend(path.length)
      return [
        {
          filename: path,
          urls: [fileUrl(hub, ref, commit, path)],
          size,
          sha256: sha256 ?? undefined,
          gitOid: gitOid ?? undefined,
          revision: commit,
          repository: repositoryOf(ref),
          xet: xetFile(hub, ref, commit, xetHash, context),
          headers: authorization(hub),
        },
      ]
    }),
  }
}

/** Resolves one file with one request: the hub states commit, size and digest in its headers. */
async function oneFile(hub: Hub, ref: HubRef, path: string, context: ResolveContext): Promise<ResolvedFile> {
  const url = fileUrl(hub, ref, ref.revision ?? 'main', path)
  const answer = await context.fetchHead(url, {
    headers: authorization(hub),
    // The answer for an empty file, which has no first byte.
    accept: [416],
    explain: (got) => explain(got, hub, ref),
  })
  const { headers } = answer
  const commit = commitIn(headers['x-repo-commit'])
  const size = sizeIn(answer)
  const etag = headers['x-linked-etag'] ?? headers['etag']
  const sha256 = sha256Of(etag)
  // Other servers could have an ETag of 40 hex digits by chance: it is a git object ID only where a commit is
  // stated.
  const gitOid = commit === null ? null : gitOidOf(etag)
  return {
    filename: path,
    // A mirror that hides the commit can't be pinned to it; size and digest are still verified.
    urls: [commit === null ? url : fileUrl(hub, ref, commit, path)],
    size: size ?? undefined,
    sha256: sha256 ?? undefined,
    gitOid: gitOid ?? undefined,
    revision: commit ?? undefined,
    repository: repositoryOf(ref),
    xet: commit === null ? undefined : xetFile(hub, ref, commit, xetHashOf(headers['x-xet-hash']), context),
    headers: authorization(hub),
  }
}

/** Where the Xet store of a hub has a file; undefined if it has not, or must not be used. */
function xetFile(
  { endpoint }: Hub,
  { type, repo }: HubRef,
  commit: string,
  hash: string | null,
  { env }: ResolveContext,
): XetFile | undefined {
  if (hash === null || isTrue(variable(env, 'HF_HUB_DISABLE_XET'))) return undefined
  return { hash, tokenUrl: `${endpoint}/api/${type}/${repo}/xet-read-token/${commit}` }
}

function repositoryOf({ type, repo, revision }: HubRef): HubRepository {
  return { type, name: repo, revision: revision ?? 'main' }
}

function sizeIn(answer: ApiAnswer): number | null {
  const linked = answer.headers['x-linked-size']
  if (linked === undefined) return statedSize(answer)
  return /^\d{1,15}$/.test(linked) ? Number(linked) : null
}

function commitIn(value: unknown): string | null {
  return typeof value === 'string' && /^[0-9a-f]{40}$/.test(value) ? value : null
}

async function revisionOf(
  hub: Hub,
  ref: HubRef,
  context: ResolveContext,
): Promise<{ commit: string; gated: boolean; license: string | null }> {
  const { type, repo } = ref
  const revision = context.revision ?? ref.revision ?? 'main'
  const url = `${hub.endpoint}/api/${type}/${repo}/revision/${encodeURIComponent(revision)}`
  const { json } = await context.fetchJson(url, {
    headers: authorization(hub),
    explain: (answer) => explain(answer, hub, ref),
  })
  const commit = isRecord(json) ? commitIn(json['sha']) : null
  if (commit === null)
    throw new DownloadError('PROTOCOL_ERROR', 'The hub did not state the commit of the revision.')
  const { gated, cardData, tags } = isRecord(json) ? json : {}
  return { commit, gated: gated === 'auto' || gated === 'manual', license: licenseIn(cardData, tags) }
}

/** Names of licences are short; whatever else a repository states is not shown. */
const maxLicenseLength = 100

/** The licence that the card of a repository states, or else its tags. */
function licenseIn(cardData: unknown, tags: unknown): string | null {
  const stated: unknown = isRecord(cardData) ? (cardData['license_name'] ?? cardData['license']) : undefined
  const tagged: unknown = Array.isArray(tags)
    ? tags.find((tag: unknown) => typeof tag === 'string' && tag.startsWith('license:'))
    : undefined
  const name =
    typeof stated === 'string' ? stated : typeof tagged === 'string' ? tagged.slice('license:'.length) : null
  return name === null || name.length > maxLicenseLength ? null : name
}

/** Lists the files that are wanted. The others are dropped page by page, so that a long list needs no memory. */
async function listTree(
  hub: Hub,
  ref: HubRef,
  {
    commit,
    folder,
    isWanted,
    slices,
  }: { commit: string; folder: string; isWanted: (path: string) => boolean; slices: Slices },
  context: ResolveContext,
): Promise<TreeFile[]> {
  const below = folder === '' ? '' : `/${escapePath(folder)}`
  let url = `${hub.endpoint}/api/${ref.type}/${ref.repo}/tree/${commit}${below}?recursive=true&expand=false`
  const files: TreeFile[] = []
  for (let page = 0; page < maxPages; page += 1) {
    const { json, headers } = await context.fetchJson(url, {
      headers: authorization(hub),
      maxBytes: maxPageBytes,
      explain: (answer) => explain(answer, hub, ref),
    })
    const wanted = await slices.flatMap(chunksOf(json), 0, (entries) => {
      slices.spend(entriesPerChunk * entryUnits)
      return parseTreePage(entries)
    })
    for (const file of wanted) {
      if (isWanted(file.path)) files.push(file)
      if (slices.isOver) await slices.rest()
      if (files.length > maxListedFiles) throw tooManyFiles()
    }
    const next = nextPage(headers['link'])
    if (next === null) return files
    url = onHub(next, url, hub)
  }
  throw new DownloadError('PROTOCOL_ERROR', "The hub's list of files is endless.")
}

/** A page in chunks that can each be checked at once. */
function chunksOf(page: unknown): readonly unknown[] {
  // What is no list is not valid.
  if (!Array.isArray(page) || page.length === 0) return [page]
  const entries: readonly unknown[] = page
  return Array.from({ length: Math.ceil(entries.length / entriesPerChunk) }, (_, chunk) =>
    entries.slice(chunk * entriesPerChunk, (chunk + 1) * entriesPerChunk),
  )
}

function tooManyFiles(): DownloadError {
  const message = `names more than ${maxListedFiles} files; choose some with include or exclude`
  return new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
}

/** The URL of the next page on the configured hub: mirrors repeat the original hub's links. */
function onHub(next: string, from: string, { endpoint }: Hub): string {
  const base = new URL(endpoint)
  if (!URL.canParse(next, from))
    throw new DownloadError(
      'PROTOCOL_ERROR',
      "The link to the next page of the hub's list of files is not valid.",
    )
  const url = new URL(next, from)
  return url.origin === base.origin ? url.href : endpoint + url.pathname + url.search
}

function fileUrl({ endpoint }: Hub, { type, repo }: HubRef, revision: string, path: string): string {
  const prefix = type === 'models' ? '' : `${type}/`
  return `${endpoint}/${prefix}${repo}/resolve/${encodeURIComponent(revision)}/${escapePath(path)}`
}

function pageOf({ endpoint }: Hub, { type, repo }: HubRef): string {
  return `${endpoint}/${type === 'models' ? '' : `${type}/`}${repo}`
}

function authorization({ token }: Hub): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

/** Explains a refusal of the hub, which it identifies in `X-Error-Code` in most cases, and what to do about it. */
function explain({ status, headers }: ApiAnswer, hub: Hub, ref: HubRef): DownloadError | null {
  const { repo, revision, what } = ref
  const code = headers['x-error-code'] ?? ''
  const message = headers['x-error-message'] ?? ''
  const page = pageOf(hub, ref)
  const tokens = `${new URL(hub.endpoint).origin}/settings/tokens`
  const make = (kind: DownloadErrorCode, text: string) => new DownloadError(kind, text, { status })
  if (status === 401 && hub.token !== null && /invalid (?:credentials|user ?name|token)/i.test(message)) {
    return make(
      'ACCESS_DENIED',
      `The hub does not accept the token. Create one at ${tokens} and set HF_TOKEN.`,
    )
  }
  if (code === 'GatedRepo') {
    const then =
      hub.token === null
        ? `then create a token at ${tokens} and set HF_TOKEN`
        : 'with the account that the token belongs to'
    return make('ACCESS_DENIED', `${repo} is gated: accept its terms at ${page}, ${then}.`)
  }
  if (code === 'RevisionNotFound') {
    return make(
      'NOT_FOUND',
      `${repo} has no revision ${revision ?? 'main'}; its branches and tags are at ${page}.`,
    )
  }
  if (code === 'EntryNotFound') {
    const path = what.kind === 'quant' ? 'such file' : what.path
    return make(
      'NOT_FOUND',
      `${repo} has no ${path} in ${revision ?? 'main'}; its files are at ${page}/tree/${revision ?? 'main'} (case matters).`,
    )
  }
  if (status === 404 || status === 401 || code === 'RepoNotFound') {
    const hidden =
      hub.token === null
        ? `If it is private, create a token at ${tokens} and set HF_TOKEN.`
        : 'If it is private, the account of the token needs access to it.'
    const kind = status === 404 ? 'NOT_FOUND' : 'ACCESS_DENIED'
    return make(kind, `The hub has no repository ${repo}. Check its name. ${hidden}`)
  }
  if (status === 403) {
    return make(
      'ACCESS_DENIED',
      `The hub denies access to ${repo}: the token needs permission to read it (${tokens}).`,
    )
  }
  return null
}

/** Adds the remedy to errors that any request to the hub can have. */
function withRemedy(error: unknown, hub: Hub): unknown {
  if (!isDownloadError(error)) return error
  const remedy = remedyOf(error, hub)
  if (remedy === null) return error
  return new DownloadError(error.code, `${error.message} ${remedy}`, {
    cause: error.cause,
    retryable: error.retryable,
    ...(error.status === undefined ? {} : { status: error.status }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  })
}

function remedyOf({ code, status }: DownloadError, { endpoint, token }: Hub): string | null {
  const { host } = new URL(endpoint)
  if (status === 429) {
    return token === null
      ? 'Wait, or set HF_TOKEN: requests with a token have a higher limit.'
      : 'Wait before trying again.'
  }
  if (code === 'CONNECT_FAILED' || code === 'NAME_RESOLUTION' || code === 'TLS_ERROR' || code === 'STALLED') {
    return `The hub ${host} can't be reached; you can set a mirror with HF_ENDPOINT.`
  }
  return null
}
