import { DownloadError } from '../errors.js'
import type { Verification } from '../util/digests.js'
import { englishVoice } from './error-text.js'
import { type DownloadGroup, type GroupFile, GroupFiles } from './group.js'
import { etaSeconds, percentOf, type Progress, SpeedMeter } from './progress.js'
import type { DownloadRecord } from './record.js'
import { type DownloadState, isActive, isSettled, move } from './states.js'
import { recordedVerification } from './verification.js'
import { type SerializedDownload, toFullWire } from './wire.js'

/** Services of the manager that a {@link Download} needs. */
export interface DownloadOwner {
  pathOf(record: Pick<DownloadRecord, 'directory' | 'mode' | 'filename' | 'cache'>): string
  pause(url: string): Promise<Download>
  resume(url: string): Promise<Download>
  cancel(url: string): Promise<Download>
  retry(url: string): Promise<Download>
  setLimit(download: Download, maxBytesPerSecond: number | null): void
  setPriority(download: Download, priority: number): void
  nodeOf?(download: Download): string | null
}

/** Result of a successful run. */
type FinishedRun = Pick<DownloadedFile, 'existed' | 'fetchedBytes' | 'adoptedFrom'>

interface Deferred {
  promise: Promise<DownloadedFile>
  resolve: (file: DownloadedFile) => void
  reject: (error: DownloadError) => void
}

/**
 * A download, created by {@link DownloadManager.download}. It exists as long as the manager knows its URL.
 *
 * All properties reflect the current state: read them again to see what has changed.
 */
export class Download {
  readonly #owner: DownloadOwner
  #record: DownloadRecord
  // What follows is made when it is first needed: a manager may know a hundred thousand downloads that nobody asks for.
  #speed: SpeedMeter | null = null
  #finished: Deferred | null = null
  #file: DownloadedFile | null = null
  #watchers: Set<() => void> | null = null
  /** Whether it was completed by an earlier process, so that {@link file} follows from the record. */
  #restored: boolean
  #connections = 0
  #group: GroupFiles | null = null
  /** Set when the manager has closed, so that nothing changes any more. */
  #abandoned: DownloadError | null = null
  #waitingFor: DownloadError | null = null

  /** @internal */
  constructor(record: DownloadRecord, owner: DownloadOwner) {
    const { group } = record
    // Kept separately: data that changes with every file must not be copied with every change of the record.
    this.#record = group === null ? record : { ...record, group: null }
    this.#owner = owner
    if (group !== null) this.#group = new GroupFiles(() => this.path, group, record.state)
    this.#restored = record.state === 'completed'
  }

  /** The requested URL, which identifies the download. */
  get url(): string {
    return this.#record.url
  }

  /** Current state. */
  get state(): DownloadState {
    return this.#record.state
  }

  /** File name; provisional until {@link named} is true. */
  get filename(): string {
    return this.#record.filename
  }

  /** Whether the file name is final: given by the caller, taken from the URL, or reported by the server. */
  get named(): boolean {
    return this.#record.named
  }

  /** Absolute path where the file is or will be stored; for a group, that of its folder. */
  get path(): string {
    return this.#owner.pathOf(this.#record)
  }

  /** Subfolder, or null for the directory itself. */
  get mode(): string | null {
    return this.#record.mode
  }

  /**
   * Downloads with a higher priority start first. A change moves a waiting download in the queue; it stops no running
   * one.
   *
   * @throws DownloadError `INVALID_OPTIONS` when it is set to anything but an integer from −1,000,000 to 1,000,000.
   */
  get priority(): number {
    return this.#record.priority
  }

  set priority(priority: number) {
    this.#owner.setPriority(this, priority)
  }

  /**
   * SHA-256 of the file in lower-case hex: the computed one once completed, before that the expected one, or
   * null.
   */
  get sha256(): string | null {
    return this.#record.resultSha256 ?? this.#record.sha256
  }

  /** Whether the finished file was checked against a digest that was given in advance. */
  get verified(): boolean {
    return this.#record.verified
  }

  /** What the file was verified with, and who stated that; null if with nothing, and for a group. */
  get verification(): Verification | null {
    return recordedVerification(this.#record)
  }

  /**
   * Whether the last run was answered from disk, because the source could not be reached or the network must not be
   * used: the source may have a newer version. False if the ref names a revision whose content never changes.
   */
  get stale(): boolean {
    return this.#record.stale === true
  }

  /**
   * The files, if the URL is a ref that names several; null for a single file, and while that is not known.
   */
  get group(): DownloadGroup | null {
    return this.#group
  }

  /**
   * Why the download failed or was canceled; otherwise null. For a group, its `issues` list every missing
   * file.
   */
  get error(): DownloadError | null {
    const { error } = this.#record
    if (error === null) return null
    const { status, retryAfterMs, retryable } = error
    return new DownloadError(error.code, error.message, {
      retryable,
      ...(status === undefined ? {} : { status }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      issues: this.#group?.issues ?? [],
    })
  }

  /**
   * Why a queued download has no slot although one may be free: there is no disk space for it, and `whenFull` is `wait`.
   * Otherwise null. It starts by itself when there is space.
   */
  get waitingFor(): DownloadError | null {
    return this.state === 'queued' ? this.#waitingFor : null
  }

  /**
   * In a cluster, the name of the machine or pod that runs it, see `BullmqClusterOptions.node`; null while none does, and
   * without a cluster.
   */
  get node(): string | null {
    return this.#owner.nodeOf?.(this) ?? null
  }

  /** Whether it is never evicted, see `DownloadManager.pin`. */
  get pinned(): boolean {
    return this.#record.pinned === true
  }

  /** The file once completed; otherwise null. */
  get file(): DownloadedFile | null {
    if (this.#restored) this.#file ??= this.#fileOf(null)
    return this.#file
  }

  /** The JSON form, that of the REST API, so that `JSON.stringify(download)` can be sent as it is. */
  toJSON(): SerializedDownload {
    return toFullWire(this, englishVoice)
  }

  /** When the download was first requested. */
  get createdAt(): Date {
    return new Date(this.#record.createdAt)
  }

  /** When the download last started to run, or null. */
  get startedAt(): Date | null {
    return this.#record.startedAt === null ? null : new Date(this.#record.startedAt)
  }

  /** When the download settled, or null. */
  get finishedAt(): Date | null {
    return this.#record.finishedAt === null ? null : new Date(this.#record.finishedAt)
  }

  /**
   * Settles when the download does: with the file, or with a {@link DownloadError}. It stays pending while
   * the download is paused. A rejection that nobody handles is not reported as unhandled. After {@link retry}
   * this is a new promise.
   */
  get finished(): Promise<DownloadedFile> {
    if (this.#finished === null) {
      this.#finished = defer()
      if (this.file !== null) this.#finished.resolve(this.file)
      else if (this.state === 'failed' || this.state === 'canceled')
        this.#finished.reject(this.#outcomeError())
      else if (this.#abandoned !== null) this.#finished.reject(this.#abandoned)
    }
    return this.#finished.promise
  }

  /** Current progress. */
  get current(): Progress {
    const { downloaded, total, state } = this.#record
    const moving = state === 'downloading'
    const bytesPerSecond = moving ? (this.#speed?.bytesPerSecond() ?? 0) : 0
    return {
      downloaded,
      total,
      percent: percentOf(downloaded, total, state === 'completed'),
      bytesPerSecond,
      etaSeconds: state === 'completed' ? 0 : etaSeconds(downloaded, total, bytesPerSecond),
      connections: moving ? this.#connections : 0,
      phase: state,
      ...(this.stale ? { stale: true } : {}),
    }
  }

  /**
   * Yields the progress: first the current value, then each change, and the last one when the download
   * settles. A slow reader misses intermediate values, but never the last one.
   */
  async *progress(): AsyncGenerator<Progress, void, void> {
    const update = { fresh: true, wake: () => undefined as void }
    const watcher = () => {
      update.fresh = true
      update.wake()
    }
    const watchers = (this.#watchers ??= new Set())
    watchers.add(watcher)
    try {
      while (this.#abandoned === null) {
        update.fresh = false
        const settled = isSettled(this.state)
        yield this.current
        if (settled) return
        await new Promise<void>((resolve) => {
          update.wake = resolve
          if (update.fresh) resolve()
        })
      }
    } finally {
      watchers.delete(watcher)
    }
  }

  /** Stops the download and keeps its bytes. See {@link DownloadManager.pause}. */
  pause(): Promise<Download> {
    return this.#owner.pause(this.url)
  }

  /** Queues the paused download again. See {@link DownloadManager.resume}. */
  resume(): Promise<Download> {
    return this.#owner.resume(this.url)
  }

  /** Stops the download and deletes its bytes. See {@link DownloadManager.cancel}. */
  cancel(): Promise<Download> {
    return this.#owner.cancel(this.url)
  }

  /** Starts the download again after it failed or was canceled. See {@link DownloadManager.retry}. */
  retry(): Promise<Download> {
    return this.#owner.retry(this.url)
  }

  /**
   * Limit of this download in bytes per second, or null for none. A change takes effect immediately.
   *
   * @throws DownloadError `INVALID_OPTIONS` unless it is null or a positive number.
   */
  get maxBytesPerSecond(): number | null {
    return this.#record.maxBytesPerSecond
  }

  set maxBytesPerSecond(limit: number | null) {
    this.#owner.setLimit(this, limit)
  }

  // ---- for the manager ----

  /** @internal */
  get record(): DownloadRecord {
    return this.#record
  }

  /** @internal The record to be stored; {@link record} does not contain the group. */
  toRecord(): DownloadRecord {
    return this.#group === null ? this.#record : { ...this.#record, group: this.#group.toRecord() }
  }

  /** @internal Same as {@link group}, for code that changes it. */
  get groupFiles(): GroupFiles | null {
    return this.#group
  }

  /**
   * @internal The files that it writes, relative to its folder; those of a group are preceded by the group's
   * own folder.
   */
  get targets(): string[] {
    const { filename } = this.#record
    const files = this.#group?.files.filter(({ isRefused }) => !isRefused)
    return files?.map((file) => `${filename}/${file.filename}`) ?? [filename]
  }

  /** @internal Sets the files that the ref names, and the name of their folder. */
  beginGroup(folder: string, group: GroupFiles): void {
    this.#group = group
    this.#record = { ...this.#record, filename: folder, named: true, total: group.total }
  }

  /** @internal Discards what is known about the files of a group. */
  forgetGroup(): void {
    this.#group = null
  }

  /** @internal Queues the download as another request for its URL; nothing of the known one remains. */
  replace(record: DownloadRecord): void {
    this.#group = null
    if (this.state !== 'queued') this.move('queued')
    this.#record = { ...record, group: null, state: 'queued' }
  }

  /** @internal Changes the record; the state is changed only by {@link move}. */
  update(patch: Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>>): void {
    this.#record = { ...this.#record, ...patch }
  }

  /** @internal */
  move(to: DownloadState, patch: Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>> = {}): void {
    const from = this.#record.state
    this.#waitingFor = null
    this.#record = { ...this.#record, ...patch, state: move(from, to) }
    if (to === 'queued' || to === 'paused' || to === 'canceled' || to === 'failed')
      this.#group?.moveMissing(to)
    if (isSettled(from) && to === 'queued') {
      this.#finished = null
      this.#file = null
      this.#restored = false
    }
    if (to === 'queued' || to === 'paused' || isSettled(to)) {
      this.#speed = null
      this.#connections = 0
    }
    if (to === 'failed' || to === 'canceled') this.#finished?.reject(this.#outcomeError())
  }

  /** @internal Becomes what another manager has stored; the files of a group are those of the record. */
  mirror(record: DownloadRecord): void {
    const { state: from, finishedAt } = this.#record
    const { state: to, group } = record
    this.#waitingFor = null
    this.#group = group === null ? null : new GroupFiles(() => this.path, group, to)
    this.#record = { ...record, group: null }
    if (isSettled(from) && (to !== from || record.finishedAt !== finishedAt)) {
      this.#finished = null
      this.#file = null
      this.#restored = false
    }
    if (!isActive(to)) {
      this.#speed = null
      this.#connections = 0
    }
    const existed = record.fetched !== true
    if (to === 'completed' && this.#file === null)
      this.complete({ existed, fetchedBytes: 0, adoptedFrom: null })
    if (to === 'failed' || to === 'canceled') this.#finished?.reject(this.#outcomeError())
    this.wake()
  }

  /** @internal Sets {@link waitingFor}; any move resets it. */
  waitFor(reason: DownloadError | null): void {
    this.#waitingFor = reason
  }

  /** @internal */
  note(at: number, progress: { downloaded: number; total: number | null; connections: number }): void {
    this.#record = { ...this.#record, downloaded: progress.downloaded, total: progress.total }
    this.#connections = progress.connections
    this.#speed ??= new SpeedMeter()
    this.#speed.add(at, progress.downloaded)
  }

  /** @internal Resolves {@link finished}; must be called after the move to `completed`. */
  complete(run: FinishedRun): DownloadedFile {
    this.#file = this.#fileOf(run)
    this.#finished?.resolve(this.#file)
    return this.#file
  }

  /** @internal Rejects {@link finished} when the manager closes; the state does not change. */
  abandon(error: DownloadError): void {
    if (!isSettled(this.state)) this.#finished?.reject(error)
    this.#abandoned = error
    this.wake()
  }

  /** @internal Notifies the readers of {@link progress}. */
  wake(): void {
    for (const watcher of [...(this.#watchers ?? [])]) watcher()
  }

  #fileOf(run: FinishedRun | null): DownloadedFile {
    const { url, filename, verified, resultSha256, total, downloaded } = this.#record
    return {
      url,
      path: this.path,
      filename,
      size: total ?? downloaded,
      sha256: resultSha256,
      verified,
      verification: this.verification,
      ...(this.stale ? { stale: true } : {}),
      existed: run?.existed ?? true,
      fetchedBytes: run?.fetchedBytes ?? 0,
      files: this.#group?.files ?? null,
      adoptedFrom: run?.adoptedFrom ?? null,
    }
  }

  #outcomeError(): DownloadError {
    if (this.#record.state === 'canceled') return new DownloadError('CANCELED', 'The download was canceled.')
    return this.error ?? new DownloadError('INTERNAL', 'The download failed without a reason.')
  }
}

function defer(): Deferred {
  let resolve: Deferred['resolve'] = () => undefined
  let reject: Deferred['reject'] = () => undefined
  const promise = new Promise<DownloadedFile>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Callers that use events do not await this promise, and its rejection must not be reported as unhandled.
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}

/** A finished file. */
export interface DownloadedFile {
  /** The requested URL. */
  url: string
  /** Absolute path; for a group, that of its folder. */
  path: string
  /** Last segment of `path`. */
  filename: string
  /** Size in bytes; for a group, that of all its files. */
  size: number
  /**
   * SHA-256 in lower-case hex; null if an existing file was accepted without hashing because no digest was
   * expected.
   */
  sha256: string | null
  /** Whether a digest that was given in advance matched. */
  verified: boolean
  /** The digest that the content was compared with, and who stated it; null if none was known, and for a group. */
  verification: Verification | null
  /** True if the source could not be asked, see {@link Download.stale}; otherwise missing. */
  stale?: boolean
  /** Whether the file already existed, so that nothing was fetched. */
  existed: boolean
  /** Bytes received over the network in this run. */
  fetchedBytes: number
  /** The files of a group in the order of the source; `path` is then their folder. Null for a single file. */
  files: readonly GroupFile[] | null
  /**
   * Absolute path of the file in another program's cache that was adopted instead of fetching it; otherwise
   * null.
   */
  adoptedFrom: string | null
}
