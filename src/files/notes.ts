/**
 * Notes about single files: where they came from, and their digest. The command writes them for the files that it has
 * downloaded, since it leaves no records beside them. They are kept in the user's cache folder, in one file per folder of files.
 */
import { hash } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import * as z from 'zod'
import { makeFolder, readRegularFile, replaceFile } from '../disk/atomic.js'
import { errnoOf, isMissing } from '../disk/errors.js'
import { constants, readdir, realpath, unlink } from '../disk/fs.js'
import { io } from '../disk/io.js'
import { openNoFollow } from '../disk/no-follow.js'
import { type FileMetadata, type FileStamp, isSame } from '../disk/stamp.js'
import { userCache } from '../download/destination.js'
import { type DownloadRecord, fileStampSchema } from '../download/record.js'
import { redactUrl } from '../util/redact.js'

/** What is known of a file. */
export interface FileNote {
  /** Absolute path at that time. */
  path: string
  /** The URL without query and userinfo, or the ref, that it was downloaded by. */
  url: string
  /** What it was then. The note is believed only as long as the file has this size and time. */
  stamp: FileStamp
  /** When it was downloaded; ISO 8601 in UTC. */
  at: string
  /** What the server said of this version, see `DownloadRecord.validator`. Missing if it said nothing. */
  validator?: { etag: string | null; lastModified: string | null } | undefined
}

const noteSchema = z
  .object({
    version: z.literal(1),
    path: z.string().min(1),
    url: z.string().min(1),
    stamp: fileStampSchema,
    at: z.string(),
    validator: z.object({ etag: z.string().nullable(), lastModified: z.string().nullable() }).optional(),
  })
  .transform(({ version: _version, ...note }): FileNote => note)

/** Far more than a note needs. */
const maxNoteBytes = 64 * 1024

/** Far more than all notes about the files of a folder need. */
const maxBytes = 64 * 1024 * 1024

/** With how many bytes the notes of a folder are swept for the first time. */
const sweepFrom = 128 * 1024

/** After how many new folders of files all notes are swept. */
const sweepEvery = 64

/**
 * The origin of a file as a note may keep it. Addresses often carry a secret in their query, so nothing of a query is kept;
 * an ellipsis tells that there was one.
 */
export function redactedOrigin(url: string): string {
  return /^https?:/i.test(url) ? redactUrl(url) : url
}

/** Folder of the notes; null if this user has no cache folder. */
export function notesFolder(): string | null {
  const cache = userCache()
  return cache === null ? null : join(cache, 'files')
}

/**
 * The notes for the files of a completed download.
 *
 * @param path - absolute path of the file, or of the folder of a group.
 * @returns none for files in a Hugging Face cache, which has names that tell as much.
 */
export function notesOf(record: DownloadRecord, path: string): FileNote[] {
  const { state, layout, group, stamp, finishedAt, validator } = record
  if (state !== 'completed' || layout !== 'flat') return []
  const common = { url: redactedOrigin(record.url), at: finishedAt ?? record.createdAt }
  if (group === null)
    return stamp === null
      ? []
      : [{ ...common, path, stamp, ...(validator === undefined ? {} : { validator }) }]
  return group.files.flatMap((file) =>
    file.done === true && file.stamp !== undefined
      ? [{ ...common, path: join(path, ...file.path.split('/')), stamp: file.stamp }]
      : [],
  )
}

/**
 * Reads and writes notes. What can't be read or written is as if it had never been there.
 *
 * The notes about the files of a folder are the lines of one file, the last of which counts for each file: hundreds of small
 * files a second are each worth a line, and no file of their own.
 */
export class FileNotes {
  readonly #root: string | null
  /** What was read for {@link find}, by the folder of the files. */
  readonly #read = new Map<string, Promise<ReadonlyMap<string, FileNote>>>()
  /** Files of notes, by the folder of the files. */
  readonly #files = new Map<string, Promise<string | null>>()
  /** What is still to be written to a file of notes, and who waits for that. */
  readonly #queued = new Map<string, { lines: string[]; written: Promise<void> }>()
  /** With how many bytes a file of notes is swept next. */
  readonly #sweepAt = new Map<string, number>()

  /** @param root - absolute path of the folder of the notes. Default: {@link notesFolder}. */
  constructor(root: string | null = notesFolder()) {
    this.#root = root
  }

  /** Returns the note of a file if it still fits the file. Notes are read once, so later ones are not seen. */
  async find(path: string, stats: FileMetadata): Promise<FileNote | null> {
    const parent = dirname(path)
    const read = this.#read.get(parent) ?? this.#fileOf(parent).then(readNotes)
    this.#read.set(parent, read)
    const note = (await read).get(basename(path))
    return note !== undefined && isSame(stats, note.stamp) ? note : null
  }

  /** Writes the note of a file, which replaces an earlier one. */
  async write(note: FileNote): Promise<void> {
    const file = await this.#fileOf(dirname(note.path))
    if (file === null) return
    const line = lineOf(note)
    const queued = this.#queued.get(file)
    if (queued !== undefined) {
      queued.lines.push(line)
      await queued.written
      return
    }
    // What comes until this one is written goes with the next.
    const next = { lines: [line], written: Promise.resolve() }
    this.#queued.set(file, next)
    next.written = this.#writeQueued(file, next.lines)
    await next.written
  }

  /** Deletes the notes of files. */
  async forget(paths: readonly string[]): Promise<void> {
    const byFile = new Map<string, Set<string>>()
    for (const path of paths) {
      const file = await this.#fileOf(dirname(path))
      if (file !== null) byFile.set(file, (byFile.get(file) ?? new Set()).add(basename(path)))
    }
    for (const [file, names] of byFile)
      await rewrite(file, ({ path }) => !names.has(basename(path))).catch(() => undefined)
  }

  /** The file for the notes about the files in a folder, whatever links lead there. */
  async #fileOf(parent: string): Promise<string | null> {
    const root = this.#root
    if (root === null) return null
    const file =
      this.#files.get(parent) ??
      realpath(parent)
        .catch(() => parent)
        .then((real) => join(root, `${keyOf(real)}.jsonl`))
    this.#files.set(parent, file)
    return await file
  }

  async #writeQueued(file: string, lines: string[]): Promise<void> {
    try {
      while (lines.length > 0) await this.#append(file, lines.splice(0).join(''))
    } catch {
      // Without a note, less is known of the file, and that is all.
    } finally {
      this.#queued.delete(file)
    }
  }

  async #append(file: string, text: string): Promise<void> {
    let size: number
    try {
      size = await appendTo(file, text)
    } catch (error) {
      if (!isMissing(error)) throw error
      // Paths and addresses are nobody else's business.
      await makeFolder(dirname(file), 0o700)
      size = await appendTo(file, text)
    }
    const before = size - Buffer.byteLength(text) - 1
    if (before <= 0) await this.#sweepAll(dirname(file))
    const sweepAt = this.#sweepAt.get(file) ?? nextSweep(before)
    if (size < sweepAt) {
      this.#sweepAt.set(file, sweepAt)
      return
    }
    this.#sweepAt.delete(file)
    await rewrite(file, isThere)
  }

  /** Now and then, deletes the notes about files that are gone, in all folders. */
  async #sweepAll(root: string): Promise<void> {
    const names = await readdir(root)
    if (names.length % sweepEvery !== 0) return
    for (const name of names) await rewrite(join(root, name), isThere)
  }
}

/** With how many bytes a file of notes is swept that has so many. */
function nextSweep(bytes: number): number {
  let next = sweepFrom
  while (next <= bytes) next *= 2
  return next
}

async function isThere({ path }: FileNote): Promise<boolean> {
  return (await io.lstatIfThere(path).catch(() => null)) !== null
}

function lineOf(note: FileNote): string {
  return `${JSON.stringify({ version: 1, ...note })}\n`
}

/**
 * Appends lines in one call, so that those of two processes don't mix; returns the size of the file. An empty line is before
 * them, because the last one may have been torn.
 */
async function appendTo(file: string, text: string): Promise<number> {
  const fd = await openToAppend(file)
  try {
    await io.writeText(fd, `\n${text}`)
    return (await io.fstat(fd)).size
  } finally {
    await io.close(fd)
  }
}

/** Opens a file that exists, or creates it; a link is followed neither way. */
async function openToAppend(file: string): Promise<number> {
  const { O_WRONLY, O_CREAT, O_APPEND, O_EXCL } = constants
  for (let isLast = false; ; isLast = true) {
    try {
      return await openNoFollow(file, O_WRONLY | O_APPEND)
    } catch (error) {
      if (!isMissing(error) || isLast) throw error
    }
    try {
      return await openNoFollow(file, O_WRONLY | O_APPEND | O_CREAT | O_EXCL, { mode: 0o600 })
    } catch (error) {
      // Another process has just created it.
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

/** Leaves the notes that are to be kept, one per file; what others write at the same time is lost. */
async function rewrite(file: string, isKept: (note: FileNote) => boolean | Promise<boolean>): Promise<void> {
  const lines: string[] = []
  for (const note of (await parseNotes(file)).values()) if (await isKept(note)) lines.push(lineOf(note))
  if (lines.length === 0) await unlink(file)
  else await replaceFile(file, lines.join(''), { mode: 0o600 })
}

/** The notes about the files of a folder, by their names; none if they can't be read. */
async function readNotes(file: string | null): Promise<ReadonlyMap<string, FileNote>> {
  return file === null ? new Map() : await parseNotes(file).catch(() => new Map())
}

/** The same. Throws the error of the file system. */
async function parseNotes(file: string): Promise<ReadonlyMap<string, FileNote>> {
  const notes = new Map<string, FileNote>()
  const { data } = await readRegularFile(file, maxBytes)
  for (const line of data.toString('utf8').split('\n')) {
    const note = line === '' || line.length > maxNoteBytes ? null : parseNote(line)
    if (note !== null) notes.set(basename(note.path), note)
  }
  return notes
}

/** A line may be torn, when a process was killed or the machine lost its power. */
function parseNote(line: string): FileNote | null {
  try {
    return noteSchema.parse(JSON.parse(line))
  } catch {
    return null
  }
}

function keyOf(text: string): string {
  return hash('sha256', text).slice(0, 32)
}
