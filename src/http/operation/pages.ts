/** Answers for those who run the server: probes and metrics. They are no part of the API, and of its document. */
import type { Fleet } from '../../catalog/fleet/fleet.js'
import type { Preloader } from '../../catalog/preloader.js'
import { invalidOption } from '../../errors.js'
import type { DownloadManager } from '../../manager/manager.js'
import { ReadinessCheck } from './readiness.js'

/** What a registry of prom-client offers, so that this package need not know it. */
export interface MetricsRegistry {
  /** Content type of the text. */
  readonly contentType: string
  /** All metrics as text. */
  metrics(): Promise<string>
}

/** See `HandlerOptions.probes`. */
export interface ProbeOptions {
  /**
   * Be ready only when all required models of the catalog are there; of a node of a fleet, the models that it is to have.
   * Default false.
   */
  whenPreloaded?: boolean | undefined
}

/** An answer below the base path. */
export interface OperationPage {
  /** Whether it answers everybody, since it tells nothing that is worth protecting. Others need `downloads:read`. */
  readonly open: boolean
  readonly answer: () => Promise<Response>
}

/** Options of {@link operationPages}. */
export interface OperationInit {
  manager: DownloadManager
  preloader: Preloader | null
  fleet?: Fleet | null
  probes: boolean | ProbeOptions
  metrics: MetricsRegistry | null
}

/** Paths of these answers, without the base path. */
export const operationPaths = { health: '/healthz', readiness: '/readyz', metrics: '/metrics' } as const

/**
 * The answers that are enabled, by path.
 *
 * @throws DownloadError `INVALID_OPTIONS` when readiness depends on a catalog that there is not.
 */
export function operationPages({
  manager,
  preloader,
  fleet = null,
  probes,
  metrics,
}: OperationInit): ReadonlyMap<string, OperationPage> {
  const pages = new Map<string, OperationPage>()
  if (probes !== false) {
    const whenPreloaded = typeof probes === 'object' && probes.whenPreloaded === true
    if (whenPreloaded && preloader === null)
      throw invalidOption('probes.whenPreloaded', 'needs a preloader', 'createHandler options')
    const check = new ReadinessCheck({ manager, preloader: whenPreloaded ? preloader : null, fleet })
    pages.set(operationPaths.health, {
      open: true,
      answer: () => Promise.resolve(jsonPage({ success: true, status: 'ok' }, 200)),
    })
    pages.set(operationPaths.readiness, {
      open: true,
      answer: async () => {
        const readiness = await check.check()
        return jsonPage(readiness, readiness.ready ? 200 : 503)
      },
    })
  }
  if (metrics !== null) {
    pages.set(operationPaths.metrics, {
      open: false,
      answer: async () => textPage(await metrics.metrics(), 200, metrics.contentType),
    })
  }
  return pages
}

function jsonPage(value: object, status: number): Response {
  return textPage(JSON.stringify(value), status, 'application/json; charset=utf-8')
}

const encoder = new TextEncoder()

function textPage(text: string, status: number, type: string): Response {
  const bytes = encoder.encode(text)
  return new Response(bytes, {
    status,
    headers: {
      'Content-Type': type,
      'Content-Length': String(bytes.byteLength),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    },
  })
}
