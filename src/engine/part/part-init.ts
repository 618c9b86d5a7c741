import type { PartPaths } from '../../disk/part-paths.js'
import type { RemoteGrant } from '../../net/address-policy.js'
import type { Identity } from './identity.js'
import type { Resumable } from './journal.js'
import type { Lease } from './lease.js'

/** Parameters for opening a part file. */
export interface PartInit {
  paths: PartPaths
  url: string
  sha256: string | null
  identity: Identity
  /** The address that `identity` comes from, as a `mirrorId`; undefined for `url`. */
  mirror?: string | undefined
  /** The addresses that the URL may reach; null (the default) for a trusted caller. */
  remote?: RemoteGrant | null
  /** See {@link Journal.untrusted}. Default: as in `resume`. */
  untrusted?: boolean
  resume: Resumable | null
  /** The right to write; null (the default) if none is needed. */
  lease?: Lease | null
}
