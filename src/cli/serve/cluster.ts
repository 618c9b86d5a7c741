/** The options of `serve` that join it to others, with which it shares its downloads. */
import { type Command, Option } from 'commander'
import type { DownloadManagerOptions } from '../../manager/options.js'
import { parseRate, wholeNumber } from '../arguments.js'
import { asUsageError } from '../checks/usage.js'
import { UsageError } from '../checks/usage-error.js'
import { texts } from '../language.js'

/** Options of a cluster. */
export interface ClusterOptions {
  redis?: string | undefined
  redisPrefix?: string | undefined
  node?: string | undefined
  clusterConcurrency?: number | undefined
  clusterLimitRate?: number | undefined
  /** In seconds. */
  leaseTime?: number | undefined
  whenRedisLost?: 'stop' | 'continue' | undefined
  placement?: 'shared' | 'own' | undefined
  /** In seconds. */
  affinity?: number | undefined
}

/** Environment variables that may hold what others must not see on the command line. */
export const redisVariable = 'MODEL_DOWNLOADER_REDIS'
export const secretVariable = 'MODEL_DOWNLOADER_CLUSTER_SECRET'

/** The options that make sense only if downloads are shared. */
const sharing = {
  clusterConcurrency: '--cluster-concurrency',
  clusterLimitRate: '--cluster-limit-rate',
  leaseTime: '--lease-time',
  whenRedisLost: '--when-redis-lost',
  placement: '--placement',
  affinity: '--affinity',
} as const

/** Those that need Redis. */
const needing = { node: '--node', redisPrefix: '--redis-prefix', ...sharing } as const

/** Adds the options to a command. */
export function addClusterOptions(command: Command): Command {
  return command
    .option(
      '--redis <url>',
      'share all downloads with other servers through this Redis or Valkey: redis://host:6379',
    )
    .option(
      '--redis-prefix <name>',
      'beginning of all keys in Redis; another one is another cluster (default: model-downloader)',
    )
    .option('--node <name>', 'name of this server in the cluster or fleet (default: the host name)')
    .option(
      '--cluster-concurrency <n>',
      'how many files the whole cluster downloads at a time (default: no limit)',
      wholeNumber(1, 100_000),
    )
    .option(
      '--cluster-limit-rate <rate>',
      'limit for the whole cluster in bytes per second: 500k, 10M, 1.5G (powers of 1024)',
      parseRate,
    )
    .option(
      '--lease-time <seconds>',
      'how long the downloads of a server that has died wait until others go on, 1 to 600 (default: 20)',
      wholeNumber(1, 600),
    )
    .addOption(
      new Option(
        '--when-redis-lost <mode>',
        'what running downloads do while Redis can not be reached: stop, or continue if each server has its own disk (default: stop)',
      ).choices(['stop', 'continue']),
    )
    .addOption(
      new Option(
        '--placement <mode>',
        'where the files of the cluster are: shared, in one folder, or own, where each server has its own disk (default: shared)',
      ).choices(['shared', 'own']),
    )
    .option(
      '--affinity <seconds>',
      'with --placement own, how long a download waits for the server that has begun it, 0 to 86400 (default: 300)',
      wholeNumber(0, 86_400),
    )
}

/** How Redis is reached; null if it is not used. */
export interface RedisAccess {
  /** An address, or the path of a socket. */
  connection: string
  prefix: string | null
}

/**
 * How Redis is reached.
 *
 * @throws UsageError if the address is none, or options need one that is not given.
 */
export function redisAccess(
  options: ClusterOptions,
  environment: Readonly<Record<string, string | undefined>>,
): RedisAccess | null {
  const { redis, redisPrefix = null } = options
  const address = redis ?? (environment[redisVariable] === '' ? undefined : environment[redisVariable])
  if (address === undefined) {
    const given = firstOf(options, needing)
    if (given !== null) throw new UsageError(texts().needsRedis(given))
    return null
  }
  if (!/^(?:rediss?|unix):\/\/./.test(address)) throw new UsageError(texts().badRedis)
  return { connection: address.replace(/^unix:\/\//, ''), prefix: redisPrefix }
}

/**
 * The options of the manager. What a cluster needs is loaded only if there is one.
 *
 * @param isFleet - whether Redis is for a fleet, whose nodes have each their own downloads.
 * @throws UsageError if an option is wrong, or a package is missing.
 */
export async function clusterSettings(
  options: ClusterOptions,
  environment: Readonly<Record<string, string | undefined>>,
  isFleet: boolean,
): Promise<DownloadManagerOptions> {
  const access = redisAccess(options, environment)
  if (access === null) return {}
  if (isFleet) {
    const given = firstOf(options, sharing)
    if (given !== null) throw new UsageError(texts().notInFleet(given))
    return {}
  }
  const { node, clusterConcurrency, clusterLimitRate, leaseTime, whenRedisLost, placement, affinity } =
    options
  const secret = environment[secretVariable]
  const { bullmqCluster } = await import('../../cluster/bullmq/bullmq.js').catch((error: unknown) => {
    throw isMissingPackage(error) ? new UsageError(texts().needsBullmq) : error
  })
  return asUsageError(() => ({
    cluster: bullmqCluster({
      connection: access.connection,
      ...(access.prefix === null ? {} : { prefix: access.prefix }),
      ...(node === undefined ? {} : { node }),
      ...(secret === undefined || secret === '' ? {} : { secret }),
      ...(leaseTime === undefined ? {} : { leaseMs: leaseTime * 1_000 }),
      ...(whenRedisLost === undefined ? {} : { onStoreLost: whenRedisLost }),
      ...(placement === undefined ? {} : { placement }),
      ...(affinity === undefined ? {} : { affinityMs: affinity * 1_000 }),
      clusterConcurrency: clusterConcurrency ?? null,
      clusterMaxBytesPerSecond: clusterLimitRate ?? null,
    }),
  }))
}

/** Whether a module could not be loaded because a package is not installed. */
export function isMissingPackage(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
}

/** The first of some options that is given, as it is written; null if none is. */
export function firstOf<O extends object>(
  options: O,
  names: Readonly<Partial<Record<keyof O, string>>>,
): string | null {
  // Object.entries loses the type of the keys.
  const entries = Object.entries(names) as [keyof O, string][]
  return entries.find(([name]) => options[name] !== undefined && options[name] !== false)?.[1] ?? null
}
