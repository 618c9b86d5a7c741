import { sentenceError } from '../download/error-text.js'
import type { Permission } from './access.js'
import { internals } from '../manager/internals.js'
import { clusterRoutes } from './cluster/routes.js'
import { downloadRoutes } from './download-routes.js'
import { fileRoutes } from './file-routes.js'
import { fleetRoutes } from './fleet/fleet-routes.js'
import { preloadRoutes } from './preload-routes.js'
import { queueRoutes } from './queue-routes.js'
import { type Route, route } from './route.js'
import type { Permissions } from './schemas.js'
import { upstreamRoutes } from './upstream/routes.js'

// ---- Permissions of the caller, so that a page can hide actions that would be refused.

/**
 * Returns the permissions of a caller.
 *
 * @param answers - results of `authorize` for each action.
 * @param has - what the server has.
 * @throws DownloadError `ACCESS_DENIED` with status 401 when the caller is not authenticated and nothing is
 * allowed.
 */
export function permissionsOf(
  answers: Record<keyof Permissions['permissions'], Permission>,
  has: Pick<Permissions, 'preload' | 'fleet' | 'cluster'>,
): Permissions {
  const values = Object.values(answers)
  const unauthenticated = values.includes('unauthenticated')
  if (unauthenticated && !values.includes(true)) {
    throw sentenceError('ACCESS_DENIED', 'unauthenticated', [], { status: 401 })
  }
  return {
    success: true,
    permissions: {
      'downloads:read': answers['downloads:read'] === true,
      'downloads:manage': answers['downloads:manage'] === true,
      'queue:manage': answers['queue:manage'] === true,
    },
    ...has,
    unauthenticated,
  }
}

/** The route that returns the permissions of the caller. */
export const permissionsRoute: Route = route({
  method: 'GET',
  path: '/api/models/permissions',
  action: null,
  summary: 'Permissions of the caller, and whether there is a catalog, a fleet and a cluster.',
  answer: 'Permissions',
  errors: [],
  handle: async ({ services, permission }) => {
    const [read, manage, queue] = await Promise.all([
      permission('downloads:read'),
      permission('downloads:manage'),
      permission('queue:manage'),
    ])
    const answers = { 'downloads:read': read, 'downloads:manage': manage, 'queue:manage': queue }
    const { preloader, fleet, manager } = services
    return permissionsOf(answers, {
      preload: preloader !== null,
      fleet: fleet !== null,
      cluster: manager[internals].cluster !== null,
    })
  },
})

// ---- All routes. To add one, add it to this list.

/** Path of the dashboard, which is served only if enabled. */
export const dashboardPath = '/api/models/ui'

/** All routes, in the order of the OpenAPI document. */
export const routes: readonly Route[] = [
  ...downloadRoutes,
  ...fileRoutes,
  ...upstreamRoutes,
  ...queueRoutes,
  route({
    method: 'GET',
    path: '/api/models/openapi.json',
    action: 'downloads:read',
    summary: 'This document.',
    answer: 'openapi',
    errors: [],
    handle: ({ services }) => services.document(),
  }),
  permissionsRoute,
  route({
    method: 'GET',
    path: dashboardPath,
    action: null,
    summary: 'The dashboard: a page for people.',
    answer: 'page',
    errors: [404],
    handle: ({ request, services }) => services.dashboard(request),
  }),
  ...preloadRoutes,
  ...fleetRoutes,
  ...clusterRoutes,
]

/** Routes by path. */
export const routesByPath: ReadonlyMap<string, readonly Route[]> = new Map(
  routes.map(({ path }) => [path, routes.filter((other) => other.path === path)]),
)
