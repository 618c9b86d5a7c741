import { resolve } from 'node:path'
import * as z from 'zod'
import { fsError, isMissing } from '../disk/errors.js'
import { readFile, stat } from '../disk/fs.js'
import { checkFilename } from '../disk/names.js'
import {
  globsSchema,
  layout as layoutSchema,
  mirrorsOf,
  parseOptions,
  sha256Schema,
  urlsSchema,
} from '../download/options.js'
import { DownloadError, isDownloadError, type OptionIssue } from '../errors.js'
import { sentenceError } from '../download/error-text.js'
import type { Layout } from '../layouts/hf-paths.js'
import { canonicalText, hasRefScheme, identify, isRef, parseUrl } from '../sources/identify.js'
import { sourceRegistry } from '../sources/resolver.js'
import type { SourceRegistry } from '../sources/source.js'
import { decodeText } from '../util/decode.js'

/** A model of a catalog, as the host application defines it. */
export interface CatalogModel {
  /**
   * Name of the model in requests and responses: letters, digits, dot, dash and underscore, at most 64
   * characters; not `all`.
   */
  key: string
  /** Human-readable name. Default: the key. */
  name?: string
  /**
   * http or https URL. It comes from the host application, so it is trusted like any other option. A ref with a
   * scheme, such as `hf:owner/repo`, is accepted too.
   */
  url?: string
  /**
   * Mirrors of the same file: 1 to 32 http or https URLs, in the order in which they are tried. Without `url`
   * and `ref`, the first one is the `url`.
   */
  urls?: readonly string[]
  /**
   * Alternative to `url`: a reference to a model hub, such as `hf:owner/repo/file.gguf`, or `hf:owner/repo`
   * for all of its files, or anything else that a source of the manager accepts. It is validated when the {@link
   * Preloader} is created, because only the manager knows all sources.
   */
  ref?: string
  /** Globs of the files to download of a ref that stands for several files. Default: all. */
  include?: readonly string[]
  /** Globs of the files to skip; they take precedence over `include`. Default: none. */
  exclude?: readonly string[]
  /** Sub-folder, one of the modes of the manager; null for the download directory itself. Default `llm`. */
  mode?: string | null
  /**
   * Layout of the files: `hf-cache` stores a ref of the Hugging Face hub as the hub's own libraries do, and allows neither
   * `mode` nor `filename`. Default: the manager's, which concerns models that set neither of these.
   */
  layout?: Layout
  /**
   * File name of one path segment. Default: as for any download, the last segment of the URL, or else the
   * name given by the server.
   */
  filename?: string
  /** Expected SHA-256 of the file, 64 hexadecimal digits. */
  sha256?: string
  /** Expected size of the file, in bytes. */
  size?: number
  /** Whether a preload fails if this model fails. Default true. */
  required?: boolean
  /** Whether it is downloaded when a preload names no models. Default true. */
  auto_download?: boolean
  /** Human-readable description. Default empty. */
  description?: string
}

/** A model of a {@link Catalog}, with all defaults applied. */
export interface CatalogEntry {
  /** Name of the model in requests and responses. */
  readonly key: string
  /** Human-readable name. */
  readonly name: string
  /** The `url` or `ref`, as given. */
  readonly url: string
  /** Mirrors, without `url`; may be empty. */
  readonly urls: readonly string[]
  /** Globs of the files to download; empty for all. */
  readonly include: readonly string[]
  /** Globs of the files to skip. */
  readonly exclude: readonly string[]
  /** Sub-folder, or null for the download directory itself. */
  readonly mode: string | null
  /** Layout of the files; missing for the manager's. A model in a Hugging Face cache has neither mode nor file name. */
  readonly layout?: Layout
  /** File name; null when neither the catalog nor the URL determines it. */
  readonly filename: string | null
  /** Expected SHA-256 in lower-case hexadecimal digits, or null. */
  readonly sha256: string | null
  /** Expected size in bytes, or null. */
  readonly size: number | null
  /** Whether a preload fails if this model fails. */
  readonly required: boolean
  /** Whether it is downloaded when a preload names no models. */
  readonly auto_download: boolean
  /** Human-readable description; may be empty. */
  readonly description: string
}

/** Maximum size of a catalog file, far more than any list of models needs. */
const maxFileBytes = 4 * 1024 * 1024

const modelSchema = z.strictObject({
  // Keys are separated by commas in requests, and are member names in JSON objects.
  key: z
    .string()
    .max(64)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be letters, digits, dot, dash or underscore')
    .refine((key) => key !== 'all', 'must not be "all": that means every model'),
  name: z.string().min(1).optional(),
  url: z.string().min(1).max(16_384).optional(),
  urls: urlsSchema.optional(),
  ref: z.string().min(1).optional(),
  include: globsSchema.default([]),
  exclude: globsSchema.default([]),
  mode: z.string().min(1).nullable().optional(),
  layout: layoutSchema.optional(),
  filename: z.string().optional(),
  sha256: sha256Schema.optional(),
  size: z.number().int().min(0).optional(),
  required: z.boolean().default(true),
  auto_download: z.boolean().default(true),
  description: z.string().default(''),
})

const catalogSchema = z.strictObject({
  // Tells editors the format of the file.
  $schema: z.string().optional(),
  models: z.array(modelSchema).max(10_000),
})

type ParsedModel = z.output<typeof modelSchema>

/**
 * A list of models to keep on disk, defined in code or read from a JSON file.
 *
 * @example
 * new Catalog([{ key: 'llm', url: 'https://example.com/model.gguf', sha256: '…' }])
 */
export class Catalog {
  /** The models, in the given order. */
  readonly entries: readonly CatalogEntry[]
  /** Absolute path of the file that the catalog was read from, or null. */
  readonly file: string | null
  readonly #models: readonly ParsedModel[]
  readonly #byKey: ReadonlyMap<string, CatalogEntry>

  /**
   * Refs are validated by their source. Since the host application may add sources or replace built-in ones,
   * that is left to the {@link Preloader}, which knows the sources of the manager. This concerns every `ref`, and a
   * `url` that may be a ref; any other `url` is validated here.
   *
   * @param models - the models, or an object `{ models }` as in a file.
   * @param options - `file`: path of the file that they were read from.
   * @throws DownloadError `INVALID_OPTIONS` with every problem in `issues`, at paths such as
   * `models.2.sha256`. Keys, URLs and files must be unique.
   */
  constructor(
    models: readonly CatalogModel[] | { readonly models: readonly CatalogModel[] },
    options: { file?: string } = {},
  ) {
    const file = options.file === undefined ? null : resolve(options.file)
    const what = file === null ? 'catalog' : `catalog ${file}`
    const given = parseOptions(catalogSchema, Array.isArray(models) ? { models } : models, what)
    this.#models = given.models
    this.entries = entriesOf(given.models, { registry: null, layout: 'flat' }, what)
    this.file = file
    this.#byKey = new Map(this.entries.map((entry) => [entry.key, entry]))
  }

  /**
   * Reads a catalog from a JSON file: `{ "models": [ … ] }`, or the list alone.
   *
   * @throws DownloadError `INVALID_OPTIONS` when the file can't be read, is not JSON, or is not a valid
   * catalog.
   */
  static async fromFile(path: string): Promise<Catalog> {
    const file = resolve(path)
    return new Catalog(parseJson(await readText(file), file), { file })
  }

  /** Returns the model with a key. */
  get(key: string): CatalogEntry | undefined {
    return this.#byKey.get(key)
  }

  /**
   * @internal Returns the same catalog with all refs resolved by the sources of a manager.
   *
   * @param layout - the layout of the manager.
   * @throws DownloadError `INVALID_OPTIONS` for refs that are invalid or that no source knows, as the
   * constructor.
   */
  identifiedBy(registry: Pick<SourceRegistry, 'find'>, layout: Layout = 'flat'): IdentifiedCatalog {
    const { file } = this
    const entries = entriesOf(
      this.#models,
      { registry, layout },
      file === null ? 'catalog' : `catalog ${file}`,
    )
    const byKey = new Map(entries.map((entry) => [entry.key, entry]))
    return { entries, file, get: (key) => byKey.get(key) }
  }
}

/** A catalog whose refs were validated by the sources of a manager. */
export type IdentifiedCatalog = Pick<Catalog, 'entries' | 'file' | 'get'>

/** What a catalog is read with. */
interface ReadWith {
  /** Null while the sources of the manager are unknown. */
  registry: Pick<SourceRegistry, 'find'> | null
  /** Layout of the manager. */
  layout: Layout
}

function entriesOf(models: readonly ParsedModel[], settings: ReadWith, what: string): CatalogEntry[] {
  const issues: OptionIssue[] = []
  const read = models.map((model, index) => readModel(model, index, settings, issues))
  issues.push(...findDuplicates(read))
  if (issues.length === 0) return read.map(({ entry }) => entry)
  const text = issues.map((issue) => `${issue.path}: ${issue.message}`).join('; ')
  throw new DownloadError('INVALID_OPTIONS', `${what}: ${text}`, { issues })
}

/** The built-in sources, which validate what they can while the sources of the manager are unknown. */
const builtIn = sourceRegistry()

/** A model that was read, and what the sources of the manager may still change about it. */
interface ReadModel {
  entry: CatalogEntry
  /** Whether the file name is only what the built-in sources make of a ref. */
  hasTentativeName: boolean
}

function readModel(
  model: ParsedModel,
  index: number,
  { registry, layout: common }: ReadWith,
  issues: OptionIssue[],
): ReadModel {
  const issue = (field: string, message: string) => {
    issues.push({ path: `models.${index}.${field}`, message })
  }
  if (model.ref !== undefined && model.url !== undefined) issue('ref', 'cannot be combined with url')
  const url = model.url ?? model.ref ?? model.urls?.[0] ?? ''
  if (url === '') issue('url', 'is missing')
  const urls = mirrorsOf(url, model.urls ?? [])
  for (const [place, mirror] of (model.urls ?? []).entries())
    attempt(() => parseUrl(mirror), `urls.${place}`, issue)
  const field = model.url === undefined ? (model.ref === undefined ? 'urls.0' : 'ref') : 'url'
  const isTentative = registry === null && mayBelongToHost(url, field)
  const sources = registry ?? builtIn
  let filename: string | null = null
  if (url !== '')
    filename = attempt(() => identify(url, sources).filename, field, isTentative ? ignoreIssue : issue)
  if (!isTentative && url !== '' && !isRef(url, sources)) {
    for (const globs of ['include', 'exclude'] as const)
      if (model[globs].length > 0) issue(globs, 'can only be used with a ref that stands for several files')
  }
  const given = model.filename
  if (given !== undefined) filename = attempt(() => checkFilename(given), 'filename', issue)
  const fits = sources.find(url)?.layouts?.includes('hf-cache') === true
  const isFree = (model.mode ?? null) === null && given === undefined
  const layout = model.layout ?? (common === 'hf-cache' && fits && isFree ? common : undefined)
  const inCache = layout === 'hf-cache'
  if (inCache && !isFree) issue('layout', 'hf-cache can be combined with neither mode nor filename')
  if (inCache && !fits && !isTentative) issue('layout', 'hf-cache supports only refs of the Hugging Face Hub')
  const entry = {
    key: model.key,
    name: model.name ?? model.key,
    url,
    urls,
    include: model.include,
    exclude: model.exclude,
    mode: inCache ? null : model.mode === undefined ? 'llm' : model.mode,
    ...(layout === undefined ? {} : { layout }),
    // A cache has the names of the hub.
    filename: inCache ? null : filename,
    sha256: model.sha256 ?? null,
    size: model.size ?? null,
    required: model.required,
    auto_download: model.auto_download,
    description: model.description,
  }
  return { entry, hasTentativeName: isTentative && given === undefined }
}

/**
 * Whether only the sources of the manager can judge a text, because one of the host application may accept it, or may
 * replace the built-in one that does. A `url` that can only be an address is not among these: a link that a source of
 * the host accepts is written as `ref`.
 */
function mayBelongToHost(text: string, field: string): boolean {
  return field === 'ref' || hasRefScheme(text) || builtIn.find(text) !== null
}

function ignoreIssue(): void {}

function attempt<T>(run: () => T, field: string, issue: (field: string, message: string) => void): T | null {
  try {
    return run()
  } catch (error) {
    if (!isDownloadError(error)) throw error
    issue(field, error.message)
    return null
  }
}

/** Finds models with the same key, the same URL or the same file. */
function findDuplicates(models: readonly ReadModel[]): OptionIssue[] {
  const issues: OptionIssue[] = []
  const seen = new Map<string, number>()
  const note = (index: number, field: string, value: string, what: string) => {
    const first = seen.get(`${field} ${value}`)
    if (first === undefined) seen.set(`${field} ${value}`, index)
    else
      issues.push({ path: `models.${index}.${field}`, message: `duplicates the ${what} of models.${first}` })
  }
  for (const [index, { entry, hasTentativeName }] of models.entries()) {
    note(index, 'key', entry.key, 'key')
    if (entry.url !== '') note(index, 'url', canonicalText(entry.url), 'URL')
    // Many file systems are case-insensitive.
    if (entry.filename !== null && !hasTentativeName)
      note(index, 'filename', `${entry.mode ?? ''}/${entry.filename.toLowerCase()}`, 'file')
  }
  return issues
}

/** Symbolic links are allowed here, because configuration is often mounted into containers that way. */
async function readText(file: string): Promise<string> {
  try {
    const stats = await stat(file)
    if (!stats.isFile()) throw sentenceError('INVALID_OPTIONS', 'catalogNoFile', [file])
    if (stats.size > maxFileBytes) throw sentenceError('INVALID_OPTIONS', 'catalogTooLarge', [file, '4 MiB'])
    const decoded = decodeText(await readFile(file))
    if ('badLine' in decoded)
      throw sentenceError('INVALID_OPTIONS', 'catalogNotText', [file, String(decoded.badLine)])
    return decoded.text
  } catch (error) {
    if (isDownloadError(error)) throw error
    if (isMissing(error)) throw sentenceError('INVALID_OPTIONS', 'catalogMissing', [file], { cause: error })
    const reason = fsError(error, 'reading it').message
    throw new DownloadError('INVALID_OPTIONS', `catalog ${file}: ${reason}`, { cause: error })
  }
}

/** The constructor validates the result. */
function parseJson(text: string, file: string): { models: CatalogModel[] } {
  try {
    return JSON.parse(text) as { models: CatalogModel[] }
  } catch (error) {
    // The message of the error is omitted, because it quotes the file, which may contain tokens in URLs.
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1]
    const line = position === undefined ? '' : String(text.slice(0, Number(position)).split('\n').length)
    throw sentenceError('INVALID_OPTIONS', 'catalogNotJson', [file, line])
  }
}
