/**
 * The messages between the manager and the engine. A transfer is described by a {@link TransferSpec}, reports
 * {@link TransferEvent}s and receives {@link TransferCommand}s. All of them can be structured-cloned, so the engine
 * can run in this thread or in a worker.
 */
import { createHash } from 'node:crypto'
import type { FileStamp } from '../disk/stamp.js'
import type { SerializedDownloadError } from '../errors.js'
import type { CacheSpec } from '../layouts/hf-paths.js'
import type { KnownCaches } from '../layouts/known-caches.js'
import type { RemoteGrant } from '../net/address-policy.js'
import type { HostWait } from '../net/host-gate.js'
import type { ProxySetting } from '../net/proxies.js'
import type { TransferTuning } from '../net/tuning.js'
import type { DigestAlgorithm, DigestOrigin, ExpectedDigest, Verification } from '../util/digests.js'
import { withoutSignature } from '../util/signed-url.js'

/** Everything that a transfer needs to know. */
export interface TransferSpec {
  /** Id chosen by the manager. */
  id: string
  /** URL of the file, http or https. May contain userinfo, which is sent as Basic authorization. */
  url: string
  /** Further addresses of the same file, in the order in which to try them; may include `url`. Default: none. */
  urls?: readonly string[]
  /** Fetch from all addresses in parallel. Default false: use the others only when the first one fails or is slow. */
  spread?: boolean
  /** Absolute path of the folder for the file. Created if missing. */
  directory: string
  /** Absolute path of a folder that contains `directory`; no folder below it may be a link. Default: `directory`. */
  root?: string
  /** File name inside the folder; null to take it from the first response. */
  filename: string | null
  /** Lower-case hex SHA-256 that the content must have, or null. */
  sha256: string | null
  /** Who stated `sha256`. Default: the caller. */
  sha256From?: DigestOrigin
  /** Further digests that the content must have, none of them a SHA-256. Default: none. */
  digests?: readonly ExpectedDigest[]
  /** Digests of its pieces, by which only damaged ones are fetched again; null if they are not known. Default: null. */
  pieces?: PieceDigests | null
  /** Size that the content must have, in bytes, or null. */
  size: number | null
  /** Headers of the caller, sent to the origin of `url` only. */
  headers: Record<string, string>
  /** Headers for the origins of further addresses, by origin. Default: none. */
  otherHeaders?: Readonly<Record<string, Record<string, string>>> | undefined
  /** A source named `url` and `headers`, and can be asked again when they have expired. Default false. */
  renewable?: boolean
  /** Maximum number of connections for this file. */
  connections: number
  /** Limit for this transfer in bytes per second, or null. */
  maxBytesPerSecond: number | null
  /** Without a known digest, check the first bytes against the file name; see `disk/model-formats.ts`. Default true. */
  checkFormat?: boolean
  /** Download again even if the file exists; it is replaced once the new one is verified. */
  force: boolean
  /** Use only what is on disk, and make no request; what is missing fails with `OFFLINE`. Default false. */
  offline?: boolean
  /** Which addresses may be contacted if the URL comes from an untrusted caller; null for a trusted one. */
  remote: RemoteGrant | null
  /** Bounds of an untrusted caller; null for none. Default: null. */
  bounds?: RemoteBounds | null
  /** The manager has a disk budget: it must be asked before anything is written, and then from time to time. Default false. */
  reserves?: boolean
  /** Some of `urls` were named by a remote caller, so a trusted one must not rely on the bytes. Default false. */
  untrusted?: boolean
  /** Which proxy to use; with `remote`, none from the environment. */
  proxy: ProxySetting
  /** Stamp of the file when it was last verified, to avoid hashing it again; or null. */
  known: FileStamp | null
  /** Transfers with the same key share one rate limit and, if `remote`, their connections. Null to share nothing. */
  share: string | null
  /** Git blob ID that the content must have, used only if no SHA-256 is known. */
  gitOid?: string | null
  /** Caches of other programs to take the file from if its SHA-256 is known; null to always download it. */
  adopt?: AdoptSpec | null
  /**
   * Absolute paths of finished files that had this SHA-256, or this id in git, when they were last verified, under other
   * names. One of them is copied instead of fetching the file. Default: none.
   */
  copies?: readonly string[]
  /** Its place in a cache; `directory` and `filename` are then those of the blob. */
  cache?: CacheSpec | null
  /** Other instances that may have the file, which are asked before `url`. Default: none. */
  peers?: PeerSpec | undefined
  /**
   * The right to write the file, where several instances share the work. It must be renewed by `lease` commands: once it
   * has run out, the transfer writes nothing more and fails with `TAKEN_OVER`. Default: none is needed.
   */
  lease?: LeaseTerm | undefined
  /** Where its hub's Xet store has the file, if `sha256` and `size` are known; null not to use it. Default: null. */
  xet?: XetSpec | null
}

/** A file in the Xet store of a hub, which is another address of the same file. */
export interface XetSpec {
  /** Hash of the file in the store: 64 lower-case hexadecimal digits. */
  hash: string
  /** Fetch from the store, and over HTTP only if that fails or is slow; false for the reverse. */
  first: boolean
  /** An older version on disk, from which what both share is copied instead of being fetched. Default: none. */
  older?: OlderVersion | null
}

/** An older version of a file on disk. It is used only as long as it is still what its stamp says. */
export interface OlderVersion {
  /** Absolute path. */
  path: string
  /** Its stamp when it was last verified. */
  stamp: FileStamp
  /** Its hash in the Xet store. */
  hash: string
}

/** Other instances that may have a file. */
export interface PeerSpec {
  /** Addresses of the file, in the order in which to try them. */
  urls: readonly string[]
  /** Sent to these addresses only. */
  headers: Record<string, string>
}

/** A lease, as the manager of a transfer gives it. */
export interface LeaseTerm {
  /**
   * Number of the lease: each one that is given for a file is higher than those before it, also after whoever gives them
   * has lost its data. It stands in the journal.
   */
  epoch: number
  /**
   * For how long the lease is certain to last from now on, in milliseconds, counted from before it was asked for. May be
   * `Infinity`.
   */
  validForMs: number
}

/** Digests of the pieces of a file, all of one length but the last. */
export interface PieceDigests {
  algorithm: DigestAlgorithm
  /** In bytes. */
  length: number
  /** In lower-case hex, in the order of the pieces. */
  hashes: readonly string[]
}

/** Bounds for what is fetched for an untrusted caller. */
export interface RemoteBounds {
  /** Largest file, in bytes; null for no limit. */
  maxFileBytes: number | null
  /** Lowest speed of a download over a minute, in bytes per second; null for none. */
  minBytesPerSecond: number | null
}

/** Which caches to look in for a copy, and whether a hard link is acceptable. */
export interface AdoptSpec {
  /** Caches to look in. */
  caches: KnownCaches
  /** Whether a hard link is acceptable. */
  share: boolean
  /** Name of the file at its source, or null. */
  filename: string | null
  /** Repository of the file, such as `owner/name`, or null. */
  repository: string | null
}

/** A finished file, as the engine reports it. */
export interface TransferResult {
  /** Absolute path. */
  path: string
  filename: string
  /** Size in bytes. */
  size: number
  /** Lower-case hex; null if an existing file was accepted without hashing it. */
  sha256: string | null
  /** The digest that the content was compared with, and matches; null if none was known. */
  verification: Verification | null
  /** Whether the file existed already, so that nothing was fetched. */
  existed: boolean
  /** Bytes received over the network in this run. */
  fetchedBytes: number
  /** The file in another program's cache that it was taken from instead of being fetched; null otherwise. */
  adoptedFrom: string | null
  /** Stamp to recognize the file later without hashing it; null if its digest is unknown. */
  stamp: FileStamp | null
  /** What the server said of this version, to notice a newer one. Missing if nothing was fetched, or from several servers. */
  validator?: Validator
}

/** Entity tag and `Last-Modified` as they were sent, quotes and `W/` included; null if there was none. */
export interface Validator {
  etag: string | null
  lastModified: string | null
}

/** How a transfer is asked to stop: `pause` and `close` keep the bytes, `cancel` deletes them. */
export type StopMode = 'pause' | 'close' | 'cancel'

/**
 * Combines two requests to stop. The first one holds, so that a paused transfer remains paused when the manager
 * closes; only `cancel` overrides it. Pure.
 *
 * @param now - how the transfer is stopping; null if it is not.
 */
export function strongerStop(now: StopMode | null, asked: StopMode): StopMode {
  return now === null || asked === 'cancel' ? asked : now
}

/** What a transfer is doing. */
export type TransferPhase = 'resolving' | 'downloading' | 'verifying'

/** From the transfer to the manager. Exactly one of `completed`, `failed` or `stopped` is sent, as the last event. */
export type TransferEvent =
  | { type: 'phase'; phase: TransferPhase }
  /** The file name and path are known. */
  | { type: 'named'; filename: string; path: string }
  | { type: 'progress'; downloaded: number; total: number | null; connections: number }
  /** The transfer waits, then tries again. */
  | { type: 'retrying'; attempt: number; delayMs: number; error: SerializedDownloadError }
  /** The transfer discarded its bytes and starts over at byte 0. */
  | { type: 'restarted'; error: SerializedDownloadError }
  | { type: 'log'; level: 'debug' | 'info' | 'warn' | 'error'; message: string }
  /** The server named the file. The transfer waits for a `claimed` command, which confirms that the name is free. */
  | { type: 'claim'; requestId: number; filename: string }
  /** Asks for disk space, or whether the transfer may still use what it has; answered by a `reserved` command. */
  | { type: 'reserve'; requestId: number; path: string; size: number | null; written: number }
  /**
   * Requests a new address, because a signed one has expired; answered by a `refreshed` command. With `xet`, requests the
   * address of the Xet store and a token for it, another one if `status` is 401.
   */
  | { type: 'refresh'; requestId: number; status: number; xet?: true }
  /** Asks whether the lease is still ours; answered by a `leaseConfirmed` command. */
  | { type: 'confirmLease'; requestId: number }
  | { type: 'completed'; result: TransferResult }
  /** `whole`: the download that the transfer belongs to has failed, so its other files need not be tried. */
  | { type: 'failed'; error: SerializedDownloadError; whole?: boolean }
  | { type: 'stopped'; mode: StopMode }

/** From the manager to the transfer. */
export type TransferCommand =
  | { type: 'stop'; mode: StopMode }
  | { type: 'limit'; maxBytesPerSecond: number | null }
  /** Changes the number of connections. */
  | { type: 'connections'; connections: number }
  | { type: 'claimed'; requestId: number; error: SerializedDownloadError | null }
  /** `granted`: how many bytes the file may have. */
  | { type: 'reserved'; requestId: number; granted: number; error: SerializedDownloadError | null }
  | {
      type: 'refreshed'
      requestId: number
      url: string
      headers: Record<string, string>
      /** Why there is no address. Default: null. */
      error?: SerializedDownloadError | null
    }
  /** The lease was renewed; see {@link LeaseTerm.validForMs}. Zero takes it away. */
  | { type: 'lease'; validForMs: number }
  | { type: 'leaseConfirmed'; requestId: number; isHeld: boolean }

/** One running transfer, seen from the manager. */
export interface TransferHandle {
  send(command: TransferCommand): void
}

/** How late the event loop of a thread was, in seconds. */
export interface LoopDelay {
  mean: number
  p99: number
  max: number
}

/** How the thread of an engine is doing. */
export interface EngineReport {
  /** Whether the engine has a thread of its own, or works in that of the host. */
  thread: 'worker' | 'host'
  /** Since the last report that measured; null in the first one, and where it can't be measured. */
  loopDelay: LoopDelay | null
  /** Bytes received over the network since the engine was started. */
  receivedBytes: number
}

/** Runs transfers, in this thread or in a worker. */
export interface TransferEngine {
  /** Starts a transfer. `listener` is called asynchronously, never from inside `start`. */
  start(spec: TransferSpec, listener: (event: TransferEvent) => void): TransferHandle
  /** Starts the worker ahead of the first transfer. */
  prepare?(): void
  /**
   * Resolves when the engine answers; with null if it has not been started yet.
   *
   * @param measure - whether to measure the event loop of its thread, from the first such call on.
   * @throws DownloadError `INTERNAL` when it does not answer within five seconds.
   */
  report?(measure: boolean): Promise<EngineReport | null>
  /** Sets the limit for all transfers together, in bytes per second; null for none. */
  setMaxBytesPerSecond(limit: number | null): void
  /** Closes sockets and workers. Running transfers must have been stopped before. */
  close(): Promise<void>
}

// ---- The addresses of one file: `url` and its mirrors. Pure.

/**
 * Identifies an address in a journal without revealing it, because it may contain credentials. An address that was signed
 * again remains the same one.
 */
export function mirrorId(url: string): string {
  return createHash('sha256').update(withoutSignature(url)).digest('hex').slice(0, 16)
}

/**
 * All addresses of a file without duplicates: those of other instances, then `url` and its mirrors, and before or behind
 * these its Xet store.
 */
export function addressesOf(
  spec: Pick<TransferSpec, 'url' | 'urls' | 'peers'> & XetAddressed,
): readonly string[] {
  const { url, urls = [], xet, peers } = spec
  const store = xetUrl(spec)
  const stores = store === null ? [] : [store]
  const isFirst = xet?.first === true
  const others = peers?.urls ?? []
  return [...new Set([...others, ...(isFirst ? stores : []), url, ...urls, ...(isFirst ? [] : stores)])]
}

/** What decides whether the Xet store is an address of a file. */
type XetAddressed = Partial<Pick<TransferSpec, 'xet' | 'sha256' | 'size'>>

/** Ends the host of the address that stands for a Xet store; such a name never exists (RFC 6761 section 6.4). */
const xetDomain = '.xet.invalid'

/**
 * The address that stands for a file in the Xet store of its hub; null if that is not used. No request is ever sent to
 * it: `xet/origin.ts` answers instead.
 */
export function xetUrl({
  url,
  xet = null,
  sha256 = null,
  size = null,
}: Pick<TransferSpec, 'url'> & XetAddressed): string | null {
  if (xet === null || sha256 === null || size === null || size === 0) return null
  return `https://${new URL(url).host.replace(/[^a-z0-9.-]/gi, '-')}${xetDomain}/${xet.hash}`
}

/** The host of an address, for log messages; the rest of a URL may contain secrets. */
export function nameOfAddress(url: string): string {
  const { host } = new URL(url)
  return host.endsWith(xetDomain) ? `the Xet store of ${host.slice(0, -xetDomain.length)}` : host
}

/** The URL for a journal. What a source has signed is kept without the signature, which the source can make again. */
export function journalUrl({ url, renewable = false }: Pick<TransferSpec, 'url' | 'renewable'>): string {
  return renewable ? withoutSignature(url) : url
}

/**
 * The headers for an address: those for other instances; the caller's, if it has the origin of the caller's URL; those of its
 * own origin for any other.
 */
export function headersFor(
  url: string,
  first: Pick<TransferSpec, 'url' | 'headers' | 'otherHeaders' | 'peers'>,
): Record<string, string> {
  if (first.peers?.urls.includes(url) === true) return first.peers.headers
  const { origin } = new URL(url)
  return origin === new URL(first.url).origin ? first.headers : (first.otherHeaders?.[origin] ?? {})
}

// ---- The messages between an engine in a worker and the thread that started it. All can be structured-cloned.

/** Initial data of a worker. */
export interface WorkerInit {
  tuning: Partial<TransferTuning>
  maxBytesPerSecond: number | null
  /** See `DownloadManagerOptions.ca`. */
  ca?: readonly string[] | undefined
  /** Threads that have exited, so that their locks are no longer held; see `disk/lock.ts`. */
  deadThreads: readonly string[]
  /** Servers that have asked to wait. */
  waits: readonly HostWait[]
}

/**
 * To the worker. `id` is the number of a run, not the id of the download. `sentMs`: when a message with a lease was sent,
 * by {@link monotonicMs}, since it may be delivered late.
 */
export type WorkerRequest =
  | { type: 'start'; id: number; spec: TransferSpec; sentMs?: number }
  | { type: 'command'; id: number; command: TransferCommand; sentMs?: number }
  | { type: 'limit'; maxBytesPerSecond: number | null }
  /** A server asked a request for metadata to wait. */
  | { type: 'wait'; wait: HostWait }
  /** Asks for a report. */
  | { type: 'report'; id: number; measure: boolean }
  | { type: 'close' }

/** From the worker. */
export type WorkerReply =
  /** The worker has started. `thread` is its name as an owner of locks. */
  | { type: 'ready'; thread: string }
  /** The events of one turn of the event loop, in order. */
  | { type: 'events'; events: readonly (readonly [id: number, event: TransferEvent])[] }
  | { type: 'log'; level: 'warn'; message: string }
  /** A server asked a transfer to wait. */
  | { type: 'wait'; wait: HostWait }
  | { type: 'report'; id: number; report: Omit<EngineReport, 'thread'> }
  | { type: 'closed' }
