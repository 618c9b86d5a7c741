export { createClient, type Client, type ListQuery, type PreloadOptions } from './client.js'

export type { CallOptions, ClientOptions } from './http.js'

export type { FollowConnection, FollowOptions } from './follow.js'

export type { DownloadsChange } from './follow.js'

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
  WireModelsStatus as ModelsStatus,
  WireModelStatus as ModelStatus,
  Permissions,
  PreloadStarted,
  PreloadStatus,
  WireDownload,
} from '../http/schemas.js'
