/** Status of the models of a catalog. */
import pLimit from 'p-limit'
import { errnoOf, fsError, isMissing } from '../disk/errors.js'
import { stat } from '../disk/fs.js'
import { io } from '../disk/io.js'
import { type FileStamp, isSame } from '../disk/stamp.js'
import type { DownloadError } from '../errors.js'
import { redactUrls } from '../util/redact.js'
import type { CatalogEntry } from './catalog.js'
import type { Messages } from './messages.js'
import { internals } from '../manager/internals.js'
import { folderFor, usesEnvironment, type ModelLocation, modelLocations } from './model-files.js'
import type { ModelsStatus, ModelStatus, ResolvedPreloaderOptions } from './options.js'
import { isRunning, isThrough, type Run } from './run.js'
import { firstUseTip } from './tip.js'

/** Maximum number of models that are checked at the same time. */
const maxParallelModels = 32

/** Inputs of {@link surveyModels}. */
export interface StatusInputs {
  options: Pick<ResolvedPreloaderOptions, 'manager' | 'catalog' | 'commands'>
  /** The current run, or else the last one. */
  run: Run | null
  messages: Messages
}

/** Checks the files of all models, with one or two `lstat` calls for each. */
export async function surveyModels(facts: StatusInputs): Promise<ModelsStatus> {
  const { entries } = facts.options.catalog
  const slot = pLimit(maxParallelModels)
  const found = await slot.map(entries, async (entry) => ({ entry, status: await checkModel(entry, facts) }))
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
  const { layout } = manager[internals]
  const fetching = new Set(
    isRunning(run) ? run.models.filter((model) => !isThrough(model)).map((model) => model.key) : [],
  )
  const allAutomatic = missing.every((entry) => entry.auto_download)
  return firstUseTip(
    {
      ...commands,
      missing,
      keys: allAutomatic ? null : missing.map((entry) => entry.key),
      beingFetched: missing.every((entry) => fetching.has(entry.key)),
      // With a folder of its own, the command would take that for the cache.
      directory: missing.every((entry) => usesEnvironment(manager, entry)) ? null : manager.directory,
      ...(layout === 'flat' ? {} : { layout }),
    },
    messages,
  )
}

async function checkModel(
  entry: CatalogEntry,
  { options, run, messages }: StatusInputs,
): Promise<ModelStatus> {
  const { manager } = options
  const wasIn = run?.models.some((model) => model.key === entry.key) === true ? run.outputDir : null
  const locations = await modelLocations(manager, entry, wasIn)
  const first = locations[0]
  let hint = first?.path ?? folderFor(manager, entry)
  let verdict: FileVerdict = { kind: 'missing' }
  for (const location of locations) {
    const here = await checkLocation(location, entry)
    if (location === first) verdict = here
    if (here.kind !== 'right') continue
    hint = location.path
    verdict = here
    break
  }
  const ready = verdict.kind === 'right'
  return { ready, name: entry.name, cache_hint: hint, message: messageFor(entry, verdict, options, messages) }
}

/** A running download is more informative than the state of the file. */
function messageFor(
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
        ? messages.modelFailed(known.error === null ? '' : redactUrls(messages.reason(known.error)))
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
      return messages.unreadable(messages.reason(verdict.error))
  }
}

// ---- Checks of model files without reading them.

/** Maximum number of files of a group that are checked at the same time. */
const maxParallelFiles = 16

/** Result of a check. */
export type FileVerdict =
  /** `checked`: whether the file is known to have the digest of the catalog. */
  | { kind: 'right'; checked: boolean }
  | { kind: 'missing' }
  | { kind: 'wrongSize'; found: number }
  | { kind: 'wrongDigest' }
  /**
   * The catalog has a digest, but that of the current file has not been computed; or the catalog has none, and
   * a remote caller chose where the file came from.
   */
  | { kind: 'notVerified' }
  | { kind: 'notRegular' }
  | { kind: 'unreadable'; error: DownloadError }

/**
 * Checks a file with one `lstat`, whatever its size. Returns `right` exactly when a download would fetch
 * nothing, as far as that is known without hashing.
 *
 * @param stamp - the stamp of the file when its digest was last computed, or null.
 */
export async function checkFile(
  path: string,
  expected: Pick<CatalogEntry, 'size' | 'sha256'>,
  stamp: FileStamp | null,
): Promise<FileVerdict> {
  let stats
  try {
    stats = await io.lstat(path)
  } catch (error) {
    if (isMissing(error) || errnoOf(error) === 'ENOTDIR') return { kind: 'missing' }
    return { kind: 'unreadable', error: fsError(error, 'looking at it') }
  }
  // Like the engine, this does not follow symbolic links.
  if (!stats.isFile()) return { kind: 'notRegular' }
  if (expected.size !== null && stats.size !== expected.size) return { kind: 'wrongSize', found: stats.size }
  if (expected.sha256 === null) return { kind: 'right', checked: false }
  if (stamp === null || !isSame(stats, stamp)) return { kind: 'notVerified' }
  return stamp.sha256 === expected.sha256 ? { kind: 'right', checked: true } : { kind: 'wrongDigest' }
}

/** Checks a file that may be in a Hugging Face cache: the bytes are in its blob, to which the snapshot must lead. */
async function checkPlaced(
  { path, blob }: { path: string; blob: string | null },
  expected: Pick<CatalogEntry, 'size' | 'sha256'>,
  stamp: FileStamp | null,
): Promise<FileVerdict> {
  if (blob === null) return await checkFile(path, expected, stamp)
  const verdict = await checkFile(blob, expected, stamp)
  if (verdict.kind !== 'right') return verdict
  const linked = await stat(path).catch(() => null)
  return linked?.isFile() === true ? verdict : { kind: 'missing' }
}

/**
 * Checks all files of a model. A group is right when each of its files is; otherwise the result is that of
 * its first wrong file.
 */
export async function checkLocation(
  { path, blob, stamp, files, foreign }: ModelLocation,
  expected: Pick<CatalogEntry, 'size' | 'sha256'>,
): Promise<FileVerdict> {
  if (foreign) return { kind: 'notVerified' }
  if (files === null) return await checkPlaced({ path, blob }, expected, stamp)
  const verdicts = await pLimit(maxParallelFiles).map(files, (file) =>
    checkPlaced(
      { path: file.path, blob: file.blob === null ? null : file.written },
      { size: file.size, sha256: file.expected },
      file.stamp,
    ),
  )
  const wrong = verdicts.find(({ kind }) => kind !== 'right')
  return wrong ?? { kind: 'right', checked: files.every(({ expected: digest }) => digest !== null) }
}
