/** Definition of routes: their data, schemas and handler functions. */
import type * as z from 'zod'
import type { Fleet } from '../catalog/fleet/fleet.js'
import type { Preloader } from '../catalog/preloader.js'
import type { Voice } from '../download/error-text.js'
import type { DownloadManager } from '../manager/manager.js'
import type { Locale } from '../util/locale.js'
import type { Action, Permission } from './access.js'
import type { Admission } from './admission.js'
import type { Dashboard } from './dashboard.js'
import type { RecentLogs } from './download-logs.js'
import { clusterStatusSchema } from './cluster/schemas.js'
import * as diskSchemas from './disk-schemas.js'
import { fleetStatusSchema, fleetStoppedSchema, fleetStopRequest } from './fleet/schemas.js'
import * as schemas from './schemas.js'
import type { SseChannel } from './sse.js'
import type { StoredFileLists, VerifyQueue } from './stored-files.js'
import type { Lookups } from './upstream/lookups.js'
import * as upstreamSchemas from './upstream/schemas.js'

// ---- Schemas by the names that the OpenAPI document and the routes use.

/** All named schemas. */
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
  Disk: diskSchemas.disk,
  SettingsRequest: schemas.settingsRequest,
  QueueRequest: schemas.queueRequest,
  QueueStatus: schemas.queueStatus,
  Snapshot: schemas.wireSnapshot,
  Log: schemas.wireLog,
  FileList: diskSchemas.fileList,
  StoredFile: diskSchemas.wireStoredFile,
  StoredFileMember: diskSchemas.wireStoredMember,
  VerifyRequest: diskSchemas.verifyRequest,
  VerifyResult: diskSchemas.verifyResult,
  VerifyProgress: diskSchemas.verifyProgress,
  PinRequest: diskSchemas.pinRequest,
  PinResult: diskSchemas.pinResult,
  Inspection: upstreamSchemas.inspection,
  InspectedModel: upstreamSchemas.inspectedModel,
  UpstreamCheck: upstreamSchemas.upstreamCheck,
  CheckResult: upstreamSchemas.checkResult,
  OutdatedList: upstreamSchemas.outdatedList,
  UpdateRequest: upstreamSchemas.updateRequest,
  SearchResult: upstreamSchemas.searchResult,
  FoundModel: upstreamSchemas.foundModel,
  ModelsStatus: schemas.modelsStatus,
  PreloadRequest: schemas.preloadRequest,
  PreloadStarted: schemas.preloadStarted,
  PreloadStatus: schemas.preloadStatus,
  PreloadLog: schemas.preloadLog,
  FleetStatus: fleetStatusSchema,
  FleetStopRequest: fleetStopRequest,
  FleetStopped: fleetStoppedSchema,
  ClusterStatus: clusterStatusSchema,
  Permissions: schemas.permissions,
  Problem: schemas.problem,
} as const

// ---- Routes

/** Services that routes use; created once per handler. */
export interface Services {
  manager: DownloadManager
  preloader: Preloader | null
  fleet: Fleet | null
  /** Which addresses URLs received over HTTP may reach. */
  remote: { allowPrivateNetwork: boolean; allowedHosts: string[] }
  admission: Admission
  /** Lists of the files on disk. */
  storedFiles: StoredFileLists
  /** Checks of files on disk. */
  verifications: VerifyQueue
  /** Comparisons of all finished downloads with their sources. */
  comparisons: VerifyQueue
  lookups: Lookups
  /** What has happened to each download lately. */
  downloadLogs: RecentLogs
  /** One channel per language. */
  downloadEvents: Readonly<Record<Locale, SseChannel>>
  preloadEvents: Readonly<Record<Locale, SseChannel>> | null
  fleetEvents: SseChannel | null
  /** Responds with the page for people. */
  dashboard: Dashboard
  /** Returns the OpenAPI document. */
  document: () => object
}

type Components = typeof components

/** Name of a schema in the OpenAPI document. */
export type ComponentName = keyof Components

/** A request to a route, with validated query and body. */
export interface RouteCall<Query, Body> {
  services: Services
  request: Request
  query: Query
  body: Body
  /** Whether the caller has a permission. */
  permission: (action: Action) => Promise<Permission>
  /** Language of the caller, and how settings are called. */
  voice: Voice
  /** Address of the caller; null when it is unknown, or that of a proxy. */
  caller: string | null
}

/** A route. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Path without the base path. */
  readonly path: string
  /** Permission that the caller needs; null if none is needed or the route checks it itself. */
  readonly action: Action | null
  /** Summary for the OpenAPI document. */
  readonly summary: string
  /** Schema of the query; null if it is not read. */
  readonly query: z.ZodObject | null
  /** Name of the schema of the body; null if it is not read. */
  readonly body: ComponentName | null
  /** Whether the body may be omitted. */
  readonly bodyIsOptional: boolean
  /** Name of the schema of the response, or the kind of response that has none. */
  readonly answer: ComponentName | 'event stream' | 'openapi' | 'page'
  /** Error statuses of this route, besides those that every route has. */
  readonly errors: readonly number[]
  /** Returns a JSON object or a `Response`. Thrown errors become problem details. */
  readonly handle: (call: RouteCall<unknown, unknown>) => object | Promise<object>
}

/** A {@link Route} with the types of its schemas. */
interface RouteSpec<Q extends z.ZodObject, B extends ComponentName> extends Pick<
  Route,
  'method' | 'path' | 'action' | 'summary' | 'answer' | 'errors'
> {
  query?: Q
  body?: B
  bodyIsOptional?: boolean
  handle: (call: RouteCall<z.output<Q>, z.output<Components[B]>>) => object | Promise<object>
}

/** Creates a route whose handler function gets query and body in the types of their schemas. */
export function route<Q extends z.ZodObject, B extends ComponentName = never>(spec: RouteSpec<Q, B>): Route {
  const { query = null, body = null, bodyIsOptional = false } = spec
  return {
    ...spec,
    query,
    body,
    bodyIsOptional,
    // Safe because the caller has validated query and body with these schemas.
    handle: (call) => spec.handle(call as Parameters<typeof spec.handle>[0]),
  }
}
