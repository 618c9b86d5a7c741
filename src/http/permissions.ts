/** What a caller may do, told beforehand, so that a page offers nothing that would be refused. */
import { DownloadError } from '../errors.js'
import type { Permission } from './access.js'
import { route, type Route } from './route.js'
import type { Permissions } from './schemas.js'

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
