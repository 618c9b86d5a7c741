/** Lists what is on disk in a folder of models, together with what the records of downloads tell about it. */
import { basename, dirname, join, relative, sep } from 'node:path'
import { isInside } from '../disk/inside.js'
import { io } from '../disk/io.js'
import { linkBelow } from '../disk/links.js'
import { targetOfPart } from '../disk/part-paths.js'
import type { Destinations } from '../download/destination.js'
import { GroupFiles } from '../download/group.js'
import type { DownloadRecord } from '../download/record.js'
import { recordedVerification } from '../download/verification.js'
import { readRepository } from '../layouts/hf-inventory.js'
import { blobFolder, repositoryOfFolder } from '../layouts/hf-paths.js'
import type { CacheRepository } from '../layouts/hf-usage.js'
import { mapInTurn } from '../util/slices.js'
import { partialOf } from './partial.js'
import { FileNotes } from './notes.js'
import { type EntryInit, entryOf, type StoredFile, type StoredMember } from './stored.js'
import { walk } from './walk.js'

/** How many files are looked at at the same time, and what looking at one costs. */
const looking = { parallel: 16, units: 2_000 }

/** What to list. */
export interface InventoryInit {
  places: Pick<Destinations, 'directory' | 'pathOf' | 'folderOf' | 'rootOf'>
  /** Records of downloads, with their groups. */
  records: readonly DownloadRecord[]
  /** Names of the sub-folders that are modes. */
  modes: ReadonlySet<string>
  /** Folders in which to look for other files. Default: that of the manager. */
  roots?: readonly string[]
  /** What is known of files without a record. Default: the notes of this user. */
  notes?: Pick<FileNotes, 'find'>
}

/** Everything that was found. */
export interface Inventory {
  /** In order of their names. Those without any file on disk are the ones that a record claims are complete. */
  entries: StoredFile[]
  /** Folders that can't be read. */
  unreadable: string[]
  /** Whether there are more files than were listed. */
  isCut: boolean
}

/** A file before it was looked at. */
type MemberInit = Pick<StoredMember, 'filename' | 'path' | 'total' | 'sha256' | 'gitOid' | 'verification'>

/** Lists a folder. Reads metadata and journals only, and writes nothing. Never rejects. */
export async function takeInventory(init: InventoryInit): Promise<Inventory> {
  const { places, records } = init
  const claimed = new Set<string>()
  const links = new LinkCheck()
  const entries: StoredFile[] = []
  await mapInTurn(records, looking, async (record) => {
    const { entry, members } = recorded(record, places)
    for (const { path } of members) claimed.add(path)
    if (await links.isBehindLink(places.rootOf(record), members)) return
    const looked = await mapInTurn(members, looking, look)
    const stored = entryOf(entry, looked)
    if (stored.state !== 'missing' || stored.finished) entries.push(stored)
  })
  const walked = await walk(init.roots ?? [places.directory, ...(await linkedModes(init))])
  const free = walked.files.filter((path) => !claimed.has(path))
  const partials = new Set<string>()
  const complete: string[] = []
  for (const path of free) {
    const target = targetOfPart(path)
    if (target === null) complete.push(path)
    else if (!claimed.has(target)) partials.add(target)
  }
  const notes = init.notes ?? new FileNotes()
  const found = await mapInTurn(complete, looking, (path) => unrecorded(path, init, notes))
  const unfinished = await mapInTurn([...partials], looking, (path) => unrecordedPart(path, init))
  for (const entry of [...found, ...unfinished]) if (entry !== null) entries.push(entry)
  for (const path of walked.repositories) {
    const folder = basename(path)
    const repository = await readRepository(path, folder).catch(() => null)
    if (repository === null) walked.unreadable.push(path)
    else for (const entry of await snapshotsOf(repository, path, claimed, init)) entries.push(entry)
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  return { entries, unreadable: walked.unreadable, isCut: walked.isCut }
}

/** Name of an entry; see {@link StoredFile.name}. */
export function entryName(directory: string, path: string): string {
  return isInside(directory, path) ? relative(directory, path).split(sep).join('/') : path
}

/** Folders of modes that are symbolic links, where the manager allows them. */
async function linkedModes({ places, modes }: InventoryInit): Promise<string[]> {
  const folders: string[] = []
  for (const mode of modes) {
    const root = places.rootOf({ directory: null, mode })
    const stats = root === places.directory ? null : await io.lstatIfThere(root).catch(() => null)
    if (stats?.isSymbolicLink() === true) folders.push(root)
  }
  return folders
}

// ---- Records

function recorded(
  record: DownloadRecord,
  places: InventoryInit['places'],
): { entry: EntryInit; members: MemberInit[] } {
  const { url, mode, layout, group, cache } = record
  const path = places.pathOf(record)
  const finished = record.state === 'completed'
  const common = { name: entryName(places.directory, path), path, url, mode, layout, finished }
  if (group !== null) {
    const { files } = new GroupFiles(() => path, group, record.state)
    const members = files.map(({ filename, written, size: total, expected, stamp, blob, verification }) => ({
      filename,
      path: written,
      total,
      ...digestOf(blob),
      verification,
      ...(expected === null && stamp === null ? {} : { sha256: expected ?? stamp?.sha256 ?? null }),
    }))
    return { entry: { ...common, isGroup: true, revision: group.revision }, members }
  }
  const blob = cache?.blob ?? null
  const written =
    cache === null || blob === null ? path : join(places.folderOf(record), ...blobFolder(cache), blob)
  const known = record.sha256 ?? record.sourceSha256 ?? record.resultSha256
  const member = {
    filename: basename(path),
    path: written,
    total: record.size ?? record.total,
    ...digestOf(blob),
    ...(known === null ? {} : { sha256: known }),
    verification: recordedVerification(record),
  }
  const revision = record.revision ?? cache?.commit ?? null
  return { entry: { ...common, isGroup: false, revision }, members: [member] }
}

/** What the name of a blob tells about its content. */
function digestOf(blob: string | null): Pick<MemberInit, 'sha256' | 'gitOid'> {
  return {
    sha256: blob !== null && /^[0-9a-f]{64}$/.test(blob) ? blob : null,
    gitOid: blob !== null && /^[0-9a-f]{40}$/.test(blob) ? blob : null,
  }
}

/** Remembers which folders are behind a symbolic link, because a group has many files in few folders. */
class LinkCheck {
  readonly #known = new Map<string, boolean>()

  async isBehindLink(root: string, members: readonly MemberInit[]): Promise<boolean> {
    for (const folder of new Set(members.map(({ path }) => dirname(path)))) {
      let behind = this.#known.get(folder)
      if (behind === undefined) {
        behind = (await linkBelow(root, folder).catch(() => folder)) !== null
        this.#known.set(folder, behind)
      }
      if (behind) return true
    }
    return false
  }
}

async function look(member: MemberInit): Promise<StoredMember> {
  const stats = await io.lstatIfThere(member.path).catch(() => null)
  if (stats?.isFile() === true)
    return { ...member, state: 'complete', size: stats.size, modifiedAt: stats.mtime }
  const partial = await partialOf(member.path)
  if (partial === null) return { ...member, state: 'missing', size: 0, modifiedAt: null }
  const { size, total, modifiedAt } = partial
  return { ...member, total: member.total ?? total, state: 'partial', size, modifiedAt }
}

// ---- Files without a record

async function unrecorded(
  path: string,
  init: InventoryInit,
  notes: Pick<FileNotes, 'find'>,
): Promise<StoredFile | null> {
  const stats = await io.lstatIfThere(path).catch(() => null)
  if (stats?.isFile() !== true) return null
  const note = await notes.find(path, stats)
  const file: StoredMember = {
    filename: basename(path),
    path,
    state: 'complete',
    size: stats.size,
    total: note?.stamp.size ?? null,
    sha256: note?.stamp.sha256 ?? null,
    gitOid: null,
    verification: note?.stamp.verification ?? null,
    modifiedAt: stats.mtime,
  }
  const entry = { url: note?.url ?? null, layout: 'flat', isGroup: false, finished: true } as const
  return entryOf({ ...placeOf(path, init), ...entry }, [file])
}

async function unrecordedPart(target: string, init: InventoryInit): Promise<StoredFile | null> {
  const partial = await partialOf(target)
  if (partial === null) return null
  const { url, size, total, sha256, modifiedAt } = partial
  const file: StoredMember = {
    filename: basename(target),
    path: target,
    state: 'partial',
    size,
    total,
    sha256,
    gitOid: null,
    verification: null,
    modifiedAt,
  }
  const entry = { url, layout: 'flat', isGroup: false, finished: false } as const
  return entryOf({ ...placeOf(target, init), ...entry }, [file])
}

function placeOf(path: string, { places, modes }: InventoryInit): Pick<StoredFile, 'name' | 'path' | 'mode'> {
  const name = entryName(places.directory, path)
  const [first = '', ...rest] = name.split('/')
  return { name, path, mode: rest.length > 0 && modes.has(first) ? first : null }
}

/** The snapshots of a repository in the layout of the Hugging Face cache, without the files that records claim. */
async function snapshotsOf(
  repository: CacheRepository,
  path: string,
  claimed: ReadonlySet<string>,
  init: InventoryInit,
): Promise<StoredFile[]> {
  const entries: StoredFile[] = []
  const prefix = repository.type === 'models' ? '' : `${repository.type}/`
  for (const { commit, files } of repository.revisions) {
    const folder = join(path, 'snapshots', commit)
    const members = files.flatMap(({ path: filename, blob, isThere }): MemberInit[] => {
      if (!isThere) return []
      const bytes = blob === null ? join(folder, ...filename.split('/')) : join(path, 'blobs', blob)
      return claimed.has(bytes)
        ? []
        : [{ filename, path: bytes, total: null, ...digestOf(blob), verification: null }]
    })
    if (members.length === 0) continue
    const looked = await mapInTurn(members, looking, look)
    const { name, mode } = placeOf(folder, init)
    const url = `hf:${prefix}${repository.name}@${commit}`
    const entry = { name, path: folder, url, mode, revision: commit, finished: true }
    entries.push(entryOf({ ...entry, layout: 'hf-cache', isGroup: true }, looked))
  }
  return entries
}

/** Whether a path leads into a repository in the layout of the Hugging Face cache; returns the repository's folder. */
export function repositoryAbove(path: string): string | null {
  for (let folder = path; dirname(folder) !== folder; folder = dirname(folder))
    if (repositoryOfFolder(basename(folder)) !== null) return folder
  return null
}
