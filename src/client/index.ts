export {
  createClient,
  type Client,
  type DownloadSettings,
  type FilesQuery,
  type ListQuery,
  type PreloadOptions,
  type QueueSettings,
} from './client.js'

export type { CallOptions, ClientOptions } from './http.js'

export type { FollowConnection, FollowOptions } from './follow.js'

export type { DownloadLog, DownloadsChange } from './follow.js'

export {
  DownloadError,
  isDownloadError,
  type DownloadErrorCode,
  type DownloadErrorDetails,
  type OptionIssue,
  type SerializedDownloadError,
} from '../errors.js'

export type {
  DownloadList,
  DownloadRequest,
  DownloadStarted,
  WireDisk as DiskUsage,
  FileList,
  WireModelsStatus as ModelsStatus,
  WireModelStatus as ModelStatus,
  Permissions,
  PreloadStarted,
  PreloadStatus,
  VerifyResult,
  QueueStatus,
  WireDownload,
  WireStoredFile,
} from '../http/schemas.js'
