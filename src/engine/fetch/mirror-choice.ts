/**
 * Which of several addresses of one file is asked next, and when one is left for another. Pure: the clock comes from the
 * caller. Times are monotonic milliseconds.
 */

/** How an address has done so far. Never changed in place. */
export interface MirrorHealth {
  /** Failures since it last brought bytes. */
  failures: number
  /** Before this it is asked only when nobody else is left. */
  restUntil: number
  /** Bytes per second of all its connections, at the last look; null before the first. */
  speed: number | null
  /** The same, of one connection. */
  speedOfOne: number
  /** The highest {@link speed} ever. */
  bestSpeed: number
  /** Looks in a row at which it was slow. */
  slowLooks: number
  /** How often it was tried beside another one, and found no better. */
  trials: number
}

/** An address that nobody has asked yet. */
export const unknownHealth: MirrorHealth = {
  failures: 0,
  restUntil: 0,
  speed: null,
  speedOfOne: 0,
  bestSpeed: 0,
  slowLooks: 0,
  trials: 0,
}

const firstRestMs = 1_000

const longestRestMs = 60_000

/** It failed: it rests, the longer the more often. */
export function afterFailure(health: MirrorHealth, now: number): MirrorHealth {
  const failures = health.failures + 1
  const restMs = Math.min(longestRestMs, firstRestMs * 2 ** Math.min(failures - 1, 30))
  return { ...health, failures, restUntil: Math.max(health.restUntil, now + restMs) }
}

/** It brought bytes: what was before is forgiven. */
export function afterBytes(health: MirrorHealth): MirrorHealth {
  return health.failures === 0 ? health : { ...health, failures: 0, restUntil: 0 }
}

/** A look at what it brings. */
export interface SpeedLook {
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
export function afterLook(health: MirrorHealth, look: SpeedLook): MirrorHealth {
  const speed = look.bytesPerSecond
  const slow = speed < look.slowBytesPerSecond || speed < health.bestSpeed * slowShare
  return {
    ...health,
    speed,
    speedOfOne: speed / Math.max(1, look.connections),
    bestSpeed: Math.max(health.bestSpeed, speed),
    slowLooks: slow ? health.slowLooks + 1 : 0,
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
  const holder = candidates[current]
  // Whoever is still at work and only asks not to be given more is not left for that.
  if (!spread && holder?.usable === true && holder.live > 0 && holder.health.restUntil <= now) {
    if (holder.room <= 0) return { waitMs: Infinity }
    return holder.waitMs > 0 ? { waitMs: holder.waitMs } : { index: current }
  }
  const order = candidates.map((candidate, index) => ({ ...candidate, index })).filter(({ usable }) => usable)
  const ready = order.filter(({ waitMs, room, health }) => waitMs <= 0 && room > 0 && health.restUntil <= now)
  const stays = spread ? undefined : ready.find(({ index }) => index === current)
  const [first] = ready.sort(spread ? byLoad : byFailures)
  if (stays !== undefined || first !== undefined) return { index: (stays ?? first)?.index ?? 0 }
  const idle = candidates.every(({ live }) => live === 0)
  const [tired] = order.filter(({ waitMs, room }) => waitMs <= 0 && room > 0).sort(byRest)
  if (idle && tired !== undefined) return { index: tired.index }
  const waits = order
    .filter(({ room }) => room > 0)
    .map(({ waitMs, health }) => Math.max(waitMs, idle ? 0 : health.restUntil - now))
  return { waitMs: Math.min(Infinity, ...waits) }
}

type Ranked = MirrorCandidate & { index: number }

function byFailures(a: Ranked, b: Ranked): number {
  return a.health.failures - b.health.failures || a.index - b.index
}

function byLoad(a: Ranked, b: Ranked): number {
  return a.live - b.live || byFailures(a, b)
}

function byRest(a: Ranked, b: Ranked): number {
  return a.health.restUntil - b.health.restUntil || a.index - b.index
}

/**
 * Whether another address is to be asked at once after a failure, before the retry budget has a say: one that doesn't
 * rest, unless as many have failed in a row, without any byte in between, as there are.
 *
 * @param failuresInARow - of whichever address, since bytes came or the budget was last asked.
 */
export function goesElsewhere(
  candidates: readonly Pick<MirrorCandidate, 'usable' | 'health' | 'waitMs'>[],
  { now, failuresInARow }: { now: number; failuresInARow: number },
): boolean {
  const usable = candidates.filter((candidate) => candidate.usable)
  if (failuresInARow >= usable.length) return false
  return usable.some(({ health, waitMs }) => waitMs <= 0 && health.restUntil <= now)
}

/** Slow looks before another address is tried. */
const looksBeforeTrial = 3

/** A rest that is done within that many looks is not worth a move. */
const worthwhileLooks = 8

/** How much faster another one must be. */
const fasterBy = 2

/**
 * Which address is to be tried beside the current one because that is slow; null when it isn't, when it is nearly done,
 * or when nobody is left to try.
 */
export function whomToTry(
  candidates: readonly MirrorCandidate[],
  { now, current, remaining, lookMs }: { now: number; current: number; remaining: number; lookMs: number },
): number | null {
  const holder = candidates[current]
  if (holder === undefined || holder.health.slowLooks < looksBeforeTrial) return null
  if (remaining <= ((holder.health.speed ?? 0) * lookMs * worthwhileLooks) / 1000) return null
  const others = candidates
    .map((candidate, index) => ({ ...candidate, index }))
    .filter(({ index, usable, waitMs, health, live }) => {
      return index !== current && usable && waitMs <= 0 && health.restUntil <= now && live === 0
    })
    .sort((a, b) => a.health.trials - b.health.trials || byFailures(a, b))
  return others[0]?.index ?? null
}

/** Whether the address on trial, with its one connection, does so much better that the download moves there. */
export function isFaster(trial: MirrorHealth, holder: MirrorHealth): boolean {
  return trial.speedOfOne > holder.speedOfOne * fasterBy
}

/** It was no better: it is left alone for a while, the longer the more often. */
export function afterTrial(health: MirrorHealth, now: number, lookMs: number): MirrorHealth {
  const trials = health.trials + 1
  return { ...health, trials, restUntil: now + lookMs * 10 * 2 ** Math.min(trials, 6) }
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
