import { DownloadError } from '../errors.js'
import { type DownloadGroup, type GroupFile, GroupFiles } from './group.js'
import { etaSeconds, percentOf, type Progress, SpeedMeter } from './progress.js'
import type { DownloadRecord } from './record.js'
import { type DownloadState, isSettled, move } from './states.js'

/** What a {@link Download} asks of its manager. */
export interface DownloadOwner {
  pathOf(record: Pick<DownloadRecord, 'directory' | 'mode' | 'filename' | 'cache'>): string
  pause(url: string): Promise<Download>
  resume(url: string): Promise<Download>
  cancel(url: string): Promise<Download>
  retry(url: string): Promise<Download>
  setLimit(download: Download, maxBytesPerSecond: number | null): void
}

/** How a run ended well. */
type FinishedRun = Pick<DownloadedFile, 'existed' | 'fetchedBytes' | 'adoptedFrom'>

interface Deferred {
  promise: Promise<DownloadedFile>
  resolve: (file: DownloadedFile) => void
  reject: (error: DownloadError) => void
}

/**
 * One download. Made by {@link DownloadManager.download}; lives as long as the manager knows its URL.
 *
 * Everything here is a view of the present: read it again to see what has changed.
 */
export class Download {
  readonly #owner: DownloadOwner
  readonly #speed = new SpeedMeter()
  #record: DownloadRecord
  #finished: Deferred
  #file: DownloadedFile | null = null
  #connections = 0
  #group: GroupFiles | null = null
  /** The manager has closed: nothing more will come. */
  #gone = false
  readonly #watchers = new Set<() => void>()

  /** @internal */
  constructor(record: DownloadRecord, owner: DownloadOwner) {
    const { group } = record
    // Kept apart: what changes with every file must not be copied with every change of the record.
    this.#record = { ...record, group: null }
    this.#owner = owner
    if (group !== null) this.#group = new GroupFiles(() => this.path, group, record.state)
    this.#finished = defer()
    if (record.state === 'completed') this.#complete(null)
    else if (record.state === 'failed' || record.state === 'canceled')
      this.#finished.reject(this.#outcomeError())
  }

  /** The URL that was asked for: the identity of the download. */
  get url(): string {
    return this.#record.url
  }

  /** Where it is in its life. */
  get state(): DownloadState {
    return this.#record.state
  }

  /** File name; provisional until {@link named}. */
  get filename(): string {
    return this.#record.filename
  }

  /** Whether the file name is settled: given, taken from the URL, or told by the server. */
  get named(): boolean {
    return this.#record.named
  }

  /** Absolute path where the file lies or will lie; of a group, that of its folder. */
  get path(): string {
    return this.#owner.pathOf(this.#record)
  }

  /** Sub-folder, or null for the directory itself. */
  get mode(): string | null {
    return this.#record.mode
  }

  /** Higher ones go first. */
  get priority(): number {
    return this.#record.priority
  }

  /** SHA-256 of the file: the computed one once completed, until then the expected one, or null. Lower-case hex. */
  get sha256(): string | null {
    return this.#record.resultSha256 ?? this.#record.sha256
  }

  /** Whether the finished file was checked against a digest given beforehand. */
  get verified(): boolean {
    return this.#record.verified
  }

  /** The files, when the URL is a ref that means several; null for a single file, and as long as nobody knows. */
  get group(): DownloadGroup | null {
    return this.#group
  }

  /** Why it failed or was canceled; null otherwise. Of a group, its `issues` tell of every file that is missing. */
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

  /** The file, once completed. */
  get file(): DownloadedFile | null {
    return this.#file
  }

  /** When it was first asked for. */
  get createdAt(): Date {
    return new Date(this.#record.createdAt)
  }

  /** When it last began to work, or null. */
  get startedAt(): Date | null {
    return this.#record.startedAt === null ? null : new Date(this.#record.startedAt)
  }

  /** When it settled, or null. */
  get finishedAt(): Date | null {
    return this.#record.finishedAt === null ? null : new Date(this.#record.finishedAt)
  }

  /**
   * Settles when the download does: with the file, or with a {@link DownloadError}. While it is paused it waits. A
   * rejection that nobody listens to is not reported as unhandled. After {@link retry} this is a new promise.
   */
  get finished(): Promise<DownloadedFile> {
    return this.#finished.promise
  }

  /** How far it is right now. */
  get current(): Progress {
    const { downloaded, total, state } = this.#record
    const moving = state === 'downloading'
    const bytesPerSecond = moving ? this.#speed.bytesPerSecond() : 0
    return {
      downloaded,
      total,
      percent: percentOf(downloaded, total, state === 'completed'),
      bytesPerSecond,
      etaSeconds: state === 'completed' ? 0 : etaSeconds(downloaded, total, bytesPerSecond),
      connections: moving ? this.#connections : 0,
      phase: state,
    }
  }

  /**
   * Progress as it comes: the present one first, then each change, the last one when the download settles. A slow
   * reader misses intermediate ones, never the last.
   */
  async *progress(): AsyncGenerator<Progress, void, void> {
    const signal = { fresh: true, wake: () => undefined as void }
    const watcher = () => {
      signal.fresh = true
      signal.wake()
    }
    this.#watchers.add(watcher)
    try {
      while (!this.#gone) {
        signal.fresh = false
        const settled = isSettled(this.state)
        yield this.current
        if (settled) return
        await new Promise<void>((resolve) => {
          signal.wake = resolve
          if (signal.fresh) resolve()
        })
      }
    } finally {
      this.#watchers.delete(watcher)
    }
  }

  /** Stops it and keeps the bytes. See {@link DownloadManager.pause}. */
  pause(): Promise<Download> {
    return this.#owner.pause(this.url)
  }

  /** Queues it again. See {@link DownloadManager.resume}. */
  resume(): Promise<Download> {
    return this.#owner.resume(this.url)
  }

  /** Stops it and deletes the bytes. See {@link DownloadManager.cancel}. */
  cancel(): Promise<Download> {
    return this.#owner.cancel(this.url)
  }

  /** Starts it anew after it failed or was canceled. See {@link DownloadManager.retry}. */
  retry(): Promise<Download> {
    return this.#owner.retry(this.url)
  }

  /**
   * Limit of this download in bytes per second, or null for none. Setting it takes effect at once.
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

  /** @internal What is to be written down: {@link record} knows nothing of the group. */
  toRecord(): DownloadRecord {
    return this.#group === null ? this.#record : { ...this.#record, group: this.#group.toRecord() }
  }

  /** @internal The same as {@link group}, for those who change it. */
  get groupFiles(): GroupFiles | null {
    return this.#group
  }

  /** @internal The files that it goes to, in its folder; those of a group with the group's own folder before them. */
  get targets(): string[] {
    const { filename } = this.#record
    return this.#group?.files.map((file) => `${filename}/${file.filename}`) ?? [filename]
  }

  /** @internal It is known by now which files the ref means, and the name of their folder. */
  beginGroup(folder: string, group: GroupFiles): void {
    this.#group = group
    this.#record = { ...this.#record, filename: folder, named: true, total: group.total }
  }

  /** @internal Nothing is known of its files any more. */
  forgetGroup(): void {
    this.#group = null
  }

  /** @internal Changes what is recorded; the state changes by {@link move} only. */
  update(patch: Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>>): void {
    this.#record = { ...this.#record, ...patch }
  }

  /** @internal */
  move(to: DownloadState, patch: Partial<Omit<DownloadRecord, 'state' | 'url' | 'id'>> = {}): void {
    const from = this.#record.state
    this.#record = { ...this.#record, ...patch, state: move(from, to) }
    if (to === 'queued' || to === 'paused' || to === 'canceled' || to === 'failed')
      this.#group?.moveMissing(to)
    if (isSettled(from) && to === 'queued') {
      this.#finished = defer()
      this.#file = null
    }
    if (to === 'queued' || to === 'paused' || isSettled(to)) {
      this.#speed.reset()
      this.#connections = 0
    }
    if (to === 'failed' || to === 'canceled') this.#finished.reject(this.#outcomeError())
  }

  /** @internal */
  note(at: number, progress: { downloaded: number; total: number | null; connections: number }): void {
    this.#record = { ...this.#record, downloaded: progress.downloaded, total: progress.total }
    this.#connections = progress.connections
    this.#speed.add(at, progress.downloaded)
  }

  /** @internal Settles {@link finished}; to be called after the move to `completed`. */
  complete(run: FinishedRun): DownloadedFile {
    return this.#complete(run)
  }

  /** @internal Ends {@link finished} when the manager closes; the state stays. */
  abandon(error: DownloadError): void {
    if (!isSettled(this.state)) this.#finished.reject(error)
    this.#gone = true
    this.wake()
  }

  /** @internal Tells the readers of {@link progress}. */
  wake(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }

  #complete(run: FinishedRun | null): DownloadedFile {
    const { url, filename, verified, resultSha256, total, downloaded } = this.#record
    const file: DownloadedFile = {
      url,
      path: this.path,
      filename,
      size: total ?? downloaded,
      sha256: resultSha256,
      verified,
      existed: run?.existed ?? true,
      fetchedBytes: run?.fetchedBytes ?? 0,
      files: this.#group?.files ?? null,
      adoptedFrom: run?.adoptedFrom ?? null,
    }
    this.#file = file
    this.#finished.resolve(file)
    return file
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
  // Callers may prefer events; then nobody awaits this promise, which is fine.
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}

/** A finished file. */
export interface DownloadedFile {
  /** The URL that it came from. */
  url: string
  /** Absolute path; of a group, that of its folder. */
  path: string
  /** Last segment of `path`. */
  filename: string
  /** Bytes; of a group, those of all its files. */
  size: number
  /** Lower-case hex SHA-256; null when an existing file was taken as it lay and nothing asked for its digest. */
  sha256: string | null
  /** Whether a digest that was given beforehand matched. */
  verified: boolean
  /** Whether the file was there already, so that nothing was fetched. */
  existed: boolean
  /** Bytes that came over the network in this run. */
  fetchedBytes: number
  /** The files of a group, in the order of the source; then `path` is their folder. Null for a single file. */
  files: readonly GroupFile[] | null
  /** The file of another program's cache that it was taken from instead of being fetched, as an absolute path; else null. */
  adoptedFrom: string | null
}
