import { join, resolve } from 'node:path'
import { environmentCache } from '../../download/destination.js'
import { errorText } from '../../download/error-text.js'
import { toDownloadError } from '../../errors.js'
import { type CacheInventory, readCache, removeFromCache } from '../../layouts/hf-inventory.js'
import {
  type CacheRemoval,
  type CacheRepository,
  findTarget,
  isNothing,
  parseCacheTarget,
  planPrune,
  planRemoval,
  refsTo,
  revisionBytes,
  revisionModifiedMs,
  usageOf,
} from '../../layouts/hf-usage.js'
import { formatBytes } from '../../util/format.js'
import { exitCodes } from '../checks/usage.js'
import { UsageError } from '../checks/usage-error.js'
import { jsonLine, plain } from '../format.js'
import { texts, voice } from '../language.js'
import { confirm, type DeleteOptions } from './confirm.js'
import { printNote } from './folder.js'
import { terminalWidth } from './ls.js'
import { formatTable, formatTime } from './table.js'
import { fileTexts } from './texts.js'
import { printOut } from '../process/surroundings.js'

/** Parsed options that the commands about the cache share. */
export interface CacheOptions {
  /** Default: the one that the environment selects. */
  directory?: string | undefined
}

/** Parsed options of `cache ls`. */
export interface CacheListOptions extends CacheOptions {
  revisions?: boolean | undefined
  json?: boolean | undefined
}

/** Parsed options of `cache rm`. */
export type CacheRemoveOptions = CacheOptions & DeleteOptions

/** Parsed options of `cache prune`. */
export interface CachePruneOptions extends CacheRemoveOptions {
  incomplete?: boolean | undefined
}

/** What is to be removed from one repository. */
interface Step {
  repository: CacheRepository
  removal: CacheRemoval
}

/** Lists the repositories in the cache. */
export async function cacheLs({ directory, revisions, json }: CacheListOptions): Promise<number> {
  const root = rootOf(directory)
  const { repositories } = await read(root)
  if (json === true) {
    for (const repository of repositories) printOut(jsonLine(repositoryJson(root, repository)))
    return exitCodes.done
  }
  if (repositories.length === 0) {
    printNote(fileTexts().noFiles(plain(root)))
    return exitCodes.done
  }
  const width = terminalWidth()
  printOut(revisions === true ? revisionTable(repositories, width) : repositoryTable(repositories, width))
  const size = repositories.reduce((sum, repository) => {
    const usage = usageOf(repository)
    return sum + usage.size + usage.unfinished
  }, 0)
  printNote(fileTexts().total(repositories.length, formatBytes(size)))
  return exitCodes.done
}

/** Removes repositories or revisions from the cache. */
export async function cacheRm(targets: readonly string[], options: CacheRemoveOptions): Promise<number> {
  const root = rootOf(options.directory)
  const { repositories } = await read(root)
  const chosen = new Map<CacheRepository, Set<string> | 'all'>()
  let good = true
  for (const text of targets) {
    const target = parseCacheTarget(text)
    if (target === null) throw new UsageError(fileTexts().badTarget(plain(text)))
    const found = findTarget(repositories, target)
    if (found.size === 0) {
      printNote(`${texts().error}${fileTexts().notCached(plain(text))}`)
      good = false
    }
    for (const [repository, commits] of found) {
      const before = chosen.get(repository)
      if (commits === 'all' || before === 'all') chosen.set(repository, 'all')
      else chosen.set(repository, new Set([...(before ?? []), ...commits]))
    }
  }
  if (!good) return exitCodes.failed
  const steps = [...chosen].map(([repository, commits]) => ({
    repository,
    removal: planRemoval(
      repository,
      commits === 'all' ? repository.revisions.map(({ commit }) => commit) : [...commits],
    ),
  }))
  return await remove(root, steps, options)
}

/** Removes what nothing refers to from the cache. */
export async function cachePrune(options: CachePruneOptions): Promise<number> {
  const root = rootOf(options.directory)
  const { repositories } = await read(root)
  const steps = repositories
    .map((repository) => ({ repository, removal: planPrune(repository, options.incomplete) }))
    .filter(({ removal }) => !isNothing(removal))
  if (options.incomplete !== true && options.json !== true) {
    const kept = repositories.reduce((sum, repository) => sum + usageOf(repository).unfinished, 0)
    if (kept > 0) printNote(fileTexts().unfinishedKept(formatBytes(kept)))
  }
  if (steps.length > 0) return await remove(root, steps, options)
  if (options.json === true) printOut(summaryLine([], options))
  else printNote(fileTexts().nothingToPrune)
  return exitCodes.done
}

function rootOf(directory: string | undefined): string {
  if (directory !== undefined) return resolve(directory)
  try {
    return environmentCache()
  } catch {
    throw new UsageError(fileTexts().noCache)
  }
}

async function read(root: string): Promise<CacheInventory> {
  const inventory = await readCache(root)
  for (const { folder, reason } of inventory.skipped)
    printNote(`${texts().warning}${fileTexts().skipped(plain(folder), plain(reason))}`)
  return inventory
}

async function remove(root: string, steps: readonly Step[], options: CacheRemoveOptions): Promise<number> {
  const { dryRun = false, json = false } = options
  const total = steps.reduce((sum, { removal }) => sum + removal.freedBytes, 0)
  if (!(await confirm(fileTexts().confirm(steps.length, formatBytes(total)), options))) {
    printNote(fileTexts().notDeleted)
    return exitCodes.failed
  }
  const done: Step[] = []
  for (const step of steps) {
    const { repository, removal } = step
    const name = titleOf(repository)
    try {
      if (!dryRun) await removeFromCache(root, repository, removal)
      done.push(step)
      printOut(json ? removalJson(step, dryRun) : removalLine(step, dryRun))
    } catch (thrown) {
      const error = toDownloadError(thrown)
      const { code, message } = error
      if (json) printOut(jsonLine({ type: 'failed', repository: name, code, message }))
      const reason =
        code === 'TARGET_LOCKED'
          ? fileTexts().downloading(name)
          : `${name}${texts().colon}${plain(errorText(error, voice()))}`
      printNote(`${texts().error}${reason} (${code})`)
    }
  }
  if (json) printOut(summaryLine(done, options))
  else {
    const freed = formatBytes(done.reduce((sum, { removal }) => sum + removal.freedBytes, 0))
    printNote(dryRun ? fileTexts().wouldFree(freed) : fileTexts().freed(freed))
  }
  return done.length === steps.length ? exitCodes.done : exitCodes.failed
}

function summaryLine(steps: readonly Step[], { dryRun = false }: DeleteOptions): string {
  const freedBytes = steps.reduce((sum, { removal }) => sum + removal.freedBytes, 0)
  return jsonLine({ type: 'summary', repositories: steps.length, freedBytes, dryRun })
}

/** `owner/name`, or `datasets/owner/name`. */
function titleOf({ type, name }: CacheRepository): string {
  return plain(type === 'models' ? name : `${type}/${name}`)
}

function removalLine({ repository, removal }: Step, dryRun: boolean): string {
  const { deleted, wouldDelete } = fileTexts()
  const { commits, isWhole, freedBytes } = removal
  const what = isWhole ? '' : commits.map((commit) => `@${plain(commit.slice(0, 12))}`).join('')
  return `${dryRun ? wouldDelete : deleted}  ${titleOf(repository)}${what}  ${formatBytes(freedBytes)}\n`
}

function removalJson({ repository, removal }: Step, dryRun: boolean): string {
  const { type: kind, name } = repository
  return jsonLine({ type: 'removed', kind, name, ...removal, dryRun })
}

function repositoryJson(root: string, repository: CacheRepository): object {
  const { type: kind, name, folder } = repository
  const { modifiedMs, ...usage } = usageOf(repository)
  return {
    type: 'repository',
    kind,
    name,
    path: join(root, folder),
    ...usage,
    modifiedAt: timeOf(modifiedMs),
    refs: Object.fromEntries(repository.refs),
    revisions: repository.revisions.map((revision) => ({
      commit: revision.commit,
      refs: refsTo(repository, revision.commit),
      size: revisionBytes(repository, revision),
      modifiedAt: timeOf(revisionModifiedMs(repository, revision)),
      files: revision.files.map(({ path, blob, ownBytes, isThere }) => ({
        path,
        blob,
        size: blob === null ? ownBytes : (repository.blobs.get(blob)?.size ?? ownBytes),
        isThere,
      })),
    })),
  }
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

function repositoryTable(repositories: readonly CacheRepository[], width: number | null): string {
  const { columns, partial } = fileTexts()
  return formatTable(
    [
      { title: columns.repository, shrinks: true },
      { title: columns.type },
      { title: columns.size, align: 'right' },
      { title: columns.revisions, align: 'right' },
      { title: columns.refs, shrinks: true },
      { title: columns.modified },
    ],
    repositories.map((repository) => {
      const { size, unfinished, modifiedMs } = usageOf(repository)
      return [
        plain(repository.name),
        repository.type,
        formatBytes(size) + (unfinished === 0 ? '' : ` + ${partial(formatBytes(unfinished), null, null)}`),
        String(repository.revisions.length),
        plain([...repository.refs.keys()].sort().join(' ')),
        modifiedMs === null ? '' : formatTime(new Date(modifiedMs)),
      ]
    }),
    width,
  )
}

function revisionTable(repositories: readonly CacheRepository[], width: number | null): string {
  const { columns } = fileTexts()
  return formatTable(
    [
      { title: columns.repository, shrinks: true },
      { title: columns.revision },
      { title: columns.size, align: 'right' },
      { title: columns.files, align: 'right' },
      { title: columns.refs, shrinks: true },
      { title: columns.modified },
    ],
    repositories.flatMap((repository) =>
      repository.revisions.map((revision) => {
        const modifiedMs = revisionModifiedMs(repository, revision)
        return [
          titleOf(repository),
          plain(revision.commit),
          formatBytes(revisionBytes(repository, revision)),
          String(revision.files.length),
          plain(refsTo(repository, revision.commit).join(' ')),
          modifiedMs === null ? '' : formatTime(new Date(modifiedMs)),
        ]
      }),
    ),
    width,
  )
}
