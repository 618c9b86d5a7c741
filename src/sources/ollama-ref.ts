/** Refs of the Ollama registry, and of any other that speaks OCI's protocol. Pure. */
import { badRef } from './ref-parts.js'

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
