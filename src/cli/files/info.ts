import { environmentCache } from '../../download/destination.js'
import { errorText } from '../../download/error-text.js'
import { readCache } from '../../layouts/hf-inventory.js'
import { displayName } from '../../sources/identify.js'
import { isGguf, quantOf } from '../../sources/quantisation.js'
import { sourceRegistry } from '../../sources/resolver.js'
import { shownDigest, type Verification } from '../../util/digests.js'
import { formatBytes } from '../../util/format.js'
import { exitCodes } from '../checks/usage.js'
import { displayWidth, fit, jsonLine, plain } from '../format.js'
import { texts, voice } from '../language.js'
import { listFolder, printNote, openFolder } from './folder.js'
import { terminalWidth } from './ls.js'
import { askSource, type SourceContent, type SourceFile, type SourceOptions } from './sources.js'
import { formatTable } from './table.js'
import { fileTexts } from './texts.js'
import { printOut } from '../process/surroundings.js'

/** Parsed options of `info`. */
export interface InfoOptions extends SourceOptions {
  directory: string
  ownDirectory: boolean
  json?: boolean | undefined
}

/** Where a file of a ref is on this machine. */
export type Whereabouts = 'here' | 'partial' | 'cached' | 'no'

/** What is known of the copy of a file on this machine. */
export interface LocalCopy {
  onDisk: Whereabouts
  /** What the copy was verified with when it was downloaded; null if with nothing, if unknown, and if there is none. */
  verification: Verification | null
}

/** What `info` tells. */
export interface RefInfo extends Omit<SourceContent, 'files' | 'error'> {
  files: (SourceFile & LocalCopy & { quantisation: string | null })[]
  /** Quantisations of GGUF files, with the bytes of all their files. */
  quantisations: { name: string; size: number | null }[]
}

/**
 * Tells what a ref stands for, and what of it is on disk.
 *
 * @returns the exit code.
 */
export async function info(ref: string, options: InfoOptions): Promise<number> {
  const { error, ...content } = await askSource(ref, options, true)
  const facts = describe(content, await findOnDisk(ref, content.revision, options))
  const failure = error === null ? {} : { code: error.code, message: error.message }
  if (options.json === true) printOut(jsonLine({ type: 'info', ref, ...facts, ...failure }))
  else printOut(infoText(ref, facts, terminalWidth()))
  if (error === null) return exitCodes.done
  printNote(`${texts().error}${plain(errorText(error, voice()))} (${error.code})`)
  return exitCodes.failed
}

const nowhere: LocalCopy = { onDisk: 'no', verification: null }

/** Combines what the source says with what is on disk. */
export function describe(
  content: Omit<SourceContent, 'error'>,
  copyOf: (file: SourceFile) => LocalCopy = () => nowhere,
): RefInfo {
  const files = content.files.map((file) => ({
    ...file,
    quantisation: isGguf(file.path) ? quantOf(file.path) : null,
    ...copyOf(file),
  }))
  const sizes = new Map<string, number | null>()
  for (const { quantisation, size } of files) {
    if (quantisation === null) continue
    const before = sizes.get(quantisation)
    sizes.set(quantisation, before === null || size === null ? null : (before ?? 0) + size)
  }
  const quantisations = [...sizes]
    .map(([name, size]) => ({ name, size }))
    .sort((a, b) => (a.size ?? 0) - (b.size ?? 0))
  return { ...content, files, quantisations }
}

/** Looks for the files of a ref in the folder of models and in the Hugging Face cache. */
async function findOnDisk(
  ref: string,
  revision: string | null,
  { directory }: InfoOptions,
): Promise<(file: SourceFile) => LocalCopy> {
  const { entries } = await listFolder(await openFolder(directory))
  const here = new Map<string, LocalCopy>()
  for (const entry of entries) {
    for (const { filename, sha256, gitOid, state, verification } of entry.files) {
      if (state === 'missing') continue
      const copy: LocalCopy = { onDisk: state === 'complete' ? 'here' : 'partial', verification }
      const isSame = entry.url === ref && (entry.revision === null || entry.revision === revision)
      for (const key of [sha256, gitOid, isSame ? filename : null])
        if (key !== null && here.get(key)?.onDisk !== 'here') here.set(key, copy)
    }
  }
  const cached = new Set<string>()
  const cache = await readCache(cacheOf()).catch(() => null)
  for (const { blobs } of cache?.repositories ?? []) for (const name of blobs.keys()) cached.add(name)
  return ({ path, sha256, gitOid }) => {
    const digests = [sha256, gitOid].filter((digest) => digest !== null)
    const name = path.slice(path.lastIndexOf('/') + 1)
    const keys = digests.length > 0 ? [...digests, path] : [path, name]
    const found = keys.map((key) => here.get(key)).find((copy) => copy !== undefined)
    if (found !== undefined) return found
    return digests.some((digest) => cached.has(digest)) ? { ...nowhere, onDisk: 'cached' } : nowhere
  }
}

function cacheOf(): string {
  try {
    return environmentCache()
  } catch {
    // Without a home folder there is no cache.
    return '/nonexistent'
  }
}

/** The facts, and a table of the files. */
export function infoText(ref: string, facts: RefInfo, width: number | null): string {
  const { info: said, columns } = fileTexts()
  const { source, page, revision, license, gated, files, quantisations, contentType } = facts
  const total = sizeOf(files)
  const present = files.filter(({ onDisk }) => onDisk === 'here' || onDisk === 'cached')
  const onDisk =
    present.length === 0
      ? said.noneOnDisk
      : said.someOnDisk(present.length, files.length, bytes(sizeOf(present)))
  const lines: [string, string | null | undefined][] = [
    [said.ref, displayName(ref, sourceRegistry())],
    [said.source, source ?? said.url],
    [said.page, page],
    [said.revision, revision],
    [said.type, contentType],
    [said.licence, license],
    [said.gated, gated === undefined ? null : gated ? said.yes : said.no],
    [said.size, files.length === 0 ? null : fileTexts().sourceTotal(files.length, bytes(total))],
    [
      said.quantisations,
      quantisations.map(({ name, size }) => `${name} (${bytes(size)})`).join(texts().comma),
    ],
    [said.onDisk, files.length === 0 ? null : onDisk],
  ]
  const known = lines.flatMap(([title, value]) =>
    value === null || value === undefined || value === '' ? [] : [[title, value] as const],
  )
  const column = Math.max(...known.map(([title]) => displayWidth(title)))
  const head = known.map(([title, value]) => `${fit(title, column)}  ${plain(value)}\n`).join('')
  const where: Record<Whereabouts, string> = {
    here: said.here,
    partial: fileTexts().partial('', null, null).trim(),
    cached: said.cached,
    no: '',
  }
  if (files.length === 0) return head
  const table = formatTable(
    [
      { title: columns.name, shrinks: true },
      { title: columns.size, align: 'right' },
      { title: said.onDisk.toUpperCase() },
      { title: columns.digest, shrinks: true },
    ],
    files.map(({ path, size, onDisk: at, ...digests }) => [
      plain(path),
      bytes(size),
      where[at],
      shownDigest(digests),
    ]),
    width,
  )
  return `${head}\n${table}`
}

function sizeOf(files: readonly SourceFile[]): number | null {
  return files.reduce<number | null>(
    (sum, { size }) => (sum === null || size === null ? null : sum + size),
    0,
  )
}

function bytes(size: number | null): string {
  return size === null ? '?' : formatBytes(size)
}
