/**
 * Decides whether the process that a lock file names is still alive. Pure: what is known of the system is passed in.
 *
 * Linux has exact answers, the boot's id and the start time of each process. Windows and macOS have neither at a low
 * cost. What every process can tell of itself is when it began on the monotonic clock, which starts at the boot and is
 * never set. That is enough for the two cases that matter there: a lock with our own process id, which would
 * otherwise look as if we held it, and a machine that has restarted since.
 *
 * The wall clock proves nothing, because it can be set. Neither does the boot time that is computed from it.
 */

/** What a lock file says about its owner. */
export interface OwnerClaim {
  pid: number
  bootId: string
  /** Start of the process in clock ticks since the boot (Linux); null if unknown. */
  startTime: string | null
  /**
   * Start of the process on the monotonic clock, in milliseconds since the boot; null or undefined if unknown, as in
   * locks of earlier versions.
   */
  startedMs?: number | null | undefined
}

/** What is known of the system, and of the process that has the owner's id now. */
export interface OwnerFacts {
  /** Our own process id. */
  pid: number
  bootId: string
  /** Whether boot ids come from the kernel, so that a different one proves another boot. */
  isExact: (bootId: string) => boolean
  /** When our own process began, see {@link OwnerClaim.startedMs}; null if unknown. */
  startedMs: number | null
  /** How long our own process has been running, in milliseconds. */
  runningMs: () => number
  /** State and start time of the process with the owner's id (proc_pid_stat(5)); null where they can't be read. */
  stat: { state: string; startTime: string } | null
  /** Whether some process has the owner's id; null if that can't be told. */
  exists: boolean | null
}

/** The same moment, read twice, differs by less, in milliseconds. No process id is used again so soon. */
const sameStartMs = 10

/** A start that is later than now by more than this is one of another boot, in milliseconds. */
const futureMs = 1_000

/** Coarseness of modification times, in milliseconds: FAT rounds them to two seconds. */
const coarseMs = 5_000

/** An owner that has been silent for longer is dead, in milliseconds. */
export const staleMs = 60_000

/** Whether the owner of a lock is alive; `unknown` when only its heartbeat can tell. */
export function judgeOwner(owner: OwnerClaim, facts: OwnerFacts): 'alive' | 'dead' | 'unknown' {
  const isOtherBoot = owner.bootId !== facts.bootId
  if (isOtherBoot && facts.isExact(owner.bootId) && facts.isExact(facts.bootId)) return 'dead'
  const { stat, startedMs } = facts
  // A zombie is dead, although its id stays in use until its parent reaps it.
  if (stat !== null && (stat.state === 'Z' || stat.state === 'X')) return 'dead'
  if (stat !== null && owner.startTime !== null) return stat.startTime === owner.startTime ? 'alive' : 'dead'
  const ownerStartedMs = owner.startedMs ?? null
  if (startedMs !== null && ownerStartedMs !== null) {
    // The machine has restarted since, because its clock has not got that far again.
    if (ownerStartedMs > startedMs + facts.runningMs() + futureMs) return 'dead'
    if (owner.pid === facts.pid && Math.abs(ownerStartedMs - startedMs) > sameStartMs) return 'dead'
  }
  if (owner.pid !== facts.pid) return facts.exists === false ? 'dead' : 'unknown'
  // In another boot, a service may have had the same id and begun at the same moment. Or the clock was set.
  if (isOtherBoot) return startedMs !== null && ownerStartedMs === null ? 'dead' : 'unknown'
  // Other threads of this process have their own list of held locks.
  return startedMs !== null && ownerStartedMs !== null ? 'alive' : 'unknown'
}

/**
 * What the time since the last heartbeat says of an owner of which nothing else is known.
 *
 * @param owner - null if the lock can't be read.
 * @param silenceMs - by the file system's clock. A time far in the future is as stale as one in the past: a living
 * owner would have corrected it.
 * @returns `dead`, or the length of the silence.
 */
export function judgeSilence(
  owner: Pick<OwnerClaim, 'pid'> | null,
  silenceMs: number,
  facts: Pick<OwnerFacts, 'pid' | 'runningMs'>,
): 'dead' | number {
  if (Math.abs(silenceMs) > staleMs) return 'dead'
  // The last heartbeat of "our" lock is older than we are, so it is one of a process that had our id before.
  if (owner?.pid === facts.pid && silenceMs > facts.runningMs() + coarseMs) return 'dead'
  return Math.max(0, silenceMs)
}

// ---- Leases.

/**
 * The right of an owner to hold a lock, where several instances share the work. Whoever has a later one takes the lock of
 * an earlier one at once, because that has run out.
 */
export interface LockLease {
  /** Number of the lease; later ones have higher numbers. */
  readonly epoch: number
  /** Whether the owner still has it; if not, it writes nothing more, and leaves the lock to the next one. */
  readonly isHeld: boolean
  /** Throws if it is lost, or if the lock that was found is of a later one, given the number of that. */
  yieldTo: (epoch: number | undefined) => void
}

/** Whether the owner of a lock, by the number of its lease, has lost it to ours. */
export function isSuperseded(epoch: number | undefined, lease: LockLease | null): boolean {
  return epoch !== undefined && lease !== null && epoch < lease.epoch
}
