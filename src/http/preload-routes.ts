import { toWire } from '../download/wire.js'
import { logLineIn } from '../catalog/log-line.js'
import type { PreloadRunSnapshot } from '../catalog/options.js'
import type { Preloader } from '../catalog/preloader.js'
import { sentenceError, type Voice } from '../download/error-text.js'
import type { Locale } from '../util/locale.js'
import { keysOf, startOnNodes } from './fleet/fleet-routes.js'
import { type Route, route, type Services } from './route.js'
import { type PreloadLog, preloadQuery, type PreloadStatus } from './schemas.js'
import { eventStream, type SseChannel, type SseSource } from './sse.js'

/** Topic of all preload events. */
const topic = 'preload'

/** Converts the status of the last run to its JSON form. */
export function wireStatus({ downloads, ...status }: PreloadRunSnapshot, voice: Voice): PreloadStatus {
  return {
    success: true,
    ...status,
    // That somebody has canceled it is told in this one word, whatever the language.
    error:
      status.error === null || status.error === 'canceled'
        ? status.error
        : logLineIn(status.error, voice.locale),
    logs: status.logs.map((line) => logLineIn(line, voice.locale)),
    downloads:
      downloads === null
        ? null
        : Object.fromEntries(
            Object.entries(downloads).map(([key, download]) => [key, toWire(download, voice)]),
          ),
  }
}

/** Source of the events of `GET /api/v1/models/preload/events`. */
export function preloadEvents(preloader: Preloader, voice: Voice): SseSource {
  return {
    subscribe: (publish) => {
      const onStatus = (status: PreloadRunSnapshot) => {
        publish({ event: 'status', data: wireStatus(status, voice), topic, replaceable: true })
      }
      const onLog = ({ line }: PreloadLog) => {
        publish({ event: 'log', data: { line: logLineIn(line, voice.locale) }, topic })
      }
      preloader.on('status', onStatus).on('log', onLog)
      return () => {
        preloader.off('status', onStatus).off('log', onLog)
      }
    },
    snapshot: () => ({ event: 'status', data: wireStatus(preloader.status(), voice) }),
  }
}

/** @throws DownloadError `NOT_FOUND` when the handler was created without a preloader. */
function preloaderOf({ preloader, preloadEvents: events }: Services): {
  preloader: Preloader
  events: Readonly<Record<Locale, SseChannel>>
} {
  if (preloader !== null && events !== null) return { preloader, events }
  throw sentenceError('NOT_FOUND', 'noCatalog', [])
}

/** The routes below `/api/v1/models`. */
export const preloadRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/api/v1/models/status',
    action: 'downloads:read',
    summary: 'Which models of the catalog are ready.',
    answer: 'ModelsStatus',
    errors: [],
    handle: async ({ services, voice }) => {
      const { preloader } = preloaderOf(services)
      await preloader.ready
      return preloader.modelsStatus(voice.locale)
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/models/preload/start',
    action: 'queue:manage',
    summary:
      'Download models of the catalog. Parameters may be in the query or in the body; the body takes precedence.',
    query: preloadQuery,
    body: 'PreloadRequest',
    bodyIsOptional: true,
    answer: 'PreloadStarted',
    errors: [400, 409, 413, 415],
    handle: async ({ services, query, body }) => {
      const { preloader } = preloaderOf(services)
      const given = body ?? {}
      const outputDir = given.output_dir ?? query.output_dir ?? ''
      const nodes = given.nodes ?? query.nodes ?? ''
      const models = keysOf(given.models ?? query.models)
      const force = given.force ?? query.force ?? false
      await preloader.ready
      if (nodes !== '') return await startOnNodes(services, { models, nodes, outputDir, force })
      return preloader.start({
        models,
        force,
        ...(outputDir === '' ? {} : { outputDir }),
      })
    },
  }),
  route({
    method: 'POST',
    path: '/api/v1/models/preload/cancel',
    action: 'queue:manage',
    summary: 'Stop the preload. Does nothing when none is running.',
    answer: 'PreloadStatus',
    errors: [],
    handle: async ({ services, voice }) => {
      const { preloader } = preloaderOf(services)
      await preloader.cancel()
      return wireStatus(preloader.status(), voice)
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/models/preload/status',
    action: 'downloads:read',
    summary: 'Status of the running preload, or else of the last one.',
    answer: 'PreloadStatus',
    errors: [],
    handle: async ({ services, voice }) => {
      const { preloader } = preloaderOf(services)
      await preloader.ready
      return wireStatus(preloader.status(), voice)
    },
  }),
  route({
    method: 'GET',
    path: '/api/v1/models/preload/events',
    action: 'downloads:read',
    summary: 'Server-sent events: `status` first and after each change, and `log`.',
    answer: 'event stream',
    errors: [],
    handle: async ({ services, request, caller, voice }) => {
      const { preloader, events } = preloaderOf(services)
      await preloader.ready
      return eventStream(events[voice.locale], request, null, caller)
    },
  }),
]
