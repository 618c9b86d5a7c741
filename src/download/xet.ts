/** Decides whether a file is fetched from the Xet store of its hub. Pure. */
import type { OlderVersion, XetSpec } from '../engine/protocol.js'
import type { ResolvedFile } from '../sources/source.js'

/** Whether files of the Hugging Face hub are fetched from its Xet store; see `DownloadOptions.xet`. */
export type XetMode = 'auto' | 'prefer' | 'never'

/** Files above this size, in bytes, are rather fetched from the store: servers of the hub may refuse them over HTTP. */
const largeBytes = 50_000_000_000

/**
 * Where the store has a file, and when it is used; null if it has not, or must not be used.
 *
 * @param older - the version on disk that the file is to replace, if there is one; what both share is copied.
 */
export function xetSpecOf(
  { xet, size, sha256 }: Pick<ResolvedFile, 'xet' | 'size' | 'sha256'>,
  mode: XetMode = 'auto',
  older: Omit<OlderVersion, 'hash'> | null = null,
): XetSpec | null {
  // Plans have no digests: only that of the file shows that it is right.
  if (xet === undefined || size === undefined || sha256 === undefined || mode === 'never') return null
  const known = older?.stamp.xet
  const base = older === null || known === undefined || known === xet.hash ? null : { ...older, hash: known }
  return { hash: xet.hash, first: mode === 'prefer' || size > largeBytes || base !== null, older: base }
}
