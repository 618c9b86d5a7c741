/**
 * An imitation of the Hugging Face hub on two origins: the hub itself, and the CDN that it redirects to with signed
 * links. It has everything that the official JavaScript client and `huggingface_hub` for Python read.
 *
 * @example
 * await using hub = await startHub()
 * hub.add('owner/model', { files: { 'model.gguf': ggufContent(4_000_000), 'README.md': textContent('hello') } })
 * // … HF_ENDPOINT=hub.url, hf:owner/model/model.gguf …
 */
import { createHash, createHmac } from 'node:crypto'
import type { Cas } from './cas.js'
import { textContent, type Content } from './content.js'
import { startOrigin, type Origin, type OriginRequest, type Resource } from './origin.js'

/** Options of a repository. */
export interface RepoInit {
  /** The files on `main` by path. Files of 10 KiB or more are stored with LFS and served by the CDN. */
  files: Readonly<Record<string, Content>>
  type?: 'models' | 'datasets' | 'spaces'
  /** Whether only accounts that accepted its terms get the files. The list of files is public. */
  gated?: 'auto' | 'manual'
  /** Whether only accounts with access can see the repository. */
  private?: boolean
  /** Licence that its card states. Default: none. */
  license?: string
}

interface Repo extends Required<Pick<RepoInit, 'type'>> {
  readonly name: string
  readonly gated: 'auto' | 'manual' | false
  readonly private: boolean
  readonly license: string | undefined
  /** By commit. */
  readonly commits: Map<string, ReadonlyMap<string, Content>>
  /** The commits that branches and tags point to. */
  readonly refs: Map<string, string>
}

/** Options of a {@link Hub}. */
export interface HubOptions {
  /** Number of files per page of the tree endpoint. Default: 1,000, as on the real hub. */
  pageSize?: number
}

const lfsBytes = 10 * 1024
const hex = (algorithm: string, ...data: (string | Buffer)[]) => {
  const hash = createHash(algorithm)
  for (const part of data) hash.update(part)
  return hash.digest('hex')
}
const oids = new WeakMap<Content, string>()
/** The git object id of a file, or of its pointer when it is stored with LFS. */
export function gitOid(content: Content): string {
  const known = oids.get(content)
  if (known !== undefined) return known
  const data = isLfs(content) ? Buffer.from(pointer(content)) : content.slice(0, content.size)
  const oid = hex('sha1', `blob ${String(data.length)}\0`, data)
  oids.set(content, oid)
  return oid
}
const isLfs = (content: Content) => content.size >= lfsBytes
const pointer = (content: Content) =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${content.sha256()}\nsize ${String(content.size)}\n`

/** An imitation of the Hugging Face hub. */
export class Hub implements AsyncDisposable {
  /** The origin of the hub itself, whose log has all requests to the hub. */
  readonly origin: Origin
  /** The origin that serves LFS files. Its faults and speed can be set with {@link cdnBehaviour}. */
  readonly cdn: Origin
  /** Merged into the resources of the CDN. */
  cdnBehaviour: Partial<Resource> = {}
  /** Merged into the resources of small files, which the hub itself serves. */
  smallBehaviour: Partial<Resource> = {}
  /** Its Xet store. Files that have been added to it are announced. Default: none. */
  cas: Cas | null = null
  /** Merged into the answers to requests for tokens of the Xet store. */
  tokenBehaviour: Partial<Resource> = {}
  readonly #repos = new Map<string, Repo>()
  readonly #blobs = new Map<string, Content>()
  /** The repositories that the account of each token may access. */
  readonly #tokens = new Map<string, ReadonlySet<string>>()
  readonly #pageSize: number
  #secret = 1
  #limits = { left: 0, headers: {} as Readonly<Record<string, string>> }

  constructor(origin: Origin, cdn: Origin, { pageSize = 1_000 }: HubOptions) {
    this.origin = origin
    this.cdn = cdn
    this.#pageSize = pageSize
    origin.serve('*', (request) => this.#answer(request))
    cdn.serve('*', (request) => this.#blob(request))
  }

  /** The value for `HF_ENDPOINT`. */
  get url(): string {
    return this.origin.origin
  }

  /** Creates a repository and returns the commit of `main`. */
  add(name: string, { files, type = 'models', gated, private: hidden = false, license }: RepoInit): string {
    const repo: Repo = {
      name,
      type,
      gated: gated ?? false,
      private: hidden,
      license,
      commits: new Map(),
      refs: new Map(),
    }
    this.#repos.set(`${type}/${name}`, repo)
    return this.commit(name, files, type)
  }

  /** Replaces the files on `main` and returns the new commit. Earlier commits are kept. */
  commit(name: string, files: Readonly<Record<string, Content>>, type: RepoInit['type'] = 'models'): string {
    const repo = this.#repos.get(`${type}/${name}`)
    if (repo === undefined) throw new Error(`There is no ${name}.`)
    const commit = hex('sha1', name, String(repo.commits.size), ...Object.keys(files))
    repo.commits.set(commit, new Map(Object.entries(files)))
    repo.refs.set('main', commit)
    for (const content of Object.values(files)) {
      if (isLfs(content)) this.#blobs.set(content.sha256(), content)
    }
    return commit
  }

  /** Deletes a repository. */
  remove(name: string): void {
    this.#repos.delete(`models/${name}`)
  }

  /** Gives a commit a name, such as a tag, a branch or `refs/pr/1`. */
  tag(name: string, ref: string, commit: string): void {
    this.#repos.get(`models/${name}`)?.refs.set(ref, commit)
  }

  /** Creates a token whose account may see these repositories and has accepted their terms. */
  allow(token: string, repos: readonly string[] = []): void {
    this.#tokens.set(token, new Set(repos))
  }

  /** Expires all links that were signed so far. The CDN refuses them with 403. */
  expireLinks(): void {
    this.#secret += 1
  }

  /** Answers the next requests to the hub with 429. */
  limit(count: number, headers: Readonly<Record<string, string>> = { 'retry-after': '0' }): void {
    this.#limits = { left: count, headers }
  }

  /** Stops both origins. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.origin.close(), this.cdn.close()])
  }

  // ---- the CDN ----

  #sign(path: string): string {
    return createHmac('sha256', String(this.#secret)).update(path).digest('hex')
  }

  #blob(request: OriginRequest): Resource {
    const content = this.#blobs.get(request.path.slice('/blobs/'.length))
    if (request.query.get('Signature') !== this.#sign(request.path) || content === undefined) {
      return { status: 403, content: textContent('<Error><Code>AccessDenied</Code></Error>') }
    }
    return {
      content,
      requires: (asked) => (asked.query.get('Signature') === this.#sign(asked.path) ? undefined : 403),
      ...this.cdnBehaviour,
    }
  }

  // ---- the hub ----

  #answer(request: OriginRequest): Resource {
    if (this.#limits.left > 0) {
      this.#limits.left -= 1
      return problem(429, '', 'We had to rate limit you.', this.#limits.headers)
    }
    const segments = request.path.slice(1).split('/').map(decodeURIComponent)
    const isApi = segments[0] === 'api'
    if (isApi) segments.shift()
    if (isApi && segments.length === 1 && segments[0] === 'models') return this.#search(request)
    const isCached = isApi && segments[0] === 'resolve-cache'
    if (isCached) segments.shift()
    const typed = segments[0] === 'datasets' || segments[0] === 'spaces' || segments[0] === 'models'
    const type = typed ? segments.shift() : 'models'
    const [owner = '', name = '', ...rest] = segments
    const repo = this.#repos.get(`${type ?? ''}/${owner}/${name}`)
    const refusal = this.#refuse(request, repo)
    if (refusal !== null || repo === undefined)
      return refusal ?? problem(404, 'RepoNotFound', 'Repository not found')
    if (isCached) return this.#serveSmall(repo, rest)
    if (isApi) return this.#api(request, repo, rest)
    if (rest[0] !== 'resolve') return problem(404, '', 'Sorry, we can’t find the page you are looking for.')
    return this.#resolve(request, repo, rest.slice(1))
  }

  /** Lists the models whose name has every word of the search, those with the most downloads first. */
  #search(request: OriginRequest): Resource {
    const { query } = request
    const words = (query.get('search') ?? '').toLowerCase().split(/\s+/)
    const isFit = (repo: Repo) => {
      const [files = new Map<string, Content>()] = [...repo.commits.values()].slice(-1)
      const isGguf = [...files.keys()].some((path) => path.endsWith('.gguf'))
      return (
        repo.type === 'models' &&
        words.every((word) => repo.name.toLowerCase().includes(word)) &&
        (query.get('filter') !== 'gguf' || isGguf)
      )
    }
    const found = [...this.#repos.values()].filter(
      (repo) => isFit(repo) && this.#refuse(request, repo) === null,
    )
    const listed = found.map((repo, index) => ({
      _id: hex('sha1', repo.name).slice(0, 24),
      id: repo.name,
      downloads: 1_000 - index,
      likes: 10 - index,
      lastModified: '2026-01-01T00:00:00.000Z',
      gated: repo.gated,
      pipeline_tag: 'text-generation',
      tags: ['gguf', ...(repo.license === undefined ? [] : [`license:${repo.license}`])],
    }))
    return json(listed.slice(0, Number(query.get('limit') ?? 1_000)))
  }

  #account({ headers }: OriginRequest): ReadonlySet<string> | 'nobody' | 'unknown' {
    const { authorization } = headers
    if (authorization === undefined) return 'nobody'
    return this.#tokens.get(authorization.replace(/^Bearer /, '')) ?? 'unknown'
  }

  #refuse(request: OriginRequest, repo: Repo | undefined): Resource | null {
    const account = this.#account(request)
    if (account === 'unknown') return problem(401, '', 'Invalid credentials in Authorization header')
    const knows = repo !== undefined && (!repo.private || (account !== 'nobody' && account.has(repo.name)))
    if (knows) return null
    return account === 'nobody'
      ? problem(401, 'RepoNotFound', 'Invalid username or password.')
      : problem(404, 'RepoNotFound', 'Repository not found')
  }

  #commitOf(repo: Repo, revision: string): string | null {
    return repo.refs.get(revision) ?? (repo.commits.has(revision) ? revision : null)
  }

  #api(request: OriginRequest, repo: Repo, [action, revision = 'main', ...path]: string[]): Resource {
    const commit = this.#commitOf(repo, revision === 'HEAD' ? 'main' : revision)
    if (commit === null) return problem(404, 'RevisionNotFound', `Invalid rev id: ${revision}`)
    const files = repo.commits.get(commit) ?? new Map<string, Content>()
    if (action === undefined || action === 'revision') return json(this.#info(repo, commit, files))
    if (action === 'xet-read-token' && this.cas !== null)
      return { ...json(this.cas.token()), ...this.tokenBehaviour }
    if (action === 'tree') return this.#tree(request, files, path.join('/'))
    if (action === 'paths-info' && request.method === 'POST') {
      // The client sends no other shape.
      const { paths } = JSON.parse(request.body.toString()) as { paths: string[] }
      const lastCommit = { id: commit, title: 'Add files', date: '2026-01-01T00:00:00.000Z' }
      return json(
        paths.flatMap((wanted) => {
          const content = files.get(wanted)
          return content === undefined ? [] : [{ ...entry(wanted, content), lastCommit }]
        }),
      )
    }
    return problem(404, '', 'Not found')
  }

  #info(repo: Repo, commit: string, files: ReadonlyMap<string, Content>) {
    return {
      _id: hex('sha1', repo.name).slice(0, 24),
      id: repo.name,
      modelId: repo.name,
      sha: commit,
      private: repo.private,
      gated: repo.gated,
      ...(repo.license === undefined ? {} : { cardData: { license: repo.license } }),
      downloads: 0,
      likes: 0,
      lastModified: '2026-01-01T00:00:00.000Z',
      siblings: [...files.keys()].map((rfilename) => ({ rfilename })),
    }
  }

  #tree(request: OriginRequest, files: ReadonlyMap<string, Content>, folder: string): Resource {
    const recursive = /^(?:true|1)$/i.test(request.query.get('recursive') ?? '')
    const below = folder === '' ? '' : `${folder}/`
    const entries = new Map<string, unknown>()
    for (const [path, content] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (!path.startsWith(below)) continue
      const parts = path.slice(below.length).split('/')
      for (let depth = 1; depth < parts.length && (recursive || depth === 1); depth += 1) {
        const directory = below + parts.slice(0, depth).join('/')
        entries.set(directory, { type: 'directory', oid: hex('sha1', directory), size: 0, path: directory })
      }
      const xetHash = this.cas?.hashOf(content)
      if (recursive || parts.length === 1)
        entries.set(path, { ...entry(path, content), ...(xetHash === undefined ? {} : { xetHash }) })
    }
    if (entries.size === 0 && folder !== '') return problem(404, 'EntryNotFound', `${folder} does not exist`)
    const start = Number(Buffer.from(request.query.get('cursor') ?? 'MA==', 'base64url').toString())
    const all = [...entries.values()]
    const next = new URL(request.path, this.url)
    next.search = request.query.toString()
    next.searchParams.set('cursor', Buffer.from(String(start + this.#pageSize)).toString('base64url'))
    const more = start + this.#pageSize < all.length
    return json(all.slice(start, start + this.#pageSize), more ? { link: `<${next.href}>; rel="next"` } : {})
  }

  #resolve(request: OriginRequest, repo: Repo, [revision = '', ...segments]: string[]): Resource {
    const account = this.#account(request)
    if (repo.gated !== false && (account === 'nobody' || account === 'unknown' || !account.has(repo.name))) {
      const status = account === 'nobody' ? 401 : 403
      return problem(status, 'GatedRepo', `Access to model ${repo.name} is restricted.`)
    }
    const commit = this.#commitOf(repo, revision)
    if (commit === null) return problem(404, 'RevisionNotFound', `Invalid rev id: ${revision}`)
    const path = segments.join('/')
    const content = repo.commits.get(commit)?.get(path)
    if (content === undefined)
      return problem(404, 'EntryNotFound', 'Entry not found', { 'x-repo-commit': commit })
    const headers = { 'x-repo-commit': commit, 'x-request-id': 'Root=1-0', vary: 'Origin, Accept' }
    const xetHash = this.cas?.hashOf(content)
    // The official client asks so, and is not redirected then.
    if (xetHash !== undefined && request.headers['accept']?.includes('vnd.xet-fileinfo+json') === true) {
      const info = json({ hash: xetHash })
      const linked = {
        'x-linked-etag': `"${content.sha256()}"`,
        etag: `"${content.sha256()}"`,
        'x-linked-size': String(content.size),
      }
      return {
        ...info,
        contentType: 'application/vnd.xet-fileinfo+json',
        headers: { ...headers, ...linked, ...this.#xetHeaders(repo, commit, xetHash) },
      }
    }
    if (!isLfs(content)) {
      // The hub redirects requests for small files to a cache on the same host, with a relative URL.
      const cached = `/api/resolve-cache/${repo.type}/${repo.name}/${commit}/${segments.map(encodeURIComponent).join('/')}`
      const etag = `"${gitOid(content)}"`
      return {
        redirect: `${cached}?etag=${encodeURIComponent(etag)}`,
        redirectStatus: 307,
        headers: { ...headers, 'x-linked-size': String(content.size), 'x-linked-etag': etag },
      }
    }
    const blob = `/blobs/${content.sha256()}`
    return {
      redirect: `${this.cdn.url(blob)}?Expires=1&Signature=${this.#sign(blob)}`,
      headers: {
        ...headers,
        'accept-ranges': 'bytes',
        'x-linked-size': String(content.size),
        'x-linked-etag': `"${content.sha256()}"`,
        ...(xetHash === undefined ? {} : this.#xetHeaders(repo, commit, xetHash)),
      },
    }
  }

  #xetHeaders({ type, name }: Repo, commit: string, xetHash: string): Record<string, string> {
    const token = `${this.url}/api/${type}/${name}/xet-read-token/${commit}`
    const plan = `${this.cas?.url ?? ''}/v1/reconstructions/${xetHash}`
    return {
      'x-xet-hash': xetHash,
      link: `<${token}>; rel="xet-auth", <${plan}>; rel="xet-reconstruction-info"`,
    }
  }

  #serveSmall(repo: Repo, [commit = '', ...path]: string[]): Resource {
    const content = repo.commits.get(commit)?.get(path.join('/'))
    if (content === undefined) return problem(404, 'EntryNotFound', 'Entry not found')
    return {
      content,
      etag: `"${gitOid(content)}"`,
      lastModified: null,
      contentType: 'text/plain; charset=utf-8',
      contentDisposition: `inline; filename="${path.at(-1) ?? ''}";`,
      headers: { 'x-repo-commit': commit },
      ...this.smallBehaviour,
    }
  }
}

function entry(path: string, content: Content) {
  const { size } = content
  const lfs = { oid: content.sha256(), size, pointerSize: pointer(content).length }
  return { type: 'file', oid: gitOid(content), size, path, ...(isLfs(content) ? { lfs } : {}) }
}

function json(value: unknown, headers: Readonly<Record<string, string>> = {}): Resource {
  const contentType = 'application/json; charset=utf-8'
  return {
    content: textContent(JSON.stringify(value)),
    contentType,
    ranges: false,
    etag: null,
    lastModified: null,
    headers,
  }
}

function problem(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Resource {
  const named = code === '' ? {} : { 'x-error-code': code }
  return {
    ...json({ error: message }),
    status,
    headers: { 'x-error-message': message, ...named, ...headers },
  }
}

/** Starts a {@link Hub}. */
export async function startHub(options: HubOptions = {}): Promise<Hub> {
  const [origin, cdn] = await Promise.all([startOrigin(), startOrigin()])
  return new Hub(origin, cdn, options)
}
