/** Refs and links of ModelScope. Pure. */
import { badRef, isPlainPath, isRevision, segmentsOf, urlOf } from './ref-parts.js'

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
