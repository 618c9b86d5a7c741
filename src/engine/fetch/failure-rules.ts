/** What the failure of a connection means for its address. Pure. */
import type { DownloadError } from '../../errors.js'
import type { RequestForms } from './request-form.js'

/** The circumstances of a failure. */
export interface FailedConnection {
  /** Connections to the same address that are still open. */
  others: number
  /** Others were open when the request was made. */
  beside: boolean
  /** The file has more than one usable address. */
  several: boolean
  forms: Pick<RequestForms, 'servesPlainOnly' | 'isRefusal'>
}

/**
 * `crowded`: nothing but that so many connections are too many; `busy`: it asks for a longer wait than is accepted, and
 * there are other addresses; `refused`: the same request will be refused again; `retry`: it may succeed later.
 */
export type FailureMeaning = 'crowded' | 'busy' | 'refused' | 'retry'

/** Whether a server has answered, as opposed to a network that failed. */
export function isAnswer(error: DownloadError): boolean {
  return error.status !== undefined || error.code === 'PROTOCOL_ERROR'
}

/** Judges the failure of a connection. */
export function judgeFailure(
  error: DownloadError,
  { others, beside, several, forms }: FailedConnection,
  maxRetryAfterMs: number,
): FailureMeaning {
  // If there is another address, a stalled one is given up together with its other connections.
  if (others > 0 && !(several && error.code === 'STALLED')) return 'crowded'
  // The server may have refused it only because there were others: the address is judged by a request alone.
  if (beside && !error.retryable && error.status !== undefined) return 'crowded'
  if (several && (error.retryAfterMs ?? 0) > maxRetryAfterMs) return 'busy'
  const isFinal =
    !error.retryable || (isAnswer(error) && forms.servesPlainOnly) || forms.isRefusal(error.status)
  return isFinal ? 'refused' : 'retry'
}
