/** How a job reserves disk space, if the manager has a disk budget. */
import { asDownloadError } from '../disk/errors.js'
import { io } from '../disk/io.js'
import type { GroupEntry } from '../download/group.js'
import type { TransferCommand, TransferEvent } from '../engine/protocol.js'
import type { SerializedDownloadError } from '../errors.js'

/** Space that a file needs. */
export interface SpaceWish {
  /** Absolute path of the file that is written. */
  path: string
  /** Size of the file in bytes; null while unknown. */
  size: number | null
  /** How much of it has been written. */
  written: number
}

/** The disk space of one run of a download. */
export interface JobSpace {
  /**
   * Reserves space for files, all of it or none. Asked again for the same file, it tells whether the transfer may go on.
   *
   * @param doneBytes - size of the files of the download that are complete. Default 0.
   * @returns how many bytes the last of the files may have.
   * @throws DownloadError `NO_SPACE`; `CANCELED` when the run was stopped.
   */
  reserve(wishes: readonly SpaceWish[], doneBytes?: number): Promise<number>
  /** Must be called when a file is complete before its download ends. */
  completed(path: string): void
}

/** The disk space of a manager, as a run sees it. */
export interface RunSpace extends JobSpace {
  /** Whether the download is to wait for space rather than fail with an error. */
  waitsFor(error: SerializedDownloadError): boolean
}

/** Answers a transfer that asks for space. Never rejects. */
export async function answerReserve(
  space: JobSpace | null,
  { requestId, path, size, written }: TransferEvent & { type: 'reserve' },
  send: (command: TransferCommand) => void,
): Promise<void> {
  try {
    const granted = (await space?.reserve([{ path, size, written }])) ?? Number.MAX_SAFE_INTEGER
    send({ type: 'reserved', requestId, granted, error: null })
  } catch (error) {
    send({ type: 'reserved', requestId, granted: 0, error: asDownloadError(error).toJSON() })
  }
}

/**
 * Reserves space for all missing files of a group at once, so that it does not start what it can't complete. Files that
 * exist already may be right; if one is not, its transfer asks.
 *
 * @throws DownloadError `NO_SPACE`, `CANCELED`.
 */
export async function reserveGroup(
  space: JobSpace,
  files: readonly GroupEntry[],
  force: boolean,
): Promise<void> {
  const wishes: SpaceWish[] = []
  const paths = new Set<string>()
  let doneBytes = 0
  for (const { isDone, isRefused, size, written, stale, downloaded } of files) {
    if (isDone) doneBytes += size ?? 0
    // In a cache, files with the same content share a blob.
    if (isDone || isRefused || size === null || paths.has(written)) continue
    paths.add(written)
    const existing = force || stale ? null : await io.lstatIfThere(written).catch(() => null)
    if (existing?.isFile() === true && existing.size === size) doneBytes += size
    else wishes.push({ path: written, size, written: downloaded })
  }
  if (wishes.length > 0) await space.reserve(wishes, doneBytes)
}
