/**
 * Converts downloads to their JSON form, that of the REST API. Pure, and efficient because a list may contain ten thousand
 * downloads.
 */
import type { DownloadErrorCode } from '../errors.js'
import type { Verification } from '../util/digests.js'
import { redactUrls } from '../util/redact.js'
import { type DescribedError, englishVoice, errorText, type Voice } from './error-text.js'
import type { DownloadGroup, GroupFile } from './group.js'
import type { Progress } from './progress.js'
import type { DownloadRecord } from './record.js'
import type { DownloadState } from './states.js'
import { recordedVerification } from './verification.js'

/** A file of a group in {@link SerializedDownload}. */
export type SerializedFile = Pick<
  GroupFile,
  'filename' | 'size' | 'downloaded' | 'state' | 'sha256' | 'verified' | 'verification'
> & {
  /** Why the file is missing; otherwise null. */
  error: string | null
  code: DownloadErrorCode | null
}

/** A download as JSON, with the field names of the REST API; see `docs/rest.md`. Times are ISO 8601. */
export interface SerializedDownload {
  /** The requested URL, which identifies the download. */
  url: string
  /**
   * Provisional until the first response if neither the caller nor the URL names the file; of a ref that is not
   * resolved, its last part.
   */
  filename: string
  /** Subfolder; null for the download directory itself. */
  mode: string | null
  /** Coarse form of `state`. */
  status: 'downloading' | 'completed' | 'failed'
  /** Bytes on disk. */
  downloaded: number
  /** Total size in bytes; 0 while unknown. */
  total: number
  /** Percentage from 0 to 100, with one decimal; 100 only when completed. */
  progress: number
  /** Why it failed, in English; `canceled` for a canceled download; otherwise null. */
  error: string | null
  /** Exact state. */
  state: DownloadState
  /** Stable code of the error, or null. */
  code: DownloadErrorCode | null
  /** Current speed; 0 when nothing is transferred. */
  bytes_per_second: number
  /** Null when it can't be estimated. */
  eta_seconds: number | null
  /** Number of active connections. */
  connections: number
  /** Of the file in lower-case hex: computed when completed; until then the expected digest, or null. */
  sha256: string | null
  /** Whether the file was verified against an expected digest. */
  verified: boolean
  /** What the file was verified with, and who stated that; null if with nothing, and for a group. */
  verification: Verification | null
  /** When it was first requested. */
  created_at: string
  /** When it last started to run, or null. */
  started_at: string | null
  /** When it completed, failed or was canceled, or null. */
  finished_at: string | null
  /** Number of files of a group; null for a single file, and while unknown. */
  file_count: number | null
  /** Number of completed files of a group. */
  files_completed: number | null
  /** The files of a group where only this download was asked for; otherwise null. */
  files: SerializedFile[] | null
  /** Present if the source could not be asked and the files on disk were used. */
  stale?: true
  /** Present while it is queued because there is no disk space for it: the reason. */
  waiting?: string
  /** Present unless it is 0: downloads with a higher priority start first. */
  priority?: number
  /** Present if this download has a limit of its own. */
  max_bytes_per_second?: number
  /** Present while an instance of a cluster runs it: the name of that machine or pod. */
  node?: string
}

/** What is told of a download. */
interface Described {
  readonly record: DownloadRecord
  readonly current: Progress
  readonly sha256: string | null
  readonly group: DownloadGroup | null
  readonly stale: boolean
  readonly waitingFor: DescribedError | null
  readonly node?: string | null
}

/**
 * The part of an error message that callers may see. The message of an unexpected error could contain
 * anything, so it is not exposed.
 */
export function publicMessage(error: DescribedError, voice: Voice = englishVoice): string {
  if (error.code !== 'INTERNAL') return redactUrls(errorText(error, voice))
  return errorText({ code: 'INTERNAL', message: 'Something went wrong inside the server.' }, voice)
}

/** The three status values that older clients know. They stop polling at `completed` and `failed`. */
function coarseStatus(state: DownloadState): SerializedDownload['status'] {
  if (state === 'completed') return 'completed'
  return state === 'failed' || state === 'canceled' ? 'failed' : 'downloading'
}

/**
 * A download in lists and in events of all downloads. A group comes without its files, of which there may be
 * thousands.
 */
export function toWire(download: Described, voice: Voice): SerializedDownload {
  const { record, current, sha256, group, waitingFor, node = null } = download
  const { state, error } = record
  const failure = state === 'failed' ? error : null
  return {
    url: record.url,
    filename: record.filename,
    mode: record.mode,
    status: coarseStatus(state),
    downloaded: current.downloaded,
    total: current.total ?? 0,
    progress: current.percent,
    error: state === 'canceled' ? 'canceled' : failure === null ? null : publicMessage(failure, voice),
    state,
    code: state === 'canceled' ? 'CANCELED' : (failure?.code ?? null),
    bytes_per_second: current.bytesPerSecond,
    eta_seconds: current.etaSeconds,
    connections: current.connections,
    sha256,
    verified: record.verified,
    verification: recordedVerification(record),
    created_at: record.createdAt,
    started_at: record.startedAt,
    finished_at: record.finishedAt,
    file_count: group?.files.length ?? null,
    files_completed: group?.completed ?? null,
    files: null,
    ...(download.stale ? { stale: true } : {}),
    ...(waitingFor === null ? {} : { waiting: publicMessage(waitingFor, voice) }),
    ...(record.priority === 0 ? {} : { priority: record.priority }),
    ...(record.maxBytesPerSecond === null ? {} : { max_bytes_per_second: record.maxBytesPerSecond }),
    ...(node === null ? {} : { node }),
  }
}

/** A download in responses and events about this download alone: with the files of a group. */
export function toFullWire(download: Described, voice: Voice): SerializedDownload {
  const files = download.group?.files.map((file) => toWireFile(file, voice)) ?? null
  return { ...toWire(download, voice), files }
}

function toWireFile(file: GroupFile, voice: Voice): SerializedFile {
  const { filename, size, downloaded, state, sha256, verified, verification, error } = file
  return {
    filename,
    size,
    downloaded,
    state,
    sha256,
    verified,
    verification,
    error: error === null ? null : publicMessage(error, voice),
    code: error?.code ?? null,
  }
}

/** Several downloads by URL, in their order. */
export function toWireMap(downloads: Iterable<Described>, voice: Voice): Record<string, SerializedDownload> {
  const result: Record<string, SerializedDownload> = {}
  for (const download of downloads) result[download.record.url] = toWire(download, voice)
  return result
}
