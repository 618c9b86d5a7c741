/** What manifests of registries say: which layers there are, and what their files are called. Pure. */
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { isSameSite } from './site.js'
import { fewOf, isPlainPath, urlOf } from './support.js'

// ---- How a registry asks for a token, and whom it may send us to for it. Pure.  https://distribution.github.io/distribution/spec/auth/token/

/** Where a token is to be had. */
export interface Challenge {
  realm: string
  service: string | null
  scope: string | null
}

// One parameter, with the name of its scheme before it where a challenge begins (RFC 9110 section 11.6.1). Everything is
// bounded, so that an odd header takes no longer than a plain one.
const piece =
  /(?:([A-Za-z][\w-]{0,40})[ \t]{1,8}(?=[\w-]{1,40}[ \t]{0,8}=))?([\w-]{1,40})[ \t]{0,8}=[ \t]{0,8}(?:"((?:[^"\\]|\\.){0,4096})"|([^\s,"]{1,4096}))/g

/** The Bearer challenge of a `WWW-Authenticate` header; null when there is none. */
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
 * The address of the token service that a registry names, checked: a registry that names another's, and gets the token,
 * could act there as us (CVE-2025-51471).
 *
 * @param registry - the origin that the caller named.
 * @throws DownloadError `REDIRECT_BLOCKED`.
 */
export async function requireOwnRealm(registry: string, realm: string): Promise<URL> {
  const home = new URL(registry)
  const url = urlOf(realm)
  const isOwn =
    url !== null &&
    url.username + url.password === '' &&
    // Not encrypted is fine only where the registry itself is not, and on its own machine.
    (url.protocol === 'https:' || isPlainNeighbour(home, url)) &&
    (await isSameSite(home.hostname, url.hostname))
  if (isOwn) return url
  const where = url === null || url.host === '' ? 'an invalid address' : url.origin
  throw new DownloadError(
    'REDIRECT_BLOCKED',
    `The registry ${home.host} sends us for its token to ${where}, which is not its own; nothing was sent there. Check the registry's name, and ask its owner.`,
  )
}

function isPlainNeighbour(home: URL, url: URL): boolean {
  return home.protocol === 'http:' && url.protocol === 'http:' && home.hostname === url.hostname
}

// ---- What manifests of registries say: which layers there are, and what their files are called. Pure.

/** https://github.com/opencontainers/image-spec/blob/main/descriptor.md */
const descriptor = lazily(() =>
  z.object({
    mediaType: z.string().max(255),
    digest: z.string().regex(/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]{32,256}$/),
    size: z.number().int().min(0),
    annotations: z.record(z.string(), z.string()).nullish(),
    platform: z.object({ os: z.string(), architecture: z.string() }).partial().nullish(),
  }),
)

/** One blob, or one manifest of an index. */
export type Descriptor = z.output<ReturnType<typeof descriptor>>

/** A manifest or, with `manifests`, an index of some; Docker's and OCI's are alike in what we need. */
export const manifestSchema = lazily(() =>
  z.object({
    config: descriptor().nullish(),
    layers: z.array(descriptor()).max(100_000).nullish(),
    manifests: z.array(descriptor()).max(1_000).nullish(),
  }),
)

/** See {@link manifestSchema}. */
export type Manifest = z.output<ReturnType<typeof manifestSchema>>

/** A layer as a file. */
export interface LayerFile {
  filename: string
  digest: string
  size: number
}

/** Layers that are a model in one file: of Ollama, of Docker Model Runner, and raw weights of the CNCF's model format. */
const modelTypes = new Set([
  'application/vnd.ollama.image.model',
  'application/vnd.docker.ai.gguf.v3',
  'application/vnd.cncf.model.weight.v1.raw',
])

/** What the files of layers end with. */
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

/** OCI's way to say that there is no config. */
const emptyType = 'application/vnd.oci.empty.v1+json'

/** Media types may have parameters: `application/vnd.ollama.image.tensor; name=…`. */
const typeOf = ({ mediaType }: Descriptor): string => mediaType.replace(/\s*;.*$/s, '').toLowerCase()

/**
 * The manifest that an index means for a machine. Attestations are not meant.
 *
 * @param architecture - as Node names it.
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
 * The layers that a ref means.
 *
 * @param stem - what files are called that have no name of their own.
 * @param what - `model`: those that are a model in one file; where none is told to be one, the only layer there is.
 * @throws DownloadError `NOT_FOUND` when there is no such layer.
 */
export function chooseLayers({ config, layers }: Manifest, stem: string, what: 'model' | 'all'): LayerFile[] {
  const all = layers ?? []
  const names = new Set<string>()
  const toFile = (layer: Descriptor, ending?: string): LayerFile => {
    const { digest, size } = layer
    return { filename: unused(nameOf(layer, stem, ending), names), digest, size }
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
      ? 'The manifest has no layers: there is nothing to fetch.'
      : `No layer is a model in one file; they are ${types}. With ?layers=all behind the name all of them are fetched.`,
  )
}

/** File systems of containers, and what must be unpacked to be a model. */
function isArchive(layer: Descriptor): boolean {
  return /(?:[.+](?:tar|gzip|zstd)\b|\.tensor$)/.test(typeOf(layer))
}

function nameOf(layer: Descriptor, stem: string, ending?: string): string {
  const { annotations } = layer
  const told = annotations?.['org.opencontainers.image.title'] ?? annotations?.['org.cncf.model.filepath']
  if (told !== undefined && isPlainPath(told)) return told
  // A tensor's name, such as `blk.0.attn_k.weight`, is what it is known by.
  const part = /;\s*name="?([A-Za-z0-9._-]{1,128})/.exec(layer.mediaType)?.[1]
  const own = part === undefined ? stem : `${stem}.${part}`
  return own + (ending ?? endings[typeOf(layer)] ?? '.bin')
}

/** Some systems hold names for equal that differ in case only. */
function unused(name: string, taken: Set<string>): string {
  const dot = name.lastIndexOf('.')
  for (let number = 1; ; number += 1) {
    const one = number === 1 ? name : `${name.slice(0, dot)}-${String(number)}${name.slice(dot)}`
    const key = one.normalize('NFC').toLowerCase()
    if (!taken.has(key)) {
      taken.add(key)
      return one
    }
  }
}
