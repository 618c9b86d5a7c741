export { DownloadManager } from './manager/manager.js'

export { Catalog, type CatalogEntry, type CatalogModel } from './catalog/catalog.js'

export { Preloader } from './catalog/preloader.js'

export type { Locale } from './util/locale.js'
export type {
  ModelsStatus,
  ModelStatus,
  PreloadCommands,
  PreloaderOptions,
  PreloadEvents,
  PreloadLogEvent,
  PreloadRequestOptions,
  PreloadRunSnapshot as PreloadSnapshot,
  PreloadStart,
} from './catalog/options.js'

export { Download } from './download/download.js'

export {
  DownloadError,
  downloadErrorCodes,
  isDownloadError,
  type DownloadErrorCode,
  type DownloadErrorDetails,
  type OptionIssue,
  type SerializedDownloadError,
} from './errors.js'

export type { DownloadedFile } from './download/download.js'
export type { DownloadEvents, LogEvent } from './download/events.js'

export type { DownloadGroup, GroupFile } from './download/group.js'
export type { SerializedDownload, SerializedFile } from './download/wire.js'

export {
  createHandler,
  type Action,
  type Authorize,
  type AuthorizeContext,
  type CorsOptions,
  type Handler,
  type HandlerOptions,
  type MetricsRegistry,
  type PeerServing,
  type Permission,
  type ProbeOptions,
  type RequestContext,
} from './http/handler.js'

export { Fleet, type FleetEvents, type FleetOptions } from './catalog/fleet/fleet.js'
export {
  type FleetContent,
  type FleetStore,
  type FleetWish,
  MemoryFleetStore,
  type NodeModel,
  type NodeModelState,
  type NodeReport,
  type SeenReport,
} from './catalog/fleet/store.js'
export { type FleetRedis, RedisFleetStore, type RedisFleetStoreOptions } from './catalog/fleet/redis-store.js'
export type { NodeIdentity } from './catalog/fleet/selector.js'
export type { FleetCell, FleetNode, FleetStatus } from './catalog/fleet/view.js'
export type { DownloadManagerOptions, WhenFull } from './manager/options.js'
export type { PeerOptions } from './manager/peers/peers.js'
export type { DiskUsage, DiskUsageEntry } from './manager/space/report.js'
export type { DownloadOptions } from './download/options.js'
export type { XetMode } from './download/xet.js'
export type { Layout } from './layouts/hf-paths.js'

export type { StoredFile, StoredMember, StoredState, VerifyStatus } from './files/stored.js'
export type { VerifiedFile, VerifyProgress, VerifyReport } from './files/verify.js'
export type { VerifyOptions } from './manager/stored-files.js'

export type {
  InspectOptions,
  LookOptions,
  OutdatedOptions,
  SearchOptions,
} from './manager/upstream/upstream.js'
export type { UpstreamCheck } from './manager/upstream/check.js'
export type { UpstreamChange } from './manager/upstream/compare.js'
export type { Quantisation } from './inspect/contents.js'
export type { InspectedFile, InspectedModel, Inspection, ModelHeader } from './inspect/inspect.js'

export type { DownloadPlan, PlannedFile } from './manager/plan.js'

export type { RemoteGrant } from './net/address-policy.js'

export type { Progress } from './download/progress.js'

export { civitai, type CivitaiOptions } from './sources/civitai.js'

export { gitHub, type GitHubOptions } from './sources/github.js'

export { huggingFace, type HuggingFaceOptions } from './sources/huggingface.js'

export { kaggle, type KaggleOptions } from './sources/kaggle.js'

export { localFiles } from './sources/local-files.js'

export { modelScope, type ModelScopeOptions } from './sources/modelscope.js'

export { ollama } from './sources/ollama.js'

export { azure, type AzureOptions } from './sources/storage/azure.js'

export { googleStorage, type GoogleStorageOptions } from './sources/storage/gcs.js'

export type { MirrorOptions } from './sources/storage/mirror.js'

export { s3, type S3Credentials, type S3Options } from './sources/storage/s3.js'

export type {
  ApiAnswer,
  ApiRequest,
  FileAddress,
  FoundModel,
  HubRepository,
  JsonAnswer,
  Resolution,
  ResolveContext,
  ResolvedFile,
  SearchRequest,
  Source,
  SourceDescription,
  XetFile,
} from './sources/source.js'

export { downloadStates, type DownloadState } from './download/states.js'

export { createFileStore } from './store/file.js'

export { createMemoryStore } from './store/memory.js'

export { downloadRecordSchema, type DownloadRecord } from './download/record.js'
export type { DownloadStore, LoadedDocument, LoadedRecords } from './store/store.js'

export { defaultTuning, type TransferTuning } from './net/tuning.js'
export { type FileStamp } from './disk/stamp.js'
export type { Digest, DigestAlgorithm, DigestOrigin, Verification } from './util/digests.js'
