/** Asks sources about refs and URLs, without downloading them. */
import { defaultTuning } from '../../net/tuning.js'
import { statedSize } from '../../net/content-range.js'
import { filenameFromServer } from '../../disk/names.js'
import { type DownloadError, isDownloadError, offlineError } from '../../errors.js'
import { identify } from '../../sources/identify.js'
import { Resolver, sourceRegistry } from '../../sources/resolver.js'
import type { ResolvedFile, SourceDescription } from '../../sources/source.js'
import { systemClock } from '../../util/clock.js'
import type { Digest } from '../../util/digests.js'
import { asUsageError } from '../checks/usage.js'
import { networkSettings } from '../checks/network.js'
import { type NetworkOptions } from '../network.js'

/** Options of commands that ask a source. */
export interface SourceOptions extends NetworkOptions {
  include?: string[] | undefined
  exclude?: string[] | undefined
}

/** What a source holds. */
export interface SourceContent extends SourceDescription {
  /** Name of the source; null for a plain URL. */
  source: string | null
  revision: string | null
  files: SourceFile[]
  /** Content type of a plain URL; otherwise null. */
  contentType: string | null
  /** Why the files are unknown, although the source has described them; otherwise null. */
  error: DownloadError | null
}

/** A file of a source. */
export interface SourceFile {
  path: string
  size: number | null
  sha256: string | null
  gitOid: string | null
  /** Digests by other algorithms that the source states. */
  digests: readonly Digest[]
}

/** Opens what asks sources, with the options about the network. Close it in the end. */
export function openResolver(options: NetworkOptions): Resolver {
  const { tuning, proxy, ca, offline } = networkSettings(options)
  return new Resolver({
    sources: sourceRegistry(),
    tuning: { ...defaultTuning, ...tuning },
    proxy: proxy ?? true,
    ca: ca === undefined ? undefined : [ca].flat(),
    offline,
    clock: systemClock,
  })
}

/**
 * Asks for the files of a ref, or of a plain URL.
 *
 * @param withDescription - whether the source is asked about the repository as a whole, too.
 * @throws UsageError for what is neither a ref nor a URL; DownloadError the errors of the source, unless it was able to
 * describe the ref.
 */
export async function askSource(
  text: string,
  options: SourceOptions,
  withDescription: boolean,
): Promise<SourceContent> {
  const resolver = openResolver(options)
  const identified = asUsageError(() => identify(text, resolver))
  const request = { remote: null, signal: new AbortController().signal, ...globsOf(options) }
  try {
    if (resolver.isOffline(text)) throw offlineError('The network must not be used.')
    if (identified.kind === 'url') {
      const answer = await resolver.probe(identified.url, request)
      const named = filenameFromServer({
        contentDisposition: answer.headers['content-disposition'] ?? null,
        finalUrl: new URL(answer.url),
      })
      const path = identified.filename ?? named ?? identified.url.host
      const file = { path, size: statedSize(answer), sha256: null, gitOid: null, digests: [] }
      const contentType = answer.headers['content-type'] ?? null
      return { source: null, revision: null, files: [file], contentType, error: null }
    }
    const description = withDescription ? await resolver.describe(text, request) : null
    const known = { ...description, source: identified.source.name, contentType: null }
    try {
      const { files } = await resolver.resolve(text, request)
      const revision = files[0]?.revision ?? null
      return { ...known, revision, files: files.map(toFile), error: null }
    } catch (error) {
      // Of a gated repository, the description says what to do about it.
      if (description === null || !isDownloadError(error)) throw error
      return { ...known, revision: null, files: [], error }
    }
  } finally {
    await resolver.close()
  }
}

/** The globs among the options. */
export function globsOf({ include, exclude }: SourceOptions): Pick<SourceOptions, 'include' | 'exclude'> {
  return {
    ...(include === undefined ? {} : { include }),
    ...(exclude === undefined ? {} : { exclude }),
  }
}

function toFile({ filename, size, sha256, gitOid, digests = [] }: ResolvedFile): SourceFile {
  return { path: filename, size: size ?? null, sha256: sha256 ?? null, gitOid: gitOid ?? null, digests }
}
