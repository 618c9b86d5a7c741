/** The files of a group as they are now: what callers see, what the group's job changes, what is remembered. */
import { join } from 'node:path'
import type { FileStamp } from '../disk/stamp.js'
import type { TransferResult } from '../engine/protocol.js'
import {
  deserializeError,
  type DownloadError,
  type OptionIssue,
  type SerializedDownloadError,
} from '../errors.js'
import { repositoryOf } from '../layouts/hf-paths.js'
import type { GroupFileRecord, GroupRecord } from './record.js'
import type { DownloadState } from './states.js'

/** One file of a {@link DownloadGroup}. A view of the present: read it again to see what has changed. */
export interface GroupFile {
  /** Path inside the group's folder, with slashes. */
  readonly filename: string
  /** Absolute path where it lies or will lie. */
  readonly path: string
  /** Bytes, or null while unknown. */
  readonly size: number | null
  /** SHA-256: the computed one once it is there, until then what the source says, or null. Lower-case hex. */
  readonly sha256: string | null
  /** Where it is in its life. */
  readonly state: DownloadState
  /** Bytes on disk. */
  readonly downloaded: number
  /** Whether it was checked against a digest that the source told. */
  readonly verified: boolean
  /** Why it is missing, when it failed; null otherwise. */
  readonly error: DownloadError | null
}

/** The files of a download whose ref means several. */
export interface DownloadGroup {
  /** Absolute path of the folder that they lie in. */
  readonly path: string
  /** All of them, in the order of the source. */
  readonly files: readonly GroupFile[]
  /** How many are there. */
  readonly completed: number
  /** Those that are not there. */
  readonly missing: readonly GroupFile[]
}

/** What is known of a file when a group begins. */
export type GroupFileInit = Pick<GroupFileRecord, 'path'> & Omit<Partial<GroupFileRecord>, 'path'>

/** See {@link GroupFile}; this is how the group's job sees it. */
export class Entry implements GroupFile {
  readonly #folder: () => string
  readonly filename: string
  size: number | null
  /** What the source says. */
  readonly expected: string | null
  state: DownloadState
  downloaded: number
  /** Size and digest as they were when it was found right. */
  stamp: FileStamp | null
  fetched: boolean
  stale: boolean
  /** Name of its blob, when it goes into a cache; else null. */
  readonly blob: string | null
  failure: SerializedDownloadError | null

  constructor(folder: () => string, init: GroupFileInit, state: DownloadState) {
    this.#folder = folder
    this.filename = init.path
    this.size = init.size ?? null
    this.expected = init.sha256 ?? null
    this.stamp = init.stamp ?? null
    this.fetched = init.fetched ?? false
    this.stale = init.stale ?? false
    this.blob = init.blob ?? null
    this.failure = init.error ?? null
    this.state = init.done === true ? 'completed' : init.error === undefined ? state : 'failed'
    this.downloaded = init.done === true ? (this.size ?? init.downloaded ?? 0) : (init.downloaded ?? 0)
  }

  get path(): string {
    return join(this.#folder(), ...this.filename.split('/'))
  }

  /** The file that is written: in a cache the blob, to which {@link path} is a link. */
  get written(): string {
    return this.blob === null ? this.path : join(repositoryOf(this.#folder()), 'blobs', this.blob)
  }

  get sha256(): string | null {
    return this.stamp?.sha256 ?? this.expected
  }

  get isDone(): boolean {
    return this.state === 'completed'
  }

  get verified(): boolean {
    return this.isDone && this.expected !== null
  }

  get error(): DownloadError | null {
    return this.failure === null ? null : deserializeError(this.failure)
  }

  toRecord(): GroupFileRecord {
    const { filename: path, size, expected, stamp, downloaded, failure, blob } = this
    return {
      path,
      ...(size === null ? {} : { size }),
      ...(expected === null ? {} : { sha256: expected }),
      ...(this.isDone ? { done: true } : downloaded === 0 ? {} : { downloaded }),
      ...(stamp === null ? {} : { stamp }),
      ...(this.fetched ? { fetched: true } : {}),
      ...(this.stale ? { stale: true } : {}),
      ...(blob === null ? {} : { blob }),
      ...(failure === null ? {} : { error: failure }),
    }
  }
}

/** See the file's head. Keeps its sums, so that they cost nothing however many files there are. */
export class GroupFiles implements DownloadGroup {
  readonly #folder: () => string
  readonly files: readonly Entry[]
  readonly revision: string | null
  pinned: boolean
  #completed = 0
  #downloaded = 0
  #total = 0
  #unknown = 0

  /**
   * @param folder - where the files lie.
   * @param state - of the files that are neither there nor failed.
   */
  constructor(
    folder: () => string,
    {
      revision,
      pinned,
      files,
    }: Pick<GroupRecord, 'revision' | 'pinned'> & { files: readonly GroupFileInit[] },
    state: DownloadState,
  ) {
    this.#folder = folder
    this.revision = revision
    this.pinned = pinned
    this.files = files.map((file) => new Entry(folder, file, state))
    for (const { isDone, downloaded, size } of this.files) {
      if (isDone) this.#completed += 1
      this.#downloaded += downloaded
      if (size === null) this.#unknown += 1
      else this.#total += size
    }
  }

  get path(): string {
    return this.#folder()
  }

  get completed(): number {
    return this.#completed
  }

  get missing(): readonly Entry[] {
    return this.files.filter(({ isDone }) => !isDone)
  }

  /** Bytes on disk. */
  get downloaded(): number {
    return this.#downloaded
  }

  /** Bytes in all; null as long as the size of one is unknown. */
  get total(): number | null {
    return this.#unknown > 0 ? null : this.#total
  }

  /** What is not there, and why: one issue for each file. */
  get issues(): OptionIssue[] {
    return this.missing.map(({ filename, failure, state }) => ({
      path: filename,
      message: failure?.message ?? `It is ${state}.`,
    }))
  }

  /** Notes how much of a file there is. */
  note(entry: Entry, downloaded: number, size: number | null = entry.size): void {
    this.#downloaded += downloaded - entry.downloaded
    entry.downloaded = downloaded
    if (size === null || size === entry.size) return
    if (entry.size === null) this.#unknown -= 1
    else this.#total -= entry.size
    this.#total += size
    entry.size = size
  }

  /** Moves a file to another state. */
  move(entry: Entry, state: DownloadState): void {
    this.#completed += Number(state === 'completed') - Number(entry.isDone)
    entry.state = state
    if (state !== 'failed') entry.failure = null
  }

  /** A file is there. */
  complete(entry: Entry, { size, stamp, existed }: Pick<TransferResult, 'size' | 'stamp' | 'existed'>): void {
    this.note(entry, size, size)
    this.move(entry, 'completed')
    entry.stamp = stamp
    // What took the place of somebody's file is not only ours.
    if (!existed && !entry.stale) entry.fetched = true
    entry.stale = false
  }

  /** A file is not there any more, or never was. */
  lose(entry: Entry, state: DownloadState): void {
    this.note(entry, 0)
    this.move(entry, state)
    entry.stamp = null
    entry.fetched = false
  }

  /** From now on the files that are there count as those that were there before. */
  keepFiles(): void {
    for (const entry of this.files) entry.fetched = false
  }

  fail(entry: Entry, failure: SerializedDownloadError): void {
    this.move(entry, 'failed')
    entry.failure = failure
  }

  /** Moves all that are not there, as the whole group does. */
  moveMissing(state: DownloadState): void {
    for (const entry of this.missing) this.move(entry, state)
  }

  toRecord(): GroupRecord {
    const { revision, pinned } = this
    return { revision, pinned, files: this.files.map((entry) => entry.toRecord()) }
  }
}
