/** What a run downloads: the URLs of its arguments and of its lists, each with its own options. */
import { join, resolve } from 'node:path'
import { isDownloadError } from '../../errors.js'
import { managerOptionsSchema } from '../../manager/options.js'
import { displayName, identify, isRef } from '../../sources/identify.js'
import type { SourceRegistry } from '../../sources/source.js'
import { asUsageError } from '../checks/usage.js'
import { UsageError } from '../checks/usage-error.js'
import { plain } from '../format.js'
import { texts } from '../language.js'
import { type KeptPath, keptPath } from './kept-path.js'
import type { ListedOptions } from './list.js'
import { localUrl } from './local-url.js'
import { dividedName } from './named.js'
import type { ListedIn } from './read-list.js'

/** One URL or ref to download. */
export interface Wanted {
  /** As it was given. */
  url: string
  /** Options that are its own, and take precedence over those of the run. */
  options: ListedOptions
  /** Put before messages about its own options; empty if it has none. */
  prefix: string
  /** With `--keep-paths`: the folders that it has at its source. */
  kept: KeptPath | null
  isRef: boolean
}

/** Options of the run that decide what is wanted. */
export interface WantedInit {
  sources: SourceRegistry
  restrictNames?: boolean | undefined
  keepPaths?: boolean | undefined
}

/**
 * Identifies everything that a run downloads. What is given twice is downloaded once.
 *
 * @param args - URLs and refs, each possibly preceded by `NAME=`.
 * @returns what to download, by the URL in its normalized form.
 * @throws UsageError for what is neither a URL nor a ref, and for a URL that is given again with other options.
 */
export function wantedOf(
  args: readonly string[],
  listed: readonly ListedIn[],
  { sources, restrictNames = false, keepPaths = false }: WantedInit,
): Map<string, Wanted> {
  const wanted = new Map<string, Wanted & { where: string }>()
  const add = (url: string, options: ListedOptions, prefix: string, where: string) => {
    const shown = `${prefix}${plain(displayName(url, sources))}${texts().colon}`
    const one = asUsageError(() => {
      const identified = identify(url, sources, null, restrictNames)
      const kept = keepPaths ? keptPath(url, identified, restrictNames) : null
      return { key: identified.kind === 'url' ? identified.url.href : url, kept }
    }, shown)
    requireMode(options, prefix)
    const known = wanted.get(one.key)
    if (known === undefined) {
      const own = prefix === '' && Object.keys(options).length === 0 ? '' : shown
      wanted.set(one.key, { url, options, prefix: own, where, kept: one.kept, isRef: isRef(url, sources) })
    } else if (!isSame(known.options, options))
      throw new UsageError(`${shown}${texts().listedDifferently(known.where)}`)
  }
  for (const arg of args) {
    const { name, url } = dividedName(arg)
    const options = name === null ? {} : { filename: name }
    add(localUrl(url, process.cwd()), options, '', texts().listArguments)
  }
  for (const { url, options, line, file } of listed)
    add(url, options, texts().listLine(file, line), texts().listedAt(file, line))
  return wanted
}

/** Checked here, because a manager must know all modes before it can check the requests. */
function requireMode({ mode }: ListedOptions, prefix: string): void {
  if (mode === undefined || mode === null) return
  const result = managerOptionsSchema.shape.modes.safeParse([mode])
  if (!result.success)
    throw new UsageError(`${prefix}mode: ${result.error.issues[0]?.message ?? ''} (INVALID_OPTIONS)`)
}

function isSame(a: ListedOptions, b: ListedOptions): boolean {
  const ordered = (options: ListedOptions) =>
    JSON.stringify(Object.entries(options).sort(([one], [other]) => (one < other ? -1 : 1)))
  return ordered(a) === ordered(b)
}

/** The modes that the entries name. */
export function wantedModes(wanted: Iterable<Wanted>): string[] {
  const modes = new Set<string>()
  for (const { options } of wanted) if (typeof options.mode === 'string') modes.add(options.mode)
  return [...modes]
}

/**
 * The options of a request for one entry. Its folder is relative to that of the run.
 *
 * @param shared - the options of the run.
 * @param folder - the folder of the run; `mode` is its mode.
 * @param folders - the folders that are kept, see {@link foldersKept}.
 */
export function requestOf(
  { options }: Wanted,
  shared: ListedOptions,
  { folder, mode = null }: { folder: string; mode?: string | null | undefined },
  folders: readonly string[] | null,
): ListedOptions {
  const own = options.directory === undefined ? null : resolve(folder, options.directory)
  const headers = { ...shared.headers, ...options.headers }
  const request = {
    ...shared,
    ...options,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(own === null ? {} : { directory: own }),
  }
  if (folders === null || folders.length === 0) return request
  // The folders are those below the mode, which is above the folder of a request otherwise.
  const below = (options.mode === undefined ? mode : options.mode) ?? ''
  return { ...request, mode: null, directory: join(own ?? resolve(folder), below, ...folders) }
}

/**
 * The folders that `--keep-paths` adds for an entry. A ref may stand for one file or for several, which then have a
 * folder with the name of their repository.
 *
 * @param countFiles - asks the source how many files the ref stands for.
 */
export async function foldersKept(
  { folders, inside }: KeptPath,
  countFiles: () => Promise<number>,
): Promise<readonly string[]> {
  if (inside !== null) return [...folders, ...inside]
  const count = await countFiles().catch((error: unknown) => {
    // The download itself fails with the same error, and tells of it.
    if (isDownloadError(error)) return 0
    throw error
  })
  return count === 1 ? folders : folders.slice(0, -1)
}
