/** Options of a DownloadManager. */
import * as z from 'zod'
import { adopt, count, folder, layout, milliseconds, rate, xet } from '../download/options.js'
import type { XetMode } from '../download/xet.js'
import type { Layout } from '../layouts/hf-paths.js'
import { parseProxy } from '../net/proxy-address.js'
import type { RemoteBounds } from '../engine/protocol.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Source } from '../sources/source.js'
import type { DownloadStore } from '../store/store.js'
import type { Cluster } from './cluster/coordinator.js'
import { type PeerOptions, peerOptionsSchema } from './peers/peers.js'

/** Options of a {@link DownloadManager}. All of them are optional. */
export interface DownloadManagerOptions {
  /**
   * Root folder of all files; created when missing. Relative to the working directory. Default `./models`.
   */
  directory?: string
  /**
   * Maximum number of downloads that run at the same time, 1 to 1,000. Default 3. Can be changed later:
   * `manager.concurrency = n`. `auto` finds out: it begins with as many as there are, 3 to 32, adds more, up to 64, as
   * long as they make the downloads faster, and takes back what a server refuses. In a cluster, it stays at 3.
   */
  concurrency?: number | 'auto'
  /**
   * How many of the slots downloads of `remote` callers may take at the same time, 1 to 1,000. Default: all but one
   * of three or more slots. Downloads of trusted callers are also the first to get a free slot.
   */
  remoteConcurrency?: number
  /**
   * How many settled downloads of `remote` callers are kept in the list, 0 to 1,000,000; beyond that, the oldest ones
   * are removed when further ones are requested. Their files stay. Default 10,000.
   */
  maxRecords?: number
  /**
   * Largest file that is fetched for a `remote` caller, in bytes, 1 to 2^53 - 1; null for no limit. A larger one fails
   * with `NO_SPACE`, before its first byte if its size is known, and a ref that names one before any of its files.
   * Files that exist already, or are taken from another program's cache, may be larger. Default null.
   */
  remoteMaxFileBytes?: number | null
  /**
   * Lowest speed of a running download of a `remote` caller, in bytes per second; null for none. One that is slower
   * over 60 seconds fails with `STALLED`, so that it does not hold its slot; its bytes are kept. Waiting for a server
   * counts, waiting for a rate limit or the disk does not. The files of a ref are measured together. Default null.
   */
  remoteMinBytesPerSecond?: number | null
  /**
   * Disk budget of the manager in bytes, 1 to 2^53 - 1; null for none. Everything in its folders counts, whoever has put
   * it there, and the files of its downloads elsewhere; see {@link DownloadManager.disk}. A download that would exceed
   * it does what `whenFull` says. Default null.
   */
  maxDiskBytes?: number | null
  /**
   * How much of the disk must stay free, in bytes, 1 to 2^53 - 1; null for no more than a download checks anyway, which
   * is that it fits. A download that would leave less does what `whenFull` says. Default null.
   */
  minFreeBytes?: number | null
  /**
   * What a download does that breaks `maxDiskBytes` or `minFreeBytes`; default `fail`:
   *
   * - `fail`: it fails with `NO_SPACE`.
   * - `wait`: it waits in the queue, without a slot, until there is room; see {@link Download.waitingFor}. Those behind it
   *   wait as well, so that a large one is not overtaken forever.
   * - `evict`: the least recently used finished downloads are deleted, each as a whole, until there is room. Only what
   *   this manager has fetched into its folders is deleted, and nothing that is pinned or required by a catalog; for a
   *   `remote` caller only what remote callers have requested. If that is not enough, nothing is deleted and it fails.
   *
   * One that is larger than the budget or the disk fails at once.
   */
  whenFull?: WhenFull
  /**
   * Maximum number of connections per download, 1 to 64. A file begins with {@link TransferTuning.initialConnections}, and
   * gets more as long as they make it faster. Default 32.
   */
  connections?: number
  /**
   * Limit for all downloads together in bytes per second, or null for none. Default null. Can be changed
   * later: `manager.maxBytesPerSecond = n`.
   */
  maxBytesPerSecond?: number | null
  /** Subfolders that the `mode` of a download may select. Default `['llm', 'embed', 'rerank']`. */
  modes?: readonly string[]
  /**
   * Mode of downloads that do not set one; null puts their files directly into `directory`. Default `llm`.
   */
  defaultMode?: string | null
  /**
   * Whether the folders of the modes may be symbolic links, for example to a larger disk. All other links below
   * `directory`, and below the `directory` of a download, are refused with `TARGET_NOT_REGULAR`, because whoever
   * can write there could choose where files are written and deleted. Default false.
   */
  linkedModes?: boolean
  /**
   * Layout of downloads that do not set one. `hf-cache` applies to refs of the Hugging Face Hub that set
   * neither a mode nor a file name; all other downloads use the flat layout. The cache is `directory` if that
   * is set, otherwise the one that the environment selects (`HF_HUB_CACHE`, `HF_HOME`, otherwise
   * `~/.cache/huggingface/hub`). Default `flat`.
   */
  layout?: Layout
  /**
   * Whether downloads of trusted callers may adopt files from other programs' caches; see
   * {@link DownloadOptions}. Default true.
   */
  adopt?: boolean | 'copy'
  /**
   * Whether files of the Hugging Face hub are fetched from its Xet store; see {@link DownloadOptions.xet}. Default `auto`.
   */
  xet?: XetMode
  /**
   * Where downloads are recorded: `file` (below `<directory>/.model-downloader`), `memory`, or a store of
   * your own. Default `file`.
   */
  store?: 'file' | 'memory' | DownloadStore
  /**
   * Shares all downloads with the managers of other processes and machines, see `bullmqCluster` of
   * `model-downloader/bullmq`. It also keeps the records, so `store` can't be set; `autoResume` has no effect, because
   * the downloads of a cluster go on without this manager. Default: none.
   */
  cluster?: Cluster
  /**
   * Whether unfinished downloads of the last run are queued again. With false they are loaded as paused.
   * Default true.
   */
  autoResume?: boolean
  /**
   * Whether transfers run in a worker thread, which keeps the event loop of the host free. With false they
   * run in the calling thread; the same happens, with a warning in the log, if the worker file can't be
   * found. Default true.
   */
  worker?: boolean
  /**
   * `true` uses the proxies of the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) for URLs
   * of trusted callers, and none for those of remote callers. An address such as `http://user:password@host:3128`
   * or `socks5h://host:1080` is used for all URLs that `NO_PROXY` does not exclude, those of remote callers
   * included: their hosts are checked before they are handed to the proxy, which then resolves them on its own, so
   * the proxy must not reach what remote callers may not. `false` uses none. Default true.
   */
  proxy?: boolean | string
  /**
   * Certificates of authorities to trust besides those of Node, in PEM; one text may contain several, and at most
   * 100 texts are accepted. `NODE_EXTRA_CA_CERTS` works as well. Certificates are always verified, also with
   * `NODE_TLS_REJECT_UNAUTHORIZED=0`. Default: none.
   */
  ca?: string | readonly string[]
  /**
   * Whether refs of remote callers are resolved and fetched with this host's tokens (`HF_TOKEN` and so on). Remote
   * callers can then bring every private or gated file to disk that the token's owner may read. Default false.
   */
  remoteTokens?: boolean
  /**
   * Whether to use only what is on disk, without any request; see {@link DownloadOptions.offline}. Default: refs of the
   * Hugging Face hub are offline if `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is set to `1`, `on`, `yes` or `true`, and
   * nothing else is.
   */
  offline?: boolean
  /**
   * Sources in addition to the built-in ones, at most 100. They are tried first, and a source with the name
   * of a built-in one replaces it. Default: none.
   */
  sources?: readonly Source[]
  /**
   * Other instances that may have a file already. A file whose SHA-256 is known is fetched from them first, and from its
   * origin if none has it; what they send is checked as always. Not for downloads of `remote` callers. Default: none.
   */
  peers?: PeerOptions
  /** Timeouts, retries and intervals; see {@link TransferTuning}. */
  tuning?: Partial<TransferTuning>
}

/** See {@link DownloadManagerOptions.whenFull}. */
export type WhenFull = 'fail' | 'wait' | 'evict'

/** See {@link DownloadManagerOptions.maxRecords}. */
export const defaultMaxRecords = 10_000

const pem = z.string().includes('-----BEGIN CERTIFICATE-----', 'must be certificates in PEM')

const modeName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be letters, digits, dot, dash or underscore')
  .refine((name) => !name.endsWith('.'), 'must not end with a dot')

const tuningShape = {
  connectTimeoutMs: milliseconds,
  headersTimeoutMs: milliseconds,
  bodyTimeoutMs: milliseconds,
  lowSpeedBytesPerSecond: z.number().nonnegative(),
  lowSpeedTimeMs: milliseconds,
  maxAttempts: count(1000),
  minDelayMs: z.number().nonnegative().max(0x7fffffff),
  maxDelayMs: z.number().nonnegative().max(0x7fffffff),
  outageMs: z.number().nonnegative(),
  maxRetryAfterMs: z.number().nonnegative().max(0x7fffffff),
  maxRedirects: z.number().int().min(0).max(50),
  minSegmentBytes: z.number().int().min(1),
  initialConnections: count(64),
  bodyReader: z.enum(['fast', 'standard']),
  progressIntervalMs: milliseconds,
  journalIntervalMs: milliseconds,
  syncIntervalMs: milliseconds,
} satisfies Record<keyof TransferTuning, z.ZodType>

const store = z.union(
  [
    z.literal('file'),
    z.literal('memory'),
    z.custom<DownloadStore>(
      (value) =>
        typeof value === 'object' &&
        value !== null &&
        'load' in value &&
        'save' in value &&
        'remove' in value,
    ),
  ],
  "must be 'file', 'memory' or an object with load, save and remove",
)

const source = z.custom<Source>(
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'match' in value &&
    'resolve' in value,
  'must be an object with name, match and resolve',
)

/** Removes explicit undefined values, which would override the defaults when the two are merged. */
function withoutUndefined(tuning: object): Partial<TransferTuning> {
  return Object.fromEntries(Object.entries(tuning).filter(([, value]) => value !== undefined))
}

/** Number of slots of a manager. */
export const slotCount = count(1000)

/** Validates {@link DownloadManagerOptions} and fills in the defaults. */
export const managerOptionsSchema = z.strictObject({
  directory: folder.default('./models'),
  concurrency: z
    .unknown()
    .transform((value, context): number | 'auto' => {
      if (value === 'auto') return value
      const { data, error } = slotCount.safeParse(value)
      for (const { message } of error?.issues ?? []) context.addIssue(message)
      return data ?? z.NEVER
    })
    .default(3),
  remoteConcurrency: count(1000).optional(),
  maxRecords: z.number().int().min(0).max(1_000_000).optional(),
  remoteMaxFileBytes: count(Number.MAX_SAFE_INTEGER).nullish(),
  remoteMinBytesPerSecond: rate.optional(),
  maxDiskBytes: count(Number.MAX_SAFE_INTEGER).nullish(),
  minFreeBytes: count(Number.MAX_SAFE_INTEGER).nullish(),
  whenFull: z.enum(['fail', 'wait', 'evict']).default('fail'),
  connections: count(64).default(32),
  maxBytesPerSecond: rate.default(null),
  modes: z.array(modeName).default(['llm', 'embed', 'rerank']),
  defaultMode: modeName.nullable().default('llm'),
  linkedModes: z.boolean().optional(),
  layout: layout.default('flat'),
  adopt: adopt.default(true),
  xet: xet.optional(),
  store: store.default('file'),
  cluster: z
    .custom<Cluster>(
      (value) => typeof value === 'object' && value !== null && 'join' in value,
      'must be a cluster, such as bullmqCluster()',
    )
    .optional(),
  autoResume: z.boolean().default(true),
  worker: z.boolean().default(true),
  proxy: z
    .union([
      z.boolean(),
      z
        .string()
        .refine(
          (address) => address.includes('://') && parseProxy(address) !== null,
          'is not the address of a proxy, such as http://host:3128',
        ),
    ])
    .default(true),
  ca: z
    .union([pem, z.array(pem).max(100)])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .optional(),
  remoteTokens: z.boolean().optional(),
  offline: z.boolean().optional(),
  sources: z.array(source).max(100).default([]),
  peers: peerOptionsSchema.optional(),
  tuning: z.strictObject(tuningShape).partial().default({}).transform(withoutUndefined),
})

/** Manager options with every default filled in. */
export type ResolvedManagerOptions = z.output<typeof managerOptionsSchema>

/** The bounds for downloads of remote callers. */
export function remoteBounds({
  remoteMaxFileBytes,
  remoteMinBytesPerSecond,
}: Pick<ResolvedManagerOptions, 'remoteMaxFileBytes' | 'remoteMinBytesPerSecond'>): RemoteBounds {
  return { maxFileBytes: remoteMaxFileBytes ?? null, minBytesPerSecond: remoteMinBytesPerSecond ?? null }
}
