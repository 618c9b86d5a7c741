/** Makes what a manager keeps of each download small, since it may know a hundred thousand. */
import type { DownloadRecord } from './record.js'

/** Shared by all records that have nothing there. Records are never changed in place. */
const nothing: string[] = []
const noHeaders: Record<string, string> = {}

const listOf = (list: string[]) => (list.length === 0 ? nothing : list)

/** Returns the same record, which shares with others what many have in common. */
export function compactRecord(record: DownloadRecord): DownloadRecord {
  const { urls, include, exclude, headers, stamp, resultSha256 } = record
  return {
    ...record,
    urls: listOf(urls),
    include: listOf(include),
    exclude: listOf(exclude),
    headers: Object.keys(headers).length === 0 ? noHeaders : headers,
    stamp: stamp !== null && stamp.sha256 === resultSha256 ? { ...stamp, sha256: resultSha256 } : stamp,
  }
}
