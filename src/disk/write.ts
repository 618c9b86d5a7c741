/** Complete writes. */
import { write, writeSync } from './fs.js'

/**
 * Writes a complete buffer at a position, continuing after short writes. Rejects with the error of the file system.
 *
 * @param before - called right before each system call; what it throws ends the write. Default: nothing is called.
 */
export async function writeFully(
  fd: number,
  buffer: Buffer,
  position: number,
  before?: () => void,
): Promise<void> {
  let written = 0
  while (written < buffer.length) {
    before?.()
    written += await writeSome(fd, buffer.subarray(written), position + written)
  }
}

/** Synchronous version of {@link writeFully}. */
export function writeFullySync(fd: number, buffer: Buffer, position: number, before?: () => void): void {
  let written = 0
  while (written < buffer.length) {
    before?.()
    const count = writeSync(fd, buffer, written, buffer.length - written, position + written)
    if (count === 0) throw zeroBytesWritten()
    written += count
  }
}

function writeSome(fd: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, buffer, 0, buffer.length, position, (error, count) => {
      if (error !== null) reject(error)
      else if (count === 0) reject(zeroBytesWritten())
      else resolve(count)
    })
  })
}

/** The error for a write that wrote nothing: repeating it could loop forever. */
function zeroBytesWritten(): Error {
  return Object.assign(new Error('write returned 0'), { code: 'EIO' })
}
