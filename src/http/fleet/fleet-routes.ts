/** Which nodes have which models, and bringing models to nodes. */
import type { Fleet } from '../../catalog/fleet/fleet.js'
import type { FleetStatus } from '../../catalog/fleet/view.js'
import { sentenceError } from '../../download/error-text.js'
import { DownloadError } from '../../errors.js'
import { type Route, route, type Services } from '../route.js'
import type { PreloadStarted } from '../schemas.js'
import { eventStream, type SseSource } from '../sse.js'

/** Topic of all events of the fleet. */
const topic = 'fleet'

/** Source of the events of `GET /api/v1/models/fleet/events`. */
export function fleetEvents(fleet: Fleet): SseSource {
  return {
    subscribe: (publish) => {
      const onStatus = (status: FleetStatus) => {
        publish({ event: 'status', data: status, topic, replaceable: true })
      }
      fleet.on('status', onStatus)
      return () => {
        fleet.off('status', onStatus)
      }
    },
    snapshot: () => ({ event: 'status', data: fleet.current }),
  }
}

/** @throws DownloadError `NOT_FOUND` when the handler was created without a fleet. */
function fleetOf({ fleet, fleetEvents: events }: Services) {
  if (fleet !== null && events !== null) return { fleet, events }
  throw sentenceError('NOT_FOUND', 'noFleet', [])
}

/**
 * Has nodes get models, instead of this server alone.
 *
 * @throws DownloadError `INVALID_OPTIONS` without a fleet, for an unknown key, a selector that is none, and for what only a
 * single server can do.
 */
export async function startOnNodes(
  { fleet, manager }: Pick<Services, 'fleet' | 'manager'>,
  request: { models: readonly string[] | 'all'; nodes: string; outputDir: string; force: boolean },
): Promise<PreloadStarted> {
  if (fleet === null) throw invalid('nodes', 'this server is no node of a fleet')
  if (request.outputDir !== '') throw invalid('output_dir', 'nodes keep models in their own folders')
  if (request.force) throw invalid('force', 'nodes fetch only what they do not have')
  const models = await fleet.start(request.models, request.nodes)
  return {
    success: true,
    message: `${models.length} models are brought to the nodes ${request.nodes}`,
    output_dir: manager.directory,
    models,
    force: false,
    started_at: new Date().toISOString(),
  }
}

function invalid(path: string, message: string): DownloadError {
  return new DownloadError('INVALID_OPTIONS', `The query: ${path}: ${message}`, {
    issues: [{ path, message }],
  })
}

/** The routes below `/api/v1/models/fleet`. */
export const fleetRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/models/fleet/status',
    action: 'downloads:read',
    summary: 'Which nodes of the fleet have which models.',
    answer: 'FleetStatus',
    errors: [404],
    handle: ({ services }) => fleetOf(services).fleet.status(),
  }),
  route({
    method: 'GET',
    path: '/api/v1/models/fleet/events',
    action: 'downloads:read',
    summary: 'Server-sent events: `status` of the fleet first, and after each change.',
    answer: 'event stream',
    errors: [404],
    handle: async ({ services, request, caller }) => {
      const { fleet, events } = fleetOf(services)
      await fleet.status()
      return eventStream(events, request, null, caller)
    },
  }),
]
