import { resolve } from 'node:path'
import { cwd, platform } from 'node:process'
import * as z from 'zod'
import type { Download } from '../download/download.js'
import { parseOptions } from '../download/options.js'
import { DownloadError, isDownloadError, type OptionIssue } from '../errors.js'
import { internals } from '../manager/internals.js'
import type { DownloadManager } from '../manager/manager.js'
import { canonicalText } from '../sources/identify.js'
import { type Locale, locales } from '../util/locale.js'
import { Catalog, type IdentifiedCatalog } from './catalog.js'
import type { TipInput } from './tip.js'

const path = z
  .string()
  .min(1)
  .refine((value) => !value.includes('\0'), 'must not contain NUL')

const has = (value: unknown, ...members: PropertyKey[]): value is object =>
  typeof value === 'object' && value !== null && members.every((member) => member in value)

const schema = z.strictObject({
  // No `instanceof` check, because several copies of the package may be loaded.
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

/** {@link PreloaderOptions} with all defaults applied and all paths absolute. */
export interface ResolvedPreloaderOptions {
  manager: DownloadManager
  catalog: IdentifiedCatalog
  roots: string[]
  locale: Locale
  autoResume: boolean
  commands: Pick<TipInput, 'catalogFile' | 'projectRoot' | 'backendDir' | 'platform'>
}

/**
 * Validates the options and applies the defaults.
 *
 * @throws DownloadError `INVALID_OPTIONS`, also for a model whose mode the manager does not know, or whose
 * ref its sources refuse.
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
      // All platforms other than Windows have POSIX shells.
      platform:
        commands.platform === 'win32' ? 'win32' : commands.platform === undefined ? platform : 'linux',
    },
  }
}

/**
 * Resolves refs with the sources of the manager. A catalog from an older copy of the package has already
 * validated its refs itself.
 */
function identified(catalog: Catalog, manager: DownloadManager): IdentifiedCatalog {
  return has(catalog, 'identifiedBy')
    ? catalog.identifiedBy(manager[internals].sources, manager[internals].layout)
    : catalog
}

/** Returns a function that tells whether a download has a file that the catalog requires. */
export function requirementsOf({ entries }: IdentifiedCatalog): (download: Download) => boolean {
  const required = entries.filter((entry) => entry.required)
  const urls = new Set(required.map(({ url }) => canonicalText(url)))
  const files = new Set(
    required.flatMap(({ mode, filename }) => (filename === null ? [] : `${mode ?? ''}/${filename}`)),
  )
  return ({ url, mode, filename }) => urls.has(canonicalText(url)) || files.has(`${mode ?? ''}/${filename}`)
}

function requireModes(manager: DownloadManager, catalog: IdentifiedCatalog): void {
  const { destinations } = manager[internals]
  const issues: OptionIssue[] = []
  const unknown = new Set<string | null>()
  for (const [index, entry] of catalog.entries.entries()) {
    try {
      destinations.modeOf(entry.mode)
    } catch (error) {
      if (!isDownloadError(error)) throw error
      const message = error.issues[0]?.message ?? error.message
      issues.push({ path: `models.${index}.mode`, message })
      unknown.add(entry.mode)
    }
  }
  if (issues.length === 0) return
  const text = issues.map((issue) => `${issue.path}: ${issue.message}`).join('; ')
  const all = [...destinations.modeFolders.map(({ mode }) => mode), ...unknown].filter(
    (mode) => mode !== null,
  )
  const remedy = `Register further modes with the manager: new DownloadManager({ modes: ${JSON.stringify(all)} })`
  throw new DownloadError('INVALID_OPTIONS', `catalog: ${text}. ${remedy}`, { issues })
}

const requestSchema = z.strictObject({
  models: z.union([z.literal('all'), z.array(z.string())]).optional(),
  outputDir: z.string().max(4_096).optional(),
  force: z.boolean().default(false),
})

/**
 * Validates the argument of {@link Preloader.start}.
 *
 * @throws DownloadError `INVALID_OPTIONS`.
 */
export function parseRequest(request: PreloadRequestOptions): z.output<typeof requestSchema> {
  return parseOptions(requestSchema, request, 'preload')
}

// ---- Options, results and events of a {@link Preloader}. Names with underscores are those of the HTTP API.

/** Options of a {@link Preloader}. */
export interface PreloaderOptions {
  /** Downloads the files. Close the preloader before the manager. */
  manager: DownloadManager
  /** The models to keep on disk. */
  catalog: Catalog
  /**
   * Folders inside which `outputDir` must be; relative paths are relative to the working directory. Default:
   * the directory of the manager. A folder outside of them is refused, even behind a symbolic link.
   */
  roots?: readonly string[]
  /** Language of the log, of messages and of errors in the status. Default `en-US`. */
  locale?: Locale
  /**
   * Resume a run that was active when the last process ended. Default true. With false, such a run ends as
   * failed with the error `interrupted`; its downloaded data is kept.
   */
  autoResume?: boolean
  /** Folders in which the commands of `first_use_tip` are run. */
  commands?: PreloadCommands
}

/**
 * Folders in which the commands of `first_use_tip` are run. Relative paths are relative to the working
 * directory.
 */
export interface PreloadCommands {
  /** Root folder of the project. Default: the working directory, with absolute paths in the command. */
  projectRoot?: string
  /** Folder of the backend. Default: the working directory, with absolute paths in the command. */
  backendDir?: string
  /**
   * Catalog file. Default: the file that the catalog was read from; without one, the tip contains no
   * commands.
   */
  catalogFile?: string
  /**
   * Platform whose shells the commands are for: PowerShell and cmd for `win32`, POSIX shells for all others.
   * Default: the current platform.
   */
  platform?: NodeJS.Platform
}

/** Parameters of a preload. */
export interface PreloadRequestOptions {
  /** Keys of the models. Omitted, an empty list or `all`: every model with `auto_download`. */
  models?: readonly string[] | 'all'
  /**
   * Files are stored at `<outputDir>/<mode>/<filename>`. Must be inside one of the `roots`; relative to the
   * directory of the manager. Default: the directory of the manager.
   */
  outputDir?: string
  /**
   * Download models again even if they exist; an old file stays until the new one is verified. Default false.
   */
  force?: boolean
}

/** Result of {@link Preloader.start}: the body of `POST /api/v1/models/preload/start`. */
export interface PreloadStart {
  /** Always true, because failures are thrown. */
  success: true
  /** Human-readable message. */
  message: string
  /** Absolute path. */
  output_dir: string
  /** Keys of the models to download, in the order of the catalog. */
  models: string[]
  /** Whether existing models are downloaded again. */
  force: boolean
  /** ISO 8601 in UTC. */
  started_at: string
}

/**
 * The current run, or else the last one. Before the first run, `running` is false, `logs` is empty, and the
 * rest is null.
 */
export interface PreloadRunSnapshot {
  /** Whether a run is active. */
  running: boolean
  /** ISO 8601 in UTC. */
  started_at: string | null
  /** ISO 8601 in UTC; null while the run is active. */
  finished_at: string | null
  /** Whether all required models are ready; null while the run is active. */
  success_flag: boolean | null
  /** 0, or 1 when a required model failed or the run was canceled; null while the run is active. */
  return_code: 0 | 1 | null
  /** Human-readable error; `canceled` for a canceled run. */
  error: string | null
  /** Absolute path. */
  output_dir: string | null
  /** The last 500 lines, without secrets. */
  logs: string[]
  /** Key of the model that is being downloaded; the first one if there are several. */
  current: string | null
  /** Number of completed models. */
  completed: number | null
  /** Total number of models. */
  total: number | null
  /** Percentage, 0 to 100; 100 only when every model is completed. */
  progress: number | null
  /** The downloads by key of their model. A model that was ready before the run may have none. */
  downloads: Record<string, Download> | null
}

/** Status of a model in {@link ModelsStatus}. */
export interface ModelStatus {
  /** Whether the file exists and is correct: its size and sha256 match the catalog, if it has them. */
  ready: boolean
  /** Human-readable name. */
  name: string
  /** Absolute path where the file is or will be stored. */
  cache_hint: string
  /** Human-readable status. */
  message: string
}

/** Status of all models: the body of `GET /api/v1/models/status`. */
export interface ModelsStatus {
  /** Always true, because failures are thrown. */
  success: true
  /** Status of each model, by key. */
  models: Record<string, ModelStatus>
  /** The models, in the order of the catalog. */
  catalog: { key: string; name: string; required: boolean; auto_download: boolean; description: string }[]
  /** Whether at least one model is ready. */
  any_ready: boolean
  /** Whether at least one model is not ready. */
  any_missing: boolean
  /** Human-readable tip: what is missing, and the commands that download it. */
  first_use_tip: string
  /** ISO 8601 in UTC. */
  timestamp: string
}

/** A line of the log of a preload. */
export interface PreloadLogEvent {
  /** The line as in `logs`: `2026-02-15T02:00:01Z [llm] downloading …`. */
  line: string
}

/** The events of a {@link Preloader} and their listeners. */
export interface PreloadEvents {
  /** The status changed; at most four times a second while bytes arrive. */
  status: (status: PreloadRunSnapshot) => void
  /** A line was added to the log. */
  log: (event: PreloadLogEvent) => void
}
