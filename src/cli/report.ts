import type { Verification } from '../util/digests.js'
import type { DownloadedFile } from '../download/download.js'
import type { LogEvent } from '../download/events.js'
import type { DownloadGroup, GroupFile } from '../download/group.js'
import type { Progress } from '../download/progress.js'
import type { DownloadState } from '../download/states.js'
import type { DownloadErrorCode } from '../errors.js'
import { redactUrls } from '../util/redact.js'

/**
 * What a command reports, one object per event. With `--json`, each one is a line of standard output; the
 * other reporters use the same objects. The order of the fields is part of the public format.
 */
export type Report = DownloadReport & {
  /** Key of the model in the catalog; `preload` only. */
  key?: string
}

/** An event of one download. `url` is its URL as the user wrote it. */
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
  | ExecutedReport
  | { type: 'output'; url: string; path: string; text: string }

/** Progress of a download. */
export interface ProgressReport {
  type: 'progress'
  url: string
  /** Null until the name is known. */
  filename: string | null
  downloaded: number
  total: number | null
  percent: number
  bytesPerSecond: number
  etaSeconds: number | null
  connections: number
  phase: DownloadState
  /** Groups only: number of files, and how many of them are complete. */
  fileCount?: number
  filesCompleted?: number
}

/** Final report of a URL whose download completed. */
export interface CompletedReport {
  type: 'completed'
  url: string
  path: string
  size: number
  sha256: string | null
  verified: boolean
  /** What it was verified with, and who stated that; null if with nothing. */
  verification: Verification | null
  existed: boolean
  fetchedBytes: number
  /** The file in another program's cache that it was taken from; otherwise null. */
  adoptedFrom: string | null
  /** Only if the source could not be asked, so that it may have a newer version. */
  stale?: true
  /** Groups only: the files; `path` is the folder of the group. */
  files?: FileReport[]
}

/** A complete file of a group; `path` is relative to the folder of the group. */
export interface FileReport {
  path: string
  size: number | null
  sha256: string | null
  verified: boolean
  verification: Verification | null
}

/** A missing file of a group and the reason; `code` is null when the file was not attempted. */
export interface MissingReport {
  path: string
  code: DownloadErrorCode | null
  message: string
}

/** Final report of a URL whose download failed. */
export interface FailedReport {
  type: 'failed'
  url: string
  code: DownloadErrorCode
  message: string
  /** Groups only: the missing files. */
  missing?: MissingReport[]
}

/** How the program of `--exec` ended for one file. One of `exitCode`, `signal` and `error` is not null. */
export interface ExecutedReport {
  type: 'executed'
  url: string
  path: string
  exitCode: number | null
  signal: string | null
  /** Why it could not be started. */
  error: string | null
}

/** Presents the events of a run. */
export interface Reporter {
  /** Reports one event. */
  report(report: Report): void
  /** Ends the run: closes the reporter and prints a summary, if it has one. */
  finish(): void
  /**
   * Removes progress bars from the terminal and stops timers. Later reports are still printed. May be called
   * repeatedly.
   */
  close(): void
}

/** Creates a `progress` report. */
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

/** Creates a `completed` report. */
export function completedReport(url: string, file: DownloadedFile): CompletedReport {
  const { path, size, sha256, verified, verification, existed, fetchedBytes, adoptedFrom, files, stale } =
    file
  const report: CompletedReport = {
    type: 'completed',
    url,
    path,
    size,
    sha256,
    verified,
    verification,
    existed,
    fetchedBytes,
    adoptedFrom,
    ...(stale === true ? { stale } : {}),
  }
  return files === null ? report : { ...report, files: files.map(fileReport) }
}

function fileReport({ filename: path, size, sha256, verified, verification }: GroupFile): FileReport {
  return { path, size, sha256, verified, verification }
}

/** Creates a `failed` report. */
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
