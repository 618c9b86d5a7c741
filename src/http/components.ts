/** The schemas by the names that the OpenAPI document and the table of routes call them. */
import * as schemas from './schemas.js'

/** Every schema that has a name. */
export const components = {
  Download: schemas.wireDownload,
  DownloadFile: schemas.wireFile,
  DownloadRequest: schemas.downloadRequest,
  DownloadStarted: schemas.downloadStarted,
  DownloadStatus: schemas.downloadStatus,
  DownloadList: schemas.downloadList,
  DownloadStatusOrList: schemas.downloadStatusOrList,
  ControlRequest: schemas.controlRequest,
  ControlResult: schemas.controlResult,
  RemoveResult: schemas.removeResult,
  Snapshot: schemas.wireSnapshot,
  Log: schemas.wireLog,
  ModelsStatus: schemas.modelsStatus,
  PreloadRequest: schemas.preloadRequest,
  PreloadStarted: schemas.preloadStarted,
  PreloadStatus: schemas.preloadStatus,
  PreloadLog: schemas.preloadLog,
  Permissions: schemas.permissions,
  Problem: schemas.problem,
} as const
