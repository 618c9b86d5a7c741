/**
 * The transfer boundary. A transfer starts from a {@link TransferSpec} and talks in {@link TransferEvent}s and
 * {@link TransferCommand}s, all of them plain data that survives a structured clone: the engine can live in this
 * thread or in a worker.
 */
import { createHash } from 'node:crypto'
import type { FileStamp } from '../disk/stamp.js'
import type { SerializedDownloadError } from '../errors.js'
import type { CacheSpec } from '../layouts/hf-paths.js'
import type { KnownCaches } from '../layouts/known-caches.js'
import type { RemoteGrant } from '../net/address-policy.js'
import type { TransferTuning } from '../net/tuning.js'

/** Everything a transfer needs to know. */
export interface TransferSpec {
  /** Chosen by the manager; every event carries it. */
  id: string
  /** Where the file is. http or https; may carry userinfo, which becomes Basic authorization. */
  url: string
  /** Further addresses of the same file, in the order in which they are tried; `url` may be among them. Default: none. */
  urls?: readonly string[]
  /** Fetch from all of them at once. Default false: from one, the others when it fails or is slow. */
  spread?: boolean
  /** Absolute path of the folder that the file goes to. Made when missing. */
  directory: string
  /** File name inside the folder; null lets the first response name it. */
  filename: string | null
  /** Lower-case hex SHA-256 that the content must have, or null. */
  sha256: string | null
  /** Bytes that the content must have, or null. */
  size: number | null
  /** Headers of the caller, sent to the origin of `url` only. */
  headers: Record<string, string>
  /** Most connections for this file. */
  connections: number
  /** Limit for this transfer, or null. */
  maxBytesPerSecond: number | null
  /** Fetch anew even when the file is there; it is swapped when the new one is verified. */
  force: boolean
  /** How far it may reach, when the URL came from an untrusted caller; null for a trusted one. */
  remote: RemoteGrant | null
  /** Use HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Never done for `remote`. */
  proxy: boolean
  /** The file as it was when it was last known to be right, to spare hashing it again. */
  known: FileStamp | null
  /** Transfers that name the same share have one limit, and one set of connections where those aren't everybody's. */
  share: string | null
  /** Git's name for the content, which is held against it where no SHA-256 is known. */
  gitOid?: string | null
  /** Other programs' caches to take it from, where its SHA-256 is known; null to fetch it in any case. */
  adopt?: AdoptSpec | null
  /** Where in which cache it goes; `directory` and `filename` are then those of the blob. */
  cache?: CacheSpec | null
}

/** What of which caches may be taken. */
export interface AdoptSpec {
  caches: KnownCaches
  /** Whether a hard link will do. */
  share: boolean
  /** What the source calls the file. */
  filename: string | null
  /** The repository that it is of, such as `owner/name`. */
  repository: string | null
}

/** A finished file, as the engine reports it. */
export interface TransferResult {
  path: string
  filename: string
  size: number
  /** Lower-case hex; null when an existing file was taken as it lay and nothing asked for its digest. */
  sha256: string | null
  /** Whether a digest that was given beforehand matched. */
  verified: boolean
  /** Whether the file was there already, so that nothing was fetched. */
  existed: boolean
  /** Bytes that came over the network in this run. */
  fetchedBytes: number
  /** The file in another program's cache that it was taken from instead of being fetched; null otherwise. */
  adoptedFrom: string | null
  stamp: FileStamp | null
}

/** How a transfer is asked to stop: `pause` and `close` keep the bytes, `cancel` deletes them. */
export type StopMode = 'pause' | 'close' | 'cancel'

/**
 * How to stop when it is asked for again: what was asked for first holds, so that a pause stays one when the manager
 * closes. Only cancel outranks it. Pure.
 *
 * @param now - how it is stopping; null when nobody has asked yet.
 */
export function strongerStop(now: StopMode | null, asked: StopMode): StopMode {
  return now === null || asked === 'cancel' ? asked : now
}

/** What a transfer is doing. */
export type TransferPhase = 'resolving' | 'downloading' | 'verifying'

/** From the transfer to the manager. The last one is always `completed`, `failed` or `stopped`, and comes once. */
export type TransferEvent =
  | { type: 'phase'; phase: TransferPhase }
  /** The file name is settled. */
  | { type: 'named'; filename: string; path: string }
  | { type: 'progress'; downloaded: number; total: number | null; connections: number }
  /** Waits, then tries again. */
  | { type: 'retrying'; attempt: number; delayMs: number; error: SerializedDownloadError }
  /** Dropped what it had and begins at byte 0. */
  | { type: 'restarted'; error: SerializedDownloadError }
  | { type: 'log'; level: 'debug' | 'info' | 'warn' | 'error'; message: string }
  /** The server named the file; goes on when a `claimed` command says that no other download has the name. */
  | { type: 'claim'; requestId: number; filename: string }
  /** Asks for an address that works now (a signed one expired); answered by a `refreshed` command. */
  | { type: 'refresh'; requestId: number; status: number }
  | { type: 'completed'; result: TransferResult }
  | { type: 'failed'; error: SerializedDownloadError }
  | { type: 'stopped'; mode: StopMode }

/** From the manager to the transfer. */
export type TransferCommand =
  | { type: 'stop'; mode: StopMode }
  | { type: 'limit'; maxBytesPerSecond: number | null }
  /** It may use more connections than its spec says. */
  | { type: 'connections'; connections: number }
  | { type: 'claimed'; requestId: number; error: SerializedDownloadError | null }
  | { type: 'refreshed'; requestId: number; url: string; headers: Record<string, string> }

/** One running transfer, seen from the manager. */
export interface TransferHandle {
  send(command: TransferCommand): void
}

/** What runs transfers: in this thread or in a worker, the manager cannot tell. */
export interface TransferEngine {
  /** Starts a transfer. `listener` is called asynchronously, never from inside `start`. */
  start(spec: TransferSpec, listener: (event: TransferEvent) => void): TransferHandle
  /** Starts what takes a moment to start, before the first transfer needs it. */
  prepare?(): void
  /** Limit over all transfers together, or null for none. */
  setMaxBytesPerSecond(limit: number | null): void
  /** Closes sockets and helpers. Running transfers must have been stopped before. */
  close(): Promise<void>
}

// ---- The addresses of one file: `url`, and its mirrors. Pure.

/** What stands for an address in a journal: the address may hold what nobody should read there. */
export function mirrorId(url: string): string {
  return createHash('sha256').update(url).digest('hex').slice(0, 16)
}

/** All addresses of a file, each once, `url` first. */
export function addressesOf({ url, urls }: { url: string; urls?: readonly string[] }): readonly string[] {
  return urls === undefined || urls.length === 0 ? [url] : [...new Set([url, ...urls])]
}

/** The caller's headers are for the origin of the first address. */
export function headersFor(
  url: string,
  first: { url: string; headers: Record<string, string> },
): Record<string, string> {
  return new URL(url).origin === new URL(first.url).origin ? first.headers : {}
}

// ---- The words between an engine in a worker and the thread that started it. All of it survives a structured clone.

/** What a worker begins with. */
export interface WorkerInit {
  tuning: Partial<TransferTuning>
  maxBytesPerSecond: number | null
  /** Threads whose locks nobody holds any more; see `files/lock.ts`. */
  deadThreads: readonly string[]
}

/** To the worker. `id` is the number of a run, not that of the download. */
export type WorkerRequest =
  | { type: 'start'; id: number; spec: TransferSpec }
  | { type: 'command'; id: number; command: TransferCommand }
  | { type: 'limit'; maxBytesPerSecond: number | null }
  | { type: 'close' }

/** From the worker. */
export type WorkerReply =
  /** It could be loaded. `thread` is its name among the owners of locks. */
  | { type: 'ready'; thread: string }
  /** What happened in one turn, in order. */
  | { type: 'events'; events: readonly (readonly [id: number, event: TransferEvent])[] }
  | { type: 'log'; level: 'warn'; message: string }
  | { type: 'closed' }
