/** What files and the environment may set, as the options of the commands say. */
import type { Command, Option } from 'commander'
import * as z from 'zod'
import { UsageError } from '../checks/usage-error.js'
import { texts } from '../language.js'

/** A file with settings. */
export interface ConfigFile {
  /** As messages name it. */
  name: string
  /** The folder of the file, to which paths in it are relative. */
  folder: string
  /** Whether the user has named the file, or it is in the user's own folder. */
  trusted: boolean
  /** Its content, which is not checked yet. */
  value: unknown
}

/** Options that say what a single run does. */
const perRun = new Set([
  ...[
    'help',
    'version',
    'config',
    'output',
    'sha256',
    'digest',
    'checksums',
    'size',
    'mirror',
    'include',
    'exclude',
  ],
  ...['force', 'dryRun', 'inputFile', 'models'],
])

/** Options that take several values, each of which is added to those before. */
const lists = new Set(['header', 'ca', 'cors', 'allowHost', 'execArg'])

/** Options whose value is a path. */
const paths = new Set(['directory', 'ca', 'cookies', 'netrc', 'logFile', 'catalog', 'exec'])

/**
 * Options that a file in the working directory may set, which may have come with an archive or a repository. None of them
 * runs a program, reads or sends a secret, names another machine, leaves out a check, or writes outside the folder.
 */
const harmless = new Set([
  ...['adopt', 'concurrency', 'connectTimeout', 'connections', 'directory', 'json', 'keepPaths', 'layout'],
  ...[
    'limitRate',
    'locale',
    'mode',
    'offline',
    'quiet',
    'restrictNames',
    'retries',
    'timeout',
    'verbose',
    'xet',
  ],
])

/** Whether a setting may come from a file that the user has not named. */
export function isHarmless(name: string): boolean {
  return harmless.has(name)
}

/** Whether a setting is a list. */
export function isList(name: string): boolean {
  return lists.has(name)
}

/** Whether the value of a setting is a path. For a program, only one with a folder is. */
export function isPath(name: string, value: unknown): value is string {
  if (typeof value !== 'string' || !paths.has(name)) return false
  return name === 'exec' ? /[\\/]/.test(value) : value !== '' && value !== '-'
}

/** The options of a command that can be set, by name. */
export function settingsOf(command: Command): Map<string, Option> {
  const settable = command.options.filter((option) => !perRun.has(option.attributeName()))
  return new Map(settable.map((option) => [option.attributeName(), option]))
}

/** `--limit-rate` is the setting `limitRate`; the spelling of the option is accepted as well. */
function canonical(name: string): string {
  return name.replace(/-([a-z])/g, (_pair, letter: string) => letter.toUpperCase())
}

/** The variable of a setting: `MODEL_DOWNLOADER_LIMIT_RATE`. */
export function variableOf(name: string): string {
  return `MODEL_DOWNLOADER_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}

function schemaOf(option: Option): z.ZodType {
  if (!option.required && !option.optional) return z.boolean()
  const text = option.argChoices === undefined ? z.union([z.string(), z.number()]) : z.enum(option.argChoices)
  if (isList(option.attributeName())) return z.union([z.string(), z.array(z.string()).max(1_000)])
  return option.optional ? z.union([z.boolean(), z.string()]) : text
}

function objectOf(settings: ReadonlyMap<string, Option>, more: Record<string, z.ZodType> = {}) {
  const shape = Object.fromEntries([...settings].map(([name, option]) => [name, schemaOf(option).optional()]))
  return z.preprocess(withCanonicalNames, z.strictObject({ ...shape, ...more }))
}

function withCanonicalNames(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [canonical(name), one as unknown]))
}

/**
 * Checks a file and returns its settings for a command: those of its section take precedence over those for all commands.
 *
 * @throws UsageError that names every problem, and the settings that such a file must not have.
 */
export function settingsIn(
  file: ConfigFile,
  command: Command,
  commands: readonly Command[],
): Map<string, unknown> {
  const all = new Map(commands.flatMap((one) => [...settingsOf(one)]))
  const sections = commands.map((one) => [one.name(), objectOf(settingsOf(one)).optional()] as const)
  const schema = objectOf(all, { $schema: z.string().optional(), ...Object.fromEntries(sections) })
  const result = schema.safeParse(file.value)
  if (!result.success) {
    const problems = result.error.issues.map(({ path, message }) =>
      path.length === 0 ? message : `${path.join('.')}: ${message}`,
    )
    throw new UsageError(texts().configInvalid(file.name, problems.join('; ')))
  }
  const value: Record<string, unknown> = { ...(result.data as Record<string, unknown>) }
  const names = new Set(commands.map((one) => one.name()))
  const parts = [value, ...[...names].map((name) => value[name])].map((part) =>
    Object.entries((part ?? {}) as Record<string, unknown>).filter(
      ([name, one]) => one !== undefined && !names.has(name) && name !== '$schema',
    ),
  )
  const refused = file.trusted ? [] : parts.flat().filter(([name]) => !isHarmless(name))
  if (refused.length > 0) {
    const shown = [...new Set(refused.map(([name]) => name))].join(', ')
    throw new UsageError(texts().configUnsafe(file.name, shown))
  }
  const own = Object.entries((value[command.name()] ?? {}) as Record<string, unknown>)
  const known = settingsOf(command)
  return new Map([...(parts[0] ?? []), ...own].filter(([name, one]) => known.has(name) && one !== undefined))
}
