/** Finds the damaged pieces of a file whose digest is wrong, so that only they are fetched again. */
import { DownloadError, isDownloadError } from '../errors.js'
import { formatBytes } from '../util/format.js'
import { hashersOf, loadHashers } from './hash/algorithms.js'
import { stepBytes } from './hash/hash-job.js'
import type { Interval } from './part/intervals.js'
import type { PartFile } from './part/part-file.js'
import { partLost, type Restarts } from './part/start-over.js'
import type { PieceDigests, TransferSpec } from './protocol.js'

/** What was forgotten of a part. */
export interface Mended {
  part: PartFile
  /** For people. */
  message: string
}

/**
 * Forgets the damaged pieces of a part, if that is what an error means and the digests of the pieces are known.
 *
 * @returns null if the whole file has to be fetched again: when every piece is damaged, or none is although the digest of the
 * whole is wrong, or when this has been tried often enough.
 */
export async function mendPieces(
  thrown: unknown,
  part: PartFile | null,
  { pieces = null }: Pick<TransferSpec, 'pieces'>,
  restarts: Restarts,
): Promise<Mended | null> {
  if (pieces === null || part === null || !isDownloadError(thrown, 'CHECKSUM_MISMATCH')) return null
  const size = part.identity.total ?? part.writtenBytes
  const count = Math.ceil(size / pieces.length)
  if (count !== pieces.hashes.length || !restarts.allow('pieces')) return null
  const damaged = await damagedPieces(part, size, pieces)
  if (damaged.length === 0 || damaged.length === count) return null
  await part.forget(damaged)
  const bytes = damaged.reduce((sum, [start, end]) => sum + end - start, 0)
  const message = `${damaged.length} of ${count} pieces are damaged; fetching ${formatBytes(bytes)} again.`
  return { part, message }
}

/** The pieces whose digests are wrong, in order. */
async function damagedPieces(
  part: Pick<PartFile, 'read'>,
  size: number,
  { algorithm, length, hashes }: PieceDigests,
): Promise<Interval[]> {
  const [hasher] = hashersOf([algorithm]) ?? (await loadHashers([algorithm]))
  if (hasher === undefined) throw new DownloadError('INTERNAL', `There is no hash function for ${algorithm}.`)
  const damaged: Interval[] = []
  for (const [index, hash] of hashes.entries()) {
    const start = index * length
    const end = Math.min(start + length, size)
    hasher.reset()
    for (let at = start; at < end;) {
      const bytes = await part.read(at, Math.min(stepBytes, end - at))
      if (bytes.length === 0) throw partLost()
      hasher.update(bytes)
      at += bytes.length
    }
    if (hasher.hex() !== hash) damaged.push([start, end])
  }
  return damaged
}
