export {
  createClient,
  type Client,
  type DownloadSettings,
  type FilesQuery,
  type ListQuery,
  type PreloadOptions,
  type QueueSettings,
  type SearchQuery,
} from './client.js'

export type { FleetClient, FleetRequest } from './fleet.js'

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
  WireModelsStatus as ModelsStatus,
  WireModelStatus as ModelStatus,
  Permissions,
  PreloadStarted,
  PreloadStatus,
  QueueStatus,
  WireDownload,
} from '../http/schemas.js'
export type {
  WireDisk as DiskUsage,
  FileList,
  PinResult,
  VerifyResult,
  WireStoredFile,
  WireVerifyProgress,
} from '../http/disk-schemas.js'
export type { ClusterStatus } from '../http/cluster/schemas.js'
export type { FleetStopped, WireFleetStatus as FleetStatus } from '../http/fleet/schemas.js'
export type {
  OutdatedList,
  SearchResult,
  WireFoundModel,
  WireInspection,
  WireUpstreamCheck,
} from '../http/upstream/schemas.js'
