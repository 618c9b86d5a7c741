/** Spans of downloads for OpenTelemetry; the entry `model-downloader/tracing`. */
import {
  type Attributes,
  context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api'
import type { Download, DownloadedFile } from '../download/download.js'
import type { DownloadEvents } from '../download/events.js'
import type { DownloadErrorCode } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { redactUrl } from '../util/redact.js'

/** Options of {@link traceDownloads}. */
export interface TracingOptions {
  /** Makes the spans. Default: the tracer `model-downloader` of the global provider. */
  tracer?: Tracer
}

/** Tracing that was started. */
export interface DownloadTracing {
  /** Ends the open spans, and makes no more. May be called repeatedly. */
  close(): void
}

/** The parts of a download; each is a child of its span. */
type Phase = 'resolve' | 'transfer' | 'verify'

/** What a span says of the end of a run. */
type Outcome = 'completed' | 'failed' | 'canceled' | 'paused' | 'queued' | 'stopped'

/** A run of a download. */
interface Run {
  span: Span
  phase: { name: Phase; span: Span } | null
  retries: number
}

/** What is known of a download before it runs. */
interface Queued {
  at: number
  /** The spans in which it was asked for, such as those of HTTP requests. */
  links: Link[]
}

/** More callers than this are not linked. */
const maxLinks = 16

/**
 * Makes a span `download` for each run of a download, with the children `download.resolve`, `download.transfer` and
 * `download.verify`. The span is a root, since a download outlives the request that asked for it; it is linked with the
 * span in which it was queued. Retries are events of it.
 *
 * Addresses are shown without query and user, messages and paths are not shown at all, and nothing is added to the requests
 * that are sent to servers.
 *
 * @example
 * const tracing = traceDownloads(manager)
 */
export function traceDownloads(
  manager: DownloadManager,
  { tracer = trace.getTracer('model-downloader') }: TracingOptions = {},
): DownloadTracing {
  const { clock, closed } = manager[internals]
  const queued = new WeakMap<Download, Queued>()
  const runs = new Map<Download, Run>()

  const enter = (download: Download, name: Phase | null) => {
    const run = runs.get(download)
    if (run === undefined || run.phase?.name === name) return
    run.phase?.span.end()
    const parent = trace.setSpan(ROOT_CONTEXT, run.span)
    run.phase = name === null ? null : { name, span: tracer.startSpan(`download.${name}`, {}, parent) }
  }
  const end = (download: Download, outcome: Outcome, error: DownloadErrorCode | null = null) => {
    const run = runs.get(download)
    if (run === undefined) return
    for (const span of [run.phase?.span, run.span]) {
      if (error !== null)
        span?.setAttribute('error.type', error).setStatus({ code: SpanStatusCode.ERROR, message: error })
    }
    enter(download, null)
    runs.delete(download)
    run.span.setAttributes({
      'model_downloader.outcome': outcome,
      'model_downloader.retries': run.retries,
      'model_downloader.filename': download.filename,
    })
    run.span.end()
  }

  const note =
    (name: string) =>
    ({ download }: { download: Download }) => {
      runs.get(download)?.span.addEvent(name)
    }

  const listeners = {
    queued: ({ download }) => {
      // It waits for disk space, or is replaced by another request for its URL.
      end(download, 'queued')
      const known = queued.get(download) ?? { at: clock.now(), links: [] }
      const caller = trace.getSpanContext(context.active())
      if (caller !== undefined && known.links.length < maxLinks) known.links.push({ context: caller })
      queued.set(download, known)
    },
    started: ({ download }) => {
      end(download, 'stopped')
      // Another instance of the cluster runs it, and makes its span.
      if (manager[internals].cluster?.isEcho === true) {
        queued.delete(download)
        return
      }
      const { at, links } = queued.get(download) ?? { at: clock.now(), links: [] }
      queued.delete(download)
      const attributes = { ...describe(download), 'model_downloader.queue_wait_ms': clock.now() - at }
      const span = tracer.startSpan('download', { root: true, links, attributes }, ROOT_CONTEXT)
      runs.set(download, { span, phase: null, retries: 0 })
      enter(download, 'resolve')
    },
    downloading: ({ download }) => {
      enter(download, 'transfer')
    },
    verifying: ({ download }) => {
      enter(download, 'verify')
    },
    retrying: ({ download, error, attempt, delayMs }) => {
      const run = runs.get(download)
      if (run === undefined) return
      run.retries += 1
      run.span.addEvent('retry', {
        'error.type': error.code,
        'model_downloader.attempt': attempt,
        'model_downloader.delay_ms': delayMs,
      })
    },
    completed: ({ download, file }) => {
      runs.get(download)?.span.setAttributes(resultOf(file))
      end(download, 'completed')
    },
    failed: ({ download, error }) => {
      end(download, 'failed', error.code)
    },
    canceled: ({ download }) => {
      end(download, 'canceled')
    },
    paused: ({ download }) => {
      end(download, 'paused')
    },
    removed: ({ download }) => {
      end(download, 'stopped')
    },
    takenOver: note('takenOver'),
    leaseLost: note('leaseLost'),
    writeFenced: note('writeFenced'),
  } satisfies Partial<DownloadEvents>

  // Object.keys loses the type of the keys. The cast is safe because each listener is registered for its own event.
  const names = Object.keys(listeners) as 'queued'[]
  for (const name of names) manager.on(name, listeners[name])
  const close = () => {
    closed.removeEventListener('abort', close)
    for (const name of names) manager.off(name, listeners[name])
    for (const download of [...runs.keys()]) end(download, 'stopped')
  }
  closed.addEventListener('abort', close)
  return { close }
}

/** What is known of a download when it starts. */
function describe(download: Download): Attributes {
  return {
    'model_downloader.id': download.record.id,
    'model_downloader.url': redactUrl(download.url),
    ...(download.mode === null ? {} : { 'model_downloader.mode': download.mode }),
  }
}

function resultOf({ size, fetchedBytes, existed, verified, files }: DownloadedFile): Attributes {
  return {
    'model_downloader.size': size,
    'model_downloader.fetched_bytes': fetchedBytes,
    'model_downloader.existed': existed,
    'model_downloader.verified': verified,
    ...(files === null ? {} : { 'model_downloader.files': files.length }),
  }
}
