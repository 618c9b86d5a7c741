/** The options of a DownloadManager. */
import * as z from 'zod'
import { adopt, count, folder, layout, milliseconds, rate } from '../download/options.js'
import type { Layout } from '../layouts/hf-paths.js'
import type { TransferTuning } from '../net/tuning.js'
import type { Source } from '../sources/source.js'
import type { DownloadStore } from '../store/store.js'

/** How a {@link DownloadManager} works. Everything has a default. */
export interface DownloadManagerOptions {
  /** Root of all files; made when missing. Relative to the working directory. Default `./models`. */
  directory?: string
  /** Downloads at a time, 1 to 1,000. Default 3. Changeable: `manager.concurrency = n`. */
  concurrency?: number
  /** Connections per download at most, 1 to 64. Default 8. */
  connections?: number
  /** Limit over all downloads together, in bytes per second, or null. Default null. Changeable. */
  maxBytesPerSecond?: number | null
  /** Sub-folders that `mode` may name. Default `['llm', 'embed', 'rerank']`. */
  modes?: readonly string[]
  /** Mode of a download that names none; null puts files into `directory` itself. Default `llm`. */
  defaultMode?: string | null
  /**
   * Layout of downloads that name none. `hf-cache` holds for refs of the Hugging Face hub that come without mode and file
   * name; all else lies flat. The cache is `directory` when that is given, else the one of the environment (`HF_HUB_CACHE`,
   * `HF_HOME`, else `~/.cache/huggingface/hub`). Default `flat`.
   */
  layout?: Layout
  /** Whether trusted callers' downloads may be taken from other programs' caches; see {@link DownloadOptions}. Default true. */
  adopt?: boolean | 'copy'
  /** Where downloads are remembered: `file` (below `<directory>/.model-downloader`), `memory`, or your own. Default `file`. */
  store?: 'file' | 'memory' | DownloadStore
  /** Queue unfinished downloads of the last run again. Default true. */
  autoResume?: boolean
  /**
   * Run transfers in a worker thread, so that the host's event loop stays free. False keeps them in this thread; so it is,
   * with a warning in the log, where the worker's file can't be found. Default true.
   */
  worker?: boolean
  /** Use `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` from the environment. Default true; never for remote callers' URLs. */
  proxy?: boolean
  /**
   * Places that models come from, besides those of this package; they are asked first, and one with the name of a
   * built-in one takes its place. Default: none.
   */
  sources?: readonly Source[]
  /** Timeouts, retries and intervals; see {@link TransferTuning}. */
  tuning?: Partial<TransferTuning>
}

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

/** An explicit undefined would hide the default when the two are merged. */
function withoutUndefined(tuning: object): Partial<TransferTuning> {
  return Object.fromEntries(Object.entries(tuning).filter(([, value]) => value !== undefined))
}

/** Validates {@link DownloadManagerOptions} and fills the defaults in. */
export const managerOptionsSchema = z.strictObject({
  directory: folder.default('./models'),
  concurrency: count(1000).default(3),
  connections: count(64).default(8),
  maxBytesPerSecond: rate.default(null),
  modes: z.array(modeName).default(['llm', 'embed', 'rerank']),
  defaultMode: modeName.nullable().default('llm'),
  layout: layout.default('flat'),
  adopt: adopt.default(true),
  store: store.default('file'),
  autoResume: z.boolean().default(true),
  worker: z.boolean().default(true),
  proxy: z.boolean().default(true),
  sources: z.array(source).max(100).default([]),
  tuning: z.strictObject(tuningShape).partial().default({}).transform(withoutUndefined),
})

/** Manager options with every default filled in. */
export type ResolvedManagerOptions = z.output<typeof managerOptionsSchema>
