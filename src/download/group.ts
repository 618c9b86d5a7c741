/** Current state of a group's files: what callers see, what the group's job changes, and what is recorded. */
import { join } from 'node:path'
import type { FileStamp } from '../disk/stamp.js'
import type { TransferResult } from '../engine/protocol.js'
import {
  deserializeError,
  type DownloadError,
  type OptionIssue,
  type SerializedDownloadError,
} from '../errors.js'
import type { Verification } from '../util/digests.js'
import { repositoryOf } from '../layouts/hf-paths.js'
import type { GroupFileRecord, GroupRecord } from './record.js'
import type { DownloadState } from './states.js'

/**
 * One file of a {@link DownloadGroup}. Its properties reflect the current state: read them again to see what
 * has changed.
 */
export interface GroupFile {
  /** Path inside the group's folder, with slashes. */
  readonly filename: string
  /** Absolute path where the file is or will be stored. */
  readonly path: string
  /** Size in bytes, or null while unknown. */
  readonly size: number | null
  /**
   * SHA-256 in lower-case hex: the computed one once the file is complete, before that the one from the
   * source, or null.
   */
  readonly sha256: string | null
  /** Current state. */
  readonly state: DownloadState
  /** Bytes on disk. */
  readonly downloaded: number
  /** Whether the file was checked against a digest from the source. */
  readonly verified: boolean
  /** What a complete file was checked with, and who stated that; null if with nothing. */
  readonly verification: Verification | null
  /** Why the file failed; otherwise null. */
  readonly error: DownloadError | null
}

/** The files of a download whose ref names several. */
export interface DownloadGroup {
  /** Absolute path of the folder that contains them. */
  readonly path: string
  /** All files, in the order of the source. */
  readonly files: readonly GroupFile[]
  /** Number of complete files. */
  readonly completed: number
  /** Files that are not complete. */
  readonly missing: readonly GroupFile[]
}

/** What is known about a file when a group begins. */
export type GroupFileInit = Pick<GroupFileRecord, 'path'> &
  Omit<Partial<GroupFileRecord>, 'path'> & {
    /** Set if the file can't be stored under its name: the name as it may be shown. `path` is a safe one. */
    refused?: string | undefined
  }

/** The verification of a file that matches the SHA-256 of its source. */
function sourceVerification(sha256: string | null): Verification | null {
  return sha256 === null ? null : { algorithm: 'sha256', value: sha256, from: 'source' }
}

/** A {@link GroupFile} as the group's job sees it. */
export class GroupEntry implements GroupFile {
  readonly #folder: () => string
  readonly #path: string
  readonly filename: string
  /** It can't be stored under its name, so nothing of it exists on disk, nor in the record. */
  readonly isRefused: boolean
  size: number | null
  /** Digest from the source. */
  readonly expected: string | null
  /** See {@link GroupFileRecord}. */
  readonly revision: string | undefined
  /** Git's id of the content, if the source states that instead. */
  readonly gitOid: string | null
  state: DownloadState
  downloaded: number
  /** Size and digest of the file when it was last found valid. */
  stamp: FileStamp | null
  /** See {@link GroupFileRecord}. */
  older: FileStamp | null
  fetched: boolean
  /** Paths of files that had the same content before the source renamed them. */
  copies: readonly string[] = []
  stale: boolean
  /** Name of the blob if the file goes into a cache; otherwise null. */
  readonly blob: string | null
  failure: SerializedDownloadError | null

  constructor(folder: () => string, init: GroupFileInit, state: DownloadState) {
    this.#folder = folder
    this.#path = init.path
    this.filename = init.refused ?? init.path
    this.isRefused = init.refused !== undefined
    this.size = init.size ?? null
    this.expected = init.sha256 ?? null
    this.revision = init.revision
    this.gitOid = init.gitOid ?? null
    this.stamp = init.stamp ?? null
    this.older = init.older ?? null
    this.fetched = init.fetched ?? false
    this.stale = init.stale ?? false
    this.blob = init.blob ?? null
    this.failure = init.error ?? null
    this.state = init.done === true ? 'completed' : init.error === undefined ? state : 'failed'
    this.downloaded = init.done === true ? (this.size ?? init.downloaded ?? 0) : (init.downloaded ?? 0)
  }

  get path(): string {
    return join(this.#folder(), ...this.#path.split('/'))
  }

  /** Path of the file that is written; in a cache that is the blob, to which {@link path} is a link. */
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
    return this.verification !== null
  }

  get verification(): Verification | null {
    if (!this.isDone) return null
    // Earlier versions did not record it, and only SHA-256 counted.
    return this.stamp?.verification ?? sourceVerification(this.expected)
  }

  get error(): DownloadError | null {
    return this.failure === null ? null : deserializeError(this.failure)
  }

  toRecord(): GroupFileRecord {
    const { filename: path, size, expected, revision, gitOid, stamp, older, downloaded, failure, blob } = this
    return {
      path,
      ...(size === null ? {} : { size }),
      ...(expected === null ? {} : { sha256: expected }),
      ...(revision === undefined ? {} : { revision }),
      ...(gitOid === null ? {} : { gitOid }),
      ...(this.isDone ? { done: true } : downloaded === 0 ? {} : { downloaded }),
      ...(stamp === null ? {} : { stamp }),
      ...(older === null ? {} : { older }),
      ...(this.fetched ? { fetched: true } : {}),
      ...(this.stale ? { stale: true } : {}),
      ...(blob === null ? {} : { blob }),
      ...(failure === null ? {} : { error: failure }),
    }
  }
}

/**
 * The files of a group. Its totals are updated with each change, so that reading them is cheap for any number
 * of files.
 */
export class GroupFiles implements DownloadGroup {
  readonly #folder: () => string
  readonly files: readonly GroupEntry[]
  readonly revision: string | null
  pinned: boolean
  /** Whether the source has further files, which can't be stored under their names. */
  readonly isIncomplete: boolean
  #completed = 0
  #downloaded = 0
  #total = 0
  #unknown = 0

  /**
   * @param folder - returns the folder that the files are stored in.
   * @param state - of the files that are neither complete nor failed.
   */
  constructor(
    folder: () => string,
    {
      revision,
      pinned,
      files,
      incomplete,
    }: Pick<GroupRecord, 'revision' | 'pinned' | 'incomplete'> & { files: readonly GroupFileInit[] },
    state: DownloadState,
  ) {
    this.#folder = folder
    this.revision = revision
    this.pinned = pinned
    this.isIncomplete = incomplete === true || files.some(({ refused }) => refused !== undefined)
    this.files = files.map((file) => new GroupEntry(folder, file, state))
    for (const { isDone, downloaded, size, isRefused } of this.files) {
      if (isRefused) continue
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

  get missing(): readonly GroupEntry[] {
    return this.files.filter(({ isDone }) => !isDone)
  }

  /** Missing files that can be fetched. */
  get pending(): readonly GroupEntry[] {
    return this.files.filter(({ isDone, isRefused }) => !isDone && !isRefused)
  }

  /** Bytes on disk. */
  get downloaded(): number {
    return this.#downloaded
  }

  /** Total size in bytes, of the files that can be fetched; null while the size of any file is unknown. */
  get total(): number | null {
    return this.#unknown > 0 ? null : this.#total
  }

  /** One issue for each missing file, with the reason. */
  get issues(): OptionIssue[] {
    return this.missing.map(({ filename, failure, state }) => ({
      path: filename,
      message: failure?.message ?? `It is ${state}.`,
    }))
  }

  /** Records how many bytes of a file exist. */
  note(entry: GroupEntry, downloaded: number, size: number | null = entry.size): void {
    this.#downloaded += downloaded - entry.downloaded
    entry.downloaded = downloaded
    if (size === null || size === entry.size) return
    if (entry.size === null) this.#unknown -= 1
    else this.#total -= entry.size
    this.#total += size
    entry.size = size
  }

  /** Moves a file to another state. */
  move(entry: GroupEntry, state: DownloadState): void {
    this.#completed += Number(state === 'completed') - Number(entry.isDone)
    entry.state = state
    if (state !== 'failed') entry.failure = null
  }

  /** Marks a file as complete. */
  complete(
    entry: GroupEntry,
    { size, stamp, existed }: Pick<TransferResult, 'size' | 'stamp' | 'existed'>,
  ): void {
    this.note(entry, size, size)
    this.move(entry, 'completed')
    entry.stamp = stamp
    entry.older = null
    // A file that replaced an existing one does not belong to this download alone.
    if (!existed && !entry.stale) entry.fetched = true
    entry.stale = false
  }

  /** Marks a file as missing. */
  lose(entry: GroupEntry, state: DownloadState): void {
    this.note(entry, 0)
    this.move(entry, state)
    entry.stamp = null
    entry.fetched = false
  }

  /** Treats complete files as if they had existed before the download began. */
  keepFiles(): void {
    for (const entry of this.files) entry.fetched = false
  }

  fail(entry: GroupEntry, failure: SerializedDownloadError): void {
    this.move(entry, 'failed')
    entry.failure = failure
  }

  /** Moves all missing files to the state of the group. */
  moveMissing(state: DownloadState): void {
    for (const entry of this.pending) this.move(entry, state)
  }

  toRecord(): GroupRecord {
    const { revision, pinned } = this
    const files = this.files.filter(({ isRefused }) => !isRefused)
    const incomplete = this.isIncomplete ? ({ incomplete: true } as const) : {}
    return { revision, pinned, ...incomplete, files: files.map((entry) => entry.toRecord()) }
  }
}
