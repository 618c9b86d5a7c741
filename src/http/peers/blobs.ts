/** Serves finished files by their digest, to other instances that have the token of the cluster. */
import { createHash, timingSafeEqual } from 'node:crypto'
import * as z from 'zod'
import { fsError, isMissing } from '../../disk/errors.js'
import { io } from '../../disk/io.js'
import { openNoFollow, readOnly } from '../../disk/no-follow.js'
import { isSame } from '../../disk/stamp.js'
import { sentenceError } from '../../download/error-text.js'
import { internals } from '../../manager/internals.js'
import type { DownloadManager } from '../../manager/manager.js'
import { blobPath, copiesOf } from '../../manager/peers/copies.js'
import { planBlob } from './blob-plan.js'

/** Lets other instances fetch finished files from this one. */
export interface PeerServing {
  /** What they send as `Authorization: Bearer …`, at least 16 characters. Keep it secret. */
  token: string
}

export const peerServingSchema = z.strictObject({
  token: z.string().min(16, 'must have at least 16 characters').max(1_000),
})

/** How much is read at a time, in bytes. */
const chunkBytes = 256 * 1024

const digestOf = (text: string) => createHash('sha256').update(text).digest()

/** Answers requests for `GET /api/models/blobs/<sha256>`. */
export class BlobServer {
  readonly #manager: DownloadManager
  readonly #token: Buffer

  constructor(manager: DownloadManager, { token }: PeerServing) {
    this.#manager = manager
    this.#token = digestOf(token)
  }

  /** The digest that a path names; null if it is not one of this route. */
  digestIn(path: string): string | null {
    const digest = path.startsWith(blobPath) ? path.slice(blobPath.length) : ''
    return /^[0-9a-f]{64}$/.test(digest) ? digest : null
  }

  /**
   * @throws DownloadError `ACCESS_DENIED` without the token; `NOT_FOUND` if no finished file has this digest; `DISK_IO` and
   * others.
   */
  async serve(request: Request, sha256: string): Promise<Response> {
    this.#requireToken(request.headers.get('authorization'))
    await this.#manager.ready
    const { destinations } = this.#manager[internals]
    const copies = copiesOf(this.#manager.list(), sha256, (record) => destinations.writtenPath(record))
    for (const { path, stamp } of copies) {
      const fd = await openNoFollow(path, readOnly).catch((error: unknown) => {
        if (isMissing(error)) return null
        throw fsError(error, 'opening a finished file')
      })
      if (fd === null) continue
      let isKept = false
      try {
        const stats = await io.fstat(fd)
        // Whoever has changed it since has made another file of it.
        if (!stats.isFile() || !isSame(stats, stamp)) continue
        const { headers } = request
        const asked = {
          range: headers.get('range'),
          ifRange: headers.get('if-range'),
          ifNoneMatch: headers.get('if-none-match'),
        }
        const plan = planBlob(asked, { sha256, size: stats.size })
        isKept = request.method !== 'HEAD' && plan.end > plan.start
        const body = isKept ? read(fd, plan) : null
        return new Response(body, { status: plan.status, headers: plan.headers })
      } finally {
        if (!isKept) await io.close(fd)
      }
    }
    throw sentenceError('NOT_FOUND', 'nothingHere', [])
  }

  /** Digests of equal length are compared, so that the time tells nothing of the token. */
  #requireToken(authorization: string | null): void {
    const given = /^bearer[ ]+(.+)$/i.exec(authorization ?? '')?.[1] ?? ''
    if (!timingSafeEqual(digestOf(given.trim()), this.#token))
      throw sentenceError('ACCESS_DENIED', 'unauthenticated', [], { status: 401 })
  }
}

/** The bytes of an open file as a body, read as fast as they are taken. Closes the file in the end. */
function read(fd: number, { start, end }: { start: number; end: number }): ReadableStream<Uint8Array> {
  let position = start
  let isClosed = false
  const close = async () => {
    if (isClosed) return
    isClosed = true
    await io.close(fd)
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, end - position))
          const bytesRead = await io.read(fd, buffer, 0, buffer.length, position)
          // The body then ends before its length, which whoever receives it notices.
          if (bytesRead === 0) throw new Error('The file has been truncated.')
          position += bytesRead
          controller.enqueue(buffer.subarray(0, bytesRead))
          if (position < end) return
          await close()
          controller.close()
        } catch (error) {
          await close().catch(() => undefined)
          throw error
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  )
}
