/** Copies files where `copyFile` can't be used. */
import { promisify } from 'node:util'
import { isRefusal, withHandles } from './errors.js'
import * as fs from './fs.js'
import { io } from './io.js'
import { openNoFollow, readOnly } from './no-follow.js'
import { writeFully } from './write.js'

const fdatasync = promisify(fs.fdatasync)

const read = promisify(fs.read)

/** Bytes copied at a time. */
const copyBytes = 4 * 1024 * 1024

/**
 * Copies the content of a file and syncs it. Unlike `copyFile`, this can be aborted, and does not set permissions, which
 * some file systems refuse. Symbolic links are not followed.
 *
 * @param before - called right before each write; what it throws ends the copy. Default: nothing is called.
 * @param to - a file that must not exist (`EEXIST`); created with mode 0600. What was written of it stays after a failure.
 * @throws the abort reason of the signal; the error of the file system.
 */
export async function copyContent(
  from: string,
  to: string,
  signal: AbortSignal | null = null,
  before?: () => void,
): Promise<void> {
  const source = await openNoFollow(from, readOnly)
  try {
    const target = await withHandles(() => io.open(to, 'wx', 0o600))
    try {
      await pour(source, target, signal, before)
      await syncContent(target)
    } finally {
      await io.close(target)
    }
  } finally {
    await io.close(source)
  }
}

async function pour(
  source: number,
  target: number,
  signal: AbortSignal | null,
  before?: () => void,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(copyBytes)
  for (let at = 0; ;) {
    signal?.throwIfAborted()
    const { bytesRead } = await read(source, buffer, 0, buffer.length, at)
    if (bytesRead === 0) return
    await writeFully(target, buffer.subarray(0, bytesRead), at, before)
    at += bytesRead
  }
}

/** Syncs a file, where the file system does not refuse that. */
async function syncContent(fd: number): Promise<void> {
  try {
    await fdatasync(fd)
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
}
