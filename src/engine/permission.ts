/** Decides whether a transfer may fetch its file at all. Pure. */
import { DownloadError } from '../errors.js'
import { refuseSize } from './fetch/remote-bounds.js'
import type { TransferSpec } from './protocol.js'

/** @throws DownloadError `OFFLINE` when the file would have to be fetched although the network must not be used. */
export function requireNetwork({ offline = false, force }: Pick<TransferSpec, 'offline' | 'force'>): void {
  if (!offline) return
  throw new DownloadError(
    'OFFLINE',
    force
      ? 'With force, the file has to be fetched again even if it exists, and the network must not be used.'
      : 'The file is not complete on disk, and the network must not be used.',
  )
}

/**
 * @param size - of the file, in bytes; null if unknown.
 * @throws DownloadError `NO_SPACE` for a file that is too large for its caller.
 */
export function requireAllowedSize({ bounds }: Pick<TransferSpec, 'bounds'>, size: number | null): void {
  const refusal = refuseSize(size, bounds)
  if (refusal !== null) throw refusal
}
