import { write, writev } from 'node:fs'

/** Writes all buffers at a position; a short write is continued where it ended. */
export function writeFully(
  fd: number,
  buffers: Buffer[],
  position: number,
  done: () => void,
  failed: (error: unknown) => void,
): void {
  const left = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
  if (left === 0) {
    done()
    return
  }
  const after = (error: NodeJS.ErrnoException | null, count: number) => {
    if (error !== null) failed(error)
    else if (count >= left) done()
    else if (count === 0) failed(Object.assign(new Error('write returned 0'), { code: 'EIO' }))
    else writeFully(fd, dropFront(buffers, count), position + count, done, failed)
  }
  const [only] = buffers
  if (buffers.length === 1 && only !== undefined) write(fd, only, 0, only.length, position, after)
  else writev(fd, buffers, position, after)
}

/** The buffers without their first `count` bytes. */
function dropFront(buffers: Buffer[], count: number): Buffer[] {
  const rest: Buffer[] = []
  let skip = count
  for (const buffer of buffers) {
    if (skip >= buffer.length) skip -= buffer.length
    else {
      rest.push(skip === 0 ? buffer : buffer.subarray(skip))
      skip = 0
    }
  }
  return rest
}
