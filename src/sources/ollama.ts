/** Ollama's registry, and every other that speaks OCI's distribution protocol, as a source. */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { selects } from './globs.js'
import {
  chooseLayers,
  chooseManifest,
  type Manifest,
  manifestSchema,
  parseChallenge,
  requireOwnRealm,
} from './oci.js'
import { isSameSite } from './site.js'
import type { ApiAnswer, JsonAnswer, Resolution, ResolveContext, Source } from './source.js'
import { badRef, isToken, rateLimited, unusable } from './support.js'

// ---- Refs of the Ollama registry, and of any other that speaks OCI's protocol. Pure.

/** What a ref of a registry names. */
export interface OllamaRef {
  /** `https://host[:port]`; `http:` for this machine, and where the ref says so. */
  origin: string
  /** The repository, with slashes, such as `library/llama3.2`. */
  repository: string
  /** A tag, or a manifest's digest `sha256:<hex>`. */
  reference: string
  /** Whether every layer is wanted, or the model alone. */
  layers: 'model' | 'all'
}

const example = 'ollama:name:tag, ollama:namespace/name:tag or ollama:host/namespace/name:tag'

const prefix = /^ollama:/i

/** Where names without a host come from. */
export const ollamaHost = 'registry.ollama.ai'

const part = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.)){0,127}$/

const digest = /^sha256:[0-9a-f]{64}$/

const host = /^(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?$/i

const thisMachine = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i

/** Whether a text is a ref of a registry, right or wrong. */
export function isOllamaRef(ref: string): boolean {
  return prefix.test(ref)
}

/**
 * Takes a ref apart: `ollama:[[host/]namespace/]name[:tag][@sha256:digest][?layers=all]`. The namespace is `library`
 * and the tag `latest` unless it says otherwise. The first part is a host when it holds a dot or a colon, is
 * `localhost`, or has two parts behind it. A host may have `http://` or `https://` in front.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseOllamaRef(ref: string): OllamaRef {
  const [path = '', query, ...more] = ref.replace(prefix, '').split('?')
  if (more.length > 0 || (query !== undefined && query !== 'layers=all')) {
    throw badRef('Behind a question mark only layers=all may stand.', example)
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

/** `name[:tag][@digest]`; a digest says more than a tag. */
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

/** What a ref's files are called before their endings: `name-tag`, or `name-` and the digest's first digits. */
export function stemOf({ repository, reference }: OllamaRef): string {
  const name = repository.slice(repository.lastIndexOf('/') + 1)
  const version = digest.test(reference) ? reference.slice(7, 19) : reference
  return version === 'latest' ? name : `${name}-${version}`
}

// ---- Ollama's registry, and every other that speaks OCI's distribution protocol, as a source.

/** OCI's and Docker's manifests and indexes: https://github.com/opencontainers/image-spec/blob/main/media-types.md */
const accept = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

/** What registries themselves take (OCI distribution-spec, "Pushing Manifests"). */
const maxManifestBytes = 4 * 1024 * 1024

/** https://distribution.github.io/distribution/spec/auth/token/ */
const tokenSchema = lazily(() =>
  z.object({ token: z.string().nullish(), access_token: z.string().nullish() }),
)

/** A registry, for one resolution. */
interface Session {
  ref: OllamaRef
  context: ResolveContext
  /** What requests carry: the token, once there is one. */
  headers: Readonly<Record<string, string>>
}

/**
 * The source of `ollama:` refs: the model of a manifest, or with `?layers=all` all that belongs to it. It has no
 * credentials; where a registry wants a token, it gets the one that everybody gets.
 */
export function ollama(): Source {
  return {
    name: 'ollama',
    match: isOllamaRef,
    filenameOf: (ref) => {
      const parsed = parseOllamaRef(ref)
      // Other registries hold all sorts of files.
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
  if (chosen === null) throw new DownloadError('NOT_FOUND', `${nameOf(session.ref)} is an index of nothing.`)
  const second = await readManifest(session, chosen.digest)
  if ((second.manifest.manifests ?? null) === null) return second
  throw new DownloadError(
    'PROTOCOL_ERROR',
    `${nameOf(session.ref)} is an index of indexes; name one by digest.`,
  )
}

/** Asks for a manifest; one that is asked for by digest must have it. */
async function readManifest(
  session: Session,
  reference: string,
): Promise<{ manifest: Manifest; digest: string }> {
  const answer = await ask(session, reference)
  const parsed = manifestSchema().safeParse(answer.json)
  if (!parsed.success) throw unusable(answer.url)
  const digest = `sha256:${createHash('sha256').update(answer.text).digest('hex')}`
  if (reference.startsWith('sha256:') && reference !== digest) {
    const message = `The manifest that ${session.ref.origin} sent for ${nameOf(session.ref)} is not the one with this digest.`
    throw new DownloadError('CHECKSUM_MISMATCH', message)
  }
  return { manifest: parsed.data, digest }
}

/** One manifest; with the token dance when the registry asks for it. */
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
  if (session.headers['authorization'] !== undefined) return request(session.headers, [])
  const answer = await request({}, [401])
  if (answer.status !== 401) return answer
  session.headers = { authorization: `Bearer ${await tokenFor(session, answer)}` }
  return request(session.headers, [])
}

/** The token that everybody gets. */
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
  // The answer may come from where the token service redirected to.
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
  const files = chooseLayers(manifest, stemOf(ref), ref.layers)
    .filter(({ filename }) => ref.layers === 'model' || selects(filename, include, exclude))
    .map(({ filename, digest, size }) => ({
      filename,
      urls: [`${ref.origin}/v2/${ref.repository}/blobs/${digest}`],
      size,
      sha256: /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1],
      revision,
      headers,
    }))
  if (files.length > 0) return { name: stemOf(ref), files }
  throw new DownloadError('NOT_FOUND', `${nameOf(ref)} has no layer that is wanted.`)
}

/** For people. */
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
          ? ` See which tags there are at https://ollama.com/${page}/tags`
          : ''
      return new DownloadError('NOT_FOUND', `There is no ${nameOf(ref)}.${look}`, { status })
    }
    case 401:
    case 403:
      return loginNeeded(ref, status)
    case 412:
      return new DownloadError('ACCESS_DENIED', `${nameOf(ref)} is for a newer version of Ollama only.`, {
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
    `The registry does not give ${nameOf(ref)} to everybody, or has no such model. Check the name; what takes a login can't be fetched from here, unless the registry lets everybody pull it.`,
    { status },
  )
}
