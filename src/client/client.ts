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
  RemoveResult,
  WireDownload,
} from '../http/schemas.js'
import {
  allDownloads,
  type DownloadsChange,
  follow,
  type FollowOptions,
  oneDownload,
  currentPreload,
} from './follow.js'
import { type CallOptions, type ClientOptions, createHttp } from './http.js'

/** Which downloads to list. */
export interface ListQuery {
  /** Only those in this state. */
  state?: WireDownload['state'] | undefined
  /** Only those of this mode. */
  mode?: string | undefined
  /** Most downloads in one answer, 1 to 10,000. Default: all. */
  limit?: number | undefined
  /** `next_cursor` of the page before. */
  cursor?: string | undefined
}

/** What to preload. */
export interface PreloadOptions {
  /** Keys of the catalog. Default: every model with `auto_download`. */
  models?: readonly string[] | 'all'
  /** A folder inside the roots that the server allows. Default: the server's. */
  outputDir?: string
  /** Fetch again what is there. Default false. */
  force?: boolean
}

/**
 * Every method rejects with a {@link DownloadError}: the server's own code and message where it gave one;
 * `ACCESS_DENIED`, `NOT_FOUND` or `HTTP_ERROR` after the status where it did not; `PROTOCOL_ERROR` when what answers is
 * no model-downloader server; `CONNECT_FAILED` when none answers; `STALLED` when it takes too long; `CANCELED` when the
 * signal is aborted.
 */
export interface Client {
  /**
   * Asks for a file. Resolves when it is queued. A known URL is joined.
   *
   * @throws DownloadError `INVALID_OPTIONS` with issues, `INVALID_URL`, `UNSAFE_FILENAME`, `SSRF_BLOCKED`; `CONFLICT` when
   * the URL is known with other options; `QUEUE_FULL`.
   */
  download(request: DownloadRequest, options?: CallOptions): Promise<DownloadStarted>
  /**
   * How a download is right now.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`.
   */
  status(url: string, options?: CallOptions): Promise<WireDownload>
  /** All downloads, or one page of them when the query has a `limit` (1 to 10,000). */
  list(query?: ListQuery, options?: CallOptions): Promise<DownloadList>
  /** All downloads, page by page; `limit` (1 to 10,000, default 1,000) a page. */
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
   * Starts a failed or canceled download anew.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD`, `INVALID_STATE`.
   */
  retry(url: string, options?: CallOptions): Promise<WireDownload>
  /** Forgets a download. `deleteFile`: also deletes the finished file; default false. */
  remove(url: string, options?: CallOptions & { deleteFile?: boolean }): Promise<void>
  /**
   * A download as it goes on: as it is now, then each change, last when it is completed, failed or canceled; it does
   * not throw for the latter two. Goes on over broken connections and restarts of the server, by polling where there
   * is no stream of events. Leaving the loop frees all at once.
   *
   * @throws DownloadError `UNKNOWN_DOWNLOAD` also when it is removed meanwhile.
   *
   * @example
   * for await (const { state, progress } of client.follow(url)) show(state, progress)
   */
  follow(url: string, options?: FollowOptions): AsyncGenerator<WireDownload, void, void>
  /** All downloads as they go on, without an end: a snapshot first and after each break, in between what changes. */
  followAll(options?: FollowOptions): AsyncGenerator<DownloadsChange, void, void>
  /**
   * What this caller may do, so that a page offers no more than that.
   *
   * @throws DownloadError `ACCESS_DENIED` when nobody knows who calls; `NOT_FOUND` from a server of an older version.
   */
  permissions(options?: CallOptions): Promise<Permissions>
  /** Which models of the catalog are there. `locale`: language of the messages, `en-US` or `zh-CN`. */
  modelsStatus(options?: CallOptions & { locale?: string }): Promise<WireModelsStatus>
  /** Fetching what the catalog names. */
  readonly preload: {
    /**
     * Starts it.
     *
     * @throws DownloadError `CONFLICT` when it runs, `INVALID_OPTIONS` for an unknown key, `UNSAFE_FILENAME` for a folder
     * outside the roots.
     */
    start(request?: PreloadOptions, options?: CallOptions): Promise<PreloadStarted>
    /** Stops it, and says how it is then. Harmless when it does not run. */
    cancel(options?: CallOptions): Promise<PreloadStatus>
    /** How it is right now, or how the last one ended. */
    status(options?: CallOptions): Promise<PreloadStatus>
    /**
     * How it goes on, log included; ends when it does not run any more, unless it is `endless` (default false): then the
     * next one is followed too. As {@link Client.follow} does it.
     */
    follow(options?: FollowOptions & { endless?: boolean }): AsyncGenerator<PreloadStatus, void, void>
  }
}

/**
 * A client of a model-downloader server, for browsers and every runtime with `fetch`.
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
    const path = `${downloads}/status${query({ url })}`
    return (await http.json<DownloadStatus>(path, { signal })).download
  }
  const list = (wanted: ListQuery = {}, { signal }: CallOptions = {}) =>
    http.json<DownloadList>(`${downloads}/status${query(wanted)}`, { signal })
  const preloadStatus = ({ signal }: CallOptions = {}) =>
    http.json<PreloadStatus>(`${preloads}/status`, { signal })

  async function* pages(
    { limit = 1_000, ...wanted }: ListQuery = {},
    options?: CallOptions,
  ): AsyncGenerator<DownloadList, void, void> {
    let cursor = wanted.cursor
    for (;;) {
      const page = await list({ ...wanted, limit, cursor }, options)
      yield page
      const next = page.next_cursor ?? undefined
      if (next === undefined) return
      // Else a server that does not know cursors would be asked for ever.
      if (next === cursor) throw new DownloadError('PROTOCOL_ERROR', 'The server repeats a page.')
      cursor = next
    }
  }

  return {
    download: (request, options) => post(downloads, request, options),
    status,
    list,
    pages,
    pause: control('pause'),
    resume: control('resume'),
    cancel: control('cancel'),
    retry: control('retry'),
    async remove(url, { deleteFile = false, signal } = {}) {
      const path = `${downloads}${query({ url, delete_file: deleteFile })}`
      await http.json<RemoveResult>(path, { method: 'DELETE', signal })
    },
    follow: (url, options) =>
      follow(
        http,
        oneDownload(`${downloads}/events${query({ url })}`, (signal) => status(url, { signal })),
        options,
      ),
    followAll: (options) =>
      follow(
        http,
        allDownloads(`${downloads}/events`, (signal) => pages({}, { signal })),
        options,
      ),
    permissions: ({ signal } = {}) => http.json('/api/models/permissions', { signal }),
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

/** A query string of what is defined. */
function query(values: ListQuery & { url?: string; delete_file?: boolean }): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) if (value !== undefined) params.set(name, String(value))
  const text = params.toString()
  return text === '' ? '' : `?${text}`
}
