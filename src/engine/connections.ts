/** What all connections of a transfer have in common, and who closes it. */
import { wantDigest } from '../net/server-digests.js'
import type { ConnectionContext } from './fetch/connection.js'
import { givenDigests } from './hash/expected.js'
import type { TransferSpec } from './protocol.js'
import type { ManagerRequests } from './requests-to-manager.js'
import type { Share, TransferResources } from './shared.js'
import { xetClient } from './xet-client.js'

/** What is open while a transfer fetches. */
export interface OpenConnections {
  context: ConnectionContext
  /** Bytes that were not fetched, but copied from an older version. */
  readonly copiedBytes: number
  /** Closes what no other transfer uses. */
  close(): Promise<void>
}

/** What {@link openConnections} needs. */
export interface ConnectionsInit {
  spec: TransferSpec
  shared: TransferResources
  share: Share
  requests: Pick<ManagerRequests, 'refresh'>
  /** Use none of the connections that are open: bytes that were wrong may have come from one of several servers. */
  fresh: boolean
  warn: (message: string) => void
}

/** Opens what the connections of a transfer need. */
export function openConnections(init: ConnectionsInit): OpenConnections {
  const { spec, shared, share, requests, warn } = init
  const { tuning, clock, bucket, batchesFor, found, gates } = shared
  const fresh = init.fresh ? shared.makeHttp(spec.remote) : null
  const xet = xetClient(fresh ?? share.open(), spec, requests, warn)
  return {
    context: {
      http: xet.http,
      tuning,
      buckets: [bucket, share.bucket],
      proxy: spec.proxy,
      ask: givenDigests(spec).length === 0 ? wantDigest : {},
      batchesFor,
      found,
      clock,
      gate: gates.for({ remote: spec.remote !== null }),
    },
    get copiedBytes() {
      return xet.copiedBytes
    },
    close: async () => {
      await xet.close()
      await fresh?.close()
      await share.close()
    },
  }
}
