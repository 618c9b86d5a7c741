/** Which nodes have which models, and bringing models to nodes. */
import type { Fleet } from '../../catalog/fleet/fleet.js'
import type { FleetStatus } from '../../catalog/fleet/view.js'
import { sentenceError } from '../../download/error-text.js'
import { DownloadError } from '../../errors.js'
import { type Route, route, type Services } from '../route.js'
import type { PreloadStarted } from '../schemas.js'
import { eventStream, type SseSource } from '../sse.js'
import { fleetStopQuery } from './schemas.js'

/** Keys given as a list or separated by commas; none and `all` mean all. */
export function keysOf(models: string | readonly string[] | null | undefined): readonly string[] | 'all' {
  const keys = (typeof models === 'string' ? models.split(',') : (models ?? []))
    .map((key) => key.trim())
    .filter((key) => key !== '')
  return keys.length === 0 || keys.join() === 'all' ? 'all' : keys
}

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
    method: 'POST',
    path: '/api/v1/models/fleet/stop',
    action: 'queue:manage',
    summary:
      'Takes back what nodes were to have. Parameters may be in the query or in the body, which takes precedence.',
    query: fleetStopQuery,
    body: 'FleetStopRequest',
    bodyIsOptional: true,
    answer: 'FleetStopped',
    errors: [400, 404, 413, 415],
    handle: async ({ services, query, body }) => {
      const { fleet } = fleetOf(services)
      const nodes = body?.nodes ?? query.nodes ?? ''
      const models = keysOf(body?.models ?? query.models)
      return { success: true as const, ...(await fleet.stop(models, nodes === '' ? 'all' : nodes)) }
    },
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
