/** An object store in front of another source: each file is fetched from there first, and from its own source otherwise. */
import { DownloadError, isDownloadError } from '../../errors.js'
import type { ResolveContext, ResolvedFile, Source } from '../source.js'

const fields = /\{(repository|revision|path|name)\}/g

/** Which object holds a file. */
export interface MirrorOptions {
  /** The store, such as `s3()`; one whose refs tell the address of a file without a request. */
  store: Source
  /**
   * The ref of the object that holds a file, with `{repository}` (`owner/name`), `{name}`, `{revision}` (the commit) and
   * `{path}` where these belong, such as `s3://models/hf/{repository}/{revision}/{path}`.
   */
  ref: string
}

/**
 * Checks the pattern of a mirror.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function requireMirror({ store, ref }: MirrorOptions): MirrorOptions {
  const problem =
    store.address === undefined
      ? 'needs a store that can be a mirror, such as s3()'
      : !ref.includes('{path}') || !(ref.includes('{repository}') || ref.includes('{name}'))
        ? 'must contain {path}, and {repository} or {name}'
        : /\{(?!(?:repository|revision|path|name)\})/.test(ref)
          ? 'has an unknown field; there are {repository}, {name}, {revision} and {path}'
          : null
  if (problem === null && store.match(ref)) return { store, ref }
  const message = problem ?? `is not a ref of the source ${store.name}`
  throw new DownloadError('INVALID_OPTIONS', `The mirror ${message}.`, {
    issues: [{ path: 'mirror', message }],
  })
}

/**
 * Puts the store in front of the addresses of files. A file that nothing but its commit tells apart is left alone unless
 * the pattern has the commit: there would be no way to know that the mirror has the same one.
 */
export async function withMirror(
  files: readonly ResolvedFile[],
  mirror: MirrorOptions,
  context: ResolveContext,
): Promise<readonly ResolvedFile[]> {
  // The store is asked with this host's credentials, which remote callers don't get.
  if (context.tokens === false) return files
  const result: ResolvedFile[] = []
  for (const file of files) result.push(await mirrored(file, mirror, context))
  return result
}

async function mirrored(
  file: ResolvedFile,
  { store, ref }: MirrorOptions,
  context: ResolveContext,
): Promise<ResolvedFile> {
  const { repository, revision, sha256, gitOid, filename, urls, headers } = file
  const [own] = urls
  const isKnown = sha256 !== undefined || gitOid !== undefined
  const isBound = revision !== undefined && ref.includes('{revision}')
  if (repository === undefined || own === undefined || !(isKnown || isBound)) return file
  if (ref.includes('{revision}') && revision === undefined) return file
  const values: Record<string, string> = {
    repository: repository.name,
    name: repository.name.slice(repository.name.lastIndexOf('/') + 1),
    revision: revision ?? '',
    path: filename,
  }
  const address = await store
    .address?.(
      ref.replace(fields, (_all, field: string) => values[field] ?? ''),
      context,
    )
    // A path that can't be a key; settings that are wrong are worth telling.
    .catch((error: unknown) => {
      if (isDownloadError(error, 'INVALID_URL')) return undefined
      throw error
    })
  if (address === undefined) return file
  const { origin } = new URL(own)
  const isSameOrigin = new URL(address.url).origin === origin
  return {
    ...file,
    urls: [address.url, ...urls],
    headers: isSameOrigin ? { ...headers, ...address.headers } : address.headers,
    ...(isSameOrigin || Object.keys(headers).length === 0 ? {} : { otherHeaders: { [origin]: headers } }),
  }
}
