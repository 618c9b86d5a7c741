import { write, writeSync } from 'node:fs'

/** Writes a buffer at a position; a short write is continued where it ended. Throws what the file system throws. */
export async function writeFully(fd: number, buffer: Buffer, position: number): Promise<void> {
  let written = 0
  while (written < buffer.length) written += await writeSome(fd, buffer.subarray(written), position + written)
}

/** {@link writeFully} on the spot. */
export function writeFullySync(fd: number, buffer: Buffer, position: number): void {
  let written = 0
  while (written < buffer.length) {
    const count = writeSync(fd, buffer, written, buffer.length - written, position + written)
    if (count === 0) throw stuck()
    written += count
  }
}

function writeSome(fd: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, buffer, 0, buffer.length, position, (error, count) => {
      if (error !== null) reject(error)
      else if (count === 0) reject(stuck())
      else resolve(count)
    })
  })
}

/** A write that takes nothing would go on for ever. */
function stuck(): Error {
  return Object.assign(new Error('write returned 0'), { code: 'EIO' })
}
