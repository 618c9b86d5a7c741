/** The source for models on Kaggle. */
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { Slices } from '../util/slices.js'
import { selector } from './globs.js'
import { escapePath } from './huggingface-ref.js'
import type { ApiAnswer, Resolution, ResolveContext, ResolvedFile, Source } from './source.js'
import {
  badRef,
  fewOf,
  isPlainPath,
  rateLimited,
  requireEndpoint,
  requireToken,
  segmentsOf,
  staysBelow,
  unusable,
  urlOf,
  variable,
} from './support.js'

// ---- Parsing refs and links. Pure.

/** A parsed ref or link. */
export interface KaggleRef {
  owner: string
  model: string
  framework: string
  variation: string
  /** Number of the version; null for the newest one. */
  version: string | null
  /** Path of a file, or of a folder if it ends with a slash; null for all files. */
  path: string | null
}

const example =
  'kaggle:owner/model/framework/variation, kaggle:owner/model/framework/variation/version or kaggle:owner/model/framework/variation/version/path/to/file'

const prefix = /^kaggle:/i

const link = /^https?:\/\/(?:www\.)?kaggle\.com\/models\/[^/?#]+\/[^/?#]+/i

const slug = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,127})$/

/** Whether a text is a ref or link of a model on Kaggle, even if it is malformed. */
export function isKaggleRef(ref: string): boolean {
  return prefix.test(ref) || link.test(ref)
}

/**
 * Parses `kaggle:owner/model/framework/variation[/version[/path]]`, or a link to the page of a variation.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseKaggleRef(ref: string): KaggleRef {
  const segments = prefix.test(ref) ? ref.replace(prefix, '').split('/') : segmentsOfLink(ref)
  const [owner = '', model = '', framework = '', variation = '', version, ...path] = segments
  if (![owner, model, framework, variation].every((part) => slug.test(part))) {
    throw badRef('The owner, model, framework or variation is missing or not valid.', example)
  }
  // A trailing slash says nothing more.
  const number = version === undefined || (version === '' && path.length === 0) ? null : version
  if (number !== null && !/^[1-9]\d{0,8}$/.test(number)) {
    throw badRef('The version is a number.', example)
  }
  const file = path.join('/')
  if (file !== '' && !isPlainPath(file.replace(/\/$/, ''))) {
    throw badRef('The path in the model is not valid.', example)
  }
  return { owner, model, framework, variation, version: number, path: file === '' ? null : file }
}

/** `/models/owner/model/framework/variation/version`, with the words `frameworks`, `variations` and `versions` between. */
function segmentsOfLink(text: string): string[] {
  const url = urlOf(text)
  const segments = url === null ? null : segmentsOf(url)
  if (segments === null) throw badRef('The link is not valid.', example)
  const words = new Set(['frameworks', 'variations', 'versions'])
  return segments
    .slice(1)
    .filter((segment) => !words.has(segment))
    .slice(0, 5)
}

// ---- Resolving refs.

/** Options for {@link kaggle}. */
export interface KaggleOptions {
  /** Address of the site. Default: `KAGGLE_API_ENDPOINT`, else `https://www.kaggle.com`. */
  endpoint?: string
  /**
   * API token, or user name and key; null for none. They are sent to the site's origin only, and not to the storage that it
   * redirects to. Default: `KAGGLE_API_TOKEN`, else `KAGGLE_USERNAME` and `KAGGLE_KEY`, else the files `access_token` and
   * `kaggle.json` in `KAGGLE_CONFIG_DIR` or `~/.kaggle`.
   */
  credentials?: string | { username: string; key: string } | null
}

interface Place {
  /** Without a trailing slash. */
  endpoint: string
  /** The `Authorization` header; null without credentials. */
  authorization: string | null
  ref: KaggleRef
}

const instanceSchema = lazily(() => z.object({ versionNumber: z.number().int().positive() }))

const listSchema = lazily(() =>
  z.object({
    // The entries are checked one by one, because there may be many.
    files: z.custom<unknown[]>(Array.isArray).nullish(),
    nextPageToken: z.string().nullish(),
  }),
)

const entrySchema = lazily(() =>
  z.object({ name: z.string().min(1), size: z.number().int().min(0).nullish() }),
)

const keyFile = lazily(() => z.object({ username: z.string().min(1), key: z.string().min(1) }))

/** Twice as many files as a group may have. */
const maxListed = 20_000

const maxPages = 500

/** What checking an entry of the list costs, in units of {@link Slices}. */
const entryUnits = 1_000

/** Creates the source for `kaggle:` refs and for links to the pages of models on Kaggle. */
export function kaggle(options: KaggleOptions = {}): Source {
  return {
    name: 'kaggle',
    match: isKaggleRef,
    filenameOf: (ref) => {
      const { path } = parseKaggleRef(ref)
      return path === null || path.endsWith('/') ? null : path.slice(path.lastIndexOf('/') + 1)
    },
    resolve: async (ref, context) => {
      const place = await placeOf(parseKaggleRef(ref), options, context)
      const version = place.ref.version ?? (await newestOf(place, context))
      const files = await listed(place, version, context)
      return resolutionOf(place, version, files)
    },
  }
}

async function placeOf(ref: KaggleRef, options: KaggleOptions, context: ResolveContext): Promise<Place> {
  const given = options.endpoint ?? variable(context.env, 'KAGGLE_API_ENDPOINT') ?? 'https://www.kaggle.com'
  const endpoint = requireEndpoint(given, 'KAGGLE_API_ENDPOINT')
  return { ref, endpoint, authorization: await authorizationOf(options.credentials, context) }
}

async function authorizationOf(
  given: KaggleOptions['credentials'],
  context: ResolveContext,
): Promise<string | null> {
  const { env, tokens } = context
  if (tokens === false || given === null) return null
  if (typeof given === 'string') return `Bearer ${requireToken(given, 'credentials')}`
  if (given !== undefined) return basic(given)
  const token = variable(env, 'KAGGLE_API_TOKEN')
  if (token !== null) return `Bearer ${requireToken(token, 'KAGGLE_API_TOKEN')}`
  const username = variable(env, 'KAGGLE_USERNAME')
  const key = variable(env, 'KAGGLE_KEY')
  if (username !== null && key !== null) return basic({ username, key })
  const folder = variable(env, 'KAGGLE_CONFIG_DIR') ?? '~/.kaggle'
  const stored = (await context.readTextFile(`${folder}/access_token`))?.trim() ?? ''
  if (stored !== '') return `Bearer ${requireToken(stored, 'The file access_token')}`
  const text = await context.readTextFile(`${folder}/kaggle.json`)
  const parsed = text === null ? null : keyFile().safeParse(jsonOf(text))
  return parsed?.success === true ? basic(parsed.data) : null
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return null
  }
}

function basic({ username, key }: { username: string; key: string }): string {
  if (username.includes(':')) {
    const message = 'must not contain a colon'
    throw new DownloadError('INVALID_OPTIONS', `KAGGLE_USERNAME ${message}.`, {
      issues: [{ path: 'KAGGLE_USERNAME', message }],
    })
  }
  const login = `${requireToken(username, 'KAGGLE_USERNAME')}:${requireToken(key, 'KAGGLE_KEY')}`
  return `Basic ${Buffer.from(login).toString('base64')}`
}

function credentials({ authorization }: Place): Record<string, string> {
  return authorization === null ? {} : { authorization }
}

function variationUrl({ endpoint, ref }: Place): string {
  const { owner, model, framework, variation } = ref
  return `${endpoint}/api/v1/models/${owner}/${model}/${framework}/${variation}`
}

async function ask(url: string, place: Place, context: ResolveContext): Promise<unknown> {
  const { json } = await context.fetchJson(url, {
    headers: credentials(place),
    maxBytes: 4 * 1024 * 1024,
    explain: (answer) => explain(answer, place),
  })
  return json
}

async function newestOf(place: Place, context: ResolveContext): Promise<string> {
  if (context.revision !== undefined && /^[1-9]\d{0,8}$/.test(context.revision)) return context.revision
  const url = `${variationUrl(place)}/get`
  const parsed = instanceSchema().safeParse(await ask(url, place, context))
  if (!parsed.success) throw unusable(url)
  return String(parsed.data.versionNumber)
}

interface Listed {
  path: string
  size: number | undefined
}

async function listed(place: Place, version: string, context: ResolveContext): Promise<Listed[]> {
  const { path: wanted } = place.ref
  const slices = new Slices()
  const isSelected = selector(context.include, context.exclude, slices)
  const isWanted = (path: string) => {
    if (wanted === null) return isSelected(path)
    return wanted.endsWith('/') ? path.startsWith(wanted) && isSelected(path) : path === wanted
  }
  const files: Listed[] = []
  const seen: string[] = []
  let token = ''
  for (let page = 0; page < maxPages; page += 1) {
    const query = new URLSearchParams({ page_size: '200', ...(token === '' ? {} : { page_token: token }) })
    const url = `${variationUrl(place)}/${version}/files?${query.toString()}`
    const parsed = listSchema().safeParse(await ask(url, place, context))
    if (!parsed.success) throw unusable(url)
    const found = await slices.flatMap(parsed.data.files ?? [], entryUnits, (entry): Listed[] => {
      const one = entrySchema().safeParse(entry)
      if (!one.success) throw unusable(url)
      const path = one.data.name.replace(/^\/+/, '')
      if (!staysBelow(path)) throw unusable(url)
      seen.push(path)
      return isWanted(path) ? [{ path, size: one.data.size ?? undefined }] : []
    })
    for (const file of found) files.push(file)
    if (seen.length > maxListed) throw tooMany()
    const next = parsed.data.nextPageToken ?? ''
    if (next === '') break
    if (next === token || page + 1 === maxPages) {
      throw new DownloadError('PROTOCOL_ERROR', "Kaggle's list of files is endless.")
    }
    token = next
  }
  if (files.length > 0) return files
  const has = seen.length === 0 ? 'It has none.' : `It has ${fewOf(seen)}.`
  throw new DownloadError(
    'NOT_FOUND',
    `The version ${version} of ${nameOf(place.ref)} has no matching file. ${has}`,
  )
}

function tooMany(): DownloadError {
  const message = `names more than ${maxListed} files; choose some with include or exclude`
  return new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
}

function resolutionOf(place: Place, version: string, files: readonly Listed[]): Resolution {
  const { model, variation } = place.ref
  return {
    name: `${model}-${variation}`,
    files: files.map(({ path, size }): ResolvedFile => ({
      filename: path,
      urls: [`${variationUrl(place)}/${version}/download/${escapePath(path)}`],
      size,
      revision: version,
      headers: credentials(place),
    })),
  }
}

function nameOf({ owner, model, framework, variation }: KaggleRef): string {
  return `${owner}/${model}/${framework}/${variation}`
}

function explain(answer: ApiAnswer, place: Place): DownloadError | null {
  const { status } = answer
  const { endpoint, authorization, ref } = place
  const name = nameOf(ref)
  switch (status) {
    case 401: {
      const message =
        authorization === null
          ? `${name} requires an account: create a token at ${endpoint}/settings and set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY.`
          : 'Kaggle does not accept the credentials: the token or key is wrong or has been revoked.'
      return new DownloadError('ACCESS_DENIED', message, { status })
    }
    case 403: {
      const page = `${endpoint}/models/${ref.owner}/${ref.model}`
      const message =
        authorization === null
          ? `Kaggle denies access to ${name}, or it does not exist: set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY.`
          : `Kaggle denies this account access to ${name}, or it does not exist: accept its terms at ${page}.`
      return new DownloadError('ACCESS_DENIED', message, { status })
    }
    case 404: {
      const version = ref.version === null ? '' : ` with a version ${ref.version}`
      const secret = authorization === null ? ' If it is private, set KAGGLE_API_TOKEN.' : ''
      return new DownloadError('NOT_FOUND', `Kaggle has no model ${name}${version}.${secret}`, { status })
    }
    case 429:
      return rateLimited(answer, 'wait')
    default:
      return null
  }
}
