/**
 * Notes about single files: where they came from, and their digest. The command writes them for the files that it has
 * downloaded, since it leaves no records beside them. They are kept in the user's cache folder, one per file, in a folder per
 * folder of files.
 */
import { hash } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import * as z from 'zod'
import { makeFolder, readRegularFile, replaceFile } from '../disk/atomic.js'
import { isMissing } from '../disk/errors.js'
import { readdir, realpath, rmdir, unlink } from '../disk/fs.js'
import { io } from '../disk/io.js'
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

/**
 * After how many new folders of notes those are looked for whose files are gone, and with how many notes of a folder for the
 * first time.
 */
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

/** Reads and writes notes. What can't be read or written is as if it had never been there. */
export class FileNotes {
  readonly #root: string | null
  /** Names of the notes by the folder of their files, for {@link find}. */
  readonly #listed = new Map<string, Promise<{ folder: string; names: ReadonlySet<string> } | null>>()

  /** Where folders of files really are. */
  readonly #real = new Map<string, Promise<string>>()
  /** How many notes there are about the files of a folder, and with how many they are swept, by the folder of the notes. */
  readonly #counts = new Map<string, { count: number; sweepAt: number }>()

  /** @param root - absolute path of the folder of the notes. Default: {@link notesFolder}. */
  constructor(root: string | null = notesFolder()) {
    this.#root = root
  }

  /** Returns the note of a file if it still fits the file. Folders are listed once, so later notes are not seen. */
  async find(path: string, stats: FileMetadata): Promise<FileNote | null> {
    const parent = dirname(path)
    const listed = this.#listed.get(parent) ?? this.#list(parent)
    this.#listed.set(parent, listed)
    const known = await listed
    const name = noteName(path)
    if (known?.names.has(name) !== true) return null
    const note = await readNote(join(known.folder, name))
    return note !== null && basename(note.path) === basename(path) && isSame(stats, note.stamp) ? note : null
  }

  /** Writes the note of a file, which replaces an earlier one. */
  async write(note: FileNote): Promise<void> {
    const folder = await this.#folderOf(dirname(note.path))
    if (folder === null) return
    const text = `${JSON.stringify({ version: 1, ...note })}\n`
    const file = join(folder, noteName(note.path))
    try {
      const isNew = (await io.lstatIfThere(file)) === null
      try {
        await replaceFile(file, text, { mode: 0o600 })
      } catch (error) {
        if (!isMissing(error)) throw error
        // Paths and addresses are nobody else's business.
        const first = await makeFolder(folder, 0o700)
        await replaceFile(file, text, { mode: 0o600 })
        if (first !== undefined) await this.#sweepFolders()
      }
      if (isNew) await this.#sweepNotes(folder)
    } catch {
      // Without a note, less is known of the file, and that is all.
    }
  }

  /** Deletes the notes of files. */
  async forget(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      const folder = await this.#folderOf(dirname(path))
      if (folder === null) continue
      await unlink(join(folder, noteName(path))).catch(() => undefined)
      await rmdir(folder).catch(() => undefined)
    }
  }

  async #list(parent: string): Promise<{ folder: string; names: ReadonlySet<string> } | null> {
    const folder = await this.#folderOf(parent)
    const names = folder === null ? [] : await readdir(folder).catch(() => [])
    return folder === null || names.length === 0 ? null : { folder, names: new Set(names) }
  }

  /** Folder for the notes about the files in a folder, whatever links lead there. */
  async #folderOf(parent: string): Promise<string | null> {
    const root = this.#root
    if (root === null) return null
    const real = this.#real.get(parent) ?? realpath(parent).catch(() => parent)
    this.#real.set(parent, real)
    return join(root, keyOf(await real))
  }

  /**
   * Each time that there are twice as many, deletes the notes of a folder whose files are gone. The folder is listed once and
   * not for each note: there may be very many.
   */
  async #sweepNotes(folder: string): Promise<void> {
    const known = this.#counts.get(folder)
    const count = known === undefined ? (await readdir(folder)).length : known.count + 1
    const sweepAt = known?.sweepAt ?? nextSweep(count - 1)
    const isDue = count >= sweepAt
    this.#counts.set(folder, { count, sweepAt: isDue ? nextSweep(count) : sweepAt })
    if (isDue) await removeStale(folder)
  }

  /** Now and then, deletes the notes about folders that are gone. */
  async #sweepFolders(): Promise<void> {
    const root = this.#root ?? ''
    const folders = await readdir(root)
    if (folders.length % sweepEvery !== 0) return
    for (const folder of folders) await removeStale(join(root, folder))
  }
}

/** With how many notes a folder is swept that has so many. */
function nextSweep(count: number): number {
  let next = sweepEvery
  while (next <= count) next *= 2
  return next
}

async function removeStale(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const file = join(folder, name)
    const note = await readNote(file)
    if (note !== null && (await io.lstatIfThere(note.path).catch(() => null)) !== null) continue
    await unlink(file).catch(() => undefined)
  }
  await rmdir(folder).catch(() => undefined)
}

async function readNote(file: string): Promise<FileNote | null> {
  try {
    const { data } = await readRegularFile(file, maxNoteBytes)
    return noteSchema.parse(JSON.parse(data.toString('utf8')))
  } catch {
    return null
  }
}

function noteName(path: string): string {
  return `${keyOf(basename(path))}.json`
}

function keyOf(text: string): string {
  return hash('sha256', text).slice(0, 32)
}
