/** Reads parts of files at their source, without fetching the files. */
import { DownloadError, isDownloadError } from '../errors.js'
import { contentCodingOf } from '../net/content-coding.js'
import { parseContentRange, statedSize } from '../net/content-range.js'
import type { Api } from './api-client.js'
import type { ApiAnswer, ResolvedFile } from './source.js'

/** Part of a file. */
export interface FilePart {
  /** Fewer than were asked for at the end of the file. */
  data: Uint8Array
  /** Size of the whole file in bytes; null if the server does not tell. */
  total: number | null
}

/** Reads parts of files with one set of connections. */
export class FileReader {
  readonly #api: Pick<Api, 'range'>
  readonly #close: () => Promise<void>

  constructor(api: Pick<Api, 'range'>, close: () => Promise<void>) {
    this.#api = api
    this.#close = close
  }

  /**
   * Reads some bytes of a file, from the first of its addresses that has them.
   *
   * @throws DownloadError whatever a request fails with; `PROTOCOL_ERROR` for a server that sends other bytes than those
   * that were asked for.
   */
  async read(
    { urls, headers }: Pick<ResolvedFile, 'urls' | 'headers'>,
    part: { from: number; bytes: number },
  ): Promise<FilePart> {
    let failure: unknown = new DownloadError('NOT_FOUND', 'The file has no address.')
    const [first] = urls
    for (const url of urls) {
      const isOwn = first !== undefined && new URL(url).origin === new URL(first).origin
      try {
        const request = { headers: isOwn ? headers : {}, accept: [416] }
        return partOf(await this.#api.range(url, request, part), part)
      } catch (error) {
        if (!isDownloadError(error) || error.code === 'CANCELED') throw error
        failure = error
      }
    }
    throw failure
  }

  /** Closes the connections. */
  async close(): Promise<void> {
    await this.#close()
  }
}

/**
 * What an answer to a request for some bytes holds. Pure.
 *
 * @throws DownloadError `PROTOCOL_ERROR`.
 */
export function partOf(answer: ApiAnswer, { from, bytes }: { from: number; bytes: number }): FilePart {
  const { status, headers, text, url } = answer
  const { host } = new URL(url)
  const nothing = new Uint8Array()
  if (status === 416)
    return { data: nothing, total: parseContentRange(headers['content-range'])?.total ?? null }
  const { codings, unsupported } = contentCodingOf(headers, new URL(url))
  if (codings.length > 0 || unsupported !== null)
    throw new DownloadError(
      'PROTOCOL_ERROR',
      `${host} sends the file in a coding, so its parts can't be read.`,
    )
  const range = status === 206 ? parseContentRange(headers['content-range']) : null
  // Without ranges, the answer is the whole file, of which the beginning was read.
  const start = status === 200 ? 0 : range?.start
  if (start !== from)
    throw new DownloadError(
      'PROTOCOL_ERROR',
      `${host} does not send the parts of the file that are asked for.`,
    )
  return { data: Buffer.from(text, 'latin1').subarray(0, bytes), total: statedSize(answer) }
}
