/** Fetches files from other instances that have them, before their origin is asked. */
import * as z from 'zod'
import type { TransferEngine, TransferSpec } from '../../engine/protocol.js'
import { withStart } from '../../engine/with-start.js'
import { blobPath } from './copies.js'

/** Other instances from which files are fetched. */
export interface PeerOptions {
  /**
   * Addresses of the other instances, such as `http://node-2:8050`, with the base path of their routes; or a function that
   * returns those that have the file with a digest, best ones first. At most 100, of which the first 8 are asked.
   */
  urls: readonly string[] | ((sha256: string) => readonly string[])
  /** The token that they ask for, see `HandlerOptions.peers`. */
  token: string
}

/** How many of them a transfer asks. */
const maxPeers = 8

const address = z
  .string()
  .refine(
    (text) => isAddress(text),
    'must be an address such as http://node-2:8050, without query and userinfo',
  )

export const peerOptionsSchema = z.strictObject({
  urls: z.union([
    z.array(address).max(100),
    z.custom<(sha256: string) => readonly string[]>(
      (value) => typeof value === 'function',
      'must be addresses, or a function that returns them',
    ),
  ]),
  token: z.string().min(16, 'must have at least 16 characters').max(1_000),
})

function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return /^https?:$/.test(protocol) && username + password + search + hash === ''
}

/**
 * The addresses at which other instances may have a file. Pure.
 *
 * @param peers - what {@link PeerOptions.urls} says; addresses that are none are left out.
 */
export function addressesAt(peers: readonly string[], sha256: string): string[] {
  return [...new Set(peers)]
    .filter(isAddress)
    .slice(0, maxPeers)
    .map((peer) => `${peer.replace(/\/+$/, '')}${blobPath}${sha256}`)
}

/**
 * Whether a file may be fetched from other instances: only by its digest, by which whatever they send is checked. What a
 * remote caller asks for must not make requests to addresses that the caller may not reach. Pure.
 */
export function mayAskPeers({ sha256, remote, offline = false }: TransferSpec): boolean {
  return sha256 !== null && remote === null && !offline
}

/**
 * An engine whose transfers ask other instances first.
 *
 * @param onLog - hears of a function that fails; the file then comes from its origin.
 */
export function peerEngine(
  engine: TransferEngine,
  { urls, token }: PeerOptions,
  onLog: (level: 'warn', message: string) => void,
): TransferEngine {
  const peersOf = (sha256: string) => {
    try {
      return addressesAt(typeof urls === 'function' ? urls(sha256) : urls, sha256)
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'it threw'
      onLog('warn', `The function that names other instances (peers.urls) has failed: ${reason}`)
      return []
    }
  }
  const headers = { authorization: `Bearer ${token}` }
  return withStart(engine, (spec, listener) => {
    const asked = spec.sha256 !== null && mayAskPeers(spec) ? peersOf(spec.sha256) : []
    return engine.start(asked.length === 0 ? spec : { ...spec, peers: { urls: asked, headers } }, listener)
  })
}
