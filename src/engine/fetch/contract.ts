/** What a fetcher starts from, and what it asks of its transfer. */
import type { ResponseHead } from '../../net/http.js'
import type { TransferTuning } from '../../net/tuning.js'
import type { Identity } from '../part/identity.js'
import type { PartFile } from '../part/part-file.js'
import type { TransferEvent, TransferSpec } from '../protocol.js'
import type { ConnectionContext } from './connection.js'
import type { FreshAddress } from './mirror.js'
import type { HostGate, RetryBudget } from './retry-budget.js'

/** The first acceptable answer. */
export interface FirstAnswer {
  identity: Identity
  head: ResponseHead
  /** Where it came from, after redirects. */
  url: URL
  /** The one of {@link FetcherInit.urls} that was asked. */
  asked: string
}

/** What the fetcher asks of the transfer. */
export interface FetcherHost {
  /**
   * The first acceptable answer came: opens the part, or answers null when nothing needs to be fetched.
   *
   * The part may hold kept bytes that nobody knew of before the file had a name.
   */
  open(first: FirstAnswer): Promise<PartFile | null>
  /** Asks for an address that works now. */
  refresh(status: number): Promise<FreshAddress>
  emit(event: TransferEvent): void
}

/** The kept part of an earlier run. */
export interface KeptPart {
  part: PartFile
  /** The version that it is of. */
  identity: Identity
}

/** What a fetcher starts from. */
export interface FetcherInit {
  spec: TransferSpec
  /** Where to fetch from; at least one. */
  urls: readonly string[]
  tuning: TransferTuning
  context: ConnectionContext
  gate: HostGate
  retryBudget: RetryBudget
  host: FetcherHost
  kept: KeptPart | null
  /** Use one connection only. */
  single: boolean
}
