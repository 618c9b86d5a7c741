/** Which models are there. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { errnoOf, fsError, isMissing } from '../disk/errors.js'
import { type FileStamp, isSame } from '../disk/stamp.js'
import { redactUrls } from '../util/redact.js'
import type { CatalogEntry } from './catalog.js'
import type { Messages } from './messages.js'
import { type ModelLocation, modelLocations } from './model-files.js'
import type { ModelsStatus, ModelStatus, ResolvedPreloaderOptions } from './options.js'
import { isRunning, isThrough, type Run } from './run.js'
import { firstUseTip } from './tip.js'

const parallelLooks = 32

/** What a survey looks at. */
export interface StatusInputs {
  options: Pick<ResolvedPreloaderOptions, 'manager' | 'catalog' | 'commands'>
  /** The last run, or the one that is going. */
  run: Run | null
  messages: Messages
}

/** Looks at the files of all models; costs one or two `lstat` for each. */
export async function surveyModels(facts: StatusInputs): Promise<ModelsStatus> {
  const { entries } = facts.options.catalog
  const slot = pLimit(parallelLooks)
  const found = await slot.map(entries, async (entry) => ({ entry, status: await look(entry, facts) }))
  const missing = found.filter(({ status }) => !status.ready).map(({ entry }) => entry)
  return {
    success: true,
    models: Object.fromEntries(found.map(({ entry, status }) => [entry.key, status])),
    catalog: entries.map(({ key, name, required, auto_download, description }) => {
      return { key, name, required, auto_download, description }
    }),
    any_ready: missing.length < entries.length,
    any_missing: missing.length > 0,
    first_use_tip: tipFor(missing, facts),
    timestamp: new Date().toISOString(),
  }
}

function tipFor(missing: readonly CatalogEntry[], { options, run, messages }: StatusInputs): string {
  const { manager, commands } = options
  const fetching = new Set(
    isRunning(run) ? run.models.filter((model) => !isThrough(model)).map((model) => model.key) : [],
  )
  const byItself = missing.every((entry) => entry.auto_download)
  return firstUseTip(
    {
      ...commands,
      missing,
      keys: byItself ? null : missing.map((entry) => entry.key),
      beingFetched: missing.every((entry) => fetching.has(entry.key)),
      directory: manager.directory,
    },
    messages,
  )
}

async function look(entry: CatalogEntry, { options, run, messages }: StatusInputs): Promise<ModelStatus> {
  const { manager } = options
  const wasIn = run?.models.some((model) => model.key === entry.key) === true ? run.outputDir : null
  const spots = modelLocations(manager, entry, wasIn)
  const first = spots[0]
  let hint = first?.path ?? join(manager.directory, entry.mode ?? '')
  let verdict: FileVerdict = { kind: 'missing' }
  for (const spot of spots) {
    const here = await checkLocation(spot, entry)
    if (spot === first) verdict = here
    if (here.kind !== 'right') continue
    hint = spot.path
    verdict = here
    break
  }
  const ready = verdict.kind === 'right'
  return { ready, name: entry.name, cache_hint: hint, message: tell(entry, verdict, options, messages) }
}

/** What is being done about it is more telling than what lies there. */
function tell(
  entry: CatalogEntry,
  verdict: FileVerdict,
  { manager }: StatusInputs['options'],
  messages: Messages,
): string {
  const known = manager.get(entry.url)
  const percent = known?.current.percent.toFixed(1) ?? ''
  if (verdict.kind === 'right') return verdict.checked ? messages.readyChecked : messages.ready
  if (known?.state === 'queued') return messages.inQueue
  if (known?.state === 'resolving' || known?.state === 'downloading') return messages.downloading(percent)
  if (known?.state === 'verifying') return messages.verifying
  if (known?.state === 'paused') return messages.paused(percent)
  switch (verdict.kind) {
    case 'missing':
      return known?.state === 'failed'
        ? messages.modelFailed(redactUrls(known.error?.message ?? ''))
        : messages.missing
    case 'wrongSize':
      return messages.wrongSize(verdict.found, entry.size ?? 0)
    case 'wrongDigest':
      return messages.wrongDigest
    case 'notVerified':
      return messages.notVerified
    case 'notRegular':
      return messages.notRegular
    case 'unreadable':
      return messages.unreadable(verdict.reason)
  }
}

// ---- Whether a model's file is there and right, told without reading it.

/** Files of a group that are looked at together. */
const looksAtATime = 16

/** What is known of a file after a look at it. */
export type FileVerdict =
  /** `checked`: it has the digest that the catalog says. */
  | { kind: 'right'; checked: boolean }
  | { kind: 'missing' }
  | { kind: 'wrongSize'; found: number }
  | { kind: 'wrongDigest' }
  /** The catalog says a digest, and nobody has computed that of the file as it is now. */
  | { kind: 'notVerified' }
  | { kind: 'notRegular' }
  | { kind: 'unreadable'; reason: string }

/**
 * Looks at a file: one `lstat`, whatever its size. Answers `right` exactly when asking the manager for it would fetch
 * nothing, as far as that can be told without hashing.
 *
 * @param stamp - the file as it was when its digest was last computed, or null.
 */
export async function checkFile(
  path: string,
  expected: Pick<CatalogEntry, 'size' | 'sha256'>,
  stamp: FileStamp | null,
): Promise<FileVerdict> {
  let stats
  try {
    stats = await lstat(path)
  } catch (error) {
    if (isMissing(error) || errnoOf(error) === 'ENOTDIR') return { kind: 'missing' }
    return { kind: 'unreadable', reason: fsError(error, 'looking at it').message }
  }
  // The engine doesn't follow symbolic links either.
  if (!stats.isFile()) return { kind: 'notRegular' }
  if (expected.size !== null && stats.size !== expected.size) return { kind: 'wrongSize', found: stats.size }
  if (expected.sha256 === null) return { kind: 'right', checked: false }
  if (stamp === null || !isSame(stats, stamp)) return { kind: 'notVerified' }
  return stamp.sha256 === expected.sha256 ? { kind: 'right', checked: true } : { kind: 'wrongDigest' }
}

/** The same of all files of a model: those of a group are right when each one is; else it is told what the first is. */
export async function checkLocation(
  { path, stamp, files }: ModelLocation,
  expected: Pick<CatalogEntry, 'size' | 'sha256'>,
): Promise<FileVerdict> {
  if (files === null) return await checkFile(path, expected, stamp)
  const verdicts = await pLimit(looksAtATime).map(files, (file) =>
    checkFile(file.path, { size: file.size, sha256: file.expected }, file.stamp),
  )
  const wrong = verdicts.find(({ kind }) => kind !== 'right')
  return wrong ?? { kind: 'right', checked: files.every(({ expected: digest }) => digest !== null) }
}
