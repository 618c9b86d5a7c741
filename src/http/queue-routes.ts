/** Routes that change how fast and in which order downloads run. */
import { toFullWire } from '../download/wire.js'
import { adjusted } from '../manager/adjust.js'
import type { DownloadManager } from '../manager/manager.js'
import { known } from './download-routes.js'
import { type Route, route } from './route.js'
import type { ControlResult, QueueStatus } from './schemas.js'

function queueStatus({ concurrency, maxBytesPerSecond, waiting }: DownloadManager): QueueStatus {
  return { success: true, concurrency, max_bytes_per_second: maxBytesPerSecond, waiting }
}

/** The settings of one download, and of all together. */
export const queueRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/api/models/download/settings',
    action: 'downloads:manage',
    summary: 'Change the priority and the speed limit of a download.',
    body: 'SettingsRequest',
    answer: 'ControlResult',
    errors: [400, 404, 413, 415],
    handle: async ({ services: { manager }, body, voice }): Promise<ControlResult> => {
      const download = await known(manager, body.url)
      if (body.priority !== undefined) download.priority = body.priority
      if (body.max_bytes_per_second !== undefined) download.maxBytesPerSecond = body.max_bytes_per_second
      await adjusted(download)
      return { success: true, download: toFullWire(download, voice) }
    },
  }),
  route({
    method: 'GET',
    path: '/api/models/queue',
    action: 'downloads:read',
    summary: 'The limits for all downloads together.',
    answer: 'QueueStatus',
    errors: [],
    handle: ({ services: { manager } }) => queueStatus(manager),
  }),
  route({
    method: 'POST',
    path: '/api/models/queue',
    action: 'queue:manage',
    summary: 'Change the limits for all downloads together, until the server is restarted.',
    body: 'QueueRequest',
    answer: 'QueueStatus',
    errors: [400, 413, 415],
    handle: ({ services: { manager }, body }) => {
      if (body.concurrency !== undefined) manager.concurrency = body.concurrency
      if (body.max_bytes_per_second !== undefined) manager.maxBytesPerSecond = body.max_bytes_per_second
      return queueStatus(manager)
    },
  }),
]
