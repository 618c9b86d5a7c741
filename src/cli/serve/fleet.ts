/** The options of `serve` that make it a node of a fleet, and have it fetch files from other servers. */
import { type Command, InvalidArgumentError } from 'commander'
import type { Fleet } from '../../catalog/fleet/fleet.js'
import type { Preloader } from '../../catalog/preloader.js'
import type { PeerServing } from '../../http/handler.js'
import type { DownloadManager } from '../../manager/manager.js'
import type { DownloadManagerOptions } from '../../manager/options.js'
import { hostNodeName } from '../../util/node-name.js'
import { wholeNumber } from '../arguments.js'
import { asUsageError } from '../checks/usage.js'
import { UsageError } from '../checks/usage-error.js'
import { texts } from '../language.js'
import { firstOf, isMissingPackage, type RedisAccess } from './cluster.js'

/** Options of a fleet and of peers. */
export interface FleetOptionsGiven {
  fleet?: boolean | undefined
  labels?: string[] | undefined
  advertise?: string | undefined
  seeds?: number | undefined
  peers?: string[] | undefined
  node?: string | undefined
}

/** Environment variable with the token by which servers let each other fetch files. */
export const peerTokenVariable = 'MODEL_DOWNLOADER_PEER_TOKEN'

/** Shortest token, in characters. */
const minTokenLength = 16

const fleetOnly = { labels: '--labels', advertise: '--advertise', seeds: '--seeds' } as const

/** Adds the options to a command. */
export function addFleetOptions(command: Command): Command {
  return command
    .option(
      '--fleet',
      'be a node of a fleet, whose nodes have each their own disk and get models of the catalog; needs --redis and --catalog',
    )
    .option('--labels <list>', 'labels of this node, by which it can be selected: gpu,eu', parseWords)
    .option(
      '--advertise <url>',
      'address at which the other nodes reach this server: http://node-1:8050 (default: they can not)',
      parseServer,
    )
    .option(
      '--seeds <n>',
      'how many nodes fetch a model from its origin at the same time; the others get it from those (default: 2)',
      wholeNumber(1, 1_000),
    )
    .option(
      '--peers <urls>',
      'other servers from which files of a known digest are fetched first: http://node-2:8050,http://node-3:8050',
      parseServers,
    )
}

/** What a server needs for others. */
export interface FleetSupport {
  /** Options of the manager. */
  readonly manager: DownloadManagerOptions
  /** How finished files are served to others; undefined if they are not. */
  readonly serving: PeerServing | undefined
  /** Joins the fleet, if there is one. */
  join(manager: DownloadManager, preloader: Preloader | undefined): Fleet | undefined
  /** Leaves it. Never rejects. */
  leave(): Promise<void>
  /** Closes what joining has opened. */
  close(): void
}

/**
 * Checks the options, and loads what they need.
 *
 * @throws UsageError if an option is wrong, or a package is missing.
 */
export async function fleetSupport(
  options: FleetOptionsGiven,
  { redis, hasCatalog }: { redis: RedisAccess | null; hasCatalog: boolean },
  environment: Readonly<Record<string, string | undefined>>,
): Promise<FleetSupport> {
  const { fleet: isNode = false, peers = [], labels, advertise, seeds, node } = options
  const token = environment[peerTokenVariable] ?? ''
  if (token !== '' && token.length < minTokenLength)
    throw new UsageError(texts().badPeerToken(peerTokenVariable, minTokenLength))
  if (peers.length > 0 && token === '')
    throw new UsageError(texts().needsPeerToken(peerTokenVariable, minTokenLength))
  const alone = isNode ? null : firstOf(options, fleetOnly)
  if (alone !== null) throw new UsageError(texts().needsFleet(alone))
  if (isNode && redis === null) throw new UsageError(texts().needsRedis('--fleet'))
  if (isNode && !hasCatalog) throw new UsageError(texts().fleetNeedsCatalog)
  const parts = isNode && redis !== null ? await fleetParts(redis) : null

  let fleet: Fleet | undefined
  const known = (sha256: string) => [...peers, ...(fleet?.peersWith(sha256) ?? [])]
  return {
    manager: token !== '' && (isNode || peers.length > 0) ? { peers: { urls: known, token } } : {},
    serving: token === '' ? undefined : { token },
    join(manager, preloader) {
      if (parts === null || preloader === undefined) return undefined
      fleet = asUsageError(() =>
        parts.make({
          manager,
          preloader,
          node: node ?? hostNodeName(),
          ...(labels === undefined ? {} : { labels }),
          ...(advertise === undefined ? {} : { url: advertise }),
          ...(seeds === undefined ? {} : { seeds }),
        }),
      )
      return fleet
    },
    leave: async () => {
      await fleet?.close().catch(() => undefined)
    },
    close: () => parts?.close(),
  }
}

/** Connects to Redis for a fleet. */
async function fleetParts({ connection, prefix }: RedisAccess) {
  try {
    const [{ connect }, { RedisFleetStore }, { Fleet: FleetNode }] = await Promise.all([
      import('../../cluster/redis/connection.js'),
      import('../../catalog/fleet/redis-store.js'),
      import('../../catalog/fleet/fleet.js'),
    ])
    // A read that waits for news takes up to five seconds.
    const redis = connect(connection, { lazyConnect: false, maxRetriesPerRequest: 1, commandTimeout: 10_000 })
    const store = new RedisFleetStore({ redis, ...(prefix === null ? {} : { prefix }) })
    return {
      make: (options: Omit<ConstructorParameters<typeof FleetNode>[0], 'store'>) =>
        new FleetNode({ ...options, store }),
      close: () => {
        void store.close()
        redis.disconnect()
      },
    }
  } catch (error) {
    throw isMissingPackage(error) ? new UsageError(texts().needsIoredis) : error
  }
}

function parseWords(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

function parseServers(text: string): string[] {
  return parseWords(text).map(parseServer)
}

/** @throws InvalidArgumentError unless it is the address of a server. */
function parseServer(text: string): string {
  if (!/^https?:\/\/[^/@?#]+(?:\/[^?#]*)?$/.test(text) || !URL.canParse(text))
    throw new InvalidArgumentError(texts().serverExpected)
  return text.replace(/\/+$/, '')
}
