/**
 * Which of several addresses of one file is asked next, and when one is left for another. Pure: the clock comes from the
 * caller. Times are monotonic milliseconds.
 */

/** How an address has done so far. Never changed in place. */
export interface MirrorHealth {
  /** Failures since it last brought bytes. */
  failures: number
  /** Before this it is asked only when nobody else is left. */
  backoffUntil: number
  /** Bytes per second of all its connections, at the last look; null before the first. */
  speed: number | null
  /** The same, of one connection. */
  speedOfOne: number
  /** The highest {@link speed} ever. */
  bestSpeed: number
  /** Looks in a row at which it was slow. */
  slowSamples: number
  /** How often it was tried beside another one, and found no better. */
  trials: number
}

/** An address that nobody has asked yet. */
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

/** It failed: it rests, the longer the more often. */
export function afterFailure(health: MirrorHealth, now: number): MirrorHealth {
  const failures = health.failures + 1
  const backoffMs = Math.min(maxBackoffMs, initialBackoffMs * 2 ** Math.min(failures - 1, 30))
  return { ...health, failures, backoffUntil: Math.max(health.backoffUntil, now + backoffMs) }
}

/** It brought bytes: what was before is forgiven. */
export function afterBytes(health: MirrorHealth): MirrorHealth {
  return health.failures === 0 ? health : { ...health, failures: 0, backoffUntil: 0 }
}

/** A look at what it brings. */
export interface SpeedSample {
  /** Of all its connections together, over the time since the last look. */
  bytesPerSecond: number
  /** How many they are, at least one. */
  connections: number
  /** What is slow whatever it was before. */
  slowBytesPerSecond: number
}

/** Below this part of its best an address counts as slow. */
const slowShare = 1 / 4

/** Notes its speed. */
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

/** An address, as {@link pick} sees it. */
export interface MirrorCandidate {
  health: MirrorHealth
  /** False when it is asked no more in this download. */
  usable: boolean
  /** How long it must be left alone (`Retry-After`); Infinity while a fresh address is waited for. */
  waitMs: number
  /** Its connections. */
  live: number
  /** Further connections that it may be given. */
  room: number
}

/** Who is asked next, or how long until somebody can be; Infinity when that depends on something else than time. */
export type Choice = { index: number } | { waitMs: number }

/**
 * Chooses for the next connection.
 *
 * One at a time: the current one, as long as it works; else the one with the fewest failures, the earlier in the list
 * first. Spread: the one with the fewest connections. Those that rest are asked only when nothing at all is under way.
 */
export function pick(
  candidates: readonly MirrorCandidate[],
  { now, current, spread }: { now: number; current: number; spread: boolean },
): Choice {
  const active = candidates[current]
  // Whoever is still at work and only asks not to be given more is not left for that.
  if (!spread && active?.usable === true && active.live > 0 && active.health.backoffUntil <= now) {
    if (active.room <= 0) return { waitMs: Infinity }
    return active.waitMs > 0 ? { waitMs: active.waitMs } : { index: current }
  }
  const order = candidates.map((candidate, index) => ({ ...candidate, index })).filter(({ usable }) => usable)
  const ready = order.filter(
    ({ waitMs, room, health }) => waitMs <= 0 && room > 0 && health.backoffUntil <= now,
  )
  const stays = spread ? undefined : ready.find(({ index }) => index === current)
  const [first] = ready.sort(spread ? byLoad : byFailures)
  if (stays !== undefined || first !== undefined) return { index: (stays ?? first)?.index ?? 0 }
  const idle = candidates.every(({ live }) => live === 0)
  const [soonest] = order.filter(({ waitMs, room }) => waitMs <= 0 && room > 0).sort(byBackoff)
  if (idle && soonest !== undefined) return { index: soonest.index }
  const waits = order
    .filter(({ room }) => room > 0)
    .map(({ waitMs, health }) => Math.max(waitMs, idle ? 0 : health.backoffUntil - now))
  return { waitMs: Math.min(Infinity, ...waits) }
}

type Ranked = MirrorCandidate & { index: number }

function byFailures(a: Ranked, b: Ranked): number {
  return a.health.failures - b.health.failures || a.index - b.index
}

function byLoad(a: Ranked, b: Ranked): number {
  return a.live - b.live || byFailures(a, b)
}

function byBackoff(a: Ranked, b: Ranked): number {
  return a.health.backoffUntil - b.health.backoffUntil || a.index - b.index
}

/**
 * Whether another address is to be asked at once after a failure, before the retry budget has a say: one that doesn't
 * rest, unless as many have failed in a row, without any byte in between, as there are.
 *
 * @param failuresInARow - of whichever address, since bytes came or the budget was last asked.
 */
export function shouldTryAnother(
  candidates: readonly Pick<MirrorCandidate, 'usable' | 'health' | 'waitMs'>[],
  { now, failuresInARow }: { now: number; failuresInARow: number },
): boolean {
  const usable = candidates.filter((candidate) => candidate.usable)
  if (failuresInARow >= usable.length) return false
  return usable.some(({ health, waitMs }) => waitMs <= 0 && health.backoffUntil <= now)
}

/** Slow looks before another address is tried. */
const samplesBeforeTrial = 3

/** A rest that is done within that many looks is not worth a move. */
const worthwhileSamples = 8

/** How much faster another one must be. */
const fasterBy = 2

/**
 * Which address is to be tried beside the current one because that is slow; null when it isn't, when it is nearly done,
 * or when nobody is left to try.
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

/** Whether the address on trial, with its one connection, does so much better that the download moves there. */
export function isFaster(trial: MirrorHealth, active: MirrorHealth): boolean {
  return trial.speedOfOne > active.speedOfOne * fasterBy
}

/** It was no better: it is left alone for a while, the longer the more often. */
export function afterTrial(health: MirrorHealth, now: number, sampleIntervalMs: number): MirrorHealth {
  const trials = health.trials + 1
  return { ...health, trials, backoffUntil: now + sampleIntervalMs * 10 * 2 ** Math.min(trials, 6) }
}

/**
 * How many connections each address may have when they are spread: an even share, and what others can't take.
 *
 * @param limits - what each puts up with; 0 for one that takes no part.
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
