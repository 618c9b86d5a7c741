/**
 * One writer per target (transfer rule 12), across processes.
 *
 * The owner writes who it is into the lock file. Whoever finds the file asks whether that process still lives,
 * so that a killed one's lock is free at once. Only where that can't be asked (another machine or container that
 * shares the folder) does a heartbeat decide, and a dead owner's lock is free a minute later.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, resolve } from 'node:path'
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { lazily } from '../util/lazy.js'
import { readRegularFile, uniqueSuffix, writeNew } from './atomic.js'
import { errnoOf, fsError, isMissing, nullIfMissing, withHandles } from './errors.js'
import { io } from './io.js'
import { isSame } from './stamp.js'
import { bootId, isExactBootId } from './system.js'

/** A lock that is held. */
export interface FileLock {
  /** Gives it back. Never throws; a second call does nothing. */
  release(): Promise<void>
}

const beatMs = 20_000

const staleMs = 60_000

const maxLockBytes = 4096

const maxRounds = 5

/** A lock, the claim on it, the claim on that one: deeper only when several processes died within microseconds. */
const maxDepth = 3

/** Needed seldom: only for a lock that somebody else has left or holds. */
const ownerSchema = lazily(() =>
  z.object({
    pid: z.number().int().positive(),
    /** Host and process namespace: only within these does `pid` mean anything. */
    host: z.string(),
    bootId: z.string(),
    /** When the process began, in the kernel's own count; null where there is none. A reused pid has another one. */
    startTime: z.string().nullable(),
    /** The thread of that process. */
    thread: z.string().optional(),
    token: z.string().min(1),
  }),
)

type Owner = z.infer<ReturnType<typeof ownerSchema>>

interface FoundLock {
  /** Null when the content makes no sense (yet). */
  owner: Owner | null
  /** Tells this very lock from any later one of the same name. */
  id: string
  mtimeMs: number
}

/** This thread's name among the owners of locks. */
export const thread = randomUUID()

const deadThreads = new Set<string>()

/** Threads of this process that are gone, so that nobody holds their locks any more. */
export function declareDead(threads: readonly string[]): void {
  for (const name of threads) deadThreads.add(name)
}

/** Lock files of this thread, by path, with what was written into them. */
const held = new Map<string, string>()

let heartbeat: NodeJS.Timeout | undefined

/**
 * Takes a lock, at once or not at all. The folder must exist.
 *
 * @param path - the lock file; made with mode 0600. Files named `<path>.` and six letters or digits may come and go beside it.
 * @throws DownloadError `TARGET_LOCKED` (retryable) while a living process, this one included, holds it; `PERMISSION`,
 *   `READ_ONLY`, `NO_SPACE`, `TARGET_NOT_REGULAR` or `DISK_IO` when the file can't be made.
 */
export async function acquireLock(path: string): Promise<FileLock> {
  const absolute = resolve(path)
  try {
    return await acquire(absolute, absolute, 0)
  } catch (error) {
    throw fsError(error, `locking ${basename(path)}`)
  }
}

async function acquire(path: string, base: string, depth: number): Promise<FileLock> {
  if (held.has(path)) throw locked(base)
  const content = JSON.stringify({ ...self(), token: randomUUID() })
  held.set(path, content)
  try {
    for (let round = 0; round < maxRounds; round++) {
      const made = await create(path, content)
      if (made !== null) return hold(path, content, made)
      const found = await inspect(path)
      if (found === null) continue
      if (depth === maxDepth || (await isAlive(found, base))) throw locked(base)
      await takeAway(path, found, base, depth)
    }
    throw locked(base)
  } catch (error) {
    held.delete(path)
    throw error
  }
}

function locked(base: string): DownloadError {
  return new DownloadError('TARGET_LOCKED', `Another writer holds ${basename(base)}.`, { retryable: true })
}

/** Makes the lock file; null when there is one. */
async function create(path: string, content: string): Promise<Stats | null> {
  try {
    return await writeNew(path, content, { mode: 0o600 })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return null
    throw error
  }
}

function hold(path: string, content: string, made: Stats): FileLock {
  heartbeat ??= setInterval(() => void beat(), beatMs).unref()
  let released = false
  return {
    async release() {
      if (released) return
      released = true
      await remove(path, content, made)
      held.delete(path)
      if (held.size === 0) {
        clearInterval(heartbeat)
        heartbeat = undefined
      }
    },
  }
}

/** Deletes a lock file that is still ours: one that was thought dead may be another's by now. */
async function remove(path: string, content: string, made: Stats): Promise<void> {
  try {
    const now = await io.lstat(path)
    // Untouched since we made it, in the most cases; else a heartbeat was written, or it is another one.
    const ours = isSame(now, made) || (await readRegularFile(path, maxLockBytes)).data.toString() === content
    if (ours) await io.unlink(path)
  } catch {
    // Gone already, or out of reach: others judge it by its owner.
  }
}

/** Shows other machines that the owners live. */
async function beat(): Promise<void> {
  for (const [path, content] of held) {
    try {
      const handle = await open(path, 'r+')
      try {
        // Writing the same bytes sets the time by the clock of the file system, which others compare with;
        // utimes would set it by ours.
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(maxLockBytes), 0, maxLockBytes, 0)
        if (buffer.toString('utf8', 0, bytesRead) === content) await handle.write(content, 0)
      } finally {
        await handle.close()
      }
    } catch {
      // The next beat may get through; two missed ones do no harm.
    }
  }
}

/** Reads the lock that is there; null when it is gone. */
async function inspect(path: string): Promise<FoundLock | null> {
  try {
    const { data, stats } = await readRegularFile(path, maxLockBytes)
    const owner = parseOwner(data.toString())
    return {
      owner,
      id: owner?.token ?? `${stats.ino}:${stats.mtimeMs}:${stats.size}`,
      mtimeMs: stats.mtimeMs,
    }
  } catch (error) {
    if (isMissing(error)) return null
    if (errnoOf(error) !== 'EACCES') throw error
  }
  try {
    // Another user's: its age is all there is to see.
    const stats = await io.lstat(path)
    return { owner: null, id: `${stats.ino}:${stats.mtimeMs}:${stats.size}`, mtimeMs: stats.mtimeMs }
  } catch (error) {
    return nullIfMissing(error)
  }
}

function parseOwner(text: string): Owner | null {
  try {
    return ownerSchema().parse(JSON.parse(text))
  } catch {
    return null
  }
}

async function isAlive({ owner, mtimeMs }: FoundLock, base: string): Promise<boolean> {
  if (owner !== null && owner.host === self().host) {
    if (isExactBootId(owner.bootId) && isExactBootId(bootId()) && owner.bootId !== bootId()) return false
    if (owner.thread !== undefined && deadThreads.has(owner.thread)) return false
    const alive = isProcessAlive(owner)
    if (alive !== null) return alive
  }
  return beatsRecently(mtimeMs, base)
}

/** Whether the owner runs on this machine; null when a process has its pid and it can't be told whether it is the one. */
function isProcessAlive(owner: Owner): boolean | null {
  const stat = readStat(owner.pid)
  // A zombie is dead, though its pid is taken until its parent looks.
  if (stat !== null && (stat.state === 'Z' || stat.state === 'X')) return false
  if (stat !== null && owner.startTime !== null) return stat.startTime === owner.startTime
  // Other threads of this process keep books of their own.
  if (owner.pid === process.pid) return true
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false
  }
  return null
}

/** State and start time of a process, as Linux tells them (proc_pid_stat(5), fields 3 and 22); null elsewhere. */
function readStat(pid: number | 'self'): { state: string; startTime: string } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // Field 2, the command, stands in parentheses and may itself hold spaces and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const state = fields[0]
    const startTime = fields[19]
    return state === undefined || startTime === undefined ? null : { state, startTime }
  } catch {
    return null
  }
}

/** Whether a lock was touched within the last minute, by the file system's own clock: machines disagree on the time. */
async function beatsRecently(mtimeMs: number, base: string): Promise<boolean> {
  const probe = `${base}.${uniqueSuffix()}`
  const handle = await withHandles(() => open(probe, 'wx', 0o600))
  try {
    const now = (await handle.stat()).mtimeMs
    // A time far ahead is as wrong as one far back; a living owner would have set it right.
    return Math.abs(now - mtimeMs) <= staleMs
  } finally {
    await handle.close()
    await io.unlink(probe).catch(() => undefined)
  }
}

/**
 * Deletes a dead owner's lock.
 *
 * Several may have judged it dead, and the slowest must not delete the lock that the fastest has made since. So
 * one has to hold the claim on this very lock first, itself a lock whose name comes from the dead one's token: while
 * it is held nobody else deletes the dead lock, and as long as that is there no other takes its place.
 */
async function takeAway(path: string, dead: FoundLock, base: string, depth: number): Promise<void> {
  const name = createHash('sha256')
    .update(`${basename(path)}\n${dead.id}`)
    .digest()
  const claim = await acquire(`${base}.${suffixFrom(name)}`, base, depth + 1)
  try {
    const found = await inspect(path)
    if (found?.id === dead.id) await io.unlink(path)
  } finally {
    await claim.release()
  }
}

function suffixFrom(digest: Buffer): string {
  return digest.readUInt32LE().toString(36).padStart(6, '0').slice(-6)
}

let cachedSelf: Omit<Owner, 'token'> | undefined

function self(): Omit<Owner, 'token'> {
  cachedSelf ??= {
    pid: process.pid,
    host: `${hostname()} ${processNamespace()}`.trim(),
    bootId: bootId(),
    startTime: readStat('self')?.startTime ?? null,
    thread,
  }
  return cachedSelf
}

/** Containers may share a host name and yet not see each other's processes. */
function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}
