/** A simulated disk: files and folders in memory, and what of them is left after a power cut. */
import { constants } from 'node:fs'
import { constants as os } from 'node:os'
import path from 'node:path'
import type { Random } from './random.js'

/**
 * Which file system a disk has. `ordered` commits changes of folders in their order, and data before the length that
 * covers it, as ext4 does; any sync of a file commits all that came before. `posix` promises only what POSIX does: each
 * change of a folder and each page is kept or lost by itself until it is synced.
 */
export type DiskModel = 'ordered' | 'posix'

/**
 * What becomes of a length that is set. `holes`: what nobody has written takes up no room, as on ext4. `zeros`: gaps are
 * filled, as on exFAT. `ignored` and `half`: the call succeeds, but a file does not get longer, or only by half. An error:
 * each such call fails with it.
 */
export type LengthModel =
  'holes' | 'zeros' | 'ignored' | 'half' | 'EPERM' | 'EINVAL' | 'ENOTSUP' | 'EOPNOTSUPP'

/** A file, folder or link. */
export interface Inode {
  readonly ino: number
  readonly kind: 'file' | 'folder' | 'link'
  mode: number
  mtimeMs: number
  nlink: number
  data: Buffer
  size: number
  /** Pages that take up room. */
  allocated: Set<number>
  /** Changed since the last sync. */
  dirty: Set<number>
  durable: { data: Buffer; size: number }
  entries: Map<string, Inode>
  durableEntries: Map<string, Inode>
}

/** A change of folders, which a power cut keeps or loses as one. */
type FolderChange = readonly (readonly [folder: Inode, name: string, inode: Inode | null])[]

const pageBytes = 4096

/** A failed system call, as Node reports it. */
export function systemError(code: string, syscall: string, where?: string): NodeJS.ErrnoException {
  const number = (os.errno as Record<string, number>)[code] ?? 1
  const suffix = where === undefined ? '' : ` '${where}'`
  const error: NodeJS.ErrnoException = new Error(`${code}: simulated, ${syscall}${suffix}`)
  return Object.assign(error, {
    code,
    errno: -number,
    syscall,
    ...(where === undefined ? {} : { path: where }),
  })
}

export class Disk {
  readonly root: Inode
  readonly #model: DiskModel
  readonly #lengths: LengthModel
  readonly #now: () => number
  /** Pages that are free; Infinity for a disk that never fills. */
  #free = Infinity
  #nextInode = 2
  #changes: FolderChange[] = []

  constructor(model: DiskModel, now: () => number, lengths: LengthModel = 'holes') {
    this.#model = model
    this.#lengths = lengths
    this.#now = now
    this.root = this.#make('folder', 0o755)
  }

  /** Bytes that can still be written. */
  get free(): number {
    return this.#free * pageBytes
  }

  set free(bytes: number) {
    this.#free = Math.floor(bytes / pageBytes)
  }

  // ---- names

  /** The inode under a path; the last link is followed unless told otherwise. */
  lookup(where: string, syscall: string, follow = true, depth = 0): Inode {
    const inode = this.find(where, follow, depth)
    if (inode === null) throw systemError('ENOENT', syscall, where)
    return inode
  }

  /** The same, or null. */
  find(where: string, follow = true, depth = 0): Inode | null {
    let inode = this.root
    const names = path.resolve('/', where).split('/').filter(Boolean)
    for (const [index, name] of names.entries()) {
      if (inode.kind !== 'folder') throw systemError('ENOTDIR', 'open', where)
      const next = inode.entries.get(name)
      if (next === undefined) return null
      inode = next
      if (inode.kind === 'link' && (follow || index < names.length - 1)) {
        if (depth > 8) throw systemError('ELOOP', 'open', where)
        const to = path.resolve('/', ...names.slice(0, index), inode.data.toString())
        const target = this.find(to, true, depth + 1)
        if (target === null) return null
        inode = target
      }
    }
    return inode
  }

  #parent(where: string, syscall: string): { folder: Inode; name: string } {
    const absolute = path.resolve('/', where)
    const folder = this.lookup(path.dirname(absolute), syscall)
    if (folder.kind !== 'folder') throw systemError('ENOTDIR', syscall, where)
    return { folder, name: path.basename(absolute) }
  }

  #change(change: FolderChange): void {
    for (const [folder, name, inode] of change) {
      const before = folder.entries.get(name)
      if (inode === null) folder.entries.delete(name)
      else folder.entries.set(name, inode)
      if (before !== undefined && before !== inode) this.#unlinked(before)
      folder.mtimeMs = this.#now()
    }
    this.#changes.push(change)
  }

  #unlinked(inode: Inode): void {
    inode.nlink--
    if (inode.nlink > 0 || inode.kind !== 'file') return
    // An open descriptor would keep the room; that a part is deleted while it is open is rare enough.
    this.#free += inode.allocated.size
    inode.allocated = new Set()
  }

  // ---- files

  open(where: string, flags: number, mode: number): Inode {
    const noFollow = (flags & constants.O_NOFOLLOW) !== 0
    const exclusive = (flags & constants.O_EXCL) !== 0
    let inode = this.find(where, !noFollow && !exclusive)
    if (inode !== null && exclusive && (flags & constants.O_CREAT) !== 0)
      throw systemError('EEXIST', 'open', where)
    if (inode?.kind === 'link') throw systemError('ELOOP', 'open', where)
    const writes = (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0
    if (inode?.kind === 'folder' && writes) throw systemError('EISDIR', 'open', where)
    if (inode === null) {
      if ((flags & constants.O_CREAT) === 0) throw systemError('ENOENT', 'open', where)
      const { folder, name } = this.#parent(where, 'open')
      inode = this.#make('file', mode & 0o777 & ~0o022)
      inode.nlink = 1
      this.#change([[folder, name, inode]])
    }
    if ((flags & constants.O_TRUNC) !== 0) this.truncate(inode, 0)
    return inode
  }

  read(inode: Inode, buffer: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(buffer.length, inode.size - position))
    buffer.set(inode.data.subarray(position, position + length))
    return length
  }

  /** Writes what there is room for, and returns how much that was. */
  write(inode: Inode, bytes: Uint8Array, position: number): number {
    if (this.#lengths === 'zeros' && position > inode.size) {
      const filled = inode.size + this.#allocate(inode, inode.size, position)
      this.#grow(inode, filled)
      if (filled < position) throw systemError('ENOSPC', 'write')
    }
    const length = this.#allocate(inode, position, position + bytes.length)
    if (length === 0 && bytes.length > 0) throw systemError('ENOSPC', 'write')
    this.#grow(inode, position + length)
    inode.data.set(bytes.subarray(0, length), position)
    inode.mtimeMs = this.#now()
    return length
  }

  /** Finds room for bytes. Returns for how many of them there is some. */
  #allocate(inode: Inode, start: number, to: number): number {
    let length = 0
    for (let page = Math.floor(start / pageBytes); start + length < to; page++) {
      if (!inode.allocated.has(page)) {
        if (this.#free <= 0) break
        this.#free--
        inode.allocated.add(page)
      }
      inode.dirty.add(page)
      length = Math.min(to, (page + 1) * pageBytes) - start
    }
    return length
  }

  /** Sets a length, as far as this disk does. */
  setLength(inode: Inode, size: number): void {
    const missing = size - inode.size
    switch (this.#lengths) {
      case 'holes':
        this.truncate(inode, size)
        break
      case 'zeros':
        if (missing > 0 && this.#allocate(inode, inode.size, size) < missing)
          throw systemError('ENOSPC', 'ftruncate')
        this.truncate(inode, size)
        break
      case 'ignored':
        this.truncate(inode, Math.min(size, inode.size))
        break
      case 'half':
        this.truncate(inode, missing > 0 ? inode.size + Math.floor(missing / 2) : size)
        break
      default:
        throw systemError(this.#lengths, 'ftruncate')
    }
  }

  truncate(inode: Inode, size: number): void {
    if (size < inode.size) {
      inode.data.fill(0, size, inode.size)
      for (const page of [...inode.allocated]) {
        if (page * pageBytes < size) continue
        inode.allocated.delete(page)
        this.#free++
      }
      inode.dirty.add(Math.floor(size / pageBytes))
      inode.size = size
    } else this.#grow(inode, size)
    inode.mtimeMs = this.#now()
  }

  #grow(inode: Inode, size: number): void {
    if (size > inode.data.length) {
      const data = Buffer.alloc(Math.max(size, 2 * inode.data.length))
      inode.data.copy(data, 0, 0, inode.size)
      inode.data = data
    }
    inode.size = Math.max(inode.size, size)
  }

  // ---- folders

  mkdir(where: string, recursive: boolean, mode: number): string | undefined {
    const absolute = path.resolve('/', where)
    const existing = this.find(absolute)
    if (existing !== null) {
      if (recursive && existing.kind === 'folder') return undefined
      throw systemError('EEXIST', 'mkdir', where)
    }
    const first = recursive ? this.mkdir(path.dirname(absolute), true, mode) : undefined
    const { folder, name } = this.#parent(absolute, 'mkdir')
    this.#change([[folder, name, this.#make('folder', mode & ~0o022)]])
    return first ?? absolute
  }

  rmdir(where: string): void {
    const inode = this.lookup(where, 'rmdir', false)
    if (inode.kind !== 'folder') throw systemError('ENOTDIR', 'rmdir', where)
    if (inode.entries.size > 0) throw systemError('ENOTEMPTY', 'rmdir', where)
    const { folder, name } = this.#parent(where, 'rmdir')
    this.#change([[folder, name, null]])
  }

  rename(from: string, to: string): void {
    const inode = this.lookup(from, 'rename', false)
    const source = this.#parent(from, 'rename')
    const target = this.#parent(to, 'rename')
    const there = target.folder.entries.get(target.name)
    if (there === inode) return
    if (there?.kind === 'folder' && inode.kind !== 'folder') throw systemError('EISDIR', 'rename', to)
    inode.nlink++
    this.#change([
      [target.folder, target.name, inode],
      [source.folder, source.name, null],
    ])
  }

  link(from: string, to: string): void {
    const inode = this.lookup(from, 'link', false)
    const { folder, name } = this.#parent(to, 'link')
    if (folder.entries.has(name)) throw systemError('EEXIST', 'link', to)
    inode.nlink++
    this.#change([[folder, name, inode]])
  }

  symlink(to: string, where: string): void {
    const { folder, name } = this.#parent(where, 'symlink')
    if (folder.entries.has(name)) throw systemError('EEXIST', 'symlink', where)
    const inode = this.#make('link', 0o777)
    inode.data = Buffer.from(to)
    inode.size = inode.data.length
    inode.durable = { data: inode.data, size: inode.size }
    this.#change([[folder, name, inode]])
  }

  unlink(where: string): void {
    const inode = this.lookup(where, 'unlink', false)
    if (inode.kind === 'folder') throw systemError('EISDIR', 'unlink', where)
    const { folder, name } = this.#parent(where, 'unlink')
    this.#change([[folder, name, null]])
  }

  // ---- power

  sync(inode: Inode): void {
    inode.dirty.clear()
    inode.durable = { data: Buffer.from(inode.data.subarray(0, inode.size)), size: inode.size }
    if (this.#model === 'ordered') this.#commit(this.#changes)
    else if (inode.kind === 'folder')
      this.#commit(this.#changes.filter((change) => change.some(([folder]) => folder === inode)))
  }

  #commit(changes: readonly FolderChange[]): void {
    for (const change of changes) {
      for (const [folder, name, inode] of change) {
        if (inode === null) folder.durableEntries.delete(name)
        else folder.durableEntries.set(name, inode)
      }
    }
    this.#changes = this.#changes.filter((change) => !changes.includes(change))
  }

  /** What a power cut can't take from a file; null when that is nothing. */
  durable(where: string): Buffer | null {
    let inode: Inode | undefined = this.root
    for (const name of path.resolve('/', where).split('/').filter(Boolean))
      inode = inode?.durableEntries.get(name)
    return inode?.durable.data ?? null
  }

  /** The power goes, and comes back: only what was synced is certain to be there. */
  cutPower(random: Random): void {
    const changes = this.#changes
    this.#commit(
      this.#model === 'ordered'
        ? changes.slice(0, random.below(changes.length + 1))
        : changes.filter(() => random.chance(0.5)),
    )
    this.#changes = []
    this.#restore(this.root, random, new Set())
  }

  #restore(inode: Inode, random: Random, seen: Set<Inode>): void {
    if (seen.has(inode)) return
    seen.add(inode)
    if (inode.kind === 'folder') {
      inode.entries = new Map(inode.durableEntries)
      for (const child of inode.entries.values()) this.#restore(child, random, seen)
    } else if (inode.kind === 'file') this.#restoreFile(inode, random)
  }

  #restoreFile(inode: Inode, random: Random): void {
    const { durable, data: live, size: liveSize } = inode
    const keepsLength = liveSize !== durable.size && random.chance(0.5)
    const size = keepsLength ? liveSize : durable.size
    const data = Buffer.alloc(Math.max(size, durable.size))
    durable.data.copy(data, 0, 0, Math.min(durable.size, size))
    for (const page of inode.dirty) {
      const start = page * pageBytes
      const isNew = start >= durable.size
      // Data goes to the disk before the length that covers it.
      const isKept = (this.#model === 'ordered' && isNew && keepsLength) || random.chance(0.5)
      if (isKept) live.copy(data, start, start, Math.min(start + pageBytes, liveSize, size))
    }
    inode.data = data
    inode.size = size
    inode.dirty = new Set()
    inode.durable = { data: Buffer.from(data.subarray(0, size)), size }
    inode.nlink = Math.max(1, inode.nlink)
  }

  #make(kind: Inode['kind'], mode: number): Inode {
    return {
      ino: this.#nextInode++,
      kind,
      mode,
      mtimeMs: this.#now(),
      nlink: kind === 'folder' ? 1 : 0,
      data: Buffer.alloc(0),
      size: 0,
      allocated: new Set(),
      dirty: new Set(),
      durable: { data: Buffer.alloc(0), size: 0 },
      entries: new Map(),
      durableEntries: new Map(),
    }
  }

  /** Every file below a folder by its path, for those who look at the disk from outside. */
  files(folder = '/'): Map<string, Buffer> {
    const found = new Map<string, Buffer>()
    const visit = (inode: Inode, at: string) => {
      if (inode.kind === 'file') found.set(at, inode.data.subarray(0, inode.size))
      for (const [name, child] of inode.entries) visit(child, path.join(at, name))
    }
    const start = this.find(folder)
    if (start !== null) visit(start, folder)
    return found
  }
}
