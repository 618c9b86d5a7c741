/** A store that follows the fleet of a server. All parts of a page share its connection. */
import type { Client, FleetRequest, FleetStatus } from '../../client/index.js'
import { type Followed, Hub } from '../../live/hub.js'
import { createStore, type LiveStore } from '../../live/store.js'

/** The fleet of a server, as last reported. */
export interface FleetSnapshot extends Followed {
  /** Null until it has arrived. */
  readonly fleet: FleetStatus | null
}

/** Actions on the fleet. Each resolves to whether it succeeded; `error` says why not. */
export interface FleetActions {
  /** Has nodes get models. */
  readonly start: (request: FleetRequest) => Promise<boolean>
}

const noFleet: FleetSnapshot = { connection: 'idle', error: null, loaded: false, fleet: null }

const fleetHubs = new WeakMap<Client, Hub<FleetSnapshot, FleetStatus>>()

/** A store of the fleet of a server. */
export function liveFleet(client: Client): LiveStore<FleetSnapshot, FleetActions> {
  let hub = fleetHubs.get(client)
  if (hub === undefined) {
    hub = new Hub(
      noFleet,
      (options) => client.fleet.follow(options),
      (state, news) => ({ ...state, loaded: true, fleet: news.at(-1) ?? state.fleet }),
    )
    fleetHubs.set(client, hub)
  }
  return createStore(
    hub,
    (state) => state,
    (attempt) => ({ start: (request) => attempt(() => client.fleet.start(request)) }),
  )
}
