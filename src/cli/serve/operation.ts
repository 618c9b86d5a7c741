/** The options of `serve` for those who run it: probes and metrics. */
import type { Command } from 'commander'
import type { MetricsRegistry, ProbeOptions } from '../../http/handler.js'
import type { DownloadManager } from '../../manager/manager.js'
import { UsageError } from '../checks/usage-error.js'
import { texts } from '../language.js'

/** Options about probes and metrics. */
export interface OperationOptions {
  metrics?: boolean | undefined
  readyWhenPreloaded?: boolean | undefined
}

/** Adds the options to a command. */
export function addOperationOptions(command: Command): Command {
  return command
    .option('--metrics', 'serve metrics for Prometheus at /metrics; needs the package prom-client')
    .option(
      '--ready-when-preloaded',
      'be ready (/readyz) only when all required models of the catalog are there',
    )
}

/**
 * How probes are answered.
 *
 * @throws UsageError when readiness depends on a catalog, and there is none.
 */
export function probeSettings(
  { readyWhenPreloaded = false }: OperationOptions,
  hasCatalog: boolean,
): ProbeOptions {
  if (readyWhenPreloaded && !hasCatalog) throw new UsageError(texts().needsCatalog)
  return { whenPreloaded: readyWhenPreloaded }
}

/** What `--metrics` needs, loaded only then. */
export interface MetricsSupport {
  /** A registry with the metrics of the manager, and those of the process. */
  registryOf: (manager: DownloadManager) => MetricsRegistry
}

/**
 * Loads prom-client, which is not installed with this package.
 *
 * @throws UsageError when it is missing.
 */
export async function metricsSupport({ metrics = false }: OperationOptions): Promise<MetricsSupport | null> {
  if (!metrics) return null
  try {
    const [{ registerMetrics }, { collectDefaultMetrics, Registry }] = await Promise.all([
      import('../../observe/metrics.js'),
      import('prom-client'),
    ])
    return {
      registryOf: (manager) => {
        const registry = new Registry()
        collectDefaultMetrics({ register: registry })
        registerMetrics(manager, { registry })
        return registry
      },
    }
  } catch (error) {
    throw new UsageError(texts().needsPromClient, { cause: error })
  }
}
