/**
 * What a cluster needs of its store. A record is changed only with its current epoch, which grows each time somebody
 * takes the right to run or change the download; so a manager that has lost this right can't write any more.
 */
import type { DownloadRecord } from '../download/record.js'
import { isActive } from '../download/states.js'
import type { SerializedDownloadError } from '../errors.js'
import type { ClusterCommand } from '../manager/cluster/coordinator.js'
import type { HostWait } from '../net/host-gate.js'
import type { LoadedDocument } from '../store/store.js'

/** A record, and who may change it. */
export interface ClusterEntry {
  record: DownloadRecord
  /** Grows with every change. */
  revision: number
  /** Grows each time the download is queued; a job of an older generation means nothing. */
  generation: number
  /** Grows each time somebody takes the lease. */
  epoch: number
  /** Instance that holds the lease, or held it when it died; null if nobody does. */
  owner: string | null
  /** What somebody wants of the download that its owner has not done yet; null if nothing. */
  intent: ClusterIntent | null
  /** Name of the node whose own disk has its bytes, so that an instance there goes on with it; null if any may. */
  home: string | null
}

/** What a caller of one instance wants of a download that another one runs. */
export interface ClusterIntent {
  /** Identifies the call, whose answer bears the same id. */
  call: string
  command: ClusterCommand
}

/** A lease that an instance holds. */
export interface HeldLease {
  id: string
  epoch: number
}

/** Outcome of {@link ClusterBackend.begin}. */
export type Began =
  /** `from`: the instance that ran the download and has died; null if none has. */
  | { type: 'granted'; entry: ClusterEntry; from: string | null }
  /** Another instance holds the lease. */
  | { type: 'owned' }
  /** As many downloads run as may run at the same time. */
  | { type: 'full' }
  /** It is kept for the node that ran it last, whose disk has its bytes. */
  | { type: 'reserved' }
  /** There is no such record. */
  | { type: 'gone' }

/** Outcome of {@link ClusterBackend.renew} for one lease. */
export interface Renewed {
  /** Null if there is no such record, so that nobody can tell. */
  holds: boolean | null
  intent: ClusterIntent | null
}

/** Outcome of {@link ClusterBackend.insert}. */
export type Inserted =
  | { type: 'inserted'; entry: ClusterEntry }
  | { type: 'known'; entry: ClusterEntry }
  /** Another download has claimed a file. */
  | { type: 'taken' }

/** Outcome of {@link ClusterBackend.save}. */
export type Saved =
  { type: 'saved'; revision: number; generation: number } | { type: 'stale' | 'taken' | 'gone' }

/** Messages that may get lost: the next one says the same more precisely. */
export type ClusterMessage =
  | { type: 'progress'; items: readonly ProgressItem[] }
  | { type: 'wait'; wait: HostWait }
  /** How fast an instance is, in bytes per second, and how many downloads it runs. */
  | { type: 'rate'; bytesPerSecond: number; running: number }
  /** An instance ends. */
  | { type: 'left' }

/** Progress of a running download. */
export type ProgressItem = readonly [
  id: string,
  downloaded: number,
  total: number | null,
  connections: number,
]

/** Something that has happened in the cluster, in the order in which it did. */
export type ClusterEvent =
  | { type: 'changed'; id: string; entry: ClusterEntry }
  /** The record was removed. Its URL may have been asked for again meanwhile, which begins with a higher revision. */
  | { type: 'removed'; id: string; revision: number }
  /** The lease of a download has ended, so that another one may run. */
  | { type: 'freed'; id: string }
  /** For whoever holds the lease with this epoch, and nobody after that. */
  | { type: 'intent'; id: string; epoch: number; intent: ClusterIntent }
  | { type: 'answer'; call: string; answer: ClusterAnswer }
  | { type: 'document'; name: string }

/**
 * What the owner of a download answers: null if it has done what was wanted, its error, or `free` if its lease ended before it
 * could.
 */
export type ClusterAnswer = SerializedDownloadError | 'free' | null

/** What a backend reports. */
export interface BackendListener {
  /** Events in order. */
  events(events: readonly ClusterEvent[]): void
  message(from: string, message: ClusterMessage): void
  /** The store can't be reached. */
  away(reason: string): void
  /** It can be reached again, or events were missed: everything must be loaded again. */
  back(): void
  log(level: 'info' | 'warn' | 'error', message: string): void
}

/** Everything that is stored. */
export interface ClusterContent {
  entries: ClusterEntry[]
  problems: string[]
  /** Whether the store has lost data since this instance has loaded it before. */
  hasLost: boolean
}

/** The store of a cluster. Its methods reject with a retryable `STORE_ERROR` while it can't be reached. */
export interface ClusterBackend {
  /** Identifies this instance; another one of the same node has another id. */
  readonly instance: string
  /** How long a lease holds without being renewed, in milliseconds. */
  readonly leaseMs: number
  /**
   * Connects, and reports from then on what happens.
   *
   * @throws DownloadError `STORE_ERROR`.
   */
  open(listener: BackendListener): Promise<void>
  load(): Promise<ClusterContent>
  /** Resolves once all that had been stored before the call has been reported as events. */
  catchUp(): Promise<void>
  /** Reads single records; null for those that do not exist. */
  read(ids: readonly string[]): Promise<Map<string, ClusterEntry | null>>
  /** Stores a new record, unless there is one of its id or another download has claimed one of its files. */
  insert(record: DownloadRecord, targets: readonly string[]): Promise<Inserted>
  /** Takes the lease of a download. `limit`: how many may run; null if it is not going to run. */
  begin(id: string, limit: number | null): Promise<Began>
  /** Prolongs leases. Returns for each whether it still holds, and what its owner has been asked. */
  renew(held: readonly HeldLease[]): Promise<Renewed[]>
  /** Whether the epoch of a lease is still the current one. */
  confirm(lease: HeldLease): Promise<boolean>
  /** Writes a record, with the files that it claims. `requeue`: it is queued anew, so its generation grows. */
  save(
    lease: HeldLease,
    record: DownloadRecord,
    how: { targets: readonly string[]; requeue: boolean },
  ): Promise<Saved>
  /** Gives a lease up. What has run and is not settled may be kept for the node of this instance. */
  release(lease: HeldLease): Promise<void>
  /** Removes a record; false if the lease has been lost. */
  remove(lease: HeldLease): Promise<boolean>
  /**
   * Tells the owner of a download what is wanted of it. What it has not done when its lease ends is forgotten. False if there is
   * no such record, or nobody else holds its lease.
   */
  send(id: string, intent: ClusterIntent): Promise<boolean>
  /** Tells the caller that its wish has been done, or why not. */
  answer(id: string, call: string, answer: ClusterAnswer): Promise<void>
  /** Frees the downloads of instances that have died; one instance at a time does so. Returns what is queued again. */
  reap(): Promise<{ id: string; generation: number }[]>
  /** Stores entries that the store has lost. `holds`: this instance holds their leases. */
  restore(
    entries: readonly { entry: ClusterEntry; targets: readonly string[]; holds: boolean }[],
  ): Promise<void>
  tell(message: ClusterMessage): void
  readDocument(name: string): Promise<LoadedDocument>
  writeDocument(name: string, value: unknown): Promise<void>
  /** Takes or keeps the right to do something that one instance does; it ends after the time of a lease. */
  lead(name: string): Promise<boolean>
  /** Gives it up. */
  resign(name: string): Promise<void>
  close(): Promise<void>
}

/** A download as its queue sees it. */
export interface QueuedJob {
  id: string
  generation: number
  priority: number
  /** Whether it is of a remote caller. */
  remote: boolean
  /** Whether it has run before. */
  hasBegun: boolean
}

/** The queue of a cluster, which only says when it is a download's turn. */
export interface ClusterQueue {
  /**
   * @param offer - lets this instance run a download; `later` if it could not, and has to be offered again.
   */
  open(
    offer: (id: string, generation: number) => Promise<'done' | 'later'>,
    onProblem: (message: string) => void,
    options: { concurrency: number; clusterConcurrency: number | null },
  ): Promise<void>
  /** Adds a download. One of the same id and generation is added only once. */
  add(jobs: readonly QueuedJob[]): Promise<void>
  /** Offers nothing more, without waiting for what it has offered. Downloads can still be added. */
  stopOffering(): Promise<void>
  /** Ends. */
  close(): Promise<void>
}

/** The record of an entry. What a dead instance was doing is to be done again. */
export function recordOf({ record, owner }: Pick<ClusterEntry, 'record' | 'owner'>): DownloadRecord {
  return owner === null && isActive(record.state) ? { ...record, state: 'queued' } : record
}
