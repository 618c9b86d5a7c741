/** The table of routes. A new one is one more row here; nothing else knows how many there are. */
import { downloadRoutes } from './download-routes.js'
import { dashboard } from './dashboard.js'
import { permissionsRoute } from './permissions.js'
import { preloadRoutes } from './preload-routes.js'
import { route, type Route } from './route.js'

/** Where the dashboard is, for hosts that want it. */
export const dashboardPath = '/api/models/ui'

/** Every route, in the order in which the OpenAPI document tells of them. */
export const routes: readonly Route[] = [
  ...downloadRoutes,
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
    handle: ({ request }) => dashboard(request),
  }),
  ...preloadRoutes,
]

/** The routes by path. */
export const routesByPath: ReadonlyMap<string, readonly Route[]> = new Map(
  routes.map(({ path }) => [path, routes.filter((other) => other.path === path)]),
)
