/** The source for Ollama's registry and any other that implements the OCI distribution protocol. */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { Slices } from '../util/slices.js'
import { selector } from './globs.js'
import {
  chooseLayers,
  chooseManifest,
  type Manifest,
  manifestSchema,
  maxLayers,
  parseChallenge,
  requireOwnRealm,
} from './oci.js'
import { isSameSite } from './site.js'
import type { ApiAnswer, JsonAnswer, Resolution, ResolveContext, Source } from './source.js'
import { badRef, isToken, rateLimited, unusable } from './support.js'

// ---- Parsing refs. Pure.

/** A parsed ref. */
export interface OllamaRef {
  /** `https://host[:port]`; `http:` for loopback hosts, and when the ref says so. */
  origin: string
  /** Path of the repository, such as `library/llama3.2`. */
  repository: string
  /** A tag, or a manifest's digest `sha256:<hex>`. */
  reference: string
  /** Whether to download the model alone or every layer. */
  layers: 'model' | 'all'
}

const example = 'ollama:name:tag, ollama:namespace/name:tag or ollama:host/namespace/name:tag'

const prefix = /^ollama:/i

/** The registry of refs without a host. */
export const ollamaHost = 'registry.ollama.ai'

const part = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.)){0,127}$/

const digest = /^sha256:[0-9a-f]{64}$/

const host = /^(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?$/i

const thisMachine = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i

/** Pages of a model: `/library/name:tag` and `/user/name:tag`, and what is below them. */
const link = /^https?:\/\/(?:www\.)?ollama\.(?:com|ai)\/([^/?#]+)\/([^/?#]+)/i

/** First segments of pages and files that are no models. */
const sitePages = new Set(
  'api assets blog cloud connect docs download downloads install models public search settings signin signup static v1 v2'.split(
    ' ',
  ),
)

/** The ref for a link to a page of Ollama's library; null for any other text. */
function refOfLink(text: string): string | null {
  const [, owner = '', name = ''] = link.exec(text) ?? []
  if (owner === '' || sitePages.has(owner.toLowerCase())) return null
  const [model = '', tag = 'latest', ...more] = name.replace(/%3A/i, ':').split(':')
  const isModel = more.length === 0 && [owner, model, tag].every((one) => part.test(one))
  return isModel ? `ollama:${owner}/${model}:${tag}` : null
}

/** Whether a text has the scheme `ollama:`, even if it is malformed, or is a link to a page of Ollama's library. */
export function isOllamaRef(ref: string): boolean {
  return prefix.test(ref) || refOfLink(ref) !== null
}

/**
 * Parses `ollama:[[host/]namespace/]name[:tag][@sha256:digest][?layers=all]`. The namespace defaults to
 * `library` and the tag to `latest`. The first part is a host if it contains a dot or a colon, is
 * `localhost`, or is followed by two more parts. A host may be preceded by `http://` or `https://`. A link to a page of
 * Ollama's library stands for its model.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseOllamaRef(ref: string): OllamaRef {
  const [path = '', query, ...more] = (refOfLink(ref) ?? ref).replace(prefix, '').split('?')
  if (more.length > 0 || (query !== undefined && query !== 'layers=all')) {
    throw badRef('The only allowed query is ?layers=all.', example)
  }
  const scheme = /^https?:\/\//i.exec(path)?.[0].toLowerCase() ?? null
  const segments = path.slice(scheme?.length ?? 0).split('/')
  const first = segments[0] ?? ''
  const hasHost =
    scheme !== null || (segments.length > 1 && (/[.:]|^localhost$/i.test(first) || segments.length > 2))
  const authority = hasHost ? (segments.shift() ?? '') : ollamaHost
  const origin = originOf(scheme ?? (thisMachine.test(authority) ? 'http://' : 'https://'), authority)

  const { name, reference } = dividedName(segments.pop() ?? '')
  const folders = segments.length === 0 && authority.toLowerCase() === ollamaHost ? ['library'] : segments
  const repository = [...folders, name]
  if (!repository.every((segment) => part.test(segment)) || repository.join('/').length > 255) {
    throw badRef("The model's name is not valid.", example)
  }
  return {
    origin,
    repository: repository.join('/'),
    reference,
    layers: query === undefined ? 'model' : 'all',
  }
}

/** Splits `name[:tag][@digest]`; a digest takes precedence over a tag. */
function dividedName(text: string): { name: string; reference: string } {
  const at = text.indexOf('@')
  const [name = '', tag = 'latest', ...more] = (at === -1 ? text : text.slice(0, at)).split(':')
  if (more.length > 0 || !part.test(tag)) throw badRef('The tag is not valid.', example)
  if (at === -1) return { name, reference: tag }
  const reference = text.slice(at + 1)
  if (!digest.test(reference)) throw badRef('The digest must be sha256: and 64 hexadecimal digits.', example)
  return { name, reference }
}

function originOf(scheme: string, authority: string): string {
  const text = scheme + authority
  if (!host.test(authority) || !URL.canParse(text))
    throw badRef('The host of the registry is not valid.', example)
  return new URL(text).origin
}

/**
 * The file name without extension: `name-tag`, `name-` and the first digits of the digest, or `name` for
 * `latest`.
 */
export function stemOf({ repository, reference }: OllamaRef): string {
  const name = repository.slice(repository.lastIndexOf('/') + 1)
  const version = digest.test(reference) ? reference.slice(7, 19) : reference
  return version === 'latest' ? name : `${name}-${version}`
}

// ---- Resolving refs.

/**
 * Manifests and indexes of OCI and Docker:
 * https://github.com/opencontainers/image-spec/blob/main/media-types.md
 */
const accept = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

/** The size that registries accept (OCI distribution-spec, "Pushing Manifests"). */
const maxManifestBytes = 4 * 1024 * 1024

/** https://distribution.github.io/distribution/spec/auth/token/ */
const tokenSchema = lazily(() =>
  z.object({ token: z.string().nullish(), access_token: z.string().nullish() }),
)

/** The state of resolving one ref. */
interface Session {
  ref: OllamaRef
  context: ResolveContext
  /** The authorization header, once a token has been obtained. */
  headers: Readonly<Record<string, string>>
}

/**
 * Creates the source for `ollama:` refs and links to the pages of Ollama's library, which stand for the model in a manifest or, with `?layers=all`, for
 * everything in it. It has no credentials; if a registry requires a token, an anonymous one is requested.
 */
export function ollama(): Source {
  return {
    name: 'ollama',
    match: isOllamaRef,
    filenameOf: (ref) => {
      const parsed = parseOllamaRef(ref)
      // On other registries a model may have any format.
      const isGguf = parsed.layers === 'model' && ggufHosts.has(new URL(parsed.origin).host)
      return isGguf ? `${stemOf(parsed)}.gguf` : null
    },
    resolve: async (ref, context) => {
      const session: Session = { ref: parseOllamaRef(ref), context, headers: {} }
      const { manifest, digest } = await manifestOf(session)
      return resolutionOf(session, manifest, digest)
    },
  }
}

const ggufHosts = new Set([ollamaHost, 'hf.co', 'huggingface.co'])

async function manifestOf(session: Session): Promise<{ manifest: Manifest; digest: string }> {
  const { revision } = session.context
  const first = await readManifest(session, revision ?? session.ref.reference)
  const manifests = first.manifest.manifests ?? null
  if (manifests === null) return first
  const chosen = chooseManifest(manifests, process.arch)
  if (chosen === null) {
    throw new DownloadError('NOT_FOUND', `${nameOf(session.ref)} is an index without manifests.`)
  }
  const second = await readManifest(session, chosen.digest)
  if ((second.manifest.manifests ?? null) === null) return second
  throw new DownloadError(
    'PROTOCOL_ERROR',
    `${nameOf(session.ref)} is an index of indexes; name a manifest by its digest.`,
  )
}

/** Requests a manifest by tag or digest, and verifies the digest. */
async function readManifest(
  session: Session,
  reference: string,
): Promise<{ manifest: Manifest; digest: string }> {
  const answer = await ask(session, reference)
  const manifest = await parseManifest(answer)
  const digest = `sha256:${createHash('sha256').update(answer.text).digest('hex')}`
  if (reference.startsWith('sha256:') && reference !== digest) {
    const message = `The manifest that ${session.ref.origin} sent for ${nameOf(session.ref)} does not have the requested digest.`
    throw new DownloadError('CHECKSUM_MISMATCH', message)
  }
  return { manifest, digest }
}

/** How many layers are checked at once. */
const layersPerChunk = 250

/** What checking a layer costs, in units of {@link Slices}. */
const layerUnits = 1_000

/** Checks a manifest, its layers in slices. */
async function parseManifest({ json, url }: JsonAnswer): Promise<Manifest> {
  const check = (value: unknown) => {
    const parsed = manifestSchema().safeParse(value)
    if (!parsed.success) throw unusable(url)
    return parsed.data
  }
  if (typeof json !== 'object' || json === null || !('layers' in json)) return check(json)
  const { layers } = json
  if (!Array.isArray(layers) || layers.length > maxLayers) return check(json)
  const slices = new Slices()
  const starts = Array.from(
    { length: Math.ceil(layers.length / layersPerChunk) },
    (_, n) => n * layersPerChunk,
  )
  const checked = await slices.flatMap(starts, layersPerChunk * layerUnits, (start) => {
    return check({ layers: layers.slice(start, start + layersPerChunk) }).layers ?? []
  })
  return { ...check({ ...json, layers: [] }), layers: checked }
}

/** Requests a manifest, obtaining a token first if the registry requires one. */
async function ask(session: Session, reference: string): Promise<JsonAnswer> {
  const { ref, context } = session
  const url = `${ref.origin}/v2/${ref.repository}/manifests/${reference}`
  const request = (headers: Session['headers'], statuses: readonly number[]) =>
    context.fetchJson(url, {
      headers: { accept, ...headers },
      accept: statuses,
      maxBytes: maxManifestBytes,
      explain: (answer) => explain(answer, ref),
    })
  // A token that is refused may have expired while the registry asked to wait.
  const answer = await request(session.headers, [401])
  if (answer.status !== 401) return answer
  session.headers = { authorization: `Bearer ${await tokenFor(session, answer)}` }
  return request(session.headers, [])
}

/** Obtains an anonymous token from the token service that the registry names. */
async function tokenFor({ ref, context }: Session, { headers }: ApiAnswer): Promise<string> {
  const challenge = parseChallenge(headers['www-authenticate'] ?? '')
  if (challenge === null) throw loginNeeded(ref, 401)
  const realm = await requireOwnRealm(ref.origin, challenge.realm)
  realm.searchParams.set('scope', challenge.scope ?? `repository:${ref.repository}:pull`)
  if (challenge.service !== null) realm.searchParams.set('service', challenge.service)
  const answer = await context.fetchJson(realm, {
    maxBytes: 256 * 1024,
    explain: (refused) => explain(refused, ref),
  })
  // The token service may have redirected the request to another host.
  if (!(await isSameSite(new URL(ref.origin).hostname, new URL(answer.url).hostname))) {
    await requireOwnRealm(ref.origin, new URL(answer.url).origin)
  }
  const parsed = tokenSchema().safeParse(answer.json)
  const token = parsed.success ? (parsed.data.token ?? parsed.data.access_token ?? '') : ''
  if (!isToken(token)) throw unusable(answer.url)
  return token
}

function resolutionOf({ ref, context, headers }: Session, manifest: Manifest, revision: string): Resolution {
  const { include, exclude } = context
  const isWanted = selector(include, exclude)
  const files = chooseLayers(manifest, stemOf(ref), ref.layers)
    .filter(({ filename }) => ref.layers === 'model' || isWanted(filename))
    .map(({ filename, digest, size }) => ({
      filename,
      urls: [`${ref.origin}/v2/${ref.repository}/blobs/${digest}`],
      size,
      sha256: /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1],
      revision,
      headers,
    }))
  if (files.length > 0) return { name: stemOf(ref), files }
  throw new DownloadError('NOT_FOUND', `${nameOf(ref)} has no layer that matches the globs.`)
}

/** The full name, for messages. */
function nameOf({ origin, repository, reference }: OllamaRef): string {
  const host = new URL(origin).host
  return `${host}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`
}

function explain(answer: ApiAnswer, ref: OllamaRef): DownloadError | null {
  const { status } = answer
  switch (status) {
    case 400:
    case 404: {
      const page = ref.repository.replace(/^library\//, '')
      const look =
        new URL(ref.origin).host === ollamaHost
          ? ` The available tags are listed at https://ollama.com/${page}/tags`
          : ''
      return new DownloadError('NOT_FOUND', `The registry has no ${nameOf(ref)}.${look}`, { status })
    }
    case 401:
    case 403:
      return loginNeeded(ref, status)
    case 412:
      return new DownloadError('ACCESS_DENIED', `${nameOf(ref)} requires a newer version of Ollama.`, {
        status,
      })
    case 429:
      return rateLimited(answer, 'wait')
    default:
      return null
  }
}

function loginNeeded(ref: OllamaRef, status: number): DownloadError {
  return new DownloadError(
    'ACCESS_DENIED',
    `${nameOf(ref)} does not exist, or the registry requires a login for it. Check the name; only models that can be pulled without a login are supported.`,
    { status },
  )
}
