import { DownloadError } from '../errors.js'
import type {
  ControlResult,
  DownloadList,
  DownloadRequest,
  DownloadStarted,
  DownloadStatus,
  WireModelsStatus,
  Permissions,
  PreloadStarted,
  PreloadStatus,
  QueueStatus,
  RemoveResult,
  WireDownload,
} from '../http/schemas.js'
import type {
  WireDisk,
  FileList,
  PinResult,
  VerifyResult,
  WireStoredFile,
  WireVerifyProgress,
} from '../http/disk-schemas.js'
import type {
  CheckResult,
  OutdatedList,
  SearchResult,
  WireInspection,
  WireUpstreamCheck,
} from '../http/upstream/schemas.js'
import type { ClusterStatus } from '../http/cluster/schemas.js'
import { type FleetClient, fleetClient } from './fleet.js'
import {
  allDownloads,
  type DownloadLog,
  type DownloadsChange,
  follow,
  type FollowOptions,
  oneDownload,
  currentPreload,
} from './follow.js'
import { type CallOptions, type ClientOptions, createHttp } from './http.js'
import { queryString } from './query-string.js'

/** How long a check may take by default, in milliseconds. */
const dayMs = 24 * 60 * 60 * 1000

/** How long a source may take to answer a server, in milliseconds. */
const lookMs = 60_000

/** Which downloads to list. */
export interface ListQuery {
  /** Only downloads in this state. */
  state?: WireDownload['state'] | undefined
  /** Only downloads of this mode. */
  mode?: string | undefined
  /** Maximum number of downloads in one response, 1 to 10,000. Default: all, in as many responses as that takes. */
  limit?: number | undefined
  /** `next_cursor` of the previous page. */
  cursor?: string | undefined
}

/** Which files on disk to list. */
export interface FilesQuery {
  /** Only the entry of this name, with the files of a group. */
  name?: string | undefined
  /** Only entries in this state. */
  state?: WireStoredFile['state'] | undefined
  /** Only entries of this mode. */
  mode?: string | undefined
  /** Maximum number of entries in one response, 1 to 10,000. Default: all. */
  limit?: number | undefined
  /** `next_cursor` of the previous page. */
  cursor?: string | undefined
}

/** Where, and for what, a server searches. */
export interface SearchQuery {
  /** Hugging Face or ModelScope. Default: `hf`. */
  source?: 'hf' | 'ms' | undefined
  /** Only models with GGUF files. Default: false. */
  gguf?: boolean | undefined
  /** Maximum number of models, 1 to 100. Default: 20. */
  limit?: number | undefined
}

/** Options to start a preload. */
export interface PreloadOptions {
  /** Keys of models in the catalog. Default: every model with `auto_download`. */
  models?: readonly string[] | 'all'
  /** A folder inside the roots that the server allows. Default: the server's directory. */
  outputDir?: string
  /** Downloads files again even when they exist. Default: false. */
  force?: boolean
}

/** Settings of one download. What is left out stays as it is. */
export interface DownloadSettings {
  /** Downloads with a higher priority start first; an integer from −1,000,000 to 1,000,000. */
  priority?: number
  /** Limit in bytes per second; null for none. */
  maxBytesPerSecond?: number | null
}

/** Limits for all downloads of a server together. What is left out stays as it is. */
export interface QueueSettings {
  /** Maximum number of downloads that run at the same time, 1 to 1,000. */
  concurrency?: number
  /** Limit in bytes per second; null for none. */
  maxBytesPerSecond?: number | null
}

/**
 * A client of a model-downloader server.
 *
 * Every method rejects with a {@link DownloadError}. It has the server's code and message where the response contains
 * them; otherwise the code is `ACCESS_DENIED`, `NOT_FOUND` or `HTTP_ERROR`, depending on the status. `PROTOCOL_ERROR`
 * means that the response doesn't come from a model-downloader server, `CONNECT_FAILED` that no server can be reached,
 * `STALLED` that the request timed out, and `CANCELED` that the signal was aborted.
 */
export interface Client {
  /**
   * Starts a download, and resolves once it is queued. A URL that the server knows already is joined.
   *
   * @throws DownloadError `INVALID_OPTIONS` with issues; `INVALID_URL`; `UNSAFE_FILENAME`; `SSRF_BLOCKED`; `CONFLICT`
   * when the URL is known with other options; `QUEUE_FULL`.
   */
  download(request: DownloadRequest, options?: CallOptions): Promise<DownloadStarted>
  /**
   * The current status of a download.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`.
   */
  status(url: string, options?: CallOptions): Promise<WireDownload>
  /**
   * Where the file of a download, or the folder of a group, is or will be on the server; null when that is outside the
   * server's folder, or when an older server does not tell.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`.
   */
  pathOf(url: string, options?: CallOptions): Promise<string | null>
  /**
   * The last 100 messages about a download since the server was started, oldest first; none from an older server.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`.
   */
  logOf(url: string, options?: CallOptions): Promise<readonly DownloadLog[]>
  /**
   * Lists all downloads from the `cursor` on, fetched page by page if there are many, or one page of them when the query
   * has a `limit` (1 to 10,000).
   */
  list(query?: ListQuery, options?: CallOptions): Promise<DownloadList>
  /** Iterates over all downloads page by page, with `limit` downloads per page (1 to 10,000; default 1,000). */
  pages(query?: ListQuery, options?: CallOptions): AsyncGenerator<DownloadList, void, void>
  /**
   * Stops a download and keeps its bytes.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, `INVALID_STATE`.
   */
  pause(url: string, options?: CallOptions): Promise<WireDownload>
  /**
   * Queues a paused download again.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, `INVALID_STATE`.
   */
  resume(url: string, options?: CallOptions): Promise<WireDownload>
  /**
   * Stops a download and deletes its bytes.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, `INVALID_STATE`.
   */
  cancel(url: string, options?: CallOptions): Promise<WireDownload>
  /**
   * Restarts a failed or canceled download.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, `INVALID_STATE`.
   */
  retry(url: string, options?: CallOptions): Promise<WireDownload>
  /**
   * Changes the priority or the speed limit of a download, immediately and for later runs.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, `INVALID_OPTIONS`; `NOT_FOUND` from an older server.
   */
  change(url: string, settings: DownloadSettings, options?: CallOptions): Promise<WireDownload>
  /** The limits for all downloads together. */
  readonly queue: {
    /**
     * The current limits.
     *
     * @throws DownloadError `NOT_FOUND` from an older server.
     */
    status(options?: CallOptions): Promise<QueueStatus>
    /**
     * Changes the limits immediately, until the server is restarted.
     *
     * @throws DownloadError `INVALID_OPTIONS`; `NOT_FOUND` from an older server.
     */
    change(settings: QueueSettings, options?: CallOptions): Promise<QueueStatus>
  }
  /** Removes a download from the list. `deleteFile`: also deletes the finished file; default false. */
  remove(url: string, options?: CallOptions & { deleteFile?: boolean }): Promise<void>
  /**
   * Follows a download: yields its current status, then every change, until it is completed, failed or canceled. It
   * does not throw when the download fails or is canceled. Following survives broken connections and restarts of the
   * server, and falls back to polling where server-sent events are not available. Leaving the loop closes the connection.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, also when the download is removed meanwhile.
   *
   * @example
   * for await (const { state, progress } of client.follow(url)) show(state, progress)
   */
  follow(url: string, options?: FollowOptions): AsyncGenerator<WireDownload, void, void>
  /** Follows all downloads endlessly: yields a snapshot at first and after each reconnect, then the changes. */
  followAll(options?: FollowOptions): AsyncGenerator<DownloadsChange, void, void>
  /**
   * Lists the files on disk below the server's folder, in order of their names, a group as one entry.
   *
   * @throws DownloadError `NOT_FOUND` for an unknown `name`, and from an older server.
   */
  files(query?: FilesQuery, options?: CallOptions): Promise<FileList>
  /**
   * Lets the server read files on disk again and compare their digests. It takes as long as reading them does; aborting the
   * signal ends it. Damage is a result and no error.
   *
   * @param request - `names`: names of entries, or their URLs or refs. Default: everything.
   * @param options - `timeoutMs`: how long the check may take, in milliseconds. Default 24 hours.
   * @throws DownloadError `NOT_FOUND` for an unknown name; `QUEUE_FULL` while another check of this caller runs.
   */
  verify(
    request?: { names?: readonly string[] },
    options?: CallOptions & { timeoutMs?: number },
  ): Promise<VerifyResult>
  /**
   * How far the check of files is that runs on the server, whoever has requested it.
   *
   * @throws DownloadError `NOT_FOUND` or `HTTP_ERROR` from an older server.
   */
  verifyStatus(options?: CallOptions): Promise<WireVerifyProgress>
  /**
   * Keeps a download from being evicted when the disk is full, or allows that again with `pinned: false`. The answer says
   * whether it is kept now, which it also is if a catalog requires it.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `NOT_FOUND` from an older server.
   */
  pin(url: string, options?: CallOptions & { pinned?: boolean }): Promise<PinResult>
  /**
   * What a URL or ref stands for, before anything is downloaded: its files with sizes and digests, quantisations, and what the
   * headers of GGUF and safetensors models say.
   *
   * @param options - `include` and `exclude`: globs of the files to look at and to leave out, as for a download. Default: all.
   * @throws DownloadError `INVALID_URL`, `SSRF_BLOCKED`, `NOT_FOUND` (also from an older server), `QUEUE_FULL`; the errors of
   * its source.
   */
  inspect(
    url: string,
    options?: CallOptions & { include?: readonly string[]; exclude?: readonly string[] },
  ): Promise<WireInspection>
  /**
   * Searches the models of a hub, the most popular ones first. The `ref` of a model can be downloaded.
   *
   * @throws DownloadError `INVALID_OPTIONS`, `QUEUE_FULL`; the errors of the hub; `NOT_FOUND` from an older server.
   */
  search(text: string, query?: SearchQuery, options?: CallOptions): Promise<SearchResult>
  /**
   * Whether a completed download is still what its source has. That the source can't be asked is a result and no error.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`; `INVALID_STATE` when it is not completed; `QUEUE_FULL`; `NOT_FOUND` from an
   * older server.
   */
  check(url: string, options?: CallOptions): Promise<WireUpstreamCheck>
  /**
   * Compares all completed downloads of the server with what their sources have, which takes as long as asking them does.
   *
   * @param request - `all`: also return those that are current. Default: false.
   * @param options - `timeoutMs`: how long it may take, in milliseconds. Default 24 hours.
   * @throws DownloadError `QUEUE_FULL` while another comparison of this caller runs; `NOT_FOUND` from an older server.
   */
  outdated(
    request?: { all?: boolean | undefined },
    options?: CallOptions & { timeoutMs?: number },
  ): Promise<OutdatedList>
  /**
   * Fetches what has changed at the source of a completed download. It is queued again if there is something to fetch, and
   * otherwise stays completed.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, `INVALID_STATE`, `QUEUE_FULL`; what asking the source failed with; `NOT_FOUND`
   * when it no longer has the files, and from an older server.
   */
  update(url: string, options?: CallOptions): Promise<WireDownload>
  /**
   * The permissions of this caller, so that a page offers only what the server allows.
   *
   * @throws DownloadError `ACCESS_DENIED` when the caller is not authenticated; `NOT_FOUND` from an older server.
   */
  permissions(options?: CallOptions): Promise<Permissions>
  /**
   * What takes the disk space of the server, what is free, and its limits, in bytes.
   *
   * @throws DownloadError `NOT_FOUND` from an older server.
   */
  disk(options?: CallOptions): Promise<WireDisk>
  /**
   * Which instances the cluster of the server has, what they run, and what limits they share.
   *
   * @throws DownloadError `NOT_FOUND` if the server is no instance of a cluster, and from an older server.
   */
  cluster(options?: CallOptions): Promise<ClusterStatus>
  /** The nodes of the fleet that the server belongs to. */
  readonly fleet: FleetClient
  /** Which models of the catalog are there. `locale`: language of the messages, `en-US` or `zh-CN`. */
  modelsStatus(options?: CallOptions & { locale?: string }): Promise<WireModelsStatus>
  /** Fetching what the catalog names. */
  readonly preload: {
    /**
     * Starts a preload.
     *
     * @throws DownloadError `CONFLICT` when one is running; `INVALID_OPTIONS` for an unknown key; `UNSAFE_FILENAME` for
     * a folder outside the roots.
     */
    start(request?: PreloadOptions, options?: CallOptions): Promise<PreloadStarted>
    /** Cancels the running preload and returns its status. Does nothing when none is running. */
    cancel(options?: CallOptions): Promise<PreloadStatus>
    /** Status of the running preload, or of the last one. */
    status(options?: CallOptions): Promise<PreloadStatus>
    /**
     * Follows the preload and its log in the same way as {@link Client.follow}. It ends when the preload has ended,
     * unless `endless` is set (default false): then the next preloads are followed too.
     */
    follow(options?: FollowOptions & { endless?: boolean }): AsyncGenerator<PreloadStatus, void, void>
  }
}

/**
 * Creates a client of a model-downloader server, for browsers and every runtime with `fetch`.
 *
 * @throws DownloadError `INVALID_URL`, `INVALID_OPTIONS`.
 *
 * @example
 * const client = createClient({ baseUrl: 'http://127.0.0.1:8050' })
 * await client.download({ url })
 * for await (const { state, progress } of client.follow(url)) show(state, progress)
 */
export function createClient(options: ClientOptions): Client {
  const http = createHttp(options)
  const downloads = '/api/models/download'
  const preloads = '/api/v1/models/preload'

  const post = <T>(path: string, body: object, { signal }: CallOptions = {}) =>
    http.json<T>(path, { method: 'POST', body, signal })
  const control =
    (verb: string) =>
    async (url: string, options?: CallOptions): Promise<WireDownload> =>
      (await post<ControlResult>(`${downloads}/${verb}`, { url }, options)).download
  const status = async (url: string, { signal }: CallOptions = {}): Promise<WireDownload> => {
    const path = `${downloads}/status${queryString({ url })}`
    return (await http.json<DownloadStatus>(path, { signal })).download
  }
  const onePage = (wanted: ListQuery, { signal }: CallOptions = {}) =>
    http.json<DownloadList>(`${downloads}/status${queryString(wanted)}`, { signal })
  const list = async (wanted: ListQuery = {}, options?: CallOptions): Promise<DownloadList> => {
    const { limit } = wanted
    const first = await onePage(wanted, options)
    if (limit !== undefined || (first.next_cursor ?? null) === null) return first
    const all = { ...first.downloads }
    for await (const page of morePages(first, wanted, options)) Object.assign(all, page.downloads)
    return { success: true, downloads: all }
  }
  const preloadStatus = ({ signal }: CallOptions = {}) =>
    http.json<PreloadStatus>(`${preloads}/status`, { signal })

  async function* pages(
    { limit = 1_000, ...wanted }: ListQuery = {},
    options?: CallOptions,
  ): AsyncGenerator<DownloadList, void, void> {
    const first = await onePage({ ...wanted, limit }, options)
    yield first
    yield* morePages(first, { ...wanted, limit }, options)
  }

  /** The pages after one of them. */
  async function* morePages(
    { next_cursor: second }: DownloadList,
    wanted: ListQuery,
    options?: CallOptions,
  ): AsyncGenerator<DownloadList, void, void> {
    let before = wanted.cursor
    let cursor = second ?? undefined
    while (cursor !== undefined) {
      // A server that doesn't know cursors would otherwise be requested endlessly.
      if (cursor === before)
        throw new DownloadError('PROTOCOL_ERROR', 'The server returned the same page twice.')
      const page = await onePage({ ...wanted, cursor }, options)
      yield page
      before = cursor
      cursor = page.next_cursor ?? undefined
    }
  }

  return {
    download: (request, options) => post(downloads, request, options),
    status,
    async pathOf(url, { signal } = {}) {
      const path = `${downloads}/status${queryString({ url, with_path: true })}`
      return (await http.json<DownloadStatus>(path, { signal })).path ?? null
    },
    async logOf(url, { signal } = {}) {
      const path = `${downloads}/status${queryString({ url, with_log: true })}`
      return (await http.json<DownloadStatus>(path, { signal })).logs ?? []
    },
    list,
    pages,
    pause: control('pause'),
    resume: control('resume'),
    cancel: control('cancel'),
    retry: control('retry'),
    change: async (url, { priority, maxBytesPerSecond }, options) => {
      const body = { url, priority, max_bytes_per_second: maxBytesPerSecond }
      return (await post<ControlResult>(`${downloads}/settings`, body, options)).download
    },
    queue: {
      status: ({ signal } = {}) => http.json<QueueStatus>('/api/models/queue', { signal }),
      change: ({ concurrency, maxBytesPerSecond }, options) =>
        post('/api/models/queue', { concurrency, max_bytes_per_second: maxBytesPerSecond }, options),
    },
    async remove(url, { deleteFile = false, signal } = {}) {
      const path = `${downloads}${queryString({ url, delete_file: deleteFile })}`
      await http.json<RemoveResult>(path, { method: 'DELETE', signal })
    },
    follow: (url, options) =>
      follow(
        http,
        oneDownload(
          `${downloads}/events${queryString({ url })}`,
          (signal) => status(url, { signal }),
          options?.onLog,
        ),
        options,
      ),
    followAll: (options) =>
      follow(
        http,
        allDownloads(`${downloads}/events`, (signal) => pages({}, { signal }), options?.onLog),
        options,
      ),
    files: (wanted = {}, { signal } = {}) => http.json(`/api/models/files${queryString(wanted)}`, { signal }),
    verifyStatus: ({ signal } = {}) => http.json('/api/models/verify', { signal }),
    pin: (url, { pinned, ...options } = {}) => post('/api/models/pin', { url, pinned }, options),
    verify: ({ names } = {}, { timeoutMs = dayMs, signal } = {}) =>
      http.json('/api/models/verify', { method: 'POST', body: { names }, timeoutMs, signal }),
    inspect: (url, { signal, ...globs } = {}) =>
      http.json(`/api/models/inspect${queryString({ url, ...globs })}`, { signal, timeoutMs: lookMs }),
    search: (text, wanted = {}, { signal } = {}) =>
      http.json(`/api/models/search${queryString({ text, ...wanted })}`, { signal, timeoutMs: lookMs }),
    check: async (url, { signal } = {}) =>
      (
        await http.json<CheckResult>(`/api/models/check${queryString({ url })}`, {
          signal,
          timeoutMs: lookMs,
        })
      ).check,
    outdated: ({ all } = {}, { timeoutMs = dayMs, signal } = {}) =>
      http.json(`/api/models/outdated${queryString({ all })}`, { timeoutMs, signal }),
    update: async (url, { signal } = {}) => {
      const asked = { method: 'POST', body: { url }, signal, timeoutMs: lookMs } as const
      return (await http.json<ControlResult>('/api/models/update', asked)).download
    },
    permissions: ({ signal } = {}) => http.json('/api/models/permissions', { signal }),
    disk: ({ signal } = {}) => http.json('/api/models/disk', { signal }),
    cluster: ({ signal } = {}) => http.json('/api/models/cluster', { signal }),
    fleet: fleetClient(http),
    modelsStatus: ({ locale, signal } = {}) =>
      http.json('/api/v1/models/status', {
        signal,
        ...(locale === undefined ? {} : { headers: { 'accept-language': locale } }),
      }),
    preload: {
      start: ({ models = 'all', outputDir, force } = {}, options) =>
        post(`${preloads}/start`, { models, output_dir: outputDir, force }, options),
      cancel: (options) => post(`${preloads}/cancel`, {}, options),
      status: preloadStatus,
      follow: (options) =>
        follow(
          http,
          currentPreload(
            `${preloads}/events`,
            (signal) => preloadStatus({ signal }),
            options?.endless === true,
          ),
          options,
        ),
    },
  }
}
