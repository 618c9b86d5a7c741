import { resolve } from 'node:path'
import { cwd, platform } from 'node:process'
import * as z from 'zod'
import type { Download } from '../download/download.js'
import { parseOptions } from '../download/options.js'
import { DownloadError, isDownloadError, type OptionIssue } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { Catalog, type IdentifiedCatalog } from './catalog.js'
import { type Locale, locales } from './messages.js'
import type { TipInput } from './tip.js'

const path = z
  .string()
  .min(1)
  .refine((value) => !value.includes('\0'), 'must not hold a NUL')

const has = (value: unknown, ...members: PropertyKey[]): value is object =>
  typeof value === 'object' && value !== null && members.every((member) => member in value)

const schema = z.strictObject({
  // Not by class: there may be two copies of the package.
  manager: z.custom<DownloadManager>(
    (value) => has(value, 'download', internals),
    'must be a DownloadManager',
  ),
  catalog: z.custom<Catalog>(
    (value) => value instanceof Catalog || has(value, 'entries', 'get', 'file'),
    'must be a Catalog',
  ),
  roots: z.array(path).min(1).optional(),
  locale: z.enum(locales).default(locales[0]),
  autoResume: z.boolean().default(true),
  commands: z
    .strictObject({
      projectRoot: path.optional(),
      backendDir: path.optional(),
      catalogFile: path.optional(),
      platform: z.string().optional(),
    })
    .default({}),
})

/** {@link PreloaderOptions} with every default filled in and every path absolute. */
export interface ResolvedPreloaderOptions {
  manager: DownloadManager
  catalog: IdentifiedCatalog
  roots: string[]
  locale: Locale
  autoResume: boolean
  commands: Pick<TipInput, 'catalogFile' | 'projectRoot' | 'backendDir' | 'platform'>
}

/**
 * Checks the options and fills the defaults in.
 *
 * @throws DownloadError `INVALID_OPTIONS`, also for a model whose mode the manager doesn't know, or whose ref its sources refuse.
 */
export function resolvePreloaderOptions(options: PreloaderOptions): ResolvedPreloaderOptions {
  const given = parseOptions(schema, options, 'Preloader options')
  const { manager, commands } = given
  const catalog = identified(given.catalog, manager)
  requireModes(manager, catalog)
  const file = commands.catalogFile === undefined ? catalog.file : resolve(commands.catalogFile)
  const place = (folder: string | undefined) =>
    folder === undefined ? { folder: cwd(), relative: false } : { folder: resolve(folder), relative: true }
  return {
    manager,
    catalog,
    roots: (given.roots ?? [manager.directory]).map((root) => resolve(root)),
    locale: given.locale,
    autoResume: given.autoResume,
    commands: {
      catalogFile: file,
      projectRoot: place(commands.projectRoot),
      backendDir: place(commands.backendDir),
      // Any other name has POSIX shells.
      platform:
        commands.platform === 'win32' ? 'win32' : commands.platform === undefined ? platform : 'linux',
    },
  }
}

/** With the manager's sources. A catalog of an older copy of the package has checked its refs itself. */
function identified(catalog: Catalog, manager: DownloadManager): IdentifiedCatalog {
  return has(catalog, 'identifiedBy') ? catalog.identifiedBy(manager[internals].sources) : catalog
}

function requireModes(manager: DownloadManager, catalog: IdentifiedCatalog): void {
  const issues: OptionIssue[] = []
  for (const [index, entry] of catalog.entries.entries()) {
    try {
      manager[internals].destinations.modeOf(entry.mode)
    } catch (error) {
      if (!isDownloadError(error)) throw error
      const message = error.issues[0]?.message ?? error.message
      issues.push({ path: `models.${index}.mode`, message })
    }
  }
  if (issues.length === 0) return
  const text = issues.map((issue) => `${issue.path}: ${issue.message}`).join('; ')
  throw new DownloadError('INVALID_OPTIONS', `catalog: ${text}`, { issues })
}

const requestSchema = z.strictObject({
  models: z.union([z.literal('all'), z.array(z.string())]).optional(),
  outputDir: z.string().max(4_096).optional(),
  force: z.boolean().default(false),
})

/**
 * Checks what is asked of {@link Preloader.start}.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function parseRequest(request: PreloadRequestOptions): z.output<typeof requestSchema> {
  return parseOptions(requestSchema, request, 'preload')
}

// ---- What a {@link Preloader} takes and tells. Names with underscores are those of the HTTP contract.

/** How a {@link Preloader} works. */
export interface PreloaderOptions {
  /** Fetches the files. Close the preloader before it. */
  manager: DownloadManager
  /** What the host wants on disk. */
  catalog: Catalog
  /**
   * Folders that `outputDir` may lie in; relative to the working directory. Default: the manager's directory. A folder
   * outside them is refused, also behind a symbolic link.
   */
  roots?: readonly string[]
  /** Language of the log, of messages and of errors in the status. Default `en-US`. */
  locale?: Locale
  /**
   * Go on with a run that was going when the last process died. Default true. With false such a run ends as failed,
   * with the error `interrupted`; what it fetched stays.
   */
  autoResume?: boolean
  /** Where the commands of `first_use_tip` are meant to be run. */
  commands?: PreloadCommands
}

/** Where the commands of `first_use_tip` are meant to be run. Relative folders are relative to the working directory. */
export interface PreloadCommands {
  /** The project's root. Default: the working directory, and the command holds absolute paths. */
  projectRoot?: string
  /** The folder of the backend. Default: the working directory, and the command holds absolute paths. */
  backendDir?: string
  /** The catalog as a file. Default: the one that the catalog was read from; without one the tip holds no commands. */
  catalogFile?: string
  /** For whose shells: `win32` gives PowerShell and cmd, all others POSIX shells. Default: this machine's. */
  platform?: NodeJS.Platform
}

/** What to preload. */
export interface PreloadRequestOptions {
  /** Keys. None, an empty list or `all`: every model with `auto_download`. */
  models?: readonly string[] | 'all'
  /**
   * Files go to `<outputDir>/<mode>/<filename>`. Inside one of the `roots`; relative to the manager's directory.
   * Default: the manager's directory.
   */
  outputDir?: string
  /** Fetch again what is there; an old file stays until the new one is verified. Default false. */
  force?: boolean
}

/** What {@link Preloader.start} answers: the body of `POST /api/v1/models/preload/start`. */
export interface PreloadStart {
  /** A failure is thrown. */
  success: true
  /** For people. */
  message: string
  /** Absolute path. */
  output_dir: string
  /** Keys of what is fetched, in the catalog's order. */
  models: string[]
  /** Whether what is there is fetched again. */
  force: boolean
  /** ISO 8601 in UTC. */
  started_at: string
}

/** The last run, or the one that is going. When there was none: `running` false, `logs` empty, the rest null. */
export interface PreloadRunSnapshot {
  /** Whether a run is going. */
  running: boolean
  /** ISO 8601 in UTC. */
  started_at: string | null
  /** ISO 8601 in UTC; null while it runs. */
  finished_at: string | null
  /** Whether all required models are there; null while it runs. */
  success_flag: boolean | null
  /** 0, or 1 when a required model failed or the run was canceled; null while it runs. */
  return_code: 0 | 1 | null
  /** One sentence for people; `canceled` for a canceled one. */
  error: string | null
  /** Absolute path. */
  output_dir: string | null
  /** The last 500 lines, without secrets. */
  logs: string[]
  /** Key of the model that is being fetched; of several the first. */
  current: string | null
  /** Models that are there. */
  completed: number | null
  /** Models in all. */
  total: number | null
  /** 0 to 100; 100 only when every model is there. */
  progress: number | null
  /** The downloads by key. A model that was there already may have none. */
  downloads: Record<string, Download> | null
}

/** One model in {@link ModelsStatus}. */
export interface ModelStatus {
  /** The file is there and right: its size and sha256 are those of the catalog, where it says them. */
  ready: boolean
  /** For people. */
  name: string
  /** Absolute path where it lies or will lie. */
  cache_hint: string
  /** For people. */
  message: string
}

/** Which models are there: the body of `GET /api/v1/models/status`. */
export interface ModelsStatus {
  /** A failure is thrown. */
  success: true
  /** By key. */
  models: Record<string, ModelStatus>
  /** In the catalog's order. */
  catalog: { key: string; name: string; required: boolean; auto_download: boolean; description: string }[]
  /** Whether at least one is ready. */
  any_ready: boolean
  /** Whether at least one is not. */
  any_missing: boolean
  /** For people: what is missing, and the commands that fetch it. */
  first_use_tip: string
  /** ISO 8601 in UTC. */
  timestamp: string
}

/** One line of a preload's log. */
export interface PreloadLogEvent {
  /** As it stands in `logs`: `2026-02-15T02:00:01Z [llm] downloading …`. */
  line: string
}

/** The events of a {@link Preloader} and what their listeners get. */
export interface PreloadEvents {
  /** Something changed; while bytes arrive at most four times a second. */
  status: (status: PreloadRunSnapshot) => void
  /** A new line of the log. */
  log: (event: PreloadLogEvent) => void
}
