/** ModelScope as a source. */
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { selects } from './globs.js'
import type { ApiAnswer, JsonAnswer, Resolution, ResolveContext, Source } from './source.js'
import {
  badRef,
  fewOf,
  isPlainPath,
  isRevision,
  rateLimited,
  requireEndpoint,
  requireToken,
  segmentsOf,
  unusable,
  urlOf,
  variable,
} from './support.js'

// ---- Refs and links of ModelScope. Pure.

/** What a ref of ModelScope names. */
export interface ModelScopeRef {
  owner: string
  repo: string
  /** A file's path; with a slash behind it, a folder's; null for the whole repository. */
  path: string | null
  /** Branch, tag or commit; null for the default branch. */
  revision: string | null
  /** The site of a pasted link; null for a ref. */
  site: 'cn' | 'ai' | null
}

const example = 'ms:owner/repo, ms:owner/repo/path/to/file or ms:owner/repo/path/to/file@revision'

const prefix = /^ms:/i

const name = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.)){0,127}$/

const link =
  /^https?:\/\/(?:www\.)?modelscope\.(cn|ai)\/(?:models\/[^/?#]+\/|api\/v1\/models\/[^/?#]+\/[^/?#]+\/repo\?)/i

/** Whether a text is a ref or a link of ModelScope, right or wrong. */
export function isModelScopeRef(ref: string): boolean {
  return prefix.test(ref) || link.test(ref)
}

/**
 * Takes a ref apart: `ms:owner/repo[/path][@revision]`, or a link as the site's pages show it. The revision is what
 * follows the last `@`, so a path that holds one needs a revision behind it.
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
  const [owner = '', repo = '', ...path] = (at === -1 ? text : text.slice(0, at)).split('/')
  return {
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
  const made = (revision: string | null, path: string | null): ModelScopeRef => ({
    owner,
    repo,
    revision: revision === '' ? null : revision,
    path: path === '' ? null : path,
    site,
  })
  if (isApi) {
    const path = query('FilePath')
    if (path === null) throw badRef('The link names no file.', example)
    return made(query('Revision'), path)
  }
  // `/file/view/<revision>/<path>`, in older links `/file/view/<revision>?fileName=<path>`
  const place = page === 'file' && rest[0] === 'view' ? rest.slice(1) : rest
  const [revision = null, ...path] = place
  const file = path.length > 0 ? path.join('/') : query('fileName')
  if (page === 'resolve' || page === 'file') {
    if (file === null || file === '') throw badRef('The link names no file.', example)
    return made(revision, file)
  }
  if (page === 'tree') return made(revision, path.length > 0 ? `${path.join('/')}/` : null)
  // The tabs of a model's page: its summary, its list of files.
  return made(null, null)
}

// ---- ModelScope as a source.

/** How {@link modelScope} reaches its hub. */
export interface ModelScopeOptions {
  /** Address of the hub. Default: `MODELSCOPE_ENDPOINT`, else `https://www.modelscope.cn`. */
  endpoint?: string
  /**
   * Access token; null uses none. It is sent to the hub's origin only. Default: `MODELSCOPE_API_TOKEN`.
   */
  token?: string | null
}

const chinese = 'https://www.modelscope.cn'

const international = 'https://www.modelscope.ai'

const defaultRevision = 'master'

/** A repository, for one resolution. */
interface Place {
  /** Without a slash at its end. */
  endpoint: string
  token: string | null
  /** `owner/repo`. */
  repo: string
  revision: string
}

/** What the hub tells of a file: https://github.com/modelscope/modelscope, `HubApi.get_model_files`. */
const listing = lazily(() =>
  z.object({
    Code: z.number(),
    Data: z
      .object({
        Files: z
          .array(
            z.object({
              Path: z.string(),
              Type: z.string(),
              Size: z.number().int().min(0).optional(),
              Sha256: z.string().nullish(),
            }),
          )
          .nullish(),
      })
      .nullish(),
  }),
)

interface RepoFile {
  path: string
  size: number | undefined
  sha256: string | undefined
}

/** The hub's own tools leave them out of a repository, too. */
const gitFiles = new Set(['.gitattributes', '.gitignore'])

/**
 * The source of `ms:` refs and of links from ModelScope's pages.
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
    resolve: async (ref, context) => {
      const parsed = parseModelScopeRef(ref)
      const place = placeOf(parsed, options, context)
      const files = filesOf(await ask(place, context), place)
      return resolutionOf(chosen(files, parsed, place, context), place)
    },
  }
}

function placeOf(ref: ModelScopeRef, options: ModelScopeOptions, { env }: ResolveContext): Place {
  const given = options.endpoint ?? variable(env, 'MODELSCOPE_ENDPOINT') ?? chinese
  const endpoint = requireEndpoint(given, 'MODELSCOPE_ENDPOINT')
  const repo = `${ref.owner}/${ref.repo}`
  const revision = ref.revision ?? defaultRevision
  // The two sites are two hubs; a token of one is none of the other's business.
  if (ref.site === 'ai' && !/(?:^|\.)modelscope\.ai$/.test(new URL(endpoint).hostname)) {
    return { endpoint: international, token: null, repo, revision }
  }
  const token = options.token === undefined ? variable(env, 'MODELSCOPE_API_TOKEN') : options.token
  return {
    endpoint,
    token: token === null ? null : requireToken(token, 'MODELSCOPE_API_TOKEN'),
    repo,
    revision,
  }
}

async function ask(place: Place, context: ResolveContext): Promise<JsonAnswer> {
  const query = new URLSearchParams({ Revision: place.revision, Recursive: 'true' })
  return context.fetchJson(`${place.endpoint}/api/v1/models/${place.repo}/repo/files?${query.toString()}`, {
    headers: credentials(place),
    maxBytes: 64 * 1024 * 1024,
    explain: (answer) => explain(answer, place),
  })
}

/** As the hub's own tools do it: the cookie for older parts of it, the header for newer ones. */
function credentials({ token }: Place): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}`, cookie: `m_session_id=${token}` }
}

function filesOf({ json, url }: JsonAnswer, place: Place): RepoFile[] {
  const parsed = listing().safeParse(json)
  if (!parsed.success) throw unusable(url)
  const { Code: code, Data: data } = parsed.data
  // Some of the hub's errors come with status 200.
  if (code !== 200) throw failureOf(code, place)
  return (data?.Files ?? []).flatMap(({ Path: path, Type: type, Size: size, Sha256: sha256 }) => {
    if (type === 'tree' || gitFiles.has(path)) return []
    if (!isPlainPath(path)) throw unusable(url)
    const digest = sha256?.toLowerCase() ?? ''
    return [{ path, size, sha256: /^[0-9a-f]{64}$/.test(digest) ? digest : undefined }]
  })
}

function chosen(
  files: readonly RepoFile[],
  { path }: ModelScopeRef,
  { endpoint, repo, revision }: Place,
  { include, exclude }: ResolveContext,
): RepoFile[] {
  const isFile = path !== null && !path.endsWith('/')
  const found = files.filter((file) =>
    isFile ? file.path === path : file.path.startsWith(path ?? '') && selects(file.path, include, exclude),
  )
  if (found.length > 0) return found
  const what = isFile ? `no file ${JSON.stringify(path)}` : 'no file that is wanted'
  const has = files.length === 0 ? 'It is empty.' : `It has ${fewOf(likely(files, path ?? ''))}.`
  throw new DownloadError(
    'NOT_FOUND',
    `The repository ${repo} has ${what} at ${revision}. ${has} See ${endpoint}/models/${repo}/files`,
  )
}

/** Paths that end like the one that was asked for come first. */
function likely(files: readonly RepoFile[], path: string): string[] {
  const ending = /\.[^./]+$/.exec(path)?.[0] ?? '.gguf'
  const paths = files.map((file) => file.path)
  return [...paths.filter((one) => one.endsWith(ending)), ...paths.filter((one) => !one.endsWith(ending))]
}

function resolutionOf(files: readonly RepoFile[], place: Place): Resolution {
  const { endpoint, repo, revision } = place
  return {
    name: repo.slice(repo.lastIndexOf('/') + 1),
    files: files.map(({ path, size, sha256 }) => {
      const query = new URLSearchParams({ Revision: revision, FilePath: path })
      return {
        filename: path,
        urls: [`${endpoint}/api/v1/models/${repo}/repo?${query.toString()}`],
        size,
        sha256,
        headers: credentials(place),
      }
    }),
  }
}

function explain(answer: ApiAnswer, place: Place): DownloadError | null {
  const { status } = answer
  const { endpoint, repo, revision, token } = place
  const page = `${endpoint}/models/${repo}`
  switch (status) {
    case 400:
    case 404: {
      const secret = token === null ? ', or is private: then set MODELSCOPE_API_TOKEN' : ''
      const message = `ModelScope has no repository ${repo} with a revision ${revision}; see ${page}${secret}.`
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

/** The hub's own codes: 10010101004 for a repository that the caller may not see, 10010205001 for one that isn't there. */
function failureOf(code: number, place: Place): DownloadError {
  const { repo, revision, endpoint } = place
  if (code === 10010101004 || code === 401 || code === 403) return denied(place)
  if (code === 10010205001 || code === 404) {
    return new DownloadError('NOT_FOUND', `ModelScope has no repository ${repo} with a revision ${revision}.`)
  }
  const message = `ModelScope does not tell what is in ${repo} (its code ${String(code)}); see ${endpoint}/models/${repo}`
  return new DownloadError('HTTP_ERROR', message)
}

function denied({ endpoint, repo, token }: Place, status?: number): DownloadError {
  const message =
    token === null
      ? `ModelScope does not show ${repo} to everybody: get a token at ${endpoint}/my/myaccesstoken and set MODELSCOPE_API_TOKEN.`
      : `ModelScope does not show ${repo} to the owner of MODELSCOPE_API_TOKEN: ask for access at ${endpoint}/models/${repo}, or renew the token at ${endpoint}/my/myaccesstoken.`
  return new DownloadError('ACCESS_DENIED', message, status === undefined ? {} : { status })
}
