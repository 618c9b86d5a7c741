/** The options of `serve` that join it to others. */
import type { Command } from 'commander'
import type { DownloadManagerOptions } from '../../manager/options.js'
import { wholeNumber } from '../arguments.js'
import { asUsageError } from '../checks/usage.js'
import { UsageError } from '../checks/usage-error.js'
import { texts } from '../language.js'

/** Options of a cluster. */
export interface ClusterOptions {
  redis?: string | undefined
  node?: string | undefined
  clusterConcurrency?: number | undefined
}

/** Environment variables that may hold what others must not see on the command line. */
export const redisVariable = 'MODEL_DOWNLOADER_REDIS'
export const secretVariable = 'MODEL_DOWNLOADER_CLUSTER_SECRET'

/** Adds the options to a command. */
export function addClusterOptions(command: Command): Command {
  return command
    .option(
      '--redis <url>',
      'share all downloads with other servers through this Redis or Valkey: redis://host:6379',
    )
    .option('--node <name>', 'name of this server in the cluster (default: the host name)')
    .option(
      '--cluster-concurrency <n>',
      'how many files the whole cluster downloads at a time (default: no limit)',
      wholeNumber(1, 100_000),
    )
}

/**
 * The options of the manager. What a cluster needs is loaded only if there is one.
 *
 * @throws UsageError if an option is wrong, or a package is missing.
 */
export async function clusterSettings(
  { redis, node, clusterConcurrency }: ClusterOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<DownloadManagerOptions> {
  const connection = redis ?? (environment[redisVariable] === '' ? undefined : environment[redisVariable])
  if (connection === undefined) {
    if (node === undefined && clusterConcurrency === undefined) return {}
    throw new UsageError(texts().needsRedis(node === undefined ? '--cluster-concurrency' : '--node'))
  }
  if (!/^(?:rediss?|unix):\/\/./.test(connection)) throw new UsageError(texts().badRedis)
  const secret = environment[secretVariable]
  const { bullmqCluster } = await import('../../cluster/bullmq/bullmq.js').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')
      throw new UsageError(texts().needsBullmq)
    throw error
  })
  return asUsageError(() => ({
    cluster: bullmqCluster({
      connection: connection.replace(/^unix:\/\//, ''),
      ...(node === undefined ? {} : { node }),
      ...(secret === undefined || secret === '' ? {} : { secret }),
      clusterConcurrency: clusterConcurrency ?? null,
    }),
  }))
}
