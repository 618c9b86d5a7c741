/** Where other instances find a file by its digest, and which finished files of a manager have one. Pure. */
import type { FileStamp } from '../../disk/stamp.js'
import type { Download } from '../../download/download.js'
import type { DownloadRecord } from '../../download/record.js'

/** Path of the route; the digest follows. */
export const blobPath = '/api/models/blobs/'

/** A finished file. */
export interface Copy {
  /** Absolute path of its bytes. */
  path: string
  /** Its metadata when its digest was computed. */
  stamp: FileStamp
}

/** What of a download tells about its files. */
type Source = Pick<Download, 'state' | 'record' | 'groupFiles'>

/**
 * The finished files with a digest, by which they were verified or which was computed while they were written.
 *
 * @param pathOf - absolute path of the bytes of a single file; null if there is none.
 */
export function copiesOf(
  downloads: readonly Source[],
  sha256: string,
  pathOf: (record: DownloadRecord) => string | null,
): Copy[] {
  return downloads.flatMap((download) =>
    filesOf(download, pathOf).filter(({ stamp }) => stamp.sha256 === sha256),
  )
}

function filesOf(
  { state, record, groupFiles }: Source,
  pathOf: (record: DownloadRecord) => string | null,
): Copy[] {
  if (groupFiles !== null) {
    return groupFiles.files.flatMap(({ isDone, written, stamp }) =>
      isDone && stamp !== null ? [{ path: written, stamp }] : [],
    )
  }
  const { stamp } = record
  const path = state === 'completed' && stamp !== null ? pathOf(record) : null
  return path === null || stamp === null ? [] : [{ path, stamp }]
}
