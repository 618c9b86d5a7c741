/** Decides what the end of a body says about the end of the file. Pure, apart from what it remembers. */
import type { DownloadError } from '../../errors.js'
import { endedEarly } from './outcome.js'
import { protocolError } from './response-rules.js'

/** A body that has ended as its message says, and what is known of the file. Sizes and positions are in bytes. */
export interface EndedBody {
  /** It was the complete file. */
  whole: boolean
  /** Only the end of the connection showed its end. */
  closeDelimited: boolean
  /** Whether its server serves ranges. */
  servesRanges: boolean
  /** First new byte that was requested. */
  from: number
  /** One past the last byte that has come. */
  position: number
  /** Whether the message ended there, and not only what was wanted of it. */
  isMessageEnd: boolean
  /** Bytes that were received, with those that are only compared. */
  receivedBytes: number
  /** Size of the file; null while unknown. */
  total: number | null
  /** Size that the caller gave; null if none. */
  size: number | null
}

/** Weighs the ends of the bodies of one fetch. */
export class BodyEnds {
  /** Bodies without a byte and without a length, in a row. */
  #empty = 0

  /**
   * @returns `more`: the next request shows; `complete`: the file ends here; or an error if the file does not, and the
   * same request would bring the same.
   */
  weigh(body: EndedBody): 'more' | 'complete' | DownloadError {
    if (body.whole) return body.total === null ? this.#weighWhole(body) : 'more'
    // A range may end before what was requested, but one that brings nothing new would be requested for ever.
    if (!body.isMessageEnd || body.position > body.from) return 'more'
    if (body.total === null) return endOf(body)
    return protocolError(
      `The server sends nothing beyond byte ${body.position}, although it says that the file has ${body.total} bytes.`,
    )
  }

  /**
   * The end of a body without length is the end of the file (RFC 9112 section 6.3), unless more is expected. If only
   * the end of the connection shows it, a request for more shows whether it was cut, from a server that serves ranges.
   */
  #weighWhole(body: EndedBody): 'more' | 'complete' | DownloadError {
    if (body.closeDelimited && body.servesRanges && body.size === null) {
      // An empty body that comes again is the file. Otherwise it would be requested for ever.
      this.#empty = body.receivedBytes > 0 ? 0 : this.#empty + 1
      if (this.#empty < 2) return 'more'
    }
    return endOf(body)
  }
}

/** Nothing has come although everything was requested, so this is the end, unless the caller knows better. */
function endOf({ position, size }: EndedBody): 'complete' | DownloadError {
  return size === null || position >= size ? 'complete' : endedEarly()
}
