/** The table of routes. A new one is one more row here; nothing else knows how many there are. */
import { DownloadError } from '../errors.js'
import type { Permission } from './access.js'
import { dashboard } from './dashboard.js'
import { downloadRoutes } from './download-routes.js'
import { preloadRoutes } from './preload-routes.js'
import { type Route, route } from './route.js'
import type { Permissions } from './schemas.js'

// ---- What a caller may do, told beforehand, so that a page offers nothing that would be refused.

/**
 * The answer for a caller.
 *
 * @param answers - what the host's `authorize` says to each action.
 * @param preload - whether the host has a catalog.
 * @throws DownloadError `ACCESS_DENIED` with status 401 when nobody knows who calls, and nothing is allowed.
 */
export function permissionsOf(
  answers: Record<keyof Permissions['permissions'], Permission>,
  preload: boolean,
): Permissions {
  const values = Object.values(answers)
  const unauthenticated = values.includes('unauthenticated')
  if (unauthenticated && !values.includes(true)) {
    throw new DownloadError('ACCESS_DENIED', 'Say who you are: this needs authentication.', { status: 401 })
  }
  return {
    success: true,
    permissions: {
      'downloads:read': answers['downloads:read'] === true,
      'downloads:manage': answers['downloads:manage'] === true,
      'queue:manage': answers['queue:manage'] === true,
    },
    preload,
    unauthenticated,
  }
}

/** See the head of this file. */
export const permissionsRoute: Route = route({
  method: 'GET',
  path: '/api/models/permissions',
  action: null,
  summary: 'What the caller may do, and whether there is a catalog.',
  answer: 'Permissions',
  errors: [],
  handle: async ({ services, permission }) => {
    const [read, manage, queue] = await Promise.all([
      permission('downloads:read'),
      permission('downloads:manage'),
      permission('queue:manage'),
    ])
    const answers = { 'downloads:read': read, 'downloads:manage': manage, 'queue:manage': queue }
    return permissionsOf(answers, services.preloader !== null)
  },
})

// ---- The table of routes. A new one is one more row here; nothing else knows how many there are.

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
