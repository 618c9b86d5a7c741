import type { FleetStopped, WireFleetStatus } from '../http/fleet/schemas.js'
import type { PreloadStarted } from '../http/schemas.js'
import { follow, type FollowOptions, type Subject, wholeStatus } from './follow.js'
import type { CallOptions, Http } from './http.js'

/** Which nodes of a fleet are to have which models. */
export interface FleetRequest {
  /** Keys of models in the catalog. Default: every model with `auto_download`. */
  models?: readonly string[] | 'all'
  /** `all`, or names of nodes and `label:…`, separated by commas. Default: all. */
  nodes?: string
}

/** The nodes of a fleet, and the models that they have. */
export interface FleetClient {
  /**
   * Which nodes have which models.
   *
   * @throws DownloadError `NOT_FOUND` if the server is no node of a fleet.
   */
  status(options?: CallOptions): Promise<WireFleetStatus>
  /**
   * Has nodes get models, those that are there and those that will come.
   *
   * @throws DownloadError `INVALID_OPTIONS` for an unknown key, a selector that is none, or without a fleet.
   */
  start(request?: FleetRequest, options?: CallOptions): Promise<PreloadStarted>
  /**
   * Takes back what {@link start} was asked for: nodes stop fetching what they are not to have any more, and files that are
   * complete stay. A node stays selected by what is not taken back, which `wishes` of the answer lists.
   *
   * @param request - `models`: default every model that any node is to have. `nodes`: names and `label:…` as they were given;
   * default everything.
   * @throws DownloadError `INVALID_OPTIONS` for an unknown key or a selector that is none; `NOT_FOUND` without a fleet.
   */
  stop(request?: FleetRequest, options?: CallOptions): Promise<FleetStopped>
  /** Follows the status endlessly, in the same way as {@link Client.follow}. */
  follow(options?: FollowOptions): AsyncGenerator<WireFleetStatus, void, void>
}

const fleetPath = '/api/v1/models/fleet'

/** The calls about a fleet. */
export function fleetClient(http: Http): FleetClient {
  const status = ({ signal }: CallOptions = {}) =>
    http.json<WireFleetStatus>(`${fleetPath}/status`, { signal })
  return {
    status,
    start: ({ models = 'all', nodes = 'all' } = {}, { signal } = {}) =>
      http.json('/api/v1/models/preload/start', { method: 'POST', body: { models, nodes }, signal }),
    stop: ({ models = 'all', nodes = 'all' } = {}, { signal } = {}) =>
      http.json(`${fleetPath}/stop`, { method: 'POST', body: { models, nodes }, signal }),
    follow(options) {
      const subject: Subject<WireFleetStatus> = wholeStatus(`${fleetPath}/events`, 'nodes', (signal) =>
        status({ signal }),
      )
      return follow(http, subject, options)
    },
  }
}
