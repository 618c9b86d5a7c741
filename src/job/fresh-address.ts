/** Answers the requests of transfers for addresses that work now. */
import { addressOf } from '../download/destination.js'
import type { TransferCommand, TransferEvent } from '../engine/protocol.js'
import { toDownloadError } from '../errors.js'
import type { ResolvedFile } from '../sources/source.js'
import type { RefAddress } from './ref.js'

/** The request of a transfer. */
export type AddressRequest = Extract<TransferEvent, { type: 'refresh' }>

/** An address with its headers. */
interface FreshAddress {
  url: string
  headers: Record<string, string>
}

/** Returns an address that works now. */
export type Refresh = (event: AddressRequest) => Promise<FreshAddress>

/** Answers the requests of the transfer of one file of a ref. */
export function freshAddresses(
  address: RefAddress,
  file: ResolvedFile,
  given: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Refresh {
  let current = file
  let lastToken: string | null = null
  return async ({ xet, status }) => {
    if (xet !== true) {
      current = await address.refresh(current, signal)
      return addressOf(current, given)
    }
    const { url, token } = await address.xetToken(current, status === 401 ? lastToken : null, signal)
    lastToken = token
    return { url, headers: { authorization: `Bearer ${token}` } }
  }
}

/**
 * Answers one request. Without an address for the Xet store, the transfer goes on with its other addresses.
 *
 * @throws whatever `refresh` throws, unless the request is one for the Xet store.
 */
export async function answerRefresh(
  event: AddressRequest,
  refresh: Refresh,
): Promise<Extract<TransferCommand, { type: 'refreshed' }>> {
  const { requestId, xet } = event
  try {
    return { type: 'refreshed', requestId, ...(await refresh(event)) }
  } catch (error) {
    if (xet !== true) throw error
    return { type: 'refreshed', requestId, url: '', headers: {}, error: toDownloadError(error).toJSON() }
  }
}
