/** Where one resolved file goes: the one place that turns what a source tells into the beginning of a transfer. */
import { dirname, join } from 'node:path'
import { DownloadError } from './errors.js'
import { checkFilename } from './files/names.js'
import type { KnownCaches } from './layouts/known-caches.js'
import { placementOf, type Placement } from './placement.js'
import type { ResolvedFile } from './sources/source.js'
import type { DownloadRecord } from './store/store.js'
import type { TransferSpec } from './transfer/protocol.js'

/** Where a file comes from, what it must be, and where it goes. */
export type Destination = Pick<TransferSpec, 'url' | 'urls' | 'headers' | 'sha256' | 'size' | 'directory'> &
  Placement & { filename: string }

/**
 * The destination of one file.
 *
 * @param root - absolute; the folder of the download, or the cache.
 * @param folder - absolute; of the group. Default: `root`.
 * @param path - inside that folder, with slashes; every segment is safe. In a cache the blob lies elsewhere.
 * @param caches - that it may be taken from, as `machineCaches` says.
 * @throws DownloadError `CHECKSUM_MISMATCH` or `CONTENT_MISMATCH` when the source has another file than the caller expects.
 */
export function destinationOf(
  file: ResolvedFile,
  record: Pick<DownloadRecord, 'urls' | 'headers' | 'sha256' | 'size' | 'layout' | 'adopt'>,
  { root, folder = root, path, caches }: { root: string; folder?: string; path: string; caches: KnownCaches },
): Destination {
  if (record.sha256 !== null && file.sha256 !== undefined && record.sha256 !== file.sha256) {
    throw new DownloadError(
      'CHECKSUM_MISMATCH',
      `The source has a file with the SHA-256 ${file.sha256}, but ${record.sha256} is expected.`,
    )
  }
  if (record.size !== null && file.size !== undefined && record.size !== file.size) {
    throw new DownloadError(
      'CONTENT_MISMATCH',
      `The source has a file of ${file.size} bytes, but ${record.size} are expected.`,
    )
  }
  const target = join(folder, ...path.split('/'))
  return {
    ...addressOf(file, record.headers),
    urls: [...file.urls, ...record.urls],
    sha256: record.sha256 ?? file.sha256 ?? null,
    size: record.size ?? file.size ?? null,
    directory: dirname(target),
    filename: path.slice(path.lastIndexOf('/') + 1),
    ...placementOf(file, record, root, caches),
  }
}

/**
 * What a file is called by itself, when nobody gave it a name.
 *
 * @throws DownloadError `UNSAFE_FILENAME`.
 */
export function ownName({ filename }: ResolvedFile): string {
  return checkFilename(filename.slice(filename.lastIndexOf('/') + 1))
}

/** The caller's headers outrank the source's, whatever their case. */
export function addressOf(
  file: ResolvedFile,
  given: Readonly<Record<string, string>>,
): { url: string; headers: Record<string, string> } {
  const taken = new Set(Object.keys(given).map((name) => name.toLowerCase()))
  const own = Object.entries(file.headers).filter(([name]) => !taken.has(name.toLowerCase()))
  return { url: file.urls[0] ?? '', headers: { ...Object.fromEntries(own), ...given } }
}
