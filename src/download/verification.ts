/** What a download was verified with, as its record tells. Pure. */
import type { Verification } from '../util/digests.js'
import type { DownloadRecord } from './record.js'

/** What the file of a completed download was verified with; null if with nothing, and for a group. */
export function recordedVerification(
  record: Pick<DownloadRecord, 'verified' | 'stamp' | 'sha256' | 'sourceSha256' | 'group'>,
): Verification | null {
  const { verified, stamp, sha256, sourceSha256, group } = record
  if (!verified || group !== null) return null
  if (stamp?.verification !== undefined) return stamp.verification
  // Earlier versions recorded only that it was verified, and compared nothing but SHA-256.
  const value = sha256 ?? sourceSha256
  const from = sha256 === null ? 'source' : 'caller'
  return value === undefined ? null : { algorithm: 'sha256', value, from }
}
