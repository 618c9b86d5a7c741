/** The interface between a fetcher and its transfer. */
import type { ResponseHead } from '../../net/exchange.js'
import type { TransferTuning } from '../../net/tuning.js'
import type { Identity } from '../part/identity.js'
import type { PartFile } from '../part/part-file.js'
import type { TransferEvent, TransferSpec } from '../protocol.js'
import type { ConnectionContext } from './connection.js'
import type { ForcedCoding } from './forced-coding.js'
import type { FreshAddress } from './mirror.js'
import type { RetryBudget } from './retry-budget.js'

/** The first acceptable response. */
export interface FirstAnswer {
  identity: Identity
  head: ResponseHead
  /** Its URL after redirects. */
  url: URL
  /** The one of {@link FetcherInit.urls} that the request was sent to. */
  asked: string
  /**
   * Returns the first bytes of the file, or all of a shorter one; they remain part of the body.
   *
   * @throws DownloadError `TRUNCATED` when the connection ends before; the fetcher then tries again.
   */
  peek(bytes: number): Promise<Buffer>
}

/** What the transfer does for its fetcher. */
export interface FetcherHost {
  /**
   * Opens the part file after the first acceptable response.
   *
   * The part may already hold bytes: if the response determined the file name, a part from an earlier run can only be
   * found now.
   *
   * @returns null when nothing needs to be fetched.
   */
  open(first: FirstAnswer): Promise<PartFile | null>
  /**
   * Requests a new address, because the current one may have expired.
   *
   * @param status - HTTP status of the response that was refused.
   */
  refresh(status: number): Promise<FreshAddress>
  emit(event: TransferEvent): void
}

/** The part file of an earlier run. */
export interface KeptPart {
  part: PartFile
  /** The version of the file that its bytes belong to. */
  identity: Identity
}

/** Settings and services of a fetcher. */
export interface FetcherInit {
  spec: TransferSpec
  /** Whether a digest will tell at the end that every byte is right, so that validators need not. */
  digestKnown: boolean
  /** Addresses to fetch from; at least one. */
  urls: readonly string[]
  tuning: TransferTuning
  context: ConnectionContext
  retryBudget: RetryBudget
  /** What earlier fetches have found out is remembered. */
  forcedCoding: ForcedCoding
  host: FetcherHost
  kept: KeptPart | null
  /** Use one connection only. */
  single: boolean
  /** The first request needs no range, because one connection is enough or ranges are refused. */
  plain: boolean
  /** Size of the version whose bytes were dropped by an earlier fetch, which this one starts again; null if none. */
  versionSize: number | null
}
