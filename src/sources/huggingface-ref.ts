/** Parses Hugging Face refs and links, and the hub's responses about files. Pure. */
import { isXetHash } from '../engine/xet/plan.js'
import { DownloadError } from '../errors.js'
import { isRevision, staysBelow } from './support.js'

/** The kinds of repository, as the hub's API spells them. */
export type RepoType = 'models' | 'datasets' | 'spaces'

/** A parsed ref or link. */
export interface HubRef {
  type: RepoType
  /** `owner/name`, or only a name: the hub's first repositories have no owner. */
  repo: string
  /** Branch, tag or commit; null for `main`. */
  revision: string | null
  /**
   * `file`: one file; `folder`: all files below it ('' is the root); `quant`: the GGUF file with that
   * quantisation.
   */
  what: { kind: 'file'; path: string } | { kind: 'folder'; path: string } | { kind: 'quant'; quant: string }
  /** Origin of a pasted link; null for `hf:`. */
  origin: string | null
}

/**
 * Letters, digits, `-`, `_` and `.`, without `..` or `--`, with no `-` or `.` at either end; at most 96
 * characters.
 */
const name = /^(?=.{1,96}$)(?!.*(?:\.\.|--))[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/

const unsafe = /[\p{Cc}\p{Cs}\\]/u

/** First path segments of the hub's own pages, which can't be owners. */
const pages = new Set(
  'api blog chat collections docs enterprise inference join learn login logout models new notifications organizations papers posts pricing search settings tasks terms-of-service privacy'.split(
    ' ',
  ),
)

const scheme = /^(?:hf|huggingface):/i

/** Whether a text has the scheme `hf:`, or `huggingface:`, which means the same. */
export function isHubScheme(ref: string): boolean {
  return scheme.test(ref)
}

/**
 * Parses `hf:owner/repo`, `hf:owner/repo/path`, `hf:owner/repo/folder/` or `hf:owner/repo:Q4_K_M`, each
 * optionally followed by `@revision`. The owner may be preceded by `datasets/` or `spaces/`. The revision
 * begins at the last `@`. After `hf://` it may also follow the repository, as in the URLs of huggingface_hub's file
 * system: `hf://owner/repo@revision/path`.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseHubRef(ref: string): HubRef {
  const body = ref.replace(scheme, '')
  const { type, segments, revision } = body.startsWith('//') ? splitUri(body.slice(2)) : split(body)
  const [owner = '', second = '', ...rest] = segments
  const [repoName = '', quant, ...more] = second.split(':')
  if (more.length > 0 || (quant !== undefined && rest.length > 0)) throw bad('a quantisation must come last')
  const repo = checkRepo(owner, repoName)
  if (quant !== undefined) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(quant))
      throw bad('the quantisation after the colon is not valid')
    return { type, repo, revision, what: { kind: 'quant', quant }, origin: null }
  }
  return { type, repo, revision, what: pathOf(rest), origin: null }
}

/** The parts of a ref, of which only the revision is checked. */
type RefParts = Pick<HubRef, 'type' | 'revision'> & { segments: string[] }

function split(body: string): RefParts {
  const at = body.lastIndexOf('@')
  const revision = at === -1 ? null : checkRevision(body.slice(at + 1))
  return { ...typed((at === -1 ? body : body.slice(0, at)).split('/')), revision }
}

/**
 * Splits what follows `hf://`. A revision after the repository is one segment, with its slashes escaped, or one of the
 * hub's own, such as `refs/pr/1`.
 */
function splitUri(body: string): RefParts {
  const all = body.split('/')
  const { type, segments } = typed(all[0] === 'models' && all.length > 2 ? all.slice(1) : all)
  const [owner = '', second = '', ...rest] = segments
  const at = second.indexOf('@')
  if (at === -1) return split(body.replace(/^models\/(?=[^/]+\/)/, ''))
  const first = decodeSegment(second.slice(at + 1))
  const own = first === 'refs' ? rest.splice(0, 2) : []
  const revision = checkRevision([first, ...own].join('/'))
  return { type, segments: [owner, second.slice(0, at), ...rest], revision }
}

/** Segments of the hub's links to files and folders, after the repository. */
const actions = new Set(['blob', 'resolve', 'raw', 'tree'])

/**
 * Parses a link to one of the hub's pages: `/owner/repo` or `/owner/repo/{blob,resolve,raw,tree}/revision/path`. The
 * owner is missing in links to files of the hub's first repositories, such as `gpt2`. A revision with slashes is
 * recognised if it is escaped or begins with `refs/`.
 *
 * @returns null for any other URL, such as another page of the hub.
 * @throws DownloadError `INVALID_URL` for such a link that is malformed.
 */
export function parseHubLink(link: string): HubRef | null {
  if (!URL.canParse(link)) return null
  const { protocol, origin, pathname, username, password } = new URL(link)
  if ((protocol !== 'https:' && protocol !== 'http:') || username !== '' || password !== '') return null
  const decoded = pathname.slice(1).split('/').map(decodeSegment)
  const { type, segments } = typed(decoded)
  const [first = '', second = '', third = ''] = segments
  const parts = actions.has(second) && !actions.has(third) && third !== '' ? 1 : 2
  const named = segments.slice(0, parts)
  const [action, ...rest] = segments.slice(parts)
  if (named.length < parts || !named.every((part) => name.test(part)) || pages.has(first)) return null
  const repo = named.join('/')
  if (action === undefined || (action === '' && rest.length === 0))
    return { type, repo, revision: null, what: { kind: 'folder', path: '' }, origin }
  if (!actions.has(action)) return null
  const revisionParts = rest[0] === 'refs' ? 3 : 1
  const revision = checkRevision(rest.slice(0, revisionParts).join('/'))
  const path = rest.slice(revisionParts)
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
  if (!name.test(owner) || !name.test(repoName)) throw bad('a repository has the form owner/name')
  return `${owner}/${repoName}`
}

function checkRevision(revision: string): string {
  if (!isRevision(revision)) throw bad('the branch, tag or commit is not valid')
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
    throw bad('it contains an invalid percent-escape')
  }
}

function bad(reason: string): DownloadError {
  const forms = 'hf:owner/repo/file.gguf, hf:owner/repo:Q4_K_M or hf:owner/repo, with @revision where needed'
  return new DownloadError('INVALID_URL', `This is not a valid ref: ${reason}. Write ${forms}.`)
}

/** A path with each segment escaped for a URL. */
export function escapePath(path: string): string {
  // A lone surrogate can't be encoded.
  return path
    .replace(/\p{Cs}/gu, '\ufffd')
    .split('/')
    .map(encodeURIComponent)
    .join('/')
}

/** A file in a response of the tree endpoint. */
export interface TreeFile {
  path: string
  size: number
  /** SHA-256 of a file that is stored with LFS; null for one that is stored in git itself. */
  sha256: string | null
  /** Git object ID of a file that is stored in git itself; otherwise null. */
  gitOid: string | null
  /** Hash of a file that is in the Xet store; otherwise null. */
  xetHash: string | null
}

/**
 * Parses one page of the tree endpoint into its files; folders are left out.
 *
 * @throws DownloadError `PROTOCOL_ERROR` for anything else than such a page, and for a path that leaves the
 * repository.
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
    if (!staysBelow(path)) throw badTree()
    const sha256 = isRecord(lfs) ? sha256Of(lfs['oid']) : null
    const gitOid = isRecord(lfs) ? null : gitOidOf(entry['oid'])
    return [{ path, size, sha256, gitOid, xetHash: xetHashOf(entry['xetHash']) }]
  })
}

/** Parses a SHA-256 as the hub writes it: bare, quoted as an ETag, or with `sha256:`. Null for a git object ID. */
export function sha256Of(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const bare = value.replace(/^W\//, '').replace(/^"(.*)"$/, '$1')
  const hex = bare.toLowerCase().replace(/^sha256:/, '')
  return /^[0-9a-f]{64}$/.test(hex) ? hex : null
}

/** Parses the hash of a file in the Xet store; null for anything else. */
export function xetHashOf(value: unknown): string | null {
  return typeof value === 'string' && isXetHash(value) ? value : null
}

/** Parses a git object ID, bare or quoted as an ETag; null for anything else. */
export function gitOidOf(value: unknown): string | null {
  const bare = typeof value === 'string' ? value.replace(/^W\//, '').replace(/^"(.*)"$/, '$1') : ''
  return /^[0-9a-f]{40}$/.test(bare) ? bare : null
}

/** Whether a value is an object, but neither null nor an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function badTree(): DownloadError {
  return new DownloadError('PROTOCOL_ERROR', "The hub's response is not a valid list of files.")
}

/** Real `Link` fields are far shorter, in characters. */
const maxLinkLength = 16_384

/**
 * The target with `rel=next` in a `Link` field (RFC 8288); null when there is none. Reads the field once from
 * left to right, so that no content makes it slow.
 */
export function nextPage(link: string | undefined): string | null {
  const text = (link ?? '').slice(0, maxLinkLength)
  let from = 0
  for (;;) {
    const open = text.indexOf('<', from)
    const close = open === -1 ? -1 : text.indexOf('>', open)
    if (close === -1) return null
    // The parameters end at the comma before the next link.
    const following = text.indexOf('<', close)
    const parameters = text.slice(close + 1, following === -1 ? text.length : following)
    if (parameters.split(/[;,]/).some(isNextRelation)) return text.slice(open + 1, close)
    from = close + 1
  }
}

function isNextRelation(parameter: string): boolean {
  const [name = '', value = ''] = parameter.split('=', 2)
  if (name.trim().toLowerCase() !== 'rel') return false
  const relations = value.trim().toLowerCase().replaceAll('"', '')
  return relations.split(' ').includes('next')
}
