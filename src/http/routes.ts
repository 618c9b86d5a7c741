/** The table of routes. A new one is one more row here; nothing else knows how many there are. */
import { downloadRoutes } from './download-routes.js'
import { preloadRoutes } from './preload-routes.js'
import { route, type Route } from './route.js'

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
  ...preloadRoutes,
]

/** The routes by path. */
export const routesByPath: ReadonlyMap<string, readonly Route[]> = new Map(
  routes.map(({ path }) => [path, routes.filter((other) => other.path === path)]),
)
