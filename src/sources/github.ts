/** The source for release assets on GitHub and on GitHub Enterprise servers. */
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { serverTime } from '../net/requested-wait.js'
import { systemClock } from '../util/clock.js'
import { lazily } from '../util/lazy.js'
import { selector } from './globs.js'
import type { ApiAnswer, ResolveContext, ResolvedFile, Source } from './source.js'
import {
  badRef,
  fewOf,
  staysBelow,
  isRevision,
  rateLimited,
  requireEndpoint,
  requireToken,
  unusable,
  variable,
} from './support.js'

// ---- Parsing refs. Pure.

/** A parsed ref. */
export interface GitHubRef {
  owner: string
  repo: string
  /** Tag of the release; null for the latest release. */
  tag: string | null
  /** Name of the asset; null for all assets. */
  asset: string | null
}

const example = 'gh:owner/repo@tag/asset, gh:owner/repo@latest/asset or, for all assets, gh:owner/repo@tag/'

const prefix = /^gh:/i

const ownerName = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})$/

const repoName = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/

const assetName = /^(?!\.{1,2}$)[^\p{Cc}\p{Cs}/\\]{1,255}$/u

/** Whether a text has the scheme `gh:`, even if it is malformed. */
export function isGitHubRef(ref: string): boolean {
  return prefix.test(ref)
}

/**
 * Parses `gh:owner/repo@tag/asset`. A tag may contain slashes but an asset's name can't, so the last slash
 * separates them. A tag with slashes but no asset must therefore end with a slash.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseGitHubRef(ref: string): GitHubRef {
  const text = ref.replace(prefix, '')
  const at = text.indexOf('@')
  const [owner = '', repo = '', ...more] = (at === -1 ? text : text.slice(0, at)).split('/')
  if (more.length > 0) throw badRef('The release is missing.', example)
  if (!ownerName.test(owner) || !repoName.test(repo)) {
    throw badRef('The owner or the repository is not valid.', example)
  }
  const release = at === -1 ? 'latest' : text.slice(at + 1)
  const slash = release.lastIndexOf('/')
  const tag = slash === -1 ? release : release.slice(0, slash)
  const asset = slash === -1 ? '' : release.slice(slash + 1)
  if (!isRevision(tag)) throw badRef('The tag of the release is not valid.', example)
  if (asset !== '' && !assetName.test(asset)) throw badRef("The asset's name is not valid.", example)
  return { owner, repo, tag: tag === 'latest' ? null : tag, asset: asset === '' ? null : asset }
}

// ---- Resolving refs.

/** Options for {@link gitHub}. */
export interface GitHubOptions {
  /** Address of the API. Default: `GITHUB_API_URL`, else `https://api.github.com`. */
  endpoint?: string
  /** Access token; null for none. Sent to the API's origin only. Default: `GITHUB_TOKEN`, else `GH_TOKEN`. */
  token?: string | null
}

/** The API, the token and the ref to resolve. */
interface Place {
  /** Without a trailing slash. */
  endpoint: string
  token: string | null
  ref: GitHubRef
}

/** https://docs.github.com/rest/releases/releases. `digest` is null for assets from before June 2025. */
const releaseSchema = lazily(() =>
  z.object({
    tag_name: z.string(),
    assets: z.custom<unknown[]>(isShortList, 'must be a list of assets').pipe(
      z.array(
        z.object({
          name: z.string(),
          size: z.number().int().min(0),
          digest: z.string().nullish(),
          state: z.string().optional(),
          url: z.url(),
          browser_download_url: z.url(),
        }),
      ),
    ),
  }),
)

/** GitHub allows 1,000 assets in a release. */
const maxAssets = 1_000

/** Checked before the assets are, so that a long list costs nothing. */
const isShortList = (value: unknown) => Array.isArray(value) && value.length <= maxAssets

type Release = z.output<ReturnType<typeof releaseSchema>>

type Asset = Release['assets'][number]

/** https://docs.github.com/rest/repos/repos */
const repositorySchema = lazily(() => z.object({ private: z.boolean() }))

/** About three times the size of a release with the most assets and the longest text. */
const maxReleaseBytes = 8 * 1024 * 1024

const version = { 'x-github-api-version': '2022-11-28' }

/**
 * Creates the source for `gh:` refs, which stand for the assets of a release.
 *
 * @example
 * new DownloadManager({ sources: [gitHub({ endpoint: 'https://github.example.com/api/v3' })] })
 */
export function gitHub(options: GitHubOptions = {}): Source {
  return {
    name: 'github',
    match: isGitHubRef,
    filenameOf: (ref) => parseGitHubRef(ref).asset,
    resolve: async (ref, context) => {
      const place = placeOf(parseGitHubRef(ref), options, context)
      const [release, secret] = await Promise.all([
        releaseOf(place, context),
        place.token === null ? false : isPrivate(place, context),
      ])
      const files = chosen(release, place, context).map((asset) => fileOf(asset, place, secret))
      return { name: place.ref.repo, files }
    },
  }
}

function placeOf(ref: GitHubRef, options: GitHubOptions, { env, tokens }: ResolveContext): Place {
  const given = options.endpoint ?? variable(env, 'GITHUB_API_URL') ?? 'https://api.github.com'
  const own = options.token === undefined ? variable(env, 'GITHUB_TOKEN', 'GH_TOKEN') : options.token
  const token = tokens === false ? null : own
  return {
    ref,
    endpoint: requireEndpoint(given, 'GITHUB_API_URL'),
    token: token === null ? null : requireToken(token, 'GITHUB_TOKEN'),
  }
}

const repositoryUrl = ({ endpoint, ref }: Place): string => `${endpoint}/repos/${ref.owner}/${ref.repo}`

async function ask(url: string, place: Place, context: ResolveContext): Promise<unknown> {
  const { json } = await context.fetchJson(url, {
    headers: { accept: 'application/vnd.github+json', ...version, ...credentials(place) },
    maxBytes: maxReleaseBytes,
    explain: (answer) => explain(answer, place),
  })
  return json
}

function credentials({ token }: Place): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

async function releaseOf(place: Place, context: ResolveContext): Promise<Release> {
  const { tag } = place.ref
  const url = `${repositoryUrl(place)}/releases/${tag === null ? 'latest' : `tags/${encodeURIComponent(tag)}`}`
  const parsed = releaseSchema().safeParse(await ask(url, place, context))
  if (!parsed.success) throw unusable(url)
  return parsed.data
}

/**
 * Whether the repository is private. Public assets are downloaded without the token, which saves the API's
 * rate limit.
 */
async function isPrivate(place: Place, context: ResolveContext): Promise<boolean> {
  const parsed = repositorySchema().safeParse(await ask(repositoryUrl(place), place, context))
  return !parsed.success || parsed.data.private
}

function chosen({ assets, tag_name: tag }: Release, { ref }: Place, context: ResolveContext): Asset[] {
  const { include, exclude } = context
  const repo = `${ref.owner}/${ref.repo}`
  const isWanted = selector(include, exclude)
  const uploaded = assets.filter(({ state = 'uploaded' }) => state === 'uploaded')
  const found = uploaded.filter(({ name }) => (ref.asset === null ? isWanted(name) : name === ref.asset))
  if (found.length > 0) return found
  const what = ref.asset === null ? 'no matching asset' : `no asset ${JSON.stringify(ref.asset)}`
  const isComing = assets.some(({ name }) => name === ref.asset)
  const names = uploaded.map(({ name }) => name)
  const has = names.length === 0 ? 'It has none.' : `It has ${fewOf(names)}.`
  throw new DownloadError(
    'NOT_FOUND',
    isComing
      ? `The asset ${JSON.stringify(ref.asset)} of ${repo}@${tag} is not uploaded yet; try again later.`
      : `The release ${tag} of ${repo} has ${what}. ${has}`,
    { retryable: isComing },
  )
}

function fileOf(asset: Asset, place: Place, secret: boolean): ResolvedFile {
  const { name, size, digest, url, browser_download_url: publicUrl } = asset
  if (!staysBelow(name) || name.includes('/')) throw unusable(place.endpoint)
  const sha256 = /^sha256:([0-9a-f]{64})$/i.exec(digest ?? '')?.[1]?.toLowerCase()
  if (!secret) return { filename: name, urls: [publicUrl], size, sha256, headers: {} }
  // The token must only go to the API's origin, whatever URL the API returns.
  if (new URL(url).origin !== new URL(place.endpoint).origin) throw unusable(place.endpoint)
  const headers = { accept: 'application/octet-stream', ...version, ...credentials(place) }
  return { filename: name, urls: [url], size, sha256, headers }
}

function explain(answer: ApiAnswer, place: Place): DownloadError | null {
  const { status, headers } = answer
  const { ref, token } = place
  const repo = `${ref.owner}/${ref.repo}`
  if (status === 401) {
    const message = 'GitHub does not accept GITHUB_TOKEN: it is invalid or has expired. Renew or unset it.'
    return new DownloadError('ACCESS_DENIED', message, { status })
  }
  if (status === 429 || (status === 403 && isLimit(answer))) return limitOf(answer, token)
  if (status === 403) {
    const message = headers['x-github-sso']?.startsWith('required')
      ? `The organisation ${ref.owner} requires single sign-on: authorise GITHUB_TOKEN for it at https://github.com/settings/tokens.`
      : `GitHub denies access to ${repo}: GITHUB_TOKEN must be allowed to read its contents.`
    return new DownloadError('ACCESS_DENIED', message, { status })
  }
  if (status === 404) {
    const what =
      ref.tag === null
        ? `${repo}, or it has no releases other than pre-releases, which need a tag in the ref`
        : `${repo} with a release ${ref.tag}`
    const secret =
      token === null
        ? 'If it is private, set GITHUB_TOKEN.'
        : 'If it is private, GITHUB_TOKEN needs access to it.'
    return new DownloadError('NOT_FOUND', `GitHub has no repository ${what}. ${secret}`, { status })
  }
  return null
}

/** https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api */
function isLimit({ headers, text }: ApiAnswer): boolean {
  return (
    headers['x-ratelimit-remaining'] === '0' ||
    headers['retry-after'] !== undefined ||
    /rate limit/i.test(text)
  )
}

function limitOf(answer: ApiAnswer, token: string | null): DownloadError {
  const { headers, status } = answer
  const hint = token === null ? ', or set GITHUB_TOKEN to have a limit far above 60 requests an hour' : ''
  const reset = Number(headers['x-ratelimit-reset'] ?? Number.NaN)
  const isUsedUp = headers['x-ratelimit-remaining'] === '0' && Number.isSafeInteger(reset) && reset < 1e11
  if (!isUsedUp) return rateLimited(answer, `wait a minute or more${hint}`)
  const now = serverTime(headers) ?? systemClock.wallNow()
  const until = new Date(reset * 1000).toISOString().replace('.000', '')
  const message = `GitHub's rate limit is exceeded until ${until}: wait${hint}.`
  return new DownloadError('HTTP_ERROR', message, {
    status,
    retryable: true,
    // The reset time has a resolution of one second.
    retryAfterMs: Math.max(0, reset * 1000 - now) + 1_000,
  })
}
