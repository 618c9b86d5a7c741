/** What refs of the Hugging Face hub say, and what its answers say about files. Pure. */
import { DownloadError } from '../errors.js'
import { isRevision } from './support.js'

/** The kinds of repositories, as the hub's API spells them. */
export type RepoType = 'models' | 'datasets' | 'spaces'

/** What a ref names. */
export interface HubRef {
  type: RepoType
  /** `owner/name`. */
  repo: string
  /** Branch, tag or commit; null for `main`. */
  revision: string | null
  /** `file`: that one; `folder`: all below it (empty for the whole repository); `quant`: the GGUF of a quantisation. */
  what: { kind: 'file'; path: string } | { kind: 'folder'; path: string } | { kind: 'quant'; quant: string }
  /** Of a pasted link: its origin. Null for `hf:`. */
  origin: string | null
}

/** Letters, digits, `-`, `_`, `.`; never `..` or `--`, no `-` or `.` at either end; at most 96 characters. */
const name = /^(?=.{1,96}$)(?!.*(?:\.\.|--))[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/

const unsafe = /[\p{Cc}\p{Cs}\\]/u

/** First segments of the hub's own pages: no owner is called like that. */
const pages = new Set(
  'api blog chat collections docs enterprise inference join learn login logout models new notifications organizations papers posts pricing search settings tasks terms-of-service privacy'.split(
    ' ',
  ),
)

/** Whether a text is meant for this source, by its scheme alone. */
export function isHubScheme(ref: string): boolean {
  return /^hf:/i.test(ref)
}

/**
 * Reads `hf:owner/repo`, `hf:owner/repo/path`, `hf:owner/repo/folder/`, `hf:owner/repo:Q4_K_M`, each with `@revision`
 * behind it or not; before the owner may stand `datasets/` or `spaces/`. The revision begins at the last `@`.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseHubRef(ref: string): HubRef {
  const body = ref.replace(/^hf:(?:\/\/)?/i, '')
  const at = body.lastIndexOf('@')
  const revision = at === -1 ? null : checkRevision(body.slice(at + 1))
  const { type, segments } = typed((at === -1 ? body : body.slice(0, at)).split('/'))
  const [owner = '', second = '', ...rest] = segments
  const [repoName = '', quant, ...more] = second.split(':')
  if (more.length > 0 || (quant !== undefined && rest.length > 0)) throw bad('a quantisation ends the name')
  const repo = checkRepo(owner, repoName)
  if (quant !== undefined) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(quant)) throw bad('behind the colon stands no quantisation')
    return { type, repo, revision, what: { kind: 'quant', quant }, origin: null }
  }
  return { type, repo, revision, what: pathOf(rest), origin: null }
}

/**
 * Reads a link from the hub's pages: `/owner/repo`, `/owner/repo/{blob,resolve,raw,tree}/revision/path`. A revision
 * with slashes is read where it is escaped, or begins with `refs/`.
 *
 * @returns null for what is no such link, such as another page of the hub.
 * @throws DownloadError `INVALID_URL` when it is one and makes no sense.
 */
export function parseHubLink(link: string): HubRef | null {
  if (!URL.canParse(link)) return null
  const { protocol, origin, pathname, username, password } = new URL(link)
  if ((protocol !== 'https:' && protocol !== 'http:') || username !== '' || password !== '') return null
  const decoded = pathname.slice(1).split('/').map(decodeSegment)
  const { type, segments } = typed(decoded)
  const [owner = '', repoName = '', action, ...rest] = segments
  if (!name.test(owner) || !name.test(repoName) || pages.has(owner)) return null
  const repo = checkRepo(owner, repoName)
  if (action === undefined || (action === '' && rest.length === 0))
    return { type, repo, revision: null, what: { kind: 'folder', path: '' }, origin }
  if (!['blob', 'resolve', 'raw', 'tree'].includes(action)) return null
  const parts = rest[0] === 'refs' ? 3 : 1
  const revision = checkRevision(rest.slice(0, parts).join('/'))
  const path = rest.slice(parts)
  if (action === 'tree') {
    const folder = pathOf([...path.filter((part, index) => part !== '' || index < path.length - 1), ''])
    return { type, repo, revision, what: folder, origin }
  }
  const what = pathOf(path)
  if (what.kind !== 'file') throw bad('the link names no file')
  return { type, repo, revision, what, origin }
}

function typed(segments: string[]): { type: RepoType; segments: string[] } {
  const [first] = segments
  return first === 'datasets' || first === 'spaces'
    ? { type: first, segments: segments.slice(1) }
    : { type: 'models', segments }
}

function checkRepo(owner: string, repoName: string): string {
  if (!name.test(owner) || !name.test(repoName)) throw bad('a repository is called owner/name')
  return `${owner}/${repoName}`
}

function checkRevision(revision: string): string {
  if (!isRevision(revision)) throw bad('behind the @ stands no branch, tag or commit')
  return revision
}

function pathOf(segments: readonly string[]): Exclude<HubRef['what'], { kind: 'quant' }> {
  const isFolder = segments.length === 0 || segments.at(-1) === ''
  const parts = segments.at(-1) === '' ? segments.slice(0, -1) : segments
  if (!isSafePath(parts)) throw bad('the path in the repository is not valid')
  return { kind: isFolder ? 'folder' : 'file', path: parts.join('/') }
}

function isSafePath(parts: readonly string[]): boolean {
  return !hasDots(parts) && parts.every((part) => part !== '' && !part.includes('/') && !unsafe.test(part))
}

function hasDots(parts: readonly string[]): boolean {
  return parts.some((part) => part === '.' || part === '..')
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw bad('it holds an escape that is none')
  }
}

function bad(reason: string): DownloadError {
  const forms = 'hf:owner/repo/file.gguf, hf:owner/repo:Q4_K_M or hf:owner/repo, with @revision where needed'
  return new DownloadError('INVALID_URL', `This is no ref of a model: ${reason}. Write ${forms}.`)
}

/** A path with each segment escaped for a URL. */
export function escapePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}

/** One file as the tree endpoint tells of it. */
export interface TreeFile {
  path: string
  size: number
  /** SHA-256 of what is stored with LFS; null for what is kept in git itself. */
  sha256: string | null
  /** Git's name for what is kept in git itself; else null. */
  gitOid: string | null
}

/**
 * The files of one page of the tree endpoint. Folders are left out.
 *
 * @throws DownloadError `PROTOCOL_ERROR` for what is no such page, or names a path that leads elsewhere.
 */
export function parseTreePage(json: unknown): TreeFile[] {
  if (!Array.isArray(json)) throw badTree()
  const entries: readonly unknown[] = json
  return entries.flatMap((entry): TreeFile[] => {
    if (!isRecord(entry) || typeof entry['path'] !== 'string') throw badTree()
    if (entry['type'] !== 'file') return []
    const { path, lfs } = entry
    const size = isRecord(lfs) && lfs['size'] !== undefined ? lfs['size'] : entry['size']
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw badTree()
    if (!isSafePath(path.split('/'))) throw badTree()
    const sha256 = isRecord(lfs) ? sha256Of(lfs['oid']) : null
    return [{ path, size, sha256, gitOid: isRecord(lfs) ? null : gitOidOf(entry['oid']) }]
  })
}

/** A SHA-256 as the hub writes it: bare, quoted as an entity tag, or with `sha256:`; null for a git object's name. */
export function sha256Of(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const bare = value.replace(/^W\//, '').replace(/^"(.*)"$/, '$1')
  const hex = bare.toLowerCase().replace(/^sha256:/, '')
  return /^[0-9a-f]{64}$/.test(hex) ? hex : null
}

/** Git's name for an object, bare or quoted as an entity tag; null for anything else. */
export function gitOidOf(value: unknown): string | null {
  const bare = typeof value === 'string' ? value.replace(/^W\//, '').replace(/^"(.*)"$/, '$1') : ''
  return /^[0-9a-f]{40}$/.test(bare) ? bare : null
}

/** Narrows to an object whose members may be anything. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function badTree(): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', 'The hub answered with something that is no list of files.')
}

/** The address of the next page in a `Link` field (RFC 8288), or null. */
export function nextPage(link: string | undefined): string | null {
  for (const [, target, parameters] of (link ?? '').matchAll(/<([^>]*)>((?:\s*;\s*[^,;]+)*)/g)) {
    if (/;\s*rel\s*=\s*"?next"?(?:\s|;|$)/i.test(parameters ?? '')) return target ?? null
  }
  return null
}
