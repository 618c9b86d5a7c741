import { resolve } from 'node:path'
import { cwd, platform } from 'node:process'
import * as z from 'zod'
import { DownloadError, isDownloadError, type OptionIssue } from '../errors.js'
import type { DownloadManager } from '../manager.js'
import { parseOptions } from '../options.js'
import { Catalog } from './catalog.js'
import { locales } from './messages.js'
import type { TipFacts } from './tip.js'
import type { Locale, PreloaderOptions, PreloadRequestOptions } from './types.js'

const path = z
  .string()
  .min(1)
  .refine((value) => !value.includes('\0'), 'must not hold a NUL')

const has = (value: unknown, ...members: string[]): value is object =>
  typeof value === 'object' && value !== null && members.every((member) => member in value)

const schema = z.strictObject({
  // Not by class: there may be two copies of the package.
  manager: z.custom<DownloadManager>((value) => has(value, 'download', 'house'), 'must be a DownloadManager'),
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
  catalog: Catalog
  roots: string[]
  locale: Locale
  autoResume: boolean
  commands: Pick<TipFacts, 'catalogFile' | 'projectRoot' | 'backendDir' | 'platform'>
}

/**
 * Checks the options and fills the defaults in.
 *
 * @throws DownloadError `INVALID_OPTIONS`, also for a model whose mode the manager doesn't know.
 */
export function resolvePreloaderOptions(options: PreloaderOptions): ResolvedPreloaderOptions {
  const given = parseOptions(schema, options, 'Preloader options')
  const { manager, catalog, commands } = given
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

function requireModes(manager: DownloadManager, catalog: Catalog): void {
  const issues: OptionIssue[] = []
  for (const [index, entry] of catalog.entries.entries()) {
    try {
      manager.house.places.modeOf(entry.mode)
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
