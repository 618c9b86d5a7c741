/**
 * Decides which of several addresses of one file is used next, and when to switch to another one. Pure: the caller
 * passes the time. Times are monotonic milliseconds.
 */

/** How well an address has worked so far. Never changed in place. */
export interface MirrorHealth {
  /** Failures since it last delivered bytes. */
  failures: number
  /** Until this time it is used only when no other address is left. */
  backoffUntil: number
  /** Bytes per second of all its connections in the last sample; null before the first sample. */
  speed: number | null
  /** Average bytes per second of one connection in the last sample. */
  speedOfOne: number
  /** The highest {@link speed} so far. */
  bestSpeed: number
  /** Consecutive samples in which it was slow. */
  slowSamples: number
  /** How often it was tried in parallel with another address and was not faster. */
  trials: number
}

/** Health of an address that has not been used yet. */
export const unknownHealth: MirrorHealth = {
  failures: 0,
  backoffUntil: 0,
  speed: null,
  speedOfOne: 0,
  bestSpeed: 0,
  slowSamples: 0,
  trials: 0,
}

const initialBackoffMs = 1_000

const maxBackoffMs = 60_000

/** Health after a failure: the address backs off, from 1 s, doubling with each failure, up to 60 s. */
export function afterFailure(health: MirrorHealth, now: number): MirrorHealth {
  const failures = health.failures + 1
  const backoffMs = Math.min(maxBackoffMs, initialBackoffMs * 2 ** Math.min(failures - 1, 30))
  return { ...health, failures, backoffUntil: Math.max(health.backoffUntil, now + backoffMs) }
}

/** Health after bytes were received: failures are reset. */
export function afterBytes(health: MirrorHealth): MirrorHealth {
  return health.failures === 0 ? health : { ...health, failures: 0, backoffUntil: 0 }
}

/** A speed measurement of one address. */
export interface SpeedSample {
  /** Speed of all its connections together since the previous sample. */
  bytesPerSecond: number
  /** Number of its connections. */
  connections: number
  /** Below this it is slow, whatever its speed was before. */
  slowBytesPerSecond: number
}

/** An address is slow below this share of its best speed. */
const slowShare = 1 / 4

/** Health after a speed sample. */
export function afterSample(health: MirrorHealth, sample: SpeedSample): MirrorHealth {
  const speed = sample.bytesPerSecond
  const slow = speed < sample.slowBytesPerSecond || speed < health.bestSpeed * slowShare
  return {
    ...health,
    speed,
    speedOfOne: speed / Math.max(1, sample.connections),
    bestSpeed: Math.max(health.bestSpeed, speed),
    slowSamples: slow ? health.slowSamples + 1 : 0,
  }
}

/** An address, as {@link pick} considers it. */
export interface MirrorCandidate {
  health: MirrorHealth
  /** False if the address is excluded from this download. */
  usable: boolean
  /**
   * How long no request may be sent to it (`Retry-After`); Infinity while a new address for it has been requested.
   */
  waitMs: number
  /** Number of its open connections. */
  live: number
  /** How many more connections it may get. */
  room: number
}

/** The address to use next, or how long to wait for one; Infinity if waiting alone does not help. */
export type Choice = { index: number } | { waitMs: number }

/**
 * Chooses the address for the next connection.
 *
 * One at a time, this is the current address as long as it works, then the one with the fewest failures, in list
 * order. With `spread`, it is the address with the fewest connections. An address that backs off is used only when
 * no connection is open at all.
 */
export function pick(
  candidates: readonly MirrorCandidate[],
  { now, current, spread }: { now: number; current: number; spread: boolean },
): Choice {
  const active = candidates[current]
  // An address that is still receiving and merely accepts no further request now is not replaced for that.
  if (!spread && active?.usable === true && active.live > 0 && active.health.backoffUntil <= now) {
    if (active.room <= 0) return { waitMs: Infinity }
    return active.waitMs > 0 ? { waitMs: active.waitMs } : { index: current }
  }
  const order = candidates.map((candidate, index) => ({ ...candidate, index })).filter(({ usable }) => usable)
  const ready = order.filter(
    ({ waitMs, room, health }) => waitMs <= 0 && room > 0 && health.backoffUntil <= now,
  )
  const stays = spread ? undefined : ready.find(({ index }) => index === current)
  const chosen = stays ?? ready.sort(spread ? byLoad : byFailures)[0]
  if (chosen !== undefined) return { index: chosen.index }
  const idle = candidates.every(({ live }) => live === 0)
  const [soonest] = order.filter(({ waitMs, room }) => waitMs <= 0 && room > 0).sort(byBackoff)
  if (idle && soonest !== undefined) return { index: soonest.index }
  const waits = order
    .filter(({ room }) => room > 0)
    .map(({ waitMs, health }) => Math.max(waitMs, idle ? 0 : health.backoffUntil - now))
  return { waitMs: Math.min(Infinity, ...waits) }
}

// Sorting keeps the order of the list among equal addresses.

function byFailures(a: MirrorCandidate, b: MirrorCandidate): number {
  return a.health.failures - b.health.failures
}

function byLoad(a: MirrorCandidate, b: MirrorCandidate): number {
  return a.live - b.live || byFailures(a, b)
}

function byBackoff(a: MirrorCandidate, b: MirrorCandidate): number {
  return a.health.backoffUntil - b.health.backoffUntil
}

/**
 * Whether to try another address immediately after a failure, without using the retry budget. This needs an address
 * that does not back off, and fewer failures in a row than there are usable addresses.
 *
 * @param options - `failuresInARow`: failures of any address since bytes were received or the retry budget was used.
 */
export function shouldTryAnother(
  candidates: readonly Pick<MirrorCandidate, 'usable' | 'health' | 'waitMs'>[],
  { now, failuresInARow }: { now: number; failuresInARow: number },
): boolean {
  const usable = candidates.filter((candidate) => candidate.usable)
  if (failuresInARow >= usable.length) return false
  return usable.some(({ health, waitMs }) => waitMs <= 0 && health.backoffUntil <= now)
}

/** Consecutive slow samples before another address is tried. */
const samplesBeforeTrial = 3

/** When the current address needs no more than this many samples to finish, switching is not worth it. */
const worthwhileSamples = 8

/** How many times faster another address must be. */
const fasterBy = 2

/**
 * Chooses the address to try in parallel with the current one because that one is slow.
 *
 * @returns its index; null if the current address is not slow or nearly done, or if there is no address to try.
 */
export function chooseTrial(
  candidates: readonly MirrorCandidate[],
  {
    now,
    current,
    remaining,
    sampleIntervalMs,
  }: { now: number; current: number; remaining: number; sampleIntervalMs: number },
): number | null {
  const active = candidates[current]
  if (active === undefined || active.health.slowSamples < samplesBeforeTrial) return null
  if (remaining <= ((active.health.speed ?? 0) * sampleIntervalMs * worthwhileSamples) / 1000) return null
  const others = candidates
    .map((candidate, index) => ({ ...candidate, index }))
    .filter(({ index, usable, waitMs, health, live }) => {
      return index !== current && usable && waitMs <= 0 && health.backoffUntil <= now && live === 0
    })
    .sort((a, b) => a.health.trials - b.health.trials || byFailures(a, b))
  return others[0]?.index ?? null
}

/** Whether the address on trial is so much faster per connection that the download switches to it. */
export function isFaster(trial: MirrorHealth, active: MirrorHealth): boolean {
  return trial.speedOfOne > active.speedOfOne * fasterBy
}

/** Health after a trial in which the address was not faster: it backs off, longer after each trial. */
export function afterTrial(health: MirrorHealth, now: number, sampleIntervalMs: number): MirrorHealth {
  const trials = health.trials + 1
  return { ...health, trials, backoffUntil: now + sampleIntervalMs * 10 * 2 ** Math.min(trials, 6) }
}

/**
 * Divides connections among addresses with `spread`: each one gets an equal share, plus what the others can't use.
 *
 * @param limits - how many connections each address accepts; 0 for one that is not used.
 * @returns the most connections that each address may have.
 */
export function shares(limits: readonly number[], connections: number): number[] {
  const parts = limits.filter((limit) => limit > 0).length
  const even = Math.ceil(connections / Math.max(1, parts))
  const taken = limits.map((limit) => Math.min(limit, even))
  const sum = taken.reduce((total, count) => total + count, 0)
  return limits.map((limit, index) => {
    const own = taken[index] ?? 0
    return Math.min(limit, Math.max(own, connections - (sum - own)))
  })
}
