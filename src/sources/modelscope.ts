/** The source for ModelScope. */
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { Slices } from '../util/slices.js'
import { selector } from './globs.js'
import { searchModelScope } from './model-search.js'
import type { ApiAnswer, JsonAnswer, Resolution, ResolveContext, Source } from './source.js'
import {
  badRef,
  fewOf,
  isPlainPath,
  staysBelow,
  isRevision,
  rateLimited,
  requireEndpoint,
  requireToken,
  segmentsOf,
  unusable,
  urlOf,
  variable,
} from './support.js'

// ---- Parsing refs and links. Pure.

/** A parsed ref or link. */
export interface ModelScopeRef {
  /** Set for a dataset; without it, the repository is that of a model. */
  type?: 'datasets' | undefined
  owner: string
  repo: string
  /** Path of a file, or of a folder if it ends with a slash; null for all files of the repository. */
  path: string | null
  /** Branch, tag or commit; null for the default branch. */
  revision: string | null
  /** Site of a pasted link; null for a ref. */
  site: 'cn' | 'ai' | null
}

const example =
  'ms:owner/repo, ms:owner/repo/path/to/file or ms:owner/repo/path/to/file@revision, with ms:datasets/ for datasets'

const prefix = /^ms:/i

const name = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.)){0,127}$/

const link =
  /^https?:\/\/(?:www\.)?modelscope\.(cn|ai)\/(?:(?:models|datasets)\/[^/?#]+\/|api\/v1\/(?:models|datasets)\/[^/?#]+\/[^/?#]+\/repo\?)/i

/** Whether a text is a ref or link of ModelScope, even if it is malformed. */
export function isModelScopeRef(ref: string): boolean {
  return prefix.test(ref) || link.test(ref)
}

/**
 * Parses `ms:owner/repo[/path][@revision]`, or a link to one of the site's pages. The revision follows the
 * last `@`, so a path that contains an `@` must be followed by a revision.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseModelScopeRef(ref: string): ModelScopeRef {
  const parts = prefix.test(ref) ? partsOfRef(ref.replace(prefix, '')) : partsOfLink(ref)
  const { owner, repo, path, revision } = parts
  if (!name.test(owner) || !name.test(repo))
    throw badRef('The owner or the repository is not valid.', example)
  if (revision !== null && !isRevision(revision)) throw badRef('The revision is not valid.', example)
  if (path !== null && !isPlainPath(path.replace(/\/$/, ''))) {
    throw badRef('The path in the repository is not valid.', example)
  }
  return parts
}

function partsOfRef(text: string): ModelScopeRef {
  const at = text.lastIndexOf('@')
  const segments = (at === -1 ? text : text.slice(0, at)).split('/')
  // No owner has this name, and a path alone names nothing.
  const isDataset = segments.length > 2 && segments[0] === 'datasets'
  const [owner = '', repo = '', ...path] = isDataset ? segments.slice(1) : segments
  return {
    ...(isDataset ? { type: 'datasets' } : {}),
    owner,
    repo,
    path: path.length === 0 ? null : path.join('/'),
    revision: at === -1 ? null : text.slice(at + 1),
    site: null,
  }
}

function partsOfLink(text: string): ModelScopeRef {
  const url = urlOf(text)
  const segments = url === null ? null : segmentsOf(url)
  if (url === null || segments === null) throw badRef('The link is not valid.', example)
  const query = (key: string) => url.searchParams.get(key)
  const site = url.hostname.endsWith('.ai') ? 'ai' : 'cn'
  const isApi = segments[0] === 'api'
  const [owner = '', repo = '', page, ...rest] = segments.slice(isApi ? 3 : 1)
  const isDataset = segments[isApi ? 2 : 0] === 'datasets'
  const refTo = (revision: string | null, path: string | null): ModelScopeRef => ({
    ...(isDataset ? { type: 'datasets' } : {}),
    owner,
    repo,
    revision: revision === '' ? null : revision,
    path: path === '' ? null : path,
    site,
  })
  if (isApi) {
    const path = query('FilePath')
    if (path === null) throw badRef('The link does not name a file.', example)
    return refTo(query('Revision'), path)
  }
  // `/file/view/<revision>/<path>`, or `/file/view/<revision>?fileName=<path>` in older links.
  const place = page === 'file' && rest[0] === 'view' ? rest.slice(1) : rest
  const [revision = null, ...path] = place
  const file = path.length > 0 ? path.join('/') : query('fileName')
  if (page === 'resolve' || page === 'file') {
    if (file === null || file === '') throw badRef('The link does not name a file.', example)
    return refTo(revision, file)
  }
  if (page === 'tree') return refTo(revision, path.length > 0 ? `${path.join('/')}/` : null)
  // A tab of the model's page, such as the summary or the list of files.
  return refTo(null, null)
}

// ---- Resolving refs.

/** Options for {@link modelScope}. */
export interface ModelScopeOptions {
  /** Address of the hub. Default: `MODELSCOPE_ENDPOINT`, else `https://www.modelscope.cn`. */
  endpoint?: string
  /**
   * Access token; null for none. It is sent to the hub's origin only. Default: `MODELSCOPE_API_TOKEN`.
   */
  token?: string | null
}

const chinese = 'https://www.modelscope.cn'

const international = 'https://www.modelscope.ai'

const defaultRevision = 'master'

/** The hub, the token and the repository to resolve. */
interface Place {
  /** Without a trailing slash. */
  endpoint: string
  token: string | null
  type: 'models' | 'datasets'
  /** `owner/repo`. */
  repo: string
  revision: string
}

/** The hub's list of files: `HubApi.get_model_files` in https://github.com/modelscope/modelscope. */
const listing = lazily(() =>
  z.object({
    Code: z.number(),
    // The entries are checked one by one, because there may be many.
    Data: z.object({ Files: z.custom<unknown[]>(Array.isArray).nullish() }).nullish(),
  }),
)

const listEntry = lazily(() =>
  z.object({
    Path: z.string(),
    Type: z.string(),
    Size: z.number().int().min(0).optional(),
    Sha256: z.string().nullish(),
  }),
)

/** Ten times as many files as a group may have. */
const maxEntries = 100_000

/** What checking an entry of the list costs, and what handling one file costs, in units of {@link Slices}. */
const entryUnits = 500
const fileUnits = 1_000

interface RepoFile {
  path: string
  size: number | undefined
  sha256: string | undefined
}

/** More than the list of a repository with {@link maxEntries} files has, in bytes. */
const maxListBytes = 24 * 1024 * 1024

/** Files that are left out, as the hub's own tools do. */
const gitFiles = new Set(['.gitattributes', '.gitignore'])

/**
 * Creates the source for `ms:` refs and for links to ModelScope's pages.
 *
 * @example
 * new DownloadManager({ sources: [modelScope({ endpoint: 'https://hub.example.com' })] })
 */
export function modelScope(options: ModelScopeOptions = {}): Source {
  return {
    name: 'modelscope',
    match: isModelScopeRef,
    filenameOf: (ref) => {
      const { path } = parseModelScopeRef(ref)
      return path === null || path.endsWith('/') ? null : path.slice(path.lastIndexOf('/') + 1)
    },
    search: async (text, request, context) => {
      const place = placeOf(nowhere, options, context)
      const searched = { endpoint: place.endpoint, headers: credentials(place) }
      return await searchModelScope(searched, text, request, context)
    },
    resolve: async (ref, context) => {
      const parsed = parseModelScopeRef(ref)
      const place = placeOf(parsed, options, context)
      const slices = new Slices()
      const files =
        place.type === 'datasets'
          ? await dataFilesOf(place, context, slices)
          : await filesOf(await ask(place, context), place, slices)
      return await resolutionOf(await chosen(files, parsed, place, context, slices), place, slices)
    },
  }
}

/** For a search, which is about no repository. */
const nowhere: ModelScopeRef = { owner: '', repo: '', path: null, revision: null, site: null }

function placeOf(ref: ModelScopeRef, options: ModelScopeOptions, { env, tokens }: ResolveContext): Place {
  const given = options.endpoint ?? variable(env, 'MODELSCOPE_ENDPOINT') ?? chinese
  const endpoint = requireEndpoint(given, 'MODELSCOPE_ENDPOINT')
  const repo = `${ref.owner}/${ref.repo}`
  const { type = 'models' } = ref
  const revision = ref.revision ?? defaultRevision
  // The two sites are separate hubs, and the token of one must not be sent to the other.
  if (ref.site === 'ai' && !/(?:^|\.)modelscope\.ai$/.test(new URL(endpoint).hostname)) {
    return { endpoint: international, token: null, type, repo, revision }
  }
  const own = options.token === undefined ? variable(env, 'MODELSCOPE_API_TOKEN') : options.token
  const token = tokens === false ? null : own
  return {
    endpoint,
    token: token === null ? null : requireToken(token, 'MODELSCOPE_API_TOKEN'),
    type,
    repo,
    revision,
  }
}

async function ask(place: Place, context: ResolveContext): Promise<JsonAnswer> {
  const query = new URLSearchParams({ Revision: place.revision, Recursive: 'true' })
  return context.fetchJson(`${place.endpoint}/api/v1/models/${place.repo}/repo/files?${query.toString()}`, {
    headers: credentials(place),
    maxBytes: maxListBytes,
    explain: (answer) => explain(answer, place),
  })
}

/** Entries of a page of the list of a dataset, which has no limit of its own for them. */
const pageEntries = 200

const maxPages = 500

/** The files of a dataset, which the hub lists page by page. */
async function dataFilesOf(place: Place, context: ResolveContext, slices: Slices): Promise<RepoFile[]> {
  const files: RepoFile[] = []
  for (let page = 1; page <= maxPages; page += 1) {
    const query = new URLSearchParams({
      Revision: place.revision,
      Root: '/',
      Recursive: 'True',
      PageNumber: String(page),
      PageSize: String(pageEntries),
    })
    const url = `${place.endpoint}/api/v1/datasets/${place.repo}/repo/tree?${query.toString()}`
    const answer = await context.fetchJson(url, {
      headers: credentials(place),
      maxBytes: maxListBytes,
      explain: (refused) => explain(refused, place),
    })
    const found = await filesOf(answer, place, slices)
    for (const file of found) files.push(file)
    if (entriesIn(answer) < pageEntries) return files
  }
  throw unusable(place.endpoint)
}

/** How many entries a page has, those included that are no files. */
function entriesIn({ json }: JsonAnswer): number {
  const parsed = listing().safeParse(json)
  return parsed.success ? (parsed.data.Data?.Files?.length ?? 0) : 0
}

/** Sends the token as the hub's own tools do: older parts of the API expect the cookie, newer ones the header. */
function credentials({ token }: Place): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}`, cookie: `m_session_id=${token}` }
}

async function filesOf({ json, url }: JsonAnswer, place: Place, slices: Slices): Promise<RepoFile[]> {
  const parsed = listing().safeParse(json)
  if (!parsed.success) throw unusable(url)
  const { Code: code, Data: data } = parsed.data
  // Some of the hub's errors have HTTP status 200.
  if (code !== 200) throw failureOf(code, place)
  if ((data?.Files?.length ?? 0) > maxEntries) throw unusable(url)
  return await slices.flatMap(data?.Files ?? [], entryUnits, (entry) => {
    const checked = listEntry().safeParse(entry)
    if (!checked.success) throw unusable(url)
    const { Path: path, Type: type, Size: size, Sha256: sha256 } = checked.data
    slices.spend(path.length)
    if (type === 'tree' || gitFiles.has(path)) return []
    if (!staysBelow(path)) throw unusable(url)
    const digest = sha256?.toLowerCase() ?? ''
    return [{ path, size, sha256: /^[0-9a-f]{64}$/.test(digest) ? digest : undefined }]
  })
}

async function chosen(
  files: readonly RepoFile[],
  { path }: ModelScopeRef,
  { endpoint, type, repo, revision }: Place,
  { include, exclude }: ResolveContext,
  slices: Slices,
): Promise<RepoFile[]> {
  const isFile = path !== null && !path.endsWith('/')
  const isWanted = selector(include, exclude, slices)
  const fits = (file: RepoFile) =>
    isFile ? file.path === path : file.path.startsWith(path ?? '') && isWanted(file.path)
  const found = await slices.flatMap(files, 1, (file) => (fits(file) ? [file] : []))
  if (found.length > 0) return found
  const what = isFile ? `no file ${JSON.stringify(path)}` : 'no matching files'
  const has = files.length === 0 ? 'It is empty.' : `It has ${fewOf(likely(files, path ?? ''))}.`
  throw new DownloadError(
    'NOT_FOUND',
    `The repository ${repo} has ${what} at ${revision}. ${has} See ${endpoint}/${type}/${repo}/files`,
  )
}

/** The paths for the error message, with those first that have the extension of the requested file. */
function likely(files: readonly RepoFile[], path: string): string[] {
  const ending = /\.[^./]+$/.exec(path)?.[0] ?? '.gguf'
  const paths = files.map((file) => file.path)
  return [...paths.filter((one) => one.endsWith(ending)), ...paths.filter((one) => !one.endsWith(ending))]
}

async function resolutionOf(files: readonly RepoFile[], place: Place, slices: Slices): Promise<Resolution> {
  const { endpoint, type, repo, revision } = place
  const common = type === 'datasets' ? { Source: 'SDK' } : {}
  return {
    name: repo.slice(repo.lastIndexOf('/') + 1),
    files: await slices.flatMap(files, fileUnits, ({ path, size, sha256 }) => {
      slices.spend(path.length)
      const query = new URLSearchParams({ ...common, Revision: revision, FilePath: path })
      const urls = [`${endpoint}/api/v1/${type}/${repo}/repo?${query.toString()}`]
      return [{ filename: path, urls, size, sha256, headers: credentials(place) }]
    }),
  }
}

function explain(answer: ApiAnswer, place: Place): DownloadError | null {
  const { status } = answer
  const { endpoint, type, repo, revision, token } = place
  const page = `${endpoint}/${type}/${repo}`
  switch (status) {
    case 400:
    case 404: {
      const secret = token === null ? ' If it is private, set MODELSCOPE_API_TOKEN.' : ''
      const message = `ModelScope has no repository ${repo} with a revision ${revision} (see ${page}).${secret}`
      return new DownloadError('NOT_FOUND', message, { status })
    }
    case 401:
    case 403:
      return denied(place, status)
    case 429:
      return rateLimited(answer, token === null ? 'wait, or set MODELSCOPE_API_TOKEN' : 'wait')
    default:
      return null
  }
}

/**
 * The hub's own codes: 10010101004 means that the caller has no access, 10010205001 that there is no such
 * repository.
 */
function failureOf(code: number, place: Place): DownloadError {
  const { type, repo, revision, endpoint } = place
  if (code === 10010101004 || code === 401 || code === 403) return denied(place)
  if (code === 10010205001 || code === 404) {
    return new DownloadError('NOT_FOUND', `ModelScope has no repository ${repo} with a revision ${revision}.`)
  }
  const message = `ModelScope did not list the files of ${repo} (error code ${String(code)}); see ${endpoint}/${type}/${repo}`
  return new DownloadError('HTTP_ERROR', message)
}

function denied({ endpoint, type, repo, token }: Place, status?: number): DownloadError {
  const message =
    token === null
      ? `Access to ${repo} requires a token: get one at ${endpoint}/my/myaccesstoken and set MODELSCOPE_API_TOKEN.`
      : `MODELSCOPE_API_TOKEN gives no access to ${repo}: ask for access at ${endpoint}/${type}/${repo}, or renew the token at ${endpoint}/my/myaccesstoken.`
  return new DownloadError('ACCESS_DENIED', message, status === undefined ? {} : { status })
}
