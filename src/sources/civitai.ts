/** The source for Civitai. */
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { selector } from './globs.js'
import type { ApiAnswer, Resolution, ResolveContext, ResolvedFile, Source } from './source.js'
import {
  badRef,
  fewOf,
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
export interface CivitaiRef {
  /** The model; null if only a version is named. */
  model: string | null
  /** The version; null for the newest one of the model. */
  version: string | null
  /** Name of a file, empty for all files; null for the main file. */
  file: string | null
}

const example =
  'civitai:modelVersionId, civitai:modelVersionId/file.safetensors or, for all files, civitai:modelVersionId/'

const prefix = /^civitai:/i

/** Pages of models; a direct link to a file (`/api/download/…`) is an ordinary URL. */
const link = /^https?:\/\/(?:www\.)?civitai\.(?:com|green)\/models\/\d/i

const id = /^[1-9]\d{0,11}$/

const fileName = /^(?!\.{1,2}$)[^\p{Cc}\p{Cs}/\\]{0,255}$/u

/** Whether a text is a ref or link of Civitai, even if it is malformed. */
export function isCivitaiRef(ref: string): boolean {
  return prefix.test(ref) || link.test(ref)
}

/**
 * Parses `civitai:version[/file]`, `civitai:model@version[/file]`, or a link to the page of a model.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseCivitaiRef(ref: string): CivitaiRef {
  const parts = prefix.test(ref) ? partsOfRef(ref.replace(prefix, '')) : partsOfLink(ref)
  const { model, version, file } = parts
  const ids = [model, version].filter((part) => part !== null)
  if (ids.length === 0 || !ids.every((part) => id.test(part))) {
    throw badRef('The number of the model or its version is not valid.', example)
  }
  if (file !== null && !fileName.test(file)) throw badRef("The file's name is not valid.", example)
  return parts
}

function partsOfRef(text: string): CivitaiRef {
  const slash = text.indexOf('/')
  const numbers = slash === -1 ? text : text.slice(0, slash)
  const file = slash === -1 ? null : text.slice(slash + 1)
  const [first = '', second, ...more] = numbers.split('@')
  if (more.length > 0) throw badRef('The ref has too many parts.', example)
  return second === undefined
    ? { model: null, version: first, file }
    : { model: first, version: second, file }
}

function partsOfLink(text: string): CivitaiRef {
  const url = urlOf(text)
  const segments = url === null ? null : segmentsOf(url)
  if (url === null || segments === null) throw badRef('The link is not valid.', example)
  return { model: segments[1] ?? '', version: url.searchParams.get('modelVersionId'), file: null }
}

// ---- Resolving refs.

/** Options for {@link civitai}. */
export interface CivitaiOptions {
  /** Address of the site. Default: `CIVITAI_ENDPOINT`, else `https://civitai.com`. */
  endpoint?: string
  /**
   * API key; null for none. It is sent to the site's origin only, and not to the storage that it redirects to. Default:
   * `CIVITAI_TOKEN`, else `CIVITAI_API_TOKEN`, else `CIVITAI_API_KEY`.
   */
  token?: string | null
}

interface Place {
  /** Without a trailing slash. */
  endpoint: string
  token: string | null
  ref: CivitaiRef
}

/** https://developer.civitai.com/docs/api/public-rest; `sizeKB` is a fraction with all digits. */
const versionSchema = lazily(() =>
  z.object({
    id: z.number().int(),
    modelId: z.number().int().optional(),
    model: z.object({ name: z.string() }).partial().nullish(),
    files: z
      .array(
        z.object({
          name: z.string(),
          sizeKB: z.number().min(0).nullish(),
          primary: z.boolean().nullish(),
          downloadUrl: z.string(),
          hashes: z.record(z.string(), z.unknown()).nullish(),
        }),
      )
      .max(1_000),
  }),
)

type Version = z.output<ReturnType<typeof versionSchema>>

type VersionFile = Version['files'][number]

const modelSchema = lazily(() =>
  z.object({
    name: z.string().nullish(),
    modelVersions: z.array(z.object({ id: z.number().int() })).max(10_000),
  }),
)

/** Creates the source for `civitai:` refs and for links to the site's pages of models. */
export function civitai(options: CivitaiOptions = {}): Source {
  return {
    name: 'civitai',
    match: isCivitaiRef,
    filenameOf: (ref) => {
      const { file } = parseCivitaiRef(ref)
      return file === null || file === '' ? null : file
    },
    resolve: async (ref, context) => {
      const place = placeOf(parseCivitaiRef(ref), options, context)
      const version = await versionOf(place, context)
      const files = chosen(version, place, context).map((file) => fileOf(file, version, place))
      const [first] = files
      if (first !== undefined) await requireAccess(first, place, context)
      return resolutionOf(version, files)
    },
  }
}

function placeOf(ref: CivitaiRef, options: CivitaiOptions, { env, tokens }: ResolveContext): Place {
  const given = options.endpoint ?? variable(env, 'CIVITAI_ENDPOINT') ?? 'https://civitai.com'
  const own =
    options.token === undefined
      ? variable(env, 'CIVITAI_TOKEN', 'CIVITAI_API_TOKEN', 'CIVITAI_API_KEY')
      : options.token
  const token = tokens === false ? null : own
  return {
    ref,
    endpoint: requireEndpoint(given, 'CIVITAI_ENDPOINT'),
    token: token === null ? null : requireToken(token, 'CIVITAI_TOKEN'),
  }
}

function credentials({ token }: Place): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

async function ask(path: string, place: Place, context: ResolveContext): Promise<unknown> {
  const { json } = await context.fetchJson(`${place.endpoint}/api/v1/${path}`, {
    headers: credentials(place),
    maxBytes: 8 * 1024 * 1024,
    explain: (answer) => explain(answer, place),
  })
  return json
}

async function versionOf(place: Place, context: ResolveContext): Promise<Version> {
  const { model, version } = place.ref
  const number = version ?? (await newestOf(model ?? '', place, context))
  const parsed = versionSchema().safeParse(await ask(`model-versions/${number}`, place, context))
  if (!parsed.success || String(parsed.data.id) !== number) throw unusable(place.endpoint)
  const { modelId } = parsed.data
  if (model !== null && modelId !== undefined && String(modelId) !== model) {
    throw new DownloadError(
      'NOT_FOUND',
      `The version ${number} is of the model ${String(modelId)}, not of ${model}.`,
    )
  }
  return parsed.data
}

/** Newer versions come first. */
async function newestOf(model: string, place: Place, context: ResolveContext): Promise<string> {
  const parsed = modelSchema().safeParse(await ask(`models/${model}`, place, context))
  if (!parsed.success) throw unusable(place.endpoint)
  const [newest] = parsed.data.modelVersions
  if (newest === undefined) {
    throw new DownloadError('NOT_FOUND', `The model ${model} on Civitai has no published version.`)
  }
  return String(newest.id)
}

function chosen({ id: version, files }: Version, { ref }: Place, context: ResolveContext): VersionFile[] {
  if (ref.file === null) {
    const main = files.find(({ primary }) => primary === true) ?? files[0]
    if (main !== undefined) return [main]
  }
  const isWanted = selector(context.include, context.exclude)
  const found = files.filter(({ name }) => (ref.file === '' ? isWanted(name) : name === ref.file))
  if (found.length > 0) return distinct(found)
  const has = files.length === 0 ? 'It has none.' : `It has ${fewOf(files.map(({ name }) => name))}.`
  throw new DownloadError(
    'NOT_FOUND',
    `The version ${String(version)} on Civitai has no matching file. ${has}`,
  )
}

/** A version may have variants of one name, of which the main one comes first. */
function distinct(files: readonly VersionFile[]): VersionFile[] {
  const byName = new Map<string, VersionFile>()
  for (const file of files) {
    const known = byName.get(file.name)
    if (known === undefined || (file.primary === true && known.primary !== true)) byName.set(file.name, file)
  }
  return [...byName.values()]
}

function fileOf(file: VersionFile, version: Version, place: Place): ResolvedFile {
  const { name, sizeKB, downloadUrl, hashes } = file
  if (name === '' || !fileName.test(name)) throw unusable(place.endpoint)
  const url = urlOf(downloadUrl)
  // The token must only go to the site itself, whatever URL its API returns.
  if (url?.origin !== new URL(place.endpoint).origin) throw unusable(place.endpoint)
  const hash = (algorithm: string, digits: number) => hexIn(hashes?.[algorithm], digits)
  const sha256 = hash('SHA256', 64)
  const stated = [
    { algorithm: 'blake3', value: hash('BLAKE3', 64) },
    { algorithm: 'crc32', value: hash('CRC32', 8) },
  ] as const
  const digests = stated.flatMap(({ algorithm, value }) => (value === null ? [] : [{ algorithm, value }]))
  return {
    filename: name,
    urls: [url.href],
    size: sizeIn(sizeKB),
    ...(sha256 === null ? {} : { sha256 }),
    ...(digests.length === 0 ? {} : { digests }),
    revision: String(version.id),
    headers: credentials(place),
  }
}

/** Digests are in upper case. */
function hexIn(value: unknown, digits: number): string | null {
  const text = typeof value === 'string' ? value.toLowerCase() : ''
  return text.length === digits && /^[0-9a-f]+$/.test(text) ? text : null
}

/** The size in bytes; undefined where the number of kilobytes has been rounded. */
function sizeIn(kilobytes: number | null | undefined): number | undefined {
  const bytes = (kilobytes ?? Number.NaN) * 1024
  const whole = Math.round(bytes)
  return Number.isSafeInteger(whole) && whole > 0 && Math.abs(bytes - whole) < 1e-3 ? whole : undefined
}

/** The list of files is public; only a request for a file shows whether it needs an account. */
async function requireAccess(file: ResolvedFile, place: Place, context: ResolveContext): Promise<void> {
  const answer = await context.fetchHead(file.urls[0] ?? '', {
    headers: credentials(place),
    explain: (got) => explain(got, place),
  })
  // Without the rights, the site leads to its login.
  const path = urlOf(answer.url)?.pathname ?? ''
  const target = urlOf(answer.headers['location'] ?? '')?.pathname ?? ''
  if (/^\/login(?:\/|$)/.test(path) || /^\/login(?:\/|$)/.test(target)) throw denied(place, 401)
}

function resolutionOf({ model, id: version }: Version, files: ResolvedFile[]): Resolution {
  const name = model?.name?.trim() ?? ''
  return { name: name === '' ? `civitai-${String(version)}` : name, files }
}

function explain(answer: ApiAnswer, place: Place): DownloadError | null {
  const { status } = answer
  const { model, version } = place.ref
  switch (status) {
    case 401:
    case 403:
      return denied(place, status)
    case 404: {
      const what = version === null ? `model ${model ?? ''}` : `model version ${version}`
      const note =
        model === null
          ? ' A ref names the number of a version, which is in the address of its page after modelVersionId=.'
          : ''
      return new DownloadError('NOT_FOUND', `Civitai has no ${what}.${note}`, { status })
    }
    case 429:
      return rateLimited(answer, place.token === null ? 'wait, or set CIVITAI_TOKEN' : 'wait')
    default:
      return null
  }
}

function denied({ token, endpoint }: Place, status: number): DownloadError {
  const message =
    token === null
      ? `Civitai gives this file to accounts only: get an API key at ${endpoint}/user/account and set CIVITAI_TOKEN.`
      : 'Civitai does not give this file to the account of CIVITAI_TOKEN: the key may have been revoked, or the model may be in early access.'
  return new DownloadError('ACCESS_DENIED', message, { status })
}
