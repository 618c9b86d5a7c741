/** Metrics of a manager for Prometheus; the entry `model-downloader/metrics`. */
import { Counter, Gauge, Histogram, register, type Registry } from 'prom-client'
import { downloadStates } from '../download/states.js'
import { downloadErrorCodes } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { type Completion, measure } from './measures.js'

/** Options of {@link registerMetrics}. */
export interface MetricsOptions {
  /** Where the metrics are added. Default: the global registry of prom-client. */
  registry?: Registry
  /** What the names begin with: letters, digits and `_`. Default `model_downloader_`. */
  prefix?: string
}

/** Registered metrics. */
export interface RegisteredMetrics {
  /** Removes the metrics from the registry, and stops to count. May be called repeatedly. */
  close(): void
}

/** Upper bounds of the histograms, in seconds: a queue may be waited in for hours. */
const waitBuckets = [0.01, 0.1, 1, 5, 15, 60, 300, 1_800, 7_200, 43_200]

/** Verifying takes as long as reading the file if its digest was not computed on the way. */
const verifyBuckets = [0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1_800]

/** The slowest disk takes no longer for a look at its own metrics; a scrape must not wait for an engine that is stuck. */
const patienceMs = 1_000

const completions: readonly Completion[] = ['fetched', 'adopted', 'existed']

/**
 * Adds the metrics of a manager to a registry of prom-client. Labels are states and error codes only, so their number is
 * bounded; no URL, name or path is in them. Nothing is computed between two scrapes except a few counters.
 *
 * One registry holds the metrics of one manager. For several, give each a registry with a default label, and join them with
 * `Registry.merge`.
 *
 * @throws Error of prom-client when the registry already has metrics of these names, or the prefix is none.
 *
 * @example
 * const registry = new Registry()
 * registerMetrics(manager, { registry })
 * app.get('/metrics', async (req, res) => res.type(registry.contentType).send(await registry.metrics()))
 */
export function registerMetrics(
  manager: DownloadManager,
  { registry = register, prefix = 'model_downloader_' }: MetricsOptions = {},
): RegisteredMetrics {
  const { clock, report } = manager[internals]
  const names: string[] = []
  const own = (name: string, help: string) => {
    names.push(prefix + name)
    return { name: prefix + name, help, registers: [registry] }
  }

  const snapshot = sharedFor(() => lookAt(manager))
  const engine = sharedFor(async () => {
    const done = new AbortController()
    const late = clock.sleep(patienceMs, done.signal).then(() => null)
    const answer = await Promise.race([report(true).catch(() => null), late])
    done.abort()
    return answer
  })

  new Gauge({
    ...own('downloads', 'Known downloads by state.'),
    labelNames: ['state'],
    async collect() {
      const { states } = await snapshot()
      for (const state of downloadStates) this.set({ state }, states.get(state) ?? 0)
    },
  })
  new Gauge({
    ...own('bytes_per_second', 'Current speed of all downloads together.'),
    async collect() {
      this.set((await snapshot()).bytesPerSecond)
    },
  })
  new Gauge({
    ...own('connections', 'Open connections of all downloads together.'),
    async collect() {
      this.set((await snapshot()).connections)
    },
  })
  new Gauge({
    ...own('queue_depth', 'Downloads that wait for a slot.'),
    collect() {
      this.set(manager.waiting)
    },
  })
  let received = 0
  new Counter({
    ...own('received_bytes_total', 'Bytes received over the network.'),
    async collect() {
      const now = (await engine())?.receivedBytes ?? received
      // An engine that was started anew counts from zero.
      this.inc(now < received ? now : now - received)
      received = now
    },
  })
  new Gauge({
    ...own('engine_event_loop_delay_seconds', "How late the engine's event loop was since the last scrape."),
    labelNames: ['stat'],
    async collect() {
      const delay = (await engine())?.loopDelay ?? null
      this.reset()
      if (delay === null) return
      for (const stat of ['mean', 'p99', 'max'] as const) this.set({ stat }, delay[stat])
    },
  })
  const waits = new Histogram({
    ...own('queue_wait_seconds', 'How long downloads waited for a slot.'),
    buckets: waitBuckets,
  })
  const verifications = new Histogram({
    ...own('verification_seconds', 'How long verifying took after the last byte had arrived.'),
    buckets: verifyBuckets,
  })
  const byCode = (name: string, help: string) => {
    const counter = new Counter({ ...own(name, help), labelNames: ['code'] })
    // From the first scrape on, since a rate needs two values.
    for (const code of downloadErrorCodes) counter.inc({ code }, 0)
    return counter
  }
  const retries = byCode('retries_total', 'Attempts that failed and were followed by another, by error code.')
  const failures = byCode('failures_total', 'Downloads that failed, by error code.')
  const completed = new Counter({
    ...own('completed_total', 'Downloads that were completed, by where their bytes came from.'),
    labelNames: ['source'],
  })
  for (const source of completions) completed.inc({ source }, 0)
  const count = (name: string, help: string) => new Counter(own(name, help))
  const canceled = count('canceled_total', 'Downloads that were canceled.')
  const takeovers = count('takeovers_total', 'Downloads taken over from another instance of the cluster.')
  const lostLeases = count('lost_leases_total', 'Leases of downloads that could not be renewed in time.')
  const fenced = count('fenced_writes_total', 'Writes refused because another instance owned the download.')

  const stop = measure(manager, clock, {
    waited: (seconds) => {
      waits.observe(seconds)
    },
    verified: (seconds) => {
      verifications.observe(seconds)
    },
    retried: (code) => {
      retries.inc({ code })
    },
    failed: (code) => {
      failures.inc({ code })
    },
    completed: (source) => {
      completed.inc({ source })
    },
    canceled: () => {
      canceled.inc()
    },
    takenOver: () => {
      takeovers.inc()
    },
    leaseLost: () => {
      lostLeases.inc()
    },
    writeFenced: () => {
      fenced.inc()
    },
  })
  return {
    close: () => {
      stop()
      for (const name of names.splice(0)) registry.removeSingleMetric(name)
    },
  }
}

/** What a scrape counts. */
interface Snapshot {
  states: Map<string, number>
  bytesPerSecond: number
  connections: number
}

function lookAt(manager: DownloadManager): Snapshot {
  const states = new Map<string, number>()
  const { cluster } = manager[internals]
  let [bytesPerSecond, connections] = [0, 0]
  for (const download of manager.list()) {
    states.set(download.state, (states.get(download.state) ?? 0) + 1)
    if (download.state !== 'downloading' || cluster?.runsHere(download) === false) continue
    const { current } = download
    bytesPerSecond += current.bytesPerSecond
    connections += current.connections
  }
  return { states, bytesPerSecond, connections }
}

/** Calls a function once for all metrics of a scrape, which are collected in one turn. */
function sharedFor<T>(make: () => T | Promise<T>): () => Promise<T> {
  let current: Promise<T> | null = null
  return () => {
    if (current === null) {
      current = Promise.resolve(make())
      const clear = () => {
        current = null
      }
      void current.then(clear, clear)
    }
    return current
  }
}
