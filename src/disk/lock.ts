/**
 * A lock file that ensures one writer per target, also across processes (transfer rule 12).
 *
 * The owner writes its identity into the lock file. Another process that finds the file checks whether the
 * owner is still alive, so that the lock of a killed process can be taken at once. If that can't be checked,
 * because the owner runs on another machine or in another container that shares the folder, a heartbeat
 * decides, and the lock of a dead owner can be taken after a minute, for which a caller can wait.
 *
 * A lock appears with its content: it is written under another name and then linked. Where a file system has no
 * links, its owner may be killed in between. Such a torn lock can be taken once it is two seconds old.
 */
import { createHash, randomUUID } from 'node:crypto'
import { basename, dirname, join, resolve } from 'node:path'
import * as z from 'zod'
import { DownloadError } from '../errors.js'
import { type Clock, systemClock, type Timer } from '../util/clock.js'
import { lazily } from '../util/lazy.js'
import { readRegularFile, uniqueSuffix, writeNew } from './atomic.js'
import { errnoOf, fsError, isMissing, isOutOfHandles, nullIfMissing, withHandles } from './errors.js'
import { open, readdir } from './fs.js'
import { io } from './io.js'
import {
  isSuperseded,
  judgeOwner,
  judgeSilence,
  type LockLease,
  type OwnerFacts,
  staleMs,
} from './lock-owner.js'
import { isSame } from './stamp.js'
import { type FileStats, isSameInode } from './stats.js'
import { bootId, hostId, isExactBootId, processExists, processStartMs, processStat } from './system.js'

/** A lock that is held. */
export interface FileLock {
  /** Releases the lock. Never throws; a second call does nothing. */
  release(): Promise<void>
}

/** How to wait for a lock whose owner may be dead. */
export interface LockWait {
  /** Ends the wait; the lock then counts as held. */
  signal: AbortSignal
  /** Called before the wait, with its longest duration in milliseconds. */
  onWait: (ms: number) => void
}

const beatMs = 20_000

/** How often to look whether an owner that may be dead gives a sign of life. */
const watchMs = 1_000

/** Writing a name into a new lock takes a moment, unless its writer is killed in it. */
const tornMs = 2_000

const tornPollMs = 100

const maxLockBytes = 4096

const maxRounds = 5

/**
 * Maximum nesting of claims: a claim on a lock, a claim on that claim, and so on. Several are needed only if
 * processes have died within microseconds of each other.
 */
const maxDepth = 3

/** Built lazily, since it is needed only for a lock that another process holds or has left behind. */
const ownerSchema = lazily(() =>
  z.object({
    pid: z.number().int().positive(),
    /** Host and process namespace, in which `pid` is valid. */
    host: z.string(),
    bootId: z.string(),
    /**
     * When the process began, in clock ticks since boot; null if unknown. It differs when a pid has been
     * reused.
     */
    startTime: z.string().nullable(),
    /** When the process began, in milliseconds of the monotonic clock; null if unknown, or if `startTime` is known. */
    startedMs: z.number().nullable().optional(),
    /** Number of the owner's lease; undefined without one. */
    epoch: z.number().optional(),
    /** Thread of that process. */
    thread: z.string().optional(),
    token: z.string().min(1),
  }),
)

type Owner = z.infer<ReturnType<typeof ownerSchema>>

interface FoundLock {
  /** Null when the content is not valid, possibly because it has not been written yet. */
  owner: Owner | null
  /** The content ends before it is complete, or is garbage. */
  isTorn: boolean
  /** Identifies this lock, as opposed to a later one with the same path. */
  id: string
  mtimeMs: number
}

/** Identifies this thread as the owner of a lock. */
export const thread = randomUUID()

const deadThreads = new Set<string>()

/** Reports that threads of this process have ended, so that their locks can be taken. */
export function declareDead(threads: readonly string[]): void {
  for (const name of threads) deadThreads.add(name)
}

/** The lock files that this thread holds, by path: their content, and the clock of their heartbeat. */
const held = new Map<string, Held>()

interface Held {
  content: string
  clock: Clock
  lease: LockLease | null
  /** Whether the file is there and stays: heartbeats open no file that is about to be created or deleted. */
  beats: boolean
}

/** One heartbeat serves all locks of a clock. */
const heartbeats = new Map<Clock, Timer>()

/** The heartbeats that are being written. */
const beating = new Map<Clock, Promise<void>>()

/**
 * Takes a lock, or fails if it is held. The folder must exist.
 *
 * @param path - the lock file, which is created with mode 0600. Temporary files beside it are named `<path>.`
 * and six letters or digits.
 * @param clock - times the wait, and the heartbeat, which shows other machines that this process is alive.
 * @param wait - if given, a lock whose owner may be dead is waited for, until the owner gives a sign of life or has
 * been silent for a minute. Default: such a lock is held. A torn lock is waited for in any case.
 * @param lease - the owner's right to hold it. Default: none is needed.
 * @throws DownloadError `TARGET_LOCKED` (retryable) while a living process, including this one, holds it;
 * `PERMISSION`, `READ_ONLY`, `NO_SPACE`, `TARGET_NOT_REGULAR` or `DISK_IO` when the file can't be created.
 */
export async function acquireLock(
  path: string,
  clock: Clock = systemClock,
  wait: LockWait | null = null,
  lease: LockLease | null = null,
): Promise<FileLock> {
  const absolute = resolve(path)
  try {
    return await acquire(absolute, absolute, 0, clock, wait, lease)
  } catch (error) {
    throw fsError(error, `locking ${basename(path)}`)
  }
}

async function acquire(
  path: string,
  base: string,
  depth: number,
  clock: Clock,
  wait: LockWait | null,
  lease: LockLease | null = null,
): Promise<FileLock> {
  const ours = held.get(path)
  if (ours !== undefined && !isSuperseded(ours.lease?.epoch, lease)) throw locked(base)
  const content = JSON.stringify({ ...self(), epoch: lease?.epoch, token: randomUUID() })
  const own: Held = { content, clock, lease, beats: false }
  held.set(path, own)
  let tookAway = false
  try {
    for (let round = 0; round < maxRounds; round++) {
      lease?.yieldTo(undefined)
      const made = await create(path, base, content)
      if (made !== null) {
        // Without links, a process that stalls before it has written its name may have been taken for dead since.
        if (!(await isStillThere(path, made))) continue
        if (tookAway && depth === 0) await removeStrays(base)
        return hold(path, own, made)
      }
      const found = await settled(path, await inspect(path), base, clock)
      if (found === null) continue
      if (depth === maxDepth) throw locked(base)
      lease?.yieldTo(found.owner?.epoch)
      const silence = isSuperseded(found.owner?.epoch, lease) ? 'dead' : await silenceOf(found, base)
      if (silence !== 'dead') {
        if (silence === 'alive' || wait === null) throw locked(base)
        const outcome = await watch(path, found, staleMs - silence, clock, wait)
        if (outcome === 'alive') throw locked(base)
        if (outcome === 'replaced') continue
      }
      await takeAway(path, found, base, depth, clock)
      tookAway = true
    }
    throw locked(base)
  } catch (error) {
    letGo(path, content)
    throw error
  }
}

/** Forgets a lock, unless a later lease of this thread has taken it meanwhile. */
function letGo(path: string, content: string): void {
  if (held.get(path)?.content === content) held.delete(path)
}

function locked(base: string): DownloadError {
  return new DownloadError('TARGET_LOCKED', `Another download holds the lock ${basename(base)}.`, {
    retryable: true,
  })
}

/** Creates the lock file; null when it already exists. */
async function create(path: string, base: string, content: string): Promise<FileStats | null> {
  const temporary = `${base}.${uniqueSuffix()}`
  try {
    const made = await writeNew(temporary, content, { mode: 0o600 })
    try {
      await io.link(temporary, path)
      return made
    } finally {
      await io.unlink(temporary).catch(() => undefined)
    }
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return null
    if (!hasNoLinks(error)) throw error
  }
  try {
    return await writeNew(path, content, { mode: 0o600 })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return null
    throw error
  }
}

/** Whether linking has failed for a reason that creating the file has not. */
function hasNoLinks(error: unknown): boolean {
  const isLink = error instanceof Error && 'syscall' in error && error.syscall === 'link'
  return isLink && !isOutOfHandles(error) && errnoOf(error) !== 'ENOTDIR'
}

/** Deletes temporary files of processes that were killed while they took this lock, which is now held. */
async function removeStrays(base: string): Promise<void> {
  const start = `${basename(base)}.`
  const names = await readdir(dirname(base)).catch(() => [])
  for (const name of names) {
    if (name.startsWith(start) && /^[0-9a-z]{6}$/.test(name.slice(start.length)))
      await io.unlink(join(dirname(base), name)).catch(() => undefined)
  }
}

/** Whether the path still leads to the file that was created. */
async function isStillThere(path: string, made: FileStats): Promise<boolean> {
  const found = await io.lstatIfThere(path)
  return found !== null && isSameInode(found, made)
}

function hold(path: string, own: Held, made: FileStats): FileLock {
  const { content, clock, lease } = own
  if (!heartbeats.has(clock)) heartbeats.set(clock, clock.interval(() => keepBeating(clock), beatMs).unref())
  own.beats = true
  let released = false
  return {
    async release() {
      if (released) return
      released = true
      own.beats = false
      // It has the file open.
      await beating.get(clock)
      if (lease?.isHeld !== false) await remove(path, content, made)
      letGo(path, content)
      if ([...held.values()].every((other) => other.clock !== clock)) {
        heartbeats.get(clock)?.cancel()
        heartbeats.delete(clock)
      }
    },
  }
}

/** Deletes the lock file if it is still ours: another process may have considered us dead and taken the lock. */
async function remove(path: string, content: string, made: FileStats): Promise<void> {
  try {
    const now = await io.lstat(path)
    // Usually the metadata is unchanged. Otherwise a heartbeat was written, or it is another process's lock.
    const ours = isSame(now, made) || (await readRegularFile(path, maxLockBytes)).data.toString() === content
    if (ours) await io.unlink(path)
  } catch {
    // It is already gone, or can't be reached. In the latter case other processes will find its owner dead.
  }
}

function keepBeating(clock: Clock): void {
  const beats = (beating.get(clock) ?? Promise.resolve()).then(() => beat(clock))
  beating.set(clock, beats)
  void beats.then(() => {
    if (beating.get(clock) === beats) beating.delete(clock)
  })
}

/** Writes a heartbeat into each held lock of a clock, to show other machines that the owner is alive. */
async function beat(clock: Clock): Promise<void> {
  for (const [path, lock] of held) {
    const { content, lease } = lock
    const mayBeat = () => lease?.isHeld !== false
    if (lock.clock !== clock || !lock.beats || !mayBeat()) continue
    try {
      const handle = await open(path, 'r+')
      try {
        // Writing the same bytes sets the modification time by the file system's clock, which other machines
        // compare with. utimes would use our own clock.
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(maxLockBytes), 0, maxLockBytes, 0)
        if (buffer.toString('utf8', 0, bytesRead) === content && mayBeat()) await handle.write(content, 0)
      } finally {
        await handle.close()
      }
    } catch {
      // The next heartbeat may succeed; two missed ones do no harm.
    }
  }
}

/**
 * Waits while a lock is torn: its owner is about to write its name into it, or was killed before it could, or a
 * power cut took the content. A lock that stays torn for {@link tornMs}, or has been for so long, is nobody's.
 */
async function settled(
  path: string,
  first: FoundLock | null,
  base: string,
  clock: Clock,
): Promise<FoundLock | null> {
  let found = first
  if (found?.isTorn === true && (await ageOf(found, base)) >= tornMs) return found
  for (let waitedMs = 0; found?.isTorn === true && waitedMs < tornMs; waitedMs += tornPollMs) {
    await clock.sleep(tornPollMs)
    const next = await inspect(path)
    // Another one; the caller judges it as if it were the first.
    if (next?.id !== found.id) return next?.isTorn === true ? null : next
    found = next
  }
  return found
}

/** Reads the existing lock; null when it is gone. */
async function inspect(path: string): Promise<FoundLock | null> {
  try {
    const { data, stats } = await readRegularFile(path, maxLockBytes)
    const text = data.toString()
    const owner = parseOwner(text)
    return {
      owner,
      isTorn: owner === null && !isJson(text),
      id: owner?.token ?? `${stats.ino}:${stats.mtimeMs}:${stats.size}`,
      mtimeMs: stats.mtimeMs,
    }
  } catch (error) {
    if (isMissing(error)) return null
    const { code } = fsError(error, 'reading the lock')
    if (code !== 'PERMISSION' && code !== 'FILE_BUSY') throw error
  }
  try {
    // It belongs to another user, or another program has it open, so only its metadata can be read.
    const stats = await io.lstat(path)
    return {
      owner: null,
      isTorn: false,
      id: `${stats.ino}:${stats.mtimeMs}:${stats.size}`,
      mtimeMs: stats.mtimeMs,
    }
  } catch (error) {
    return nullIfMissing(error)
  }
}

/** Whether a text is complete: what another version has written may mean nothing to us, but it is JSON. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function parseOwner(text: string): Owner | null {
  try {
    return ownerSchema().parse(JSON.parse(text))
  } catch {
    return null
  }
}

/**
 * Whether the owner of a lock is alive. If only its heartbeat can tell, the milliseconds since the last one, which was
 * less than {@link staleMs} ago.
 */
async function silenceOf(found: FoundLock, base: string): Promise<'alive' | 'dead' | number> {
  const { owner, isTorn } = found
  if (isTorn) return 'dead'
  // The process ids of other machines and containers mean nothing here.
  if (owner?.host !== self().host) return judgeSilence(null, await ageOf(found, base), own())
  if (owner.thread !== undefined && deadThreads.has(owner.thread)) return 'dead'
  const facts = { ...own(), stat: processStat(owner.pid), exists: processExists(owner.pid) }
  const verdict = judgeOwner(owner, facts)
  // A living process has left the lock behind if its lease ran out.
  const isUnknown = verdict === 'unknown' || (verdict === 'alive' && owner.epoch !== undefined)
  return isUnknown ? judgeSilence(owner, await ageOf(found, base), facts) : verdict
}

/** What is known of this process, to judge the owners of locks by. */
function own(): Omit<OwnerFacts, 'stat' | 'exists'> {
  const { pid, startedMs } = self()
  return {
    pid,
    bootId: bootId(),
    isExact: isExactBootId,
    startedMs: startedMs ?? null,
    runningMs: () => process.uptime() * 1_000,
  }
}

/** Waits for a sign of life of an owner that was heard of recently, and may have been killed since. */
async function watch(
  path: string,
  found: FoundLock,
  longestMs: number,
  clock: Clock,
  { signal, onWait }: LockWait,
): Promise<'alive' | 'dead' | 'replaced'> {
  onWait(longestMs)
  const end = clock.now() + longestMs
  while (clock.now() < end) {
    await clock.sleep(watchMs, signal)
    if (signal.aborted) return 'alive'
    const now = await inspect(path)
    if (now?.id !== found.id) return 'replaced'
    if (now.mtimeMs !== found.mtimeMs) return 'alive'
  }
  return 'dead'
}

/**
 * Milliseconds since a lock was written or had a heartbeat, by the file system's clock, since the clocks of machines
 * differ.
 */
async function ageOf({ mtimeMs }: FoundLock, base: string): Promise<number> {
  const probe = `${base}.${uniqueSuffix()}`
  const fd = await withHandles(() => io.open(probe, 'wx', 0o600))
  try {
    return (await io.fstat(fd)).mtimeMs - mtimeMs
  } finally {
    await io.close(fd).finally(() => io.unlink(probe).catch(() => undefined))
  }
}

/**
 * Deletes a dead owner's lock.
 *
 * Several processes may find the owner dead at the same time, and a slow one must not delete the lock that a
 * fast one has created since. So a process must first hold a claim on this lock. The claim is itself a lock,
 * named after the dead owner's token. While the claim is held, no other process deletes the dead lock, and
 * while the dead lock exists, no new one can be created.
 */
async function takeAway(
  path: string,
  dead: FoundLock,
  base: string,
  depth: number,
  clock: Clock,
): Promise<void> {
  const name = createHash('sha256')
    .update(`${basename(path)}\n${dead.id}`)
    .digest()
  const claim = await acquire(`${base}.${suffixFrom(name)}`, base, depth + 1, clock, null)
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
  if (cachedSelf !== undefined) return cachedSelf
  const startTime = processStat('self')?.startTime ?? null
  cachedSelf = {
    pid: process.pid,
    host: hostId(),
    bootId: bootId(),
    startTime,
    // One exact answer is enough.
    startedMs: startTime === null ? processStartMs() : null,
    thread,
  }
  return cachedSelf
}
