/** What an exchange of request and response is, whoever makes it; and the headers of a request. Pure. */
import { DownloadError, toDownloadError } from '../errors.js'
import type { ServerDigest } from './server-digests.js'
import type { ProxySetting } from './proxies.js'

/** Receives the events of an exchange. None follows `onEnd`, `onError` or an abort. */
export interface ExchangeListener {
  /** The request was written to an open connection. */
  onSent(): void
  onHead(head: ResponseHead): void
  /** The chunk is valid only during this call, since its memory is reused. */
  onData(chunk: Buffer): void
  onEnd(): void
  onError(error: DownloadError): void
}

/**
 * Calls a listener. If that throws, it is a bug, which must not pass as a failure of the network.
 *
 * @returns the bug as an `INTERNAL` error, with which the exchange is to end; null if there was none.
 */
export function bugIn(call: () => void): DownloadError | null {
  try {
    call()
    return null
  } catch (error) {
    return new DownloadError('INTERNAL', toDownloadError(error).message, { cause: error })
  }
}

/** A request in progress. */
export interface Exchange {
  /** Stops reading from the socket. */
  pause(): void
  resume(): void
  /**
   * Aborts the exchange, and closes its connection unless the response was complete. The listener isn't
   * called.
   */
  abort(): void
}

/** A request. */
export interface ExchangeRequest {
  url: URL
  /** Default: `GET`. */
  method?: 'GET' | 'HEAD' | undefined
  headers: Readonly<Record<string, string>>
  /** Which proxy to use. A client of remote callers uses none from the environment. */
  proxy: ProxySetting
}

/** Status and headers of a response; header names are in lower case. */
export interface ResponseHead {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** What redirects before it say about the digest of the file. Default: nothing. */
  linked?: readonly ServerDigest[] | undefined
}

/** Used unless the caller sets another one. */
const userAgent = 'model-downloader'

/** The headers of a request: the caller's and those for the range, without content coding (transfer rule 1). */
export function requestHeaders(
  caller: Readonly<Record<string, string>>,
  range: Readonly<Record<string, string>>,
): Record<string, string> {
  const given = Object.entries(caller).map(([name, value]) => [name.toLowerCase(), value])
  return {
    'user-agent': userAgent,
    accept: '*/*',
    // The type of Object.fromEntries doesn't preserve that the values are strings.
    ...(Object.fromEntries(given) as Record<string, string>),
    ...range,
    'accept-encoding': 'identity',
  }
}
