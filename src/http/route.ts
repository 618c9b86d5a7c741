/** What a route is: data, and the function that answers. */
import type * as z from 'zod'
import type { Locale } from '../catalog/messages.js'
import type { Preloader } from '../catalog/preloader.js'
import type { DownloadManager } from '../manager/manager.js'
import type { Action, Permission } from './access.js'
import type { Admission } from './admission.js'
import * as schemas from './schemas.js'
import type { SseChannel } from './sse.js'

// ---- The schemas by the names that the OpenAPI document and the table of routes call them.

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

// ---- What a route is: data, and the function that answers.

/** What routes work with; made once per handler. */
export interface Services {
  manager: DownloadManager
  preloader: Preloader | null
  /** Language where the caller asks for none. */
  locale: Locale
  /** What URLs that come over HTTP may reach. */
  remote: { allowPrivateNetwork: boolean; allowedHosts: string[] }
  admission: Admission
  downloadEvents: SseChannel
  preloadEvents: SseChannel | null
  /** The OpenAPI document. */
  document: () => object
}

type Components = typeof components

/** Name of a schema, as the OpenAPI document knows it. */
export type ComponentName = keyof Components

/** One request for a route, with query and body as their schemas made them. */
export interface RouteCall<Query, Body> {
  services: Services
  request: Request
  query: Query
  body: Body
  /** Whether this caller may do something. */
  permission: (action: Action) => Promise<Permission>
}

/** One row of the table. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below the mount base. */
  readonly path: string
  /** What the caller must be allowed to do; null: nothing, or the route looks by itself. */
  readonly action: Action | null
  /** One sentence for the OpenAPI document. */
  readonly summary: string
  /** Schema of the query; null: none is read. */
  readonly query: z.ZodObject | null
  /** Name of the body's schema; null: none is read. */
  readonly body: ComponentName | null
  /** Whether the body may be left out. */
  readonly bodyIsOptional: boolean
  /** Name of the answer's schema, or what is sent instead of one. */
  readonly answer: ComponentName | 'event stream' | 'openapi' | 'page'
  /** Statuses of errors that are this route's own, besides those that every route has. */
  readonly errors: readonly number[]
  /** Answers with JSON, or with a response of its own. What it throws becomes a problem. */
  readonly handle: (call: RouteCall<unknown, unknown>) => object | Promise<object>
}

/** {@link Route} with the types of its schemas. */
interface RouteSpec<Q extends z.ZodObject, B extends ComponentName> extends Pick<
  Route,
  'method' | 'path' | 'action' | 'summary' | 'answer' | 'errors'
> {
  query?: Q
  body?: B
  bodyIsOptional?: boolean
  handle: (call: RouteCall<z.output<Q>, z.output<Components[B]>>) => object | Promise<object>
}

/** One row; its function gets query and body in the types that their schemas give. */
export function route<Q extends z.ZodObject, B extends ComponentName = never>(spec: RouteSpec<Q, B>): Route {
  const { query = null, body = null, bodyIsOptional = false } = spec
  return {
    ...spec,
    query,
    body,
    bodyIsOptional,
    // Whoever calls it has run these very schemas over query and body.
    handle: (call) => spec.handle(call as Parameters<typeof spec.handle>[0]),
  }
}
