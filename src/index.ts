export { DownloadManager } from './manager.js'
export { Catalog, type CatalogEntry, type CatalogModel } from './catalog/catalog.js'
export { Preloader } from './catalog/preloader.js'
export type {
  Locale,
  ModelsStatus,
  ModelStatus,
  PreloadCommands,
  PreloaderOptions,
  PreloadEvents,
  PreloadLogEvent,
  PreloadRequestOptions,
  PreloadSnapshot,
  PreloadStart,
} from './catalog/types.js'
export { Download } from './download.js'
export {
  DownloadError,
  downloadErrorCodes,
  isDownloadError,
  type DownloadErrorCode,
  type DownloadErrorDetails,
  type OptionIssue,
  type SerializedDownloadError,
} from './errors.js'
export type { DownloadedFile, DownloadEvents, LogEvent } from './events.js'
export type { DownloadGroup, GroupFile } from './group/files.js'
export {
  createHandler,
  type Action,
  type Authorize,
  type CorsOptions,
  type Handler,
  type HandlerOptions,
  type Permission,
  type RequestContext,
} from './http/handler.js'
export type { DownloadManagerOptions, DownloadOptions, Layout } from './options.js'
export type { DownloadPlan, PlannedFile } from './plan.js'
export type { RemoteGrant } from './network/policy.js'
export type { Progress } from './progress.js'
export { gitHub, type GitHubOptions } from './sources/github.js'
export { huggingFace, type HuggingFaceOptions } from './sources/huggingface.js'
export { modelScope, type ModelScopeOptions } from './sources/modelscope.js'
export { ollama } from './sources/ollama.js'
export type {
  ApiAnswer,
  ApiRequest,
  HubRepository,
  JsonAnswer,
  Resolution,
  ResolveContext,
  ResolvedFile,
  Source,
} from './sources/source.js'
export { downloadStates, type DownloadState } from './states.js'
export { createFileStore } from './store/file.js'
export { createMemoryStore } from './store/memory.js'
export {
  downloadRecordSchema,
  type DownloadRecord,
  type DownloadStore,
  type LoadedRecords,
} from './store/store.js'
export { defaultTuning, type FileStamp, type TransferTuning } from './transfer/protocol.js'
