/**
 * Zod schemas and types of requests and responses. Requests are validated with them. Responses are only
 * described by them (for the OpenAPI document, tests and the types of the client), because validating our own
 * data would cost time without finding anything.
 */
import * as z from 'zod'
import { downloadStates } from '../download/states.js'
import { downloadErrorCodes } from '../errors.js'
import {
  byteCount as bytes,
  globs,
  sha256Hex,
  isoTime as time,
  pageSize,
  succeeded as success,
  wireVerification,
} from './wire-fields.js'

/** A boolean in a query: `true`, `1`, `yes`, `on`, and their opposites, in any case. */
const flag = z.stringbool()

// ---- Downloads

/** One file of a group. */
export const wireFile = z.object({
  filename: z.string().describe('Path relative to the folder of the group, with slashes.'),
  size: bytes.nullable().describe('Null while unknown.'),
  downloaded: bytes.describe('Bytes on disk.'),
  state: z.enum(downloadStates),
  sha256: sha256Hex
    .nullable()
    .describe('Computed when the file is complete; until then the digest given by the source.'),
  verified: z.boolean().describe('Whether the file was verified against the digest given by the source.'),
  verification: wireVerification
    .nullable()
    .describe('What the file was verified with; null if with nothing.'),
  error: z.string().nullable().describe('Human-readable reason why the file is missing.'),
  code: z.enum(downloadErrorCodes).nullable().describe('Stable error code.'),
})

/** A download, as in all routes and events. */
export const wireDownload = z.object({
  url: z.string().describe('The requested URL, which identifies the download.'),
  filename: z
    .string()
    .describe(
      'Provisional until the first response if neither the caller nor the URL names the file; of a ref that is not resolved, its last part.',
    ),
  mode: z.string().nullable().describe('Sub-folder; null for the download directory itself.'),
  status: z
    .enum(['downloading', 'completed', 'failed'])
    .describe('Coarse status; clients stop polling at the last two.'),
  downloaded: bytes.describe('Bytes on disk.'),
  total: bytes.describe('Total size in bytes; 0 while unknown.'),
  progress: z.number().min(0).max(100).describe('Percentage; 100 only when completed.'),
  error: z.string().nullable().describe('Human-readable error; "canceled" for a canceled download.'),
  state: z.enum(downloadStates),
  code: z.enum(downloadErrorCodes).nullable().describe('Stable error code.'),
  bytes_per_second: bytes,
  eta_seconds: bytes.nullable().describe('Null when it cannot be estimated.'),
  connections: bytes.describe('Number of active connections.'),
  sha256: sha256Hex.nullable().describe('Computed when completed; until then the expected digest.'),
  verified: z.boolean().describe('Whether the file was verified against an expected digest.'),
  verification: wireVerification
    .nullable()
    .describe('What the file was verified with; null if with nothing, and for a group.'),
  created_at: time,
  started_at: time.nullable(),
  finished_at: time.nullable(),
  file_count: bytes
    .nullable()
    .describe('Number of files of a group; null for a single file, and while unknown.'),
  files_completed: bytes.nullable().describe('Number of completed files of a group.'),
  files: z
    .array(wireFile)
    .nullable()
    .describe('The files of a group if only this download is requested; otherwise null.'),
  stale: z
    .literal(true)
    .optional()
    .describe(
      'Present if the source could not be asked and the files on disk were used, of which it may have newer ones.',
    ),
  waiting: z
    .string()
    .optional()
    .describe('Present while it is queued because there is no disk space for it: the human-readable reason.'),
  priority: z
    .number()
    .int()
    .optional()
    .describe('Present unless it is 0: downloads with a higher priority start first.'),
  max_bytes_per_second: z
    .number()
    .positive()
    .optional()
    .describe('Present if this download has a limit of its own.'),
  node: z
    .string()
    .optional()
    .describe('Present while an instance of a cluster runs it: the name of that machine or pod.'),
})

/** See {@link wireDownload}. */
export type WireDownload = z.infer<typeof wireDownload>

const url = z.string().min(1).max(16_384)

const priority = z.number().int().min(-1_000_000).max(1_000_000)

const limit = z.number().positive().nullable()

/** Body of `POST /api/models/download`. Unknown fields are ignored, for compatibility with older clients. */
export const downloadRequest = z.object({
  url: url.describe('http or https URL without user name and password.'),
  urls: z
    .array(url)
    .min(1)
    .max(32)
    .optional()
    .describe('Mirrors: further URLs of the same file, in the order in which they are tried.'),
  filename: z.string().optional().describe('One path segment.'),
  mode: z
    .string()
    .optional()
    .describe('llm, embed, rerank or another mode that the host application has registered. Default llm.'),
  sha256: z
    .string()
    .regex(/^(?:sha256[:-])?[0-9a-f]{64}$/i, 'must be 64 hexadecimal digits')
    .optional()
    .describe('Digest that the file must have.'),
  digest: z
    .string()
    .max(256)
    .optional()
    .describe(
      'Digest that the file must have, of another algorithm: sha512:…, blake3:…, sha1:…, md5:…, crc32c:….',
    ),
  size: bytes.optional().describe('Size that the file must have, in bytes.'),
  priority: priority.optional().describe('Downloads with a higher priority start first. Default 0.'),
  include: globs.describe(
    'For a ref that stands for several files: globs of the files to download. Default: all.',
  ),
  exclude: globs.describe('Globs of the files to skip.'),
  connections: z
    .number()
    .int()
    .min(1)
    .max(64)
    .optional()
    .describe('Validated but otherwise ignored: the server decides the number of connections.'),
})

/** See {@link downloadRequest}. */
export type DownloadRequest = z.infer<typeof downloadRequest>

/** Messages about the outcome of a download request. Their wording is part of the HTTP contract. */
export const startMessages = [
  'Download started',
  'Download already in progress',
  'File already exists',
] as const

/** One of {@link startMessages}. */
export type StartMessage = (typeof startMessages)[number]

/** Response of `POST /api/models/download`. */
export const downloadStarted = z.object({
  success,
  url: z.string(),
  filename: z.string(),
  mode: z.string().nullable(),
  message: z.enum(startMessages),
})

/** See {@link downloadStarted}. */
export type DownloadStarted = z.infer<typeof downloadStarted>

/** Data of a `log` event. */
export const wireLog = z.object({
  url: z.string().describe('The download that the message is about.'),
  at: time,
  level: z.enum(['debug', 'info', 'warn', 'error']),
  message: z.string().describe('Human-readable message without tokens or signed query strings.'),
})

/** See {@link wireLog}. */
export type WireLog = z.infer<typeof wireLog>

/** Response of `GET /api/models/download/status?url=…`. */
export const downloadStatus = z.object({
  success,
  download: wireDownload,
  path: z
    .string()
    .nullable()
    .optional()
    .describe(
      'Only for requests with `with_path`: where the file or folder is or will be; null if that is outside the folder of the server.',
    ),
  logs: z
    .array(wireLog)
    .optional()
    .describe(
      'Only for requests with `with_log`: the last 100 messages about the download since the server was started, oldest first.',
    ),
})

/** See {@link downloadStatus}. */
export type DownloadStatus = z.infer<typeof downloadStatus>

/** Response of `GET /api/models/download/status` without `url`. */
export const downloadList = z.object({
  success,
  downloads: z.record(z.string(), wireDownload).describe('Keyed by URL, in order of arrival.'),
  next_cursor: z
    .string()
    .nullable()
    .optional()
    .describe(
      'Only for requests with `limit` or `cursor`, and when there are more downloads than in this response: the `cursor` of the next page; null on the last page.',
    ),
})

/** See {@link downloadList}. */
export type DownloadList = z.infer<typeof downloadList>

/** Response of `GET /api/models/download/status`: one download with `url`, otherwise the list. */
export const downloadStatusOrList = z.union([downloadStatus, downloadList])

/** Query of `GET /api/models/download/status`. */
export const statusQuery = z.object({
  url: url.optional().describe('Only this download; 404 if it is unknown.'),
  state: z.enum(downloadStates).optional().describe('Only downloads in this state.'),
  mode: z.string().optional().describe('Only downloads of this mode.'),
  limit: pageSize.describe('Maximum number of downloads in the response. Default 1,000.'),
  cursor: z.string().max(64).optional().describe('`next_cursor` of the previous page.'),
  with_path: flag
    .optional()
    .describe('Also return the `path` of the download with this `url`. Default false.'),
  with_log: flag
    .optional()
    .describe('Also return the `logs` of the download with this `url`. Default false.'),
})

/** Body of pause, resume, cancel and retry. */
export const controlRequest = z.object({ url })

/** Response of pause, resume, cancel and retry. */
export const controlResult = z.object({ success, download: wireDownload })

/** See {@link controlResult}. */
export type ControlResult = z.infer<typeof controlResult>

/** Body of `POST /api/models/download/settings`. What it leaves out stays as it is. */
export const settingsRequest = z.object({
  url,
  priority: priority.optional().describe('Downloads with a higher priority start first.'),
  max_bytes_per_second: limit.optional().describe('Limit of this download; null for none.'),
})

/** Body of `POST /api/models/queue`. What it leaves out stays as it is. */
export const queueRequest = z.object({
  concurrency: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe('Maximum number of downloads that run at the same time.'),
  max_bytes_per_second: limit.optional().describe('Limit for all downloads together; null for none.'),
})

/** Response of `GET` and `POST /api/models/queue`. */
export const queueStatus = z.object({
  success,
  concurrency: bytes.describe('Maximum number of downloads that run at the same time.'),
  max_bytes_per_second: limit.describe('Limit for all downloads together; null for none.'),
  waiting: bytes.describe('Number of downloads that wait for a slot.'),
})

/** See {@link queueStatus}. */
export type QueueStatus = z.infer<typeof queueStatus>

/** Query of `DELETE /api/models/download`. */
export const removeQuery = z.object({
  url,
  delete_file: flag.optional().describe('Also delete the completed file. Default false.'),
})

/** Response of `DELETE /api/models/download`. */
export const removeResult = z.object({ success, url: z.string() })

/** See {@link removeResult}. */
export type RemoveResult = z.infer<typeof removeResult>

// ---- Events of downloads

/** Query of `GET /api/models/download/events`. */
export const eventsQuery = z.object({
  url: url.optional().describe('Events of this download only; 404 if it is unknown.'),
})

/** Data of a `snapshot` event of all downloads. With `?url=`, the data is the download itself. */
export const wireSnapshot = z.object({
  downloads: z.record(z.string(), wireDownload).describe('Keyed by URL.'),
  next_cursor: z
    .string()
    .nullable()
    .optional()
    .describe('Only when there are more downloads: not null if a `snapshot_page` follows.'),
})

/** See {@link wireSnapshot}. */
export type WireSnapshot = z.infer<typeof wireSnapshot>

/** Events of `GET /api/models/download/events`, by name, with their data. */
export interface DownloadSseEvents {
  /** First event: the first 1,000 downloads, or with `?url=` the one. */
  snapshot: WireSnapshot | WireDownload
  /** More downloads of the snapshot, until its `next_cursor` is null; other events may come between the pages. */
  snapshot_page: WireSnapshot
  /** Bytes arrived. Slow readers do not receive every one of these events. */
  progress: WireDownload
  /** The state of a download changed. */
  state: WireDownload
  /** A message for people. */
  log: WireLog
  /** A download was removed; the data is its last state. */
  removed: WireDownload
}

// ---- Preloads

/** One model of `GET /api/v1/models/status`. */
export const modelStatus = z.object({
  ready: z
    .boolean()
    .describe('Whether the file exists and is correct, as far as its size and sha256 are known.'),
  name: z.string(),
  cache_hint: z.string().describe('Path where the file is or will be stored.'),
  message: z.string().describe('Human-readable status in the language of Accept-Language (en-US, zh-CN).'),
})

/** See {@link modelStatus}. */
export type WireModelStatus = z.infer<typeof modelStatus>

/** Response of `GET /api/v1/models/status`. */
export const modelsStatus = z.object({
  success,
  models: z.record(z.string(), modelStatus).describe('By key of the catalog.'),
  catalog: z.array(
    z.object({
      key: z.string(),
      name: z.string(),
      required: z.boolean(),
      auto_download: z.boolean(),
      description: z.string(),
    }),
  ),
  any_ready: z.boolean(),
  any_missing: z.boolean(),
  first_use_tip: z.string().describe('What is missing, and the commands that download it.'),
  timestamp: time,
})

/** See {@link modelsStatus}. */
export type WireModelsStatus = z.infer<typeof modelsStatus>

const models = 'Keys, separated by commas; none or `all`: every model with auto_download.'

const outputDir = 'Folder inside the allowed roots.'

const nodes =
  'Nodes of the fleet that are to have the models: `all`, or names and `label:…`, separated by commas. Default: this server alone.'

const force = 'Download models again even if they exist. Default false.'

/** Query of `POST /api/v1/models/preload/start`. */
export const preloadQuery = z.object({
  models: z.string().optional().describe(models),
  output_dir: z.string().optional().describe(outputDir),
  force: flag.optional().describe(force),
  nodes: z.string().optional().describe(nodes),
})

/** Body of `POST /api/v1/models/preload/start`; may be `null` or omitted. */
export const preloadRequest = z
  .object({
    models: z
      .union([z.string(), z.array(z.string())])
      .nullish()
      .describe(models),
    output_dir: z.string().nullish().describe(outputDir),
    force: z.union([z.boolean(), flag]).nullish().describe(force),
    nodes: z.string().nullish().describe(nodes),
  })
  .nullable()

/** Response of `POST /api/v1/models/preload/start`. */
export const preloadStarted = z.object({
  success,
  message: z.string(),
  output_dir: z.string(),
  models: z.array(z.string()).describe('Keys of the models to download.'),
  force: z.boolean(),
  started_at: time,
})

/** See {@link preloadStarted}. */
export type PreloadStarted = z.infer<typeof preloadStarted>

/**
 * Response of `GET /api/v1/models/preload/status`. Before the first run, `running` is false, `logs` is empty,
 * and the rest is null.
 */
export const preloadStatus = z.object({
  success,
  running: z.boolean(),
  started_at: time.nullable(),
  finished_at: time.nullable(),
  success_flag: z.boolean().nullable().describe('Null while the preload is running.'),
  return_code: z.number().int().nullable().describe('0, or 1 when a required model failed.'),
  error: z.string().nullable(),
  output_dir: z.string().nullable(),
  logs: z.array(z.string()).describe('The last 500 lines.'),
  current: z.string().nullable().describe('Key of the model that is being downloaded.'),
  completed: bytes.nullable().describe('Number of completed models.'),
  total: bytes.nullable().describe('Total number of models.'),
  progress: z.number().min(0).max(100).nullable().describe('Percentage.'),
  downloads: z.record(z.string(), wireDownload).nullable().describe('By key of the catalog.'),
})

/** See {@link preloadStatus}. */
export type PreloadStatus = z.infer<typeof preloadStatus>

/** Data of a `log` event of a preload. */
export const preloadLog = z.object({ line: z.string() })

/** See {@link preloadLog}. */
export type PreloadLog = z.infer<typeof preloadLog>

// ---- Permissions

/** Response of `GET /api/models/permissions`. */
export const permissions = z.object({
  success,
  permissions: z
    .object({ 'downloads:read': z.boolean(), 'downloads:manage': z.boolean(), 'queue:manage': z.boolean() })
    .describe('What the caller may do.'),
  preload: z.boolean().describe('Whether the server has a catalog of models.'),
  fleet: z.boolean().describe('Whether the server is a node of a fleet.'),
  cluster: z.boolean().describe('Whether the server is an instance of a cluster.'),
  unauthenticated: z
    .boolean()
    .describe('Whether the caller might have more permissions after authentication.'),
})

/** See {@link permissions}. */
export type Permissions = z.infer<typeof permissions>

// ---- Errors

/** All errors: RFC 9457 problem details, with the members that older clients read (`success`, `error`). */
export const problem = z.object({
  success: z.literal(false),
  type: z
    .string()
    .describe(
      'A URI reference; `about:blank` means that the title is that of the status (RFC 9457 section 4.2.1).',
    ),
  title: z.string().describe('Reason phrase of the status.'),
  status: z.number().int(),
  detail: z.string().describe('Human-readable message.'),
  code: z.enum(downloadErrorCodes).describe('Stable error code.'),
  error: z.string().describe('The same as `detail`.'),
  issues: z
    .array(z.object({ path: z.string(), message: z.string() }))
    .optional()
    .describe('For invalid input: every problem found.'),
})

/** See {@link problem}. */
export type Problem = z.infer<typeof problem>
