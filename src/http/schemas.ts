/**
 * What travels over HTTP, as zod schemas and their types. Requests are validated with them; answers are only described
 * by them (the OpenAPI document, tests, the client's types), because parsing what we made ourselves costs time and
 * finds nothing.
 */
import * as z from 'zod'
import { downloadStates } from '../download/states.js'
import { downloadErrorCodes } from '../errors.js'

const bytes = z.number().int().nonnegative()

const time = z.iso.datetime().describe('ISO 8601 in UTC.')

const success = z.literal(true)

const hexDigest = z.string().regex(/^[0-9a-f]{64}$/)

// ---- downloads ----

/** One file of a group. */
export const wireFile = z.object({
  filename: z.string().describe('Path inside the folder of the group, with slashes.'),
  size: bytes.nullable().describe('Null while unknown.'),
  downloaded: bytes.describe('Bytes on disk.'),
  state: z.enum(downloadStates),
  sha256: hexDigest.nullable().describe('Computed once it is there, until then what the source says.'),
  verified: z.boolean().describe('Whether it was checked against what the source says.'),
  error: z.string().nullable().describe('Why it is missing: one sentence for people.'),
  code: z.enum(downloadErrorCodes).nullable().describe('Stable name of the error.'),
})

/** See {@link wireFile}. */
export type WireFile = z.infer<typeof wireFile>

/** One download, as every route and event tells of it. */
export const wireDownload = z.object({
  url: z.string().describe('The URL that was asked for: the identity.'),
  filename: z
    .string()
    .describe('Provisional until the first response, when neither caller nor URL name one.'),
  mode: z.string().nullable().describe('Sub-folder; null for the directory itself.'),
  status: z.enum(['downloading', 'completed', 'failed']).describe('Coarse: stop polling on the last two.'),
  downloaded: bytes.describe('Bytes on disk.'),
  total: bytes.describe('Bytes in all; 0 while unknown.'),
  progress: z.number().min(0).max(100).describe('Per cent; 100 only when completed.'),
  error: z.string().nullable().describe('One sentence for people; "canceled" for a canceled one.'),
  state: z.enum(downloadStates),
  code: z.enum(downloadErrorCodes).nullable().describe('Stable name of the error.'),
  bytes_per_second: bytes,
  eta_seconds: bytes.nullable().describe('Null when it cannot be told.'),
  connections: bytes.describe('Connections that fetch right now.'),
  sha256: hexDigest.nullable().describe('Computed once completed, until then the expected one.'),
  verified: z.boolean().describe('Whether the file was checked against a digest given beforehand.'),
  created_at: time,
  started_at: time.nullable(),
  finished_at: time.nullable(),
  file_count: bytes.nullable().describe('Files of a group; null for a single file, and while nobody knows.'),
  files_completed: bytes.nullable().describe('How many of them are there.'),
  files: z
    .array(wireFile)
    .nullable()
    .describe('The files of a group, for who asks for this one download; else null.'),
})

/** See {@link wireDownload}. */
export type WireDownload = z.infer<typeof wireDownload>

const url = z.string().min(1).max(16_384)

const globs = z.array(z.string().min(1).max(1_000)).max(100).optional()

/** Body of `POST /api/models/download`. What it does not name is ignored, so that old and odd clients work. */
export const downloadRequest = z.object({
  url: url.describe('http or https, without user name and password.'),
  urls: z
    .array(url)
    .min(1)
    .max(32)
    .optional()
    .describe('Mirrors: further addresses of the same file, in the order in which they are tried.'),
  filename: z.string().optional().describe('One path segment.'),
  mode: z
    .string()
    .optional()
    .describe('llm, embed, rerank or another one that the host registered. Default llm.'),
  sha256: z
    .string()
    .regex(/^(?:sha256[:-])?[0-9a-f]{64}$/i, 'must be 64 hexadecimal digits')
    .optional()
    .describe('Digest that the file must have.'),
  size: bytes.optional().describe('Bytes that the file must have.'),
  priority: z
    .number()
    .int()
    .min(-1_000_000)
    .max(1_000_000)
    .optional()
    .describe('Higher ones go first. Default 0.'),
  include: globs.describe(
    'For a ref that means several files: globs of those that are wanted. Default: all.',
  ),
  exclude: globs.describe('Globs of those that are not wanted.'),
  connections: z
    .number()
    .int()
    .min(1)
    .max(64)
    .optional()
    .describe('Checked, then left to the server: callers from the network do not choose it.'),
})

/** See {@link downloadRequest}. */
export type DownloadRequest = z.infer<typeof downloadRequest>

/** What happened to a request for a download; the contract's own words. */
export const startMessages = [
  'Download started',
  'Download already in progress',
  'File already exists',
] as const

/** One of {@link startMessages}. */
export type StartMessage = (typeof startMessages)[number]

/** Answer of `POST /api/models/download`. */
export const downloadStarted = z.object({
  success,
  url: z.string(),
  filename: z.string(),
  mode: z.string().nullable(),
  message: z.enum(startMessages),
})

/** See {@link downloadStarted}. */
export type DownloadStarted = z.infer<typeof downloadStarted>

/** Answer of `GET /api/models/download/status?url=…`. */
export const downloadStatus = z.object({ success, download: wireDownload })

/** See {@link downloadStatus}. */
export type DownloadStatus = z.infer<typeof downloadStatus>

/** Answer of `GET /api/models/download/status` without `url`. */
export const downloadList = z.object({
  success,
  downloads: z.record(z.string(), wireDownload).describe('Keyed by URL, in order of arrival.'),
  next_cursor: z
    .string()
    .nullable()
    .optional()
    .describe(
      'Only for a request with `limit`: what to give as `cursor` for the next page; null on the last.',
    ),
})

/** See {@link downloadList}. */
export type DownloadList = z.infer<typeof downloadList>

/** What `GET /api/models/download/status` answers: with `url` the one, without it the list. */
export const downloadStatusOrList = z.union([downloadStatus, downloadList])

/** Query of `GET /api/models/download/status`. */
export const statusQuery = z.object({
  url: url.optional().describe('This one only. Unknown: 404.'),
  state: z.enum(downloadStates).optional().describe('Only those in this state.'),
  mode: z.string().optional().describe('Only those of this mode.'),
  limit: z.coerce.number().int().min(1).max(10_000).optional().describe('Most downloads in one answer.'),
  cursor: z.string().max(64).optional().describe('`next_cursor` of the page before.'),
})

/** Body of pause, resume, cancel and retry. */
export const controlRequest = z.object({ url })

/** Answer of pause, resume, cancel and retry. */
export const controlResult = z.object({ success, download: wireDownload })

/** See {@link controlResult}. */
export type ControlResult = z.infer<typeof controlResult>

/** A yes or no in a query: `true`, `1`, `yes`, `on`, and their opposites, in any case. */
const flag = z.stringbool()

/** Query of `DELETE /api/models/download`. */
export const removeQuery = z.object({
  url,
  delete_file: flag.optional().describe('Also delete the finished file. Default false.'),
})

/** Answer of `DELETE /api/models/download`. */
export const removeResult = z.object({ success, url: z.string() })

/** See {@link removeResult}. */
export type RemoveResult = z.infer<typeof removeResult>

// ---- events of downloads ----

/** Query of `GET /api/models/download/events`. */
export const eventsQuery = z.object({
  url: url.optional().describe('Events of this one only. Unknown: 404.'),
})

/** Data of a `snapshot` event of all downloads. With `?url=` the data is the one download instead. */
export const wireSnapshot = z.object({
  downloads: z.record(z.string(), wireDownload).describe('Keyed by URL.'),
})

/** See {@link wireSnapshot}. */
export type WireSnapshot = z.infer<typeof wireSnapshot>

/** Data of a `log` event. */
export const wireLog = z.object({
  url: z.string().describe('The download that it is about.'),
  at: time,
  level: z.enum(['debug', 'info', 'warn', 'error']),
  message: z.string().describe('One sentence, without tokens or signed query strings.'),
})

/** See {@link wireLog}. */
export type WireLog = z.infer<typeof wireLog>

/** What `GET /api/models/download/events` sends: the name of each event and its data. */
export interface DownloadSseEvents {
  /** First of all: all downloads, or with `?url=` the one. */
  snapshot: WireSnapshot | WireDownload
  /** Bytes arrived. A slow reader misses intermediate ones. */
  progress: WireDownload
  /** It is in another state now. */
  state: WireDownload
  /** Something that a person may want to know. */
  log: WireLog
  /** It was forgotten; the data says how it was. */
  removed: WireDownload
}

// ---- preload ----

/** One model of `GET /api/v1/models/status`. */
export const modelStatus = z.object({
  ready: z.boolean().describe('The file is there and right, as far as size and sha256 are known.'),
  name: z.string(),
  cache_hint: z.string().describe('Where it lies or will lie.'),
  message: z.string().describe('For people, in the language of Accept-Language (en-US, zh-CN).'),
})

/** See {@link modelStatus}. */
export type WireModelStatus = z.infer<typeof modelStatus>

/** Answer of `GET /api/v1/models/status`. */
export const modelsStatus = z.object({
  success,
  models: z.record(z.string(), modelStatus).describe('Keyed by the key of the catalog.'),
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
  first_use_tip: z.string().describe('What is missing, and the commands that fetch it.'),
  timestamp: time,
})

/** See {@link modelsStatus}. */
export type WireModelsStatus = z.infer<typeof modelsStatus>

const models = 'Keys, separated by commas; none or `all`: every one with auto_download.'

const outputDir = 'A folder inside the allowed roots.'

const force = 'Fetch again what is there. Default false.'

/** Query of `POST /api/v1/models/preload/start`. */
export const preloadQuery = z.object({
  models: z.string().optional().describe(models),
  output_dir: z.string().optional().describe(outputDir),
  force: flag.optional().describe(force),
})

/** Body of `POST /api/v1/models/preload/start`; `null` and none are fine too. */
export const preloadRequest = z
  .object({
    models: z
      .union([z.string(), z.array(z.string())])
      .nullish()
      .describe(models),
    output_dir: z.string().nullish().describe(outputDir),
    force: z.union([z.boolean(), flag]).nullish().describe(force),
  })
  .nullable()

/** Answer of `POST /api/v1/models/preload/start`. */
export const preloadStarted = z.object({
  success,
  message: z.string(),
  output_dir: z.string(),
  models: z.array(z.string()).describe('Keys of what is fetched.'),
  force: z.boolean(),
  started_at: time,
})

/** See {@link preloadStarted}. */
export type PreloadStarted = z.infer<typeof preloadStarted>

/** Answer of `GET /api/v1/models/preload/status`. Never run: `running` false, the rest null, `logs` empty. */
export const preloadStatus = z.object({
  success,
  running: z.boolean(),
  started_at: time.nullable(),
  finished_at: time.nullable(),
  success_flag: z.boolean().nullable().describe('Null while it runs.'),
  return_code: z.number().int().nullable().describe('0, or 1 when a required model failed.'),
  error: z.string().nullable(),
  output_dir: z.string().nullable(),
  logs: z.array(z.string()).describe('The last 500 lines.'),
  current: z.string().nullable().describe('Key of the model that is being fetched.'),
  completed: bytes.nullable().describe('Models that are through.'),
  total: bytes.nullable().describe('Models in all.'),
  progress: z.number().min(0).max(100).nullable().describe('Per cent.'),
  downloads: z.record(z.string(), wireDownload).nullable().describe('Keyed by the key of the catalog.'),
})

/** See {@link preloadStatus}. */
export type PreloadStatus = z.infer<typeof preloadStatus>

/** Data of a `log` event of a preload. */
export const preloadLog = z.object({ line: z.string() })

/** See {@link preloadLog}. */
export type PreloadLog = z.infer<typeof preloadLog>

// ---- permissions ----

/** Answer of `GET /api/models/permissions`. */
export const permissions = z.object({
  success,
  permissions: z
    .object({ 'downloads:read': z.boolean(), 'downloads:manage': z.boolean(), 'queue:manage': z.boolean() })
    .describe('What this caller may do.'),
  preload: z.boolean().describe('Whether the server has a catalog of models.'),
  unauthenticated: z.boolean().describe('Whether the caller might do more by saying who it is.'),
})

/** See {@link permissions}. */
export type Permissions = z.infer<typeof permissions>

// ---- errors ----

/** Every error: RFC 9457 problem details, with the members that older clients read (`success`, `error`). */
export const problem = z.object({
  success: z.literal(false),
  type: z
    .string()
    .describe('A URI reference; `about:blank`: the status says it all (RFC 9457 section 4.2.1).'),
  title: z.string().describe('The phrase of the status.'),
  status: z.number().int(),
  detail: z.string().describe('One sentence for people.'),
  code: z.enum(downloadErrorCodes).describe('Stable name of the error.'),
  error: z.string().describe('The same as `detail`.'),
  issues: z
    .array(z.object({ path: z.string(), message: z.string() }))
    .optional()
    .describe('For invalid input: every problem found.'),
})

/** See {@link problem}. */
export type Problem = z.infer<typeof problem>
