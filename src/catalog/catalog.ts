import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import * as z from 'zod'
import { fsError, isMissing } from '../disk/errors.js'
import { checkFilename } from '../disk/names.js'
import { globsSchema, mirrorsOf, parseOptions, sha256Schema, urlsSchema } from '../download/options.js'
import { DownloadError, isDownloadError, type OptionIssue } from '../errors.js'
import { identify, isRef, parseUrl } from '../sources/identify.js'
import { sourceRegistry } from '../sources/resolver.js'
import type { SourceRegistry } from '../sources/source.js'

/** One model that the host wants on disk, as it is written down. */
export interface CatalogModel {
  /** Its name in requests and answers: letters, digits, dot, dash, underscore; not `all`. At most 64 characters. */
  key: string
  /** For people. Default: the key. */
  name?: string
  /** http or https. The host's own, so it is trusted like any other option. */
  url?: string
  /** Mirrors of the same file: http or https, 1 to 32, in the order in which they are tried. Without `url` and `ref`, the first is the `url`. */
  urls?: readonly string[]
  /** In place of `url`: a name in a hub of models, such as `hf:owner/repo/file.gguf`, or `hf:owner/repo` for all of its files. */
  ref?: string
  /** Globs of the files that are wanted of a ref that means several. Default: all. */
  include?: readonly string[]
  /** Globs of those that are not wanted; they outrank `include`. Default: none. */
  exclude?: readonly string[]
  /** Sub-folder, one of the manager's modes; null for the directory itself. Default `llm`. */
  mode?: string | null
  /** One path segment. Default: as for any download, the URL's last segment, else what the server says. */
  filename?: string
  /** SHA-256 that the file must have, 64 hex digits. */
  sha256?: string
  /** Size that the file must have, in bytes. */
  size?: number
  /** Whether a preload without it has failed. Default true. */
  required?: boolean
  /** Whether it is fetched when no models are named. Default true. */
  auto_download?: boolean
  /** For people. Default empty. */
  description?: string
}

/** One model of a {@link Catalog}, with every default filled in. */
export interface CatalogEntry {
  /** Its name in requests and answers. */
  readonly key: string
  /** For people. */
  readonly name: string
  /** The `url` or `ref`, as it was given. */
  readonly url: string
  /** Mirrors, without `url`; may be empty. */
  readonly urls: readonly string[]
  /** Globs of the files that are wanted; empty for all. */
  readonly include: readonly string[]
  /** Globs of those that are not. */
  readonly exclude: readonly string[]
  /** Sub-folder, or null for the directory itself. */
  readonly mode: string | null
  /** Null when neither the catalog nor the URL name the file. */
  readonly filename: string | null
  /** Lower-case hex, or null. */
  readonly sha256: string | null
  /** Bytes, or null. */
  readonly size: number | null
  /** Whether a preload without it has failed. */
  readonly required: boolean
  /** Whether it is fetched when no models are named. */
  readonly auto_download: boolean
  /** For people; may be empty. */
  readonly description: string
}

/** Far more than any list of models needs. */
const maxFileBytes = 4 * 1024 * 1024

const modelSchema = z.strictObject({
  // Commas separate keys in requests, and a key is a name in JSON objects.
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
  mode: z.string().min(1).nullable().default('llm'),
  filename: z.string().optional(),
  sha256: sha256Schema.optional(),
  size: z.number().int().min(0).optional(),
  required: z.boolean().default(true),
  auto_download: z.boolean().default(true),
  description: z.string().default(''),
})

const catalogSchema = z.strictObject({
  // Lets editors know the format of the file.
  $schema: z.string().optional(),
  models: z.array(modelSchema).max(10_000),
})

type ParsedModel = z.output<typeof modelSchema>

/**
 * The models that a host wants on disk. Made in code, or read from a JSON file.
 *
 * @example
 * new Catalog([{ key: 'llm', url: 'https://example.com/model.gguf', sha256: '…' }])
 */
export class Catalog {
  /** In the order in which they were given. */
  readonly entries: readonly CatalogEntry[]
  /** Absolute path of the file that it was read from, or null. */
  readonly file: string | null
  readonly #models: readonly ParsedModel[]
  readonly #byKey: ReadonlyMap<string, CatalogEntry>

  /**
   * A ref is checked by the source that it is meant for. A host may bring sources of its own, also in place of a
   * built-in one, so that is left to the {@link Preloader}, which has the manager's sources.
   *
   * @param models - the models, or an object `{ models }` as it stands in a file.
   * @param options - `file`: where they were read from.
   * @throws DownloadError `INVALID_OPTIONS` with every problem in `issues`: paths such as `models.2.sha256`. Keys,
   * URLs and files must not be there twice.
   */
  constructor(
    models: readonly CatalogModel[] | { readonly models: readonly CatalogModel[] },
    options: { file?: string } = {},
  ) {
    const file = options.file === undefined ? null : resolve(options.file)
    const what = file === null ? 'catalog' : `catalog ${file}`
    const given = parseOptions(catalogSchema, Array.isArray(models) ? { models } : models, what)
    this.#models = given.models
    this.entries = entriesOf(given.models, null, what)
    this.file = file
    this.#byKey = new Map(this.entries.map((entry) => [entry.key, entry]))
  }

  /**
   * Reads a catalog from a JSON file: `{ "models": [ … ] }`, or the list alone.
   *
   * @throws DownloadError `INVALID_OPTIONS` when it can't be read, is not JSON, or is not a catalog.
   */
  static async fromFile(path: string): Promise<Catalog> {
    const file = resolve(path)
    return new Catalog(parseJson(await readText(file), file), { file })
  }

  /** The model of a key. */
  get(key: string): CatalogEntry | undefined {
    return this.#byKey.get(key)
  }

  /**
   * @internal The same catalog with every ref identified by the sources of a manager.
   *
   * @throws DownloadError `INVALID_OPTIONS` for refs that their source refuses or no source knows, as the constructor.
   */
  identifiedBy(registry: Pick<SourceRegistry, 'find'>): IdentifiedCatalog {
    const { file } = this
    const entries = entriesOf(this.#models, registry, file === null ? 'catalog' : `catalog ${file}`)
    const byKey = new Map(entries.map((entry) => [entry.key, entry]))
    return { entries, file, get: (key) => byKey.get(key) }
  }
}

/** A catalog whose refs were checked by the sources that count. */
export type IdentifiedCatalog = Pick<Catalog, 'entries' | 'file' | 'get'>

function entriesOf(
  models: readonly ParsedModel[],
  registry: Pick<SourceRegistry, 'find'> | null,
  what: string,
): CatalogEntry[] {
  const issues: OptionIssue[] = []
  const entries = models.map((model, index) => entryOf(model, index, registry, issues))
  issues.push(...twice(entries))
  if (issues.length === 0) return entries
  const text = issues.map((issue) => `${issue.path}: ${issue.message}`).join('; ')
  throw new DownloadError('INVALID_OPTIONS', `${what}: ${text}`, { issues })
}

/** Those that come with this package: while nobody has named the host's, they say what they can. */
const builtIn = sourceRegistry()

function entryOf(
  model: ParsedModel,
  index: number,
  registry: Pick<SourceRegistry, 'find'> | null,
  issues: OptionIssue[],
): CatalogEntry {
  const issue = (field: string, message: string) => {
    issues.push({ path: `models.${index}.${field}`, message })
  }
  const { key, name, include, exclude, mode, sha256, size, required, auto_download, description } = model
  if (model.ref !== undefined && model.url !== undefined) issue('ref', 'does not go with a url')
  const url = model.url ?? model.ref ?? model.urls?.[0] ?? ''
  if (url === '') issue('url', 'is missing')
  const urls = mirrorsOf(url, model.urls ?? [])
  for (const [place, mirror] of (model.urls ?? []).entries())
    attempt(() => parseUrl(mirror), `urls.${place}`, issue)
  let filename: string | null = null
  if (url !== '') {
    const field = model.url === undefined ? (model.ref === undefined ? 'urls.0' : 'ref') : 'url'
    const told = attempt(() => filenameIn(url, field, registry), field, issue)
    if (model.filename === undefined) filename = told
  }
  for (const [field, globs] of Object.entries({ include, exclude })) {
    if (globs.length > 0 && url !== '' && !isRef(url, registry ?? builtIn))
      issue(field, 'goes with a ref that means several files')
  }
  const given = model.filename
  if (given !== undefined) filename = attempt(() => checkFilename(given), 'filename', issue)
  return {
    key,
    name: name ?? key,
    url,
    urls,
    include,
    exclude,
    mode,
    filename,
    sha256: sha256 ?? null,
    size: size ?? null,
    required,
    auto_download,
    description,
  }
}

/** The name that a URL or a ref itself gives its file. Checks both, a ref only when the sources that count are known. */
function filenameIn(
  text: string,
  field: string,
  registry: Pick<SourceRegistry, 'find'> | null,
): string | null {
  if (registry !== null) return identify(text, registry).filename
  const isUrl = builtIn.find(text) === null && (field !== 'ref' || !isRef(text, builtIn) || !hasScheme(text))
  if (isUrl) return identify(text, builtIn).filename
  try {
    return identify(text, builtIn).filename
  } catch {
    // A source of the host may know better.
    return null
  }
}

/** Whether a text begins like a ref or a URL. */
function hasScheme(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(text)
}

function attempt<T>(run: () => T, field: string, issue: (field: string, message: string) => void): T | null {
  try {
    return run()
  } catch (error) {
    if (!isDownloadError(error)) throw error
    issue(field, error.message)
    return null
  }
}

/** Two keys that are one, two models from one URL, two that would meet in one file. */
function twice(entries: readonly CatalogEntry[]): OptionIssue[] {
  const issues: OptionIssue[] = []
  const seen = new Map<string, number>()
  const note = (index: number, field: string, value: string, what: string) => {
    const first = seen.get(`${field} ${value}`)
    if (first === undefined) seen.set(`${field} ${value}`, index)
    else issues.push({ path: `models.${index}.${field}`, message: `${what} is that of models.${first} too` })
  }
  for (const [index, entry] of entries.entries()) {
    note(index, 'key', entry.key, 'this key')
    if (URL.canParse(entry.url)) {
      const url = new URL(entry.url)
      url.hash = ''
      note(index, 'url', url.href, 'this URL')
    }
    // Many file systems take names that differ in case for one.
    if (entry.filename !== null)
      note(index, 'filename', `${entry.mode ?? ''}/${entry.filename.toLowerCase()}`, 'the file')
  }
  return issues
}

/** Symbolic links are fine here: that is how configuration gets into containers. */
async function readText(file: string): Promise<string> {
  const refused = (reason: string, cause?: unknown) =>
    new DownloadError('INVALID_OPTIONS', `catalog ${file}: ${reason}`, { cause })
  try {
    const stats = await stat(file)
    if (!stats.isFile()) throw refused('it is not a file')
    if (stats.size > maxFileBytes) throw refused('it is larger than 4 MiB')
    return await readFile(file, 'utf8')
  } catch (error) {
    if (isDownloadError(error)) throw error
    if (isMissing(error)) throw refused('there is no such file', error)
    throw refused(fsError(error, 'reading it').message, error)
  }
}

/** Its content is checked by whoever gets it. */
function parseJson(text: string, file: string): { models: CatalogModel[] } {
  try {
    // Windows editors like to begin a file with a byte order mark.
    return JSON.parse(text.replace(/^\ufeff/, '')) as { models: CatalogModel[] }
  } catch (error) {
    // Without the error's own words: they quote the file, and with it the tokens of its URLs.
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1]
    const line = position === undefined ? null : text.slice(0, Number(position)).split('\n').length
    const where = line === null ? '' : ` (line ${line})`
    throw new DownloadError('INVALID_OPTIONS', `catalog ${file}: it is not valid JSON${where}`)
  }
}
