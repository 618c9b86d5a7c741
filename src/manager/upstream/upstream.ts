/**
 * What a manager tells about sources: what a ref stands for before anything of it is fetched, what can be found there, and what
 * has changed there since.
 */
import pLimit from 'p-limit'
import * as z from 'zod'
import type { Download } from '../../download/download.js'
import {
  type DownloadOptions,
  globsSchema,
  headers,
  milliseconds,
  parseOptions,
  remoteSchema,
} from '../../download/options.js'
import { sentenceError } from '../../download/error-text.js'
import { DownloadError, isDownloadError } from '../../errors.js'
import { type Inspection, inspectRef } from '../../inspect/inspect.js'
import type { FoundModel } from '../../sources/source.js'
import { internals } from '../internals.js'
import { closedError, ManagerFiles } from '../stored-files.js'
import { checkRecord, failedCheck, type UpstreamCheck } from './check.js'

/** Options that asking a source for something has in common. */
export interface LookOptions {
  /** See `DownloadOptions.remote`. Default false. */
  remote?: boolean | { allowPrivateNetwork?: boolean; allowedHosts?: readonly string[] }
  /** How long it may take in all, in milliseconds. Default 60,000. */
  timeoutMs?: number
  /** Ends it when aborted. */
  signal?: AbortSignal
}

/** Options of {@link DownloadManager.inspect}. */
export interface InspectOptions extends LookOptions {
  /** Globs of the files to look at, see `DownloadOptions.include`. Default: all files. */
  include?: readonly string[] | undefined
  /** Globs of files to leave out. Default: none. */
  exclude?: readonly string[] | undefined
  /** Request headers for a plain URL, sent to its origin only. Default: none. */
  headers?: Record<string, string>
  /** Whether the headers of models are read, which takes a few more requests. Default true. */
  readHeaders?: boolean
  /** See `DownloadOptions.offline`; it then fails with `OFFLINE`. Default: the manager's setting. */
  offline?: boolean
}

/** Options of {@link DownloadManager.search}. */
export interface SearchOptions extends LookOptions {
  /**
   * Name of the source: `huggingface` (`hf`), `modelscope` (`ms`), or one of the host's own that can be searched. Default
   * `huggingface`.
   */
  source?: string
  /** Only models that have GGUF files. Default false. */
  gguf?: boolean
  /** Maximum number of models, 1 to 100. Default 20. */
  limit?: number
}

/** Options of {@link DownloadManager.outdated}. */
export interface OutdatedOptions {
  /** Called for each download when it was checked, in the order in which the answers come. */
  onCheck?: (check: UpstreamCheck) => void
  /** How long the check of one download may take, in milliseconds. Default 60,000. */
  timeoutMs?: number
  /** Ends it when aborted. */
  signal?: AbortSignal
}

/** How many downloads are checked at the same time. */
const maxParallelChecks = 4

const lookShape = {
  remote: remoteSchema,
  timeoutMs: milliseconds.default(60_000),
  signal: z.instanceof(AbortSignal).optional(),
}

const refSchema = z.string().min(1).max(16_384)

const inspectSchema = z.strictObject({
  ...lookShape,
  include: globsSchema.optional(),
  exclude: globsSchema.optional(),
  headers: headers.default({}),
  readHeaders: z.boolean().default(true),
  offline: z.boolean().optional(),
})

const searchSchema = z.strictObject({
  ...lookShape,
  source: z.string().min(1).max(32).default('huggingface'),
  gguf: z.boolean().default(false),
  limit: z.number().int().min(1).max(100).default(20),
})

const checkShape = { timeoutMs: lookShape.timeoutMs, signal: lookShape.signal }

const checkSchema = z.strictObject(checkShape)

const outdatedSchema = z.strictObject({
  ...checkShape,
  onCheck: z
    .custom<(check: UpstreamCheck) => void>((value) => typeof value === 'function', 'must be a function')
    .optional(),
})

/** Longer texts find nothing. */
const searchText = z.string().trim().min(1).max(200)

/** Short names of sources, as in their refs. */
const shortNames: Readonly<Record<string, string>> = { hf: 'huggingface', ms: 'modelscope' }

/** The part of a `DownloadManager` that asks sources. */
export abstract class ManagerUpstream extends ManagerFiles {
  /** Returns the download of a URL. */
  abstract get(url: string): Download | undefined
  /** Requests a file. */
  abstract download(options: DownloadOptions): Promise<Download>

  /**
   * Tells what a ref or URL stands for without fetching it: its files with their sizes and digests, and what the headers of
   * GGUF and safetensors models say, of which only these headers are read.
   *
   * @returns the result; a header that can't be read is a part of it, and no error.
   * @throws DownloadError `INVALID_OPTIONS`, `INVALID_URL`; the errors of the source or server; `OFFLINE`; `STALLED` when
   * it takes too long, `CANCELED` when the signal is aborted; `CLOSED`.
   */
  async inspect(url: string, options: InspectOptions = {}): Promise<Inspection> {
    const text = parseOptions(refSchema, url, 'The URL')
    const { timeoutMs, signal, ...wanted } = parseOptions(inspectSchema, options, 'Options of inspect')
    return await this.#within(timeoutMs, signal, (ends) =>
      inspectRef(text, this[internals].resolver(), { ...wanted, signal: ends }),
    )
  }

  /**
   * Searches the models of a source, the most popular ones first.
   *
   * @throws DownloadError `INVALID_OPTIONS`, also for a source that can't be searched; the errors of the source; `OFFLINE`;
   * `STALLED` when it takes too long, `CANCELED` when the signal is aborted; `CLOSED`.
   */
  async search(text: string, options: SearchOptions = {}): Promise<FoundModel[]> {
    const words = parseOptions(searchText, text, 'The search')
    const { timeoutMs, signal, source, ...wanted } = parseOptions(searchSchema, options, 'Options of search')
    return await this.#within(timeoutMs, signal, async (ends) => {
      const name = shortNames[source] ?? source
      return [...(await this[internals].resolver().search(name, words, { ...wanted, signal: ends }))]
    })
  }

  /**
   * Asks the source of a finished download whether it still has the same files: by their digests and ids in git, by the
   * revision, such as a commit, and of a plain URL by `ETag`, `Last-Modified` and size. Nothing is fetched or written, though
   * small files may be read on disk.
   *
   * @returns the result; that the source can't be asked is one, too.
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is not completed; `CANCELED` when the signal is
   * aborted; `CLOSED`.
   */
  async check(
    url: string,
    options: Pick<OutdatedOptions, 'signal' | 'timeoutMs'> = {},
  ): Promise<UpstreamCheck> {
    await this.ready
    const { signal, timeoutMs } = parseOptions(checkSchema, options, 'Options of check')
    const download = this.get(url)
    if (download === undefined) throw sentenceError('UNKNOWN_DOWNLOAD', 'unknownDownload', [])
    if (download.state !== 'completed')
      throw new DownloadError(
        'INVALID_STATE',
        'The download is not completed, so there is nothing to compare.',
      )
    return await this.#checkOne(download, timeoutMs, signal)
  }

  /**
   * Checks all finished downloads, see {@link check}.
   *
   * @returns those that are outdated, in order of arrival.
   * @throws DownloadError `CANCELED` when the signal is aborted; `STORE_ERROR`, `CLOSED`.
   */
  async outdated(options: OutdatedOptions = {}): Promise<UpstreamCheck[]> {
    await this.ready
    const { signal, timeoutMs, onCheck } = parseOptions(outdatedSchema, options, 'Options of outdated')
    const finished = this.list().filter(({ state }) => state === 'completed')
    const checks = await pLimit(maxParallelChecks).map(finished, async (download) => {
      const check = await this.#checkOne(download, timeoutMs, signal)
      onCheck?.(check)
      return check
    })
    return checks.filter(({ status }) => status === 'outdated')
  }

  /**
   * Fetches what has changed at the source of a finished download: of several files only those that are different, and of a
   * plain URL the file, which replaces the old one when it is complete and checked. Nothing is started if it is not
   * outdated.
   *
   * @returns the download, which is queued again if there is something to fetch; see `finished`.
   * @throws DownloadError as {@link check} does; what the check failed with, `NOT_FOUND` if it is gone; `CONFLICT`.
   */
  async update(url: string, options: Pick<OutdatedOptions, 'signal' | 'timeoutMs'> = {}): Promise<Download> {
    const { status, error } = await this.check(url, options)
    const download = this.get(url)
    if (download === undefined) throw sentenceError('UNKNOWN_DOWNLOAD', 'unknownDownload', [])
    if (error !== null) throw error
    if (status !== 'outdated') return download
    const { priority, remote, adopt, checkFormat, spread } = download.record
    return await this.download({
      url,
      priority,
      adopt,
      spread,
      ...(remote === null ? {} : { remote }),
      ...(checkFormat === undefined ? {} : { checkFormat }),
      // Of a plain URL, nothing else tells that the file that exists is not the one that is wanted.
      ...(this[internals].resolver().find(url) === null ? { force: true } : {}),
    })
  }

  async #checkOne(
    download: Download,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<UpstreamCheck> {
    const record = download.toRecord()
    try {
      return await this.#within(timeoutMs, signal, (ends) =>
        checkRecord(record, download.path, this[internals].resolver(), ends),
      )
    } catch (error) {
      if (!isDownloadError(error, 'STALLED')) throw error
      return failedCheck(record, error)
    }
  }

  /** Runs a task that ends with the manager, the signal of the caller, or its time. */
  async #within<T>(
    timeoutMs: number,
    signal: AbortSignal | undefined,
    task: (ends: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { closed, clock } = this[internals]
    const isClosed = () => closed.aborted
    if (isClosed()) throw closedError()
    const late = new AbortController()
    const timer = clock.timer(() => {
      late.abort()
    }, timeoutMs)
    try {
      return await task(AbortSignal.any([closed, late.signal, ...(signal === undefined ? [] : [signal])]))
    } catch (error) {
      if (isClosed()) throw closedError()
      if (late.signal.aborted && isDownloadError(error, 'CANCELED'))
        throw new DownloadError('STALLED', `There was no complete answer within ${timeoutMs / 1000} s.`, {
          retryable: true,
        })
      throw error
    } finally {
      timer.cancel()
    }
  }
}
