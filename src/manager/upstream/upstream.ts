/** What a manager tells about sources: what a ref stands for before anything of it is fetched, and what can be found there. */
import * as z from 'zod'
import { globsSchema, headers, milliseconds, parseOptions, remoteSchema } from '../../download/options.js'
import { DownloadError, isDownloadError } from '../../errors.js'
import { type Inspection, inspectRef } from '../../inspect/inspect.js'
import type { FoundModel } from '../../sources/source.js'
import { internals } from '../internals.js'
import { closedError, ManagerFiles } from '../stored-files.js'

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
  include?: readonly string[]
  /** Globs of files to leave out. Default: none. */
  exclude?: readonly string[]
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

/** Longer texts find nothing. */
const searchText = z.string().trim().min(1).max(200)

/** Short names of sources, as in their refs. */
const shortNames: Readonly<Record<string, string>> = { hf: 'huggingface', ms: 'modelscope' }

/** The part of a `DownloadManager` that asks sources. */
export abstract class ManagerUpstream extends ManagerFiles {
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
