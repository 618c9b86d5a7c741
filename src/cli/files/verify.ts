import { basename, dirname } from 'node:path'
import { realpath } from '../../disk/fs.js'
import { isInside } from '../../disk/inside.js'
import { errorText } from '../../download/error-text.js'
import { toDownloadError } from '../../errors.js'
import { entryName } from '../../files/inventory.js'
import { findEntries, isFault, type StoredFile } from '../../files/stored.js'
import {
  countsOf,
  targetsOf,
  type VerifiedFile,
  verifyFiles,
  type VerifyProgress,
  type VerifyTarget,
} from '../../files/verify.js'
import { DownloadManager } from '../../manager/manager.js'
import { isRef } from '../../sources/identify.js'
import { sourceRegistry } from '../../sources/resolver.js'
import { systemClock } from '../../util/clock.js'
import { formatBytes, formatDuration } from '../../util/format.js'
import { asUsageError, exitCodes } from '../checks/usage.js'
import { UsageError } from '../checks/usage-error.js'
import { displayWidth, fit, jsonLine, plain } from '../format.js'
import { texts, voice } from '../language.js'
import { networkSettings } from '../checks/network.js'
import { onSignal } from '../signals.js'
import { listFolder, locate, printNote, openFolder, requireFolder } from './folder.js'
import type { SourceOptions } from './sources.js'
import { fileTexts } from './texts.js'
import { type CommandOutput, printOut, surroundings } from '../process/surroundings.js'

/** Parsed options of `verify`. */
export interface VerifyCommandOptions extends SourceOptions {
  directory: string
  ownDirectory: boolean
  sha256?: string | undefined
  jobs?: number | undefined
  json?: boolean | undefined
  quiet?: boolean | undefined
}

/** A target and its size on disk, as far as it is known. */
interface Sized {
  target: VerifyTarget
  bytes: number
}

/**
 * Reads files again and compares them with what is known of them.
 *
 * @param what - folders, files, refs, or names as `ls` prints them. None: everything in the folder of models.
 * @returns the exit code: 0 if nothing is wrong.
 */
export async function verifyOnDisk(what: readonly string[], options: VerifyCommandOptions): Promise<number> {
  const stop = new AbortController()
  const interruption = onSignal(async () => {
    stop.abort()
  })
  try {
    const found = await collect(what, options, stop.signal)
    if (found === null) return exitCodes.failed
    if (found.length === 0) printNote(fileTexts().nothingToVerify)
    return await check(withDigest(found, options), options, stop.signal)
  } catch (error) {
    if (interruption.exitCode !== null) return interruption.exitCode
    throw error
  } finally {
    interruption.dispose()
  }
}

/** Finds what to verify; null if something can't be found, which is reported. */
async function collect(
  what: readonly string[],
  options: VerifyCommandOptions,
  signal: AbortSignal,
): Promise<Sized[] | null> {
  if (what.length === 0) {
    await requireFolder(options)
    const { entries } = await listFolder(await openFolder(options.directory))
    return sized(entries, targetsOf(entries, false))
  }
  const byPath = new Map<string, Sized>()
  let good = true
  for (const text of what) {
    const targets = await collectOne(text, options, signal)
    if (targets === null) good = false
    for (const one of targets ?? []) byPath.set(one.target.path, one)
  }
  return good ? [...byPath.values()] : null
}

async function collectOne(
  text: string,
  options: VerifyCommandOptions,
  signal: AbortSignal,
): Promise<Sized[] | null> {
  const sources = sourceRegistry()
  const isSource = sources.find(text) !== null || /^https?:/i.test(text)
  if (!isSource) {
    const onPath = await collectPath(text)
    if (onPath !== null) return onPath
  }
  const folder = await openFolder(options.directory)
  const { entries } = await listFolder(folder)
  const known = findEntries(entries, text)
  if (known.length > 1 && known.some(({ url }) => url !== text)) {
    const all = known.map(({ name }) => plain(name)).join(texts().comma)
    printNote(`${texts().error}${fileTexts().ambiguous(plain(text), all)}`)
    return null
  }
  if (isSource && isRef(text, sources) && options.offline !== true) {
    const asked = await collectRef(text, known, options, signal)
    return sized(entries, asked)
  }
  if (known.length > 0) return sized(known, targetsOf(known, true))
  printNote(`${texts().error}${fileTexts().notFound(plain(text), plain(options.directory))}`)
  return null
}

/** The files at a path; null if there is nothing. */
async function collectPath(text: string): Promise<Sized[] | null> {
  const place = await locate(text)
  if (place === null) return null
  const { path, directory, isFolder } = place
  const folder = await openFolder(directory)
  const isAll = path === directory
  const { entries } = await listFolder(folder, isAll ? undefined : [isFolder ? path : dirname(path)])
  const inside = isAll
    ? targetsOf(entries, false)
    : targetsOf(entries, false).filter((target) =>
        isFolder ? isInside(path, target.path) : target.path === path,
      )
  const snapshot = entries.filter((entry) => !isAll && isFolder && isInside(path, entry.path))
  // The bytes of a snapshot are elsewhere in its repository.
  const targets = [...inside, ...targetsOf(snapshot, false)]
  if (targets.length > 0 || isFolder) return sized(entries, targets)
  // A file that lists leave out, such as a hidden one.
  const target = { name: entryName(directory, path), filename: basename(path), path, ...unknown }
  return [{ target, bytes: 0 }]
}

const unknown = { size: null, sha256: null, gitOid: null, verification: null } as const

/** The files that a ref stands for, with the digests that its source states, and where `get` would have put them. */
async function collectRef(
  ref: string,
  known: readonly StoredFile[],
  options: VerifyCommandOptions,
  signal: AbortSignal,
): Promise<VerifyTarget[]> {
  const [entry] = known
  const mode = entry?.mode ?? null
  const manager = asUsageError(
    () =>
      new DownloadManager({
        directory: options.directory,
        store: 'memory',
        modes: mode === null ? [] : [mode],
        defaultMode: mode,
        worker: false,
        ...networkSettings(options),
      }),
  )
  try {
    const { files } = await manager.plan({
      url: ref,
      signal,
      ...(options.include === undefined ? {} : { include: options.include }),
      ...(options.exclude === undefined ? {} : { exclude: options.exclude }),
      ...(entry === undefined ? {} : placeOf(entry)),
    })
    const recorded = new Map(
      known.flatMap(({ files: members }) => members.map((member) => [member.path, member] as const)),
    )
    const name = entry?.name ?? ref
    return await Promise.all(
      files
        .filter(({ status }) => status !== 'refused')
        .map(async ({ filename, path: shown, size, sha256 }) => {
          // In a cache, the file is a link to its bytes.
          const path = await realpath(shown).catch(() => shown)
          const { sha256: computed = null, gitOid = null, verification = null } = recorded.get(path) ?? {}
          return { name, filename, path, size, sha256: sha256 ?? computed, gitOid, verification }
        }),
    )
  } finally {
    await manager.close()
  }
}

function placeOf({ layout, path }: StoredFile): { layout: StoredFile['layout']; filename?: string } {
  return layout === 'flat' ? { layout, filename: basename(path) } : { layout }
}

function sized(entries: readonly StoredFile[], targets: readonly VerifyTarget[]): Sized[] {
  const sizes = new Map(entries.flatMap(({ files }) => files.map(({ path, size }) => [path, size] as const)))
  return targets.map((target) => ({ target, bytes: sizes.get(target.path) ?? target.size ?? 0 }))
}

/** @throws UsageError if a digest was given for more than one file. */
function withDigest(found: readonly Sized[], { sha256 }: VerifyCommandOptions): readonly Sized[] {
  if (sha256 === undefined) return found
  const [only, ...others] = found
  if (only === undefined || others.length > 0) throw new UsageError(fileTexts().oneFileOnly)
  return [{ ...only, target: { ...only.target, size: null, sha256 } }]
}

async function check(
  found: readonly Sized[],
  { jobs, json = false, quiet = false }: VerifyCommandOptions,
  signal: AbortSignal,
): Promise<number> {
  const bytesOf = new Map(found.map(({ target, bytes }) => [target.path, bytes] as const))
  const begun = systemClock.now()
  const display = new ProgressLine(json || quiet ? null : surroundings().stderr)
  const onFile = (file: VerifiedFile) => {
    if (json) {
      const { error, ...rest } = file
      const code = error?.code ?? null
      printOut(jsonLine({ type: 'verified', ...rest, code, error: error?.message ?? null }))
    } else if (!quiet || isFault(file.status)) {
      display.clear()
      printOut(`${fileLine(file)}\n`)
    }
  }
  const report = await verifyFiles(
    found.map(({ target }) => target),
    { lanes: jobs, signal, onFile, onProgress: (progress) => display.show(progress, begun) },
    ({ path }) => bytesOf.get(path) ?? 0,
  ).finally(() => {
    display.clear()
  })
  const { ok, counts, bytes } = report
  if (json) printOut(jsonLine({ type: 'summary', ok, counts, bytes }))
  else if (!quiet && found.length > 0) {
    const time = formatDuration((systemClock.now() - begun) / 1000)
    printNote(fileTexts().verified(found.length, countsText(report.files), formatBytes(bytes), time))
  }
  return ok ? exitCodes.done : exitCodes.failed
}

/** The line of a file. */
export function fileLine(file: VerifiedFile): string {
  const { status: names, expected } = fileTexts()
  const { name, filename, status, size, expectedSize, sha256, expectedSha256, error } = file
  const width = Math.max(...Object.values(names).map(displayWidth))
  const isMember = basename(name) !== filename
  const detail =
    status === 'damaged' && expectedSha256 !== null && sha256 !== null
      ? expected(expectedSha256, sha256)
      : status === 'size-differs' && expectedSize !== null && size !== null
        ? expected(formatBytes(expectedSize), formatBytes(size))
        : error !== null
          ? plain(errorText(toDownloadError(error), voice()))
          : size === null
            ? ''
            : formatBytes(size)
  const shown = plain(isMember ? `${name}/${filename}` : name)
  return `${fit(names[status], width)}  ${shown}${detail === '' ? '' : `  ${detail}`}`
}

function countsText(files: readonly VerifiedFile[]): string {
  const { status: names } = fileTexts()
  return Object.entries(countsOf(files))
    .filter(([, count]) => count > 0)
    .map(
      ([status, count]) =>
        `${count} ${Object.hasOwn(names, status) ? names[status as keyof typeof names] : ''}`,
    )
    .join(texts().comma)
}

/** How often the line is written, in milliseconds: on a terminal it is rewritten, elsewhere it is a new one. */
const intervalMs = { terminal: 100, elsewhere: 10_000 }

/** Cells that can be written without a line break. A terminal that does not know its size has 0 columns. */
function widthOf({ columns = 0 }: CommandOutput): number {
  return columns > 20 ? columns - 1 : 79
}

/** The progress on one line of standard error. */
class ProgressLine {
  readonly #stream: CommandOutput | null
  #shownAt: number | null = null
  #isShown = false

  constructor(stream: CommandOutput | null) {
    this.#stream = stream
  }

  show({ checked, files, bytes, totalBytes }: VerifyProgress, begun: number): void {
    const stream = this.#stream
    if (stream === null) return
    const now = systemClock.now()
    this.#shownAt ??= stream.isTTY ? -Infinity : now
    if (now - this.#shownAt < (stream.isTTY ? intervalMs.terminal : intervalMs.elsewhere)) return
    this.#shownAt = now
    const speed = bytes / Math.max(0.001, (now - begun) / 1000)
    const eta = speed > 0 && bytes < totalBytes ? formatDuration((totalBytes - bytes) / speed) : null
    const line = fileTexts().verifying(
      checked,
      files,
      formatBytes(bytes),
      formatBytes(totalBytes),
      formatBytes(speed),
      eta,
    )
    if (!stream.isTTY) {
      stream.write(`${line}\n`)
      return
    }
    stream.write(`\r${fit(line, widthOf(stream))}`)
    this.#isShown = true
  }

  clear(): void {
    if (this.#isShown && this.#stream !== null) this.#stream.write(`\r${' '.repeat(widthOf(this.#stream))}\r`)
    this.#isShown = false
  }
}
