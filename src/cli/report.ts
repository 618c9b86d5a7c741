import type { DownloadedFile } from '../download/download.js'
import type { LogEvent } from '../download/events.js'
import type { DownloadGroup, GroupFile } from '../download/group.js'
import type { Progress } from '../download/progress.js'
import type { DownloadState } from '../download/states.js'
import type { DownloadErrorCode } from '../errors.js'
import { redactUrls } from '../util/redact.js'

/**
 * What a command reports, one object per event: with `--json` each is one line of standard output, and the other
 * reporters draw from the same objects. The order of the fields is part of the contract.
 */
export type Report = DownloadReport & {
  /** Of the model in its catalog; `preload` only. */
  key?: string
}

/** What happens to one download; `url` is its URL as the user wrote it. */
type DownloadReport =
  | { type: 'queued'; url: string }
  | { type: 'started'; url: string }
  | ProgressReport
  | {
      type: 'retrying'
      url: string
      attempt: number
      delayMs: number
      code: DownloadErrorCode
      message: string
    }
  | { type: 'verifying'; url: string }
  | { type: 'log'; url?: string; level: LogEvent['level']; message: string }
  | CompletedReport
  | FailedReport

/** How far one download is. */
export interface ProgressReport {
  type: 'progress'
  url: string
  /** Null until the name is settled. */
  filename: string | null
  downloaded: number
  total: number | null
  percent: number
  bytesPerSecond: number
  etaSeconds: number | null
  connections: number
  phase: DownloadState
  /** Of a group: its files, and how many of them are there. */
  fileCount?: number
  filesCompleted?: number
}

/** The last report of a URL whose file is there. */
export interface CompletedReport {
  type: 'completed'
  url: string
  path: string
  size: number
  sha256: string | null
  verified: boolean
  existed: boolean
  fetchedBytes: number
  /** The file of another program's cache that it was taken from; else null. */
  adoptedFrom: string | null
  /** Of a group, whose folder `path` is. */
  files?: FileReport[]
}

/** One file of a group that is there; `path` is inside the group's folder. */
export interface FileReport {
  path: string
  size: number | null
  sha256: string | null
  verified: boolean
}

/** One file of a group that is not there, and why; `code` is null when it was not tried. */
export interface MissingReport {
  path: string
  code: DownloadErrorCode | null
  message: string
}

/** The last report of a URL that could not be had. */
export interface FailedReport {
  type: 'failed'
  url: string
  code: DownloadErrorCode
  message: string
  /** Of a group: what is not there. */
  missing?: MissingReport[]
}

/** What every reporter can do. */
export interface Reporter {
  /** Tells one event. */
  report(report: Report): void
  /** The run has come to its end: closes, and sums up where there is something to sum up. */
  finish(): void
  /** Takes bars off the terminal and stops timers. Reports that come later still get through. May be called again. */
  close(): void
}

/** Shapes a `progress` report. */
export function progressReport(
  url: string,
  filename: string | null,
  progress: Progress,
  group: DownloadGroup | null = null,
): ProgressReport {
  const { downloaded, total, percent, bytesPerSecond, etaSeconds, connections, phase } = progress
  return {
    type: 'progress',
    url,
    filename,
    downloaded,
    total,
    percent,
    bytesPerSecond,
    etaSeconds,
    connections,
    phase,
    ...(group === null ? {} : { fileCount: group.files.length, filesCompleted: group.completed }),
  }
}

/** Shapes a `completed` report. */
export function completedReport(url: string, file: DownloadedFile): CompletedReport {
  const { path, size, sha256, verified, existed, fetchedBytes, adoptedFrom, files } = file
  const report: CompletedReport = {
    type: 'completed',
    url,
    path,
    size,
    sha256,
    verified,
    existed,
    fetchedBytes,
    adoptedFrom,
  }
  return files === null ? report : { ...report, files: files.map(fileReport) }
}

function fileReport({ filename: path, size, sha256, verified }: GroupFile): FileReport {
  return { path, size, sha256, verified }
}

/** Shapes a `failed` report. */
export function failedReport(
  url: string,
  error: { code: DownloadErrorCode; message: string },
  group: DownloadGroup | null = null,
): FailedReport {
  const report: FailedReport = { type: 'failed', url, code: error.code, message: redactUrls(error.message) }
  return group === null ? report : { ...report, missing: group.missing.map(missingReport) }
}

function missingReport({ filename: path, error, state }: GroupFile): MissingReport {
  return { path, code: error?.code ?? null, message: redactUrls(error?.message ?? `It is ${state}.`) }
}
