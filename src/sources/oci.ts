/** Parses OCI manifests and token challenges, and chooses the layers to download and their file names. Pure. */
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { isSameSite } from './site.js'
import { fewOf, isPlainPath, urlOf } from './support.js'

// ---- Token authentication: https://distribution.github.io/distribution/spec/auth/token/

/** A registry's Bearer challenge: which token is required, and where it can be requested. */
export interface Challenge {
  realm: string
  service: string | null
  scope: string | null
}

// One parameter, preceded by the scheme's name if it begins a challenge (RFC 9110 section 11.6.1). All
// repetitions are bounded, so that a malicious header can't make the match slow.
const piece =
  /(?:([A-Za-z][\w-]{0,40})[ \t]{1,8}(?=[\w-]{1,40}[ \t]{0,8}=))?([\w-]{1,40})[ \t]{0,8}=[ \t]{0,8}(?:"((?:[^"\\]|\\.){0,4096})"|([^\s,"]{1,4096}))/g

/** Parses the Bearer challenge in a `WWW-Authenticate` header; null when there is none. */
export function parseChallenge(header: string): Challenge | null {
  let scheme = ''
  const found = new Map<string, string>()
  for (const [, begins, key = '', quoted, bare = ''] of header.slice(0, 16_384).matchAll(piece)) {
    if (begins !== undefined) scheme = begins.toLowerCase()
    const name = key.toLowerCase()
    if (scheme !== 'bearer' || found.has(name)) continue
    found.set(name, quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'))
  }
  const realm = found.get('realm')
  if (realm === undefined) return null
  return { realm, service: found.get('service') ?? null, scope: found.get('scope') ?? null }
}

/**
 * Checks that the token service that a registry names belongs to it. Otherwise the registry could obtain a
 * token of another service and use it there in our name (CVE-2025-51471).
 *
 * @param registry - origin of the registry.
 * @param realm - URL of the token service, as the challenge states it.
 * @returns the URL of the token service.
 * @throws DownloadError `REDIRECT_BLOCKED`.
 */
export async function requireOwnRealm(registry: string, realm: string): Promise<URL> {
  const home = new URL(registry)
  const url = urlOf(realm)
  const isOwn =
    url !== null &&
    url.username + url.password === '' &&
    // Plain http is acceptable only if the registry itself uses it, and only on the registry's own host.
    (url.protocol === 'https:' || isPlainHttpOnSameHost(home, url)) &&
    (await isSameSite(home.hostname, url.hostname))
  if (isOwn) return url
  const where = url === null || url.host === '' ? 'an invalid address' : url.origin
  throw new DownloadError(
    'REDIRECT_BLOCKED',
    `The registry ${home.host} names a token service that is not its own (${where}); no request was sent to it. Check the registry's name, or contact its owner.`,
  )
}

function isPlainHttpOnSameHost(home: URL, url: URL): boolean {
  return home.protocol === 'http:' && url.protocol === 'http:' && home.hostname === url.hostname
}

// ---- Manifests and their layers.

/** Registries allow far fewer annotations. Checked before each of them is. */
function hasFewKeys(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length <= 1_000
}

/** As many as a group may have files. */
export const maxLayers = 10_000

/** A list whose length is checked before its items are. */
function shortList(maxLength: number) {
  return z.custom<unknown[]>((value) => Array.isArray(value) && value.length <= maxLength)
}

/** https://github.com/opencontainers/image-spec/blob/main/descriptor.md */
const descriptor = lazily(() =>
  z.object({
    mediaType: z.string().max(255),
    digest: z.string().regex(/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]{32,256}$/),
    size: z.number().int().min(0),
    annotations: z.custom<object>(hasFewKeys).pipe(z.record(z.string(), z.string())).nullish(),
    platform: z.object({ os: z.string(), architecture: z.string() }).partial().nullish(),
  }),
)

/** Describes a layer of a manifest, or a manifest of an index. */
export type Descriptor = z.output<ReturnType<typeof descriptor>>

/** A manifest or, if it has `manifests`, an index of manifests. Docker's and OCI's formats share these fields. */
export const manifestSchema = lazily(() =>
  z.object({
    config: descriptor().nullish(),
    layers: shortList(maxLayers).pipe(z.array(descriptor())).nullish(),
    manifests: shortList(1_000).pipe(z.array(descriptor())).nullish(),
  }),
)

/** See {@link manifestSchema}. */
export type Manifest = z.output<ReturnType<typeof manifestSchema>>

/** A layer, with the name of the file that it is stored in. */
export interface LayerFile {
  filename: string
  digest: string
  size: number
}

/**
 * Media types of models in one file: Ollama's, Docker Model Runner's, and raw weights in the CNCF's model
 * format.
 */
const modelTypes = new Set([
  'application/vnd.ollama.image.model',
  'application/vnd.docker.ai.gguf.v3',
  'application/vnd.cncf.model.weight.v1.raw',
])

/** File extensions by media type. */
const endings: Readonly<Record<string, string>> = {
  'application/vnd.ollama.image.model': '.gguf',
  'application/vnd.docker.ai.gguf.v3': '.gguf',
  'application/vnd.docker.ai.license': '.license.txt',
  'application/vnd.ollama.image.projector': '.projector.gguf',
  'application/vnd.ollama.image.adapter': '.adapter.gguf',
  'application/vnd.ollama.image.license': '.license.txt',
  'application/vnd.ollama.image.messages': '.messages.json',
  'application/vnd.ollama.image.params': '.params.json',
  'application/vnd.ollama.image.prompt': '.prompt.txt',
  'application/vnd.ollama.image.system': '.system.txt',
  'application/vnd.ollama.image.template': '.template.txt',
  'application/vnd.ollama.image.json': '.json',
  'application/vnd.ollama.image.tensor': '.tensor',
}

/** The media type by which OCI marks a missing config. */
const emptyType = 'application/vnd.oci.empty.v1+json'

/** The media type without its parameters, such as those of `application/vnd.ollama.image.tensor; name=…`. */
const typeOf = ({ mediaType }: Descriptor): string => (mediaType.split(';', 1)[0] ?? '').trim().toLowerCase()

/**
 * Chooses the manifest in an index for a machine's architecture. Attestations are skipped.
 *
 * @param architecture - as in `process.arch`.
 */
export function chooseManifest(entries: readonly Descriptor[], architecture: string): Descriptor | null {
  const wanted = architecture === 'x64' ? 'amd64' : architecture
  const real = entries.filter(
    ({ annotations, platform }) =>
      annotations?.['vnd.docker.reference.type'] === undefined && platform?.os !== 'unknown',
  )
  const fits = real.find(({ platform }) => platform?.os === 'linux' && platform.architecture === wanted)
  return fits ?? real.find(({ platform }) => (platform ?? null) === null) ?? real[0] ?? null
}

/**
 * Chooses the layers to download.
 *
 * @param stem - base name for files whose layer doesn't state a name.
 * @param what - `model`: the layers that are a model in one file, or the only layer if none is marked as one;
 * `all`: all layers and the config.
 * @throws DownloadError `NOT_FOUND` when there is no such layer.
 */
export function chooseLayers({ config, layers }: Manifest, stem: string, what: 'model' | 'all'): LayerFile[] {
  const all = layers ?? []
  const names = new UniqueNames()
  const toFile = (layer: Descriptor, ending?: string): LayerFile => {
    const { digest, size } = layer
    return { filename: names.take(nameOf(layer, stem, ending)), digest, size }
  }
  if (what === 'all') {
    const files = all.map((layer) => toFile(layer))
    const isEmpty = config === null || config === undefined || typeOf(config) === emptyType
    return isEmpty ? files : [...files, toFile(config, '.config.json')]
  }
  const models = all.filter((layer) => modelTypes.has(typeOf(layer)))
  const only = all.length === 1 ? all : []
  const found = models.length > 0 ? models : only.filter((layer) => !isArchive(layer))
  if (found.length > 0) return found.map((layer) => toFile(layer))
  const types = fewOf([...new Set(all.map(typeOf))])
  throw new DownloadError(
    'NOT_FOUND',
    all.length === 0
      ? 'The manifest has no layers, so there is nothing to download.'
      : `No layer is a model in a single file; the layers are ${types}. Append ?layers=all to the ref to download all of them.`,
  )
}

/** Whether a layer is a container's file system, or something else that must be unpacked or assembled first. */
function isArchive(layer: Descriptor): boolean {
  return /(?:[.+](?:tar|gzip|zstd)\b|\.tensor$)/.test(typeOf(layer))
}

function nameOf(layer: Descriptor, stem: string, ending?: string): string {
  const { annotations } = layer
  const stated = annotations?.['org.opencontainers.image.title'] ?? annotations?.['org.cncf.model.filepath']
  if (stated !== undefined && isPlainPath(stated)) return stated
  // A tensor is identified by its name, such as `blk.0.attn_k.weight`.
  const part = /;\s*name="?([A-Za-z0-9._-]{1,128})/.exec(layer.mediaType)?.[1]
  const own = part === undefined ? stem : `${stem}.${part}`
  return own + (ending ?? endings[typeOf(layer)] ?? '.bin')
}

/** Makes names unique, ignoring case and Unicode form, since some file systems do. */
class UniqueNames {
  readonly #taken = new Set<string>()
  /**
   * The number to try next for a name that is taken. Without it, each of many equal names would be compared
   * with all the others.
   */
  readonly #next = new Map<string, number>()

  take(name: string): string {
    const dot = name.lastIndexOf('.')
    const base = keyOf(name)
    let one = name
    let number = this.#next.get(base) ?? 1
    while (this.#taken.has(keyOf(one))) {
      number += 1
      one = `${name.slice(0, dot)}-${String(number)}${name.slice(dot)}`
    }
    this.#next.set(base, number)
    this.#taken.add(keyOf(one))
    return one
  }
}

function keyOf(name: string): string {
  return name.normalize('NFC').toLowerCase()
}
