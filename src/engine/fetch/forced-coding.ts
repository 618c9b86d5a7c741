/** Deals with responses in a content coding, although none was asked for. */
import { contentCodingOf } from '../../net/content-coding.js'
import { parseContentRange } from '../../net/content-range.js'
import { canDecode } from '../../net/decoder.js'
import type { ResponseHead } from '../../net/exchange.js'
import { isDigestHeader } from '../../net/server-digests.js'
import type { FetchConnection } from './connection.js'

/** How often a server sends the complete file encoded before it is believed to do so always. */
const insists = 2

/** Headers that describe the encoded body, not the file; those with digests do so as well. */
const encodedHeaders = ['content-encoding', 'content-length', 'content-range', 'etag', 'last-modified']

/** What matters of a connection whose response may be encoded. */
interface EncodedConnection {
  readonly connection: Pick<FetchConnection, 'hop' | 'decode'>
  /** First byte that was requested. */
  readonly start: number
  readonly compareOnly: boolean
}

/** Undoes the content codings of one file. */
export class ForcedCoding {
  readonly #warn: (message: string) => void
  readonly #warned = new Set<string>()
  #answers = 0

  /** @param warn - called once for each message. */
  constructor(warn: (message: string) => void) {
    this.#warn = (message) => {
      if (!this.#warned.has(message)) warn(message)
      this.#warned.add(message)
    }
  }

  /**
   * Returns the head of a held response without a content coding that has no meaning, or that is undone. A complete
   * file is decoded as one stream if the server insists on the coding when it is asked again; a segment never is.
   *
   * @param writtenBytes - bytes that are already on disk.
   */
  undo(live: EncodedConnection, head: ResponseHead, writtenBytes: number): ResponseHead {
    const { connection, start, compareOnly } = live
    const { codings, ignored, unsupported } = contentCodingOf(head.headers, connection.hop.url)
    if (unsupported !== null) return head
    if (codings.length === 0) {
      if (ignored === null) return head
      this.#warn(`The server's Content-Encoding ${ignored} does not describe the response; it is ignored.`)
      return without(head, ['content-encoding'])
    }
    const isFresh = start === 0 && !compareOnly && writtenBytes === 0
    if (!isFresh || !isWholeFile(head) || !canDecode(codings)) return head
    this.#answers += 1
    if (this.#answers < insists) return head
    this.#warn(
      `The server encodes the file (${codings.join(', ')}) although it was asked not to. It is decoded as one stream, which can't be resumed.`,
    )
    connection.decode(codings)
    const names = Object.keys(head.headers).filter(isDigestHeader)
    const { headers } = without({ ...head, linked: undefined }, [...encodedHeaders, ...names])
    const isChunked = headers['transfer-encoding'] !== undefined
    return { status: 200, headers: isChunked ? { ...headers, 'transfer-encoding': 'chunked' } : headers }
  }
}

function without(head: ResponseHead, names: readonly string[]): ResponseHead {
  const headers = Object.entries(head.headers).filter(([name]) => !names.includes(name))
  return { ...head, headers: Object.fromEntries(headers) }
}

/** Whether the body is the complete file from its first byte to its last. */
function isWholeFile({ status, headers }: ResponseHead): boolean {
  if (status === 200) return true
  const range = status === 206 ? parseContentRange(headers['content-range']) : null
  return range?.start === 0 && range.end === range.total
}
