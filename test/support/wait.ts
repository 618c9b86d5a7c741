/** Waiting, and how long at most. Deadlines decide nothing but that a test hangs, so they are generous. */
import { setTimeout as sleep } from 'node:timers/promises'

/** How slow the machine was when the run began; `vitest.config.ts` has measured it. */
export const slowness = Number(process.env['TEST_SLOWNESS'] ?? 1)

/** What a few milliseconds of a quiet machine may take here: the tests run several at a time, and not alone. */
export function deadline(ms: number): number {
  return Math.round(ms * slowness * 3)
}

/** How long, and for what, {@link waitFor} waits. */
export interface WaitOptions {
  /** Milliseconds that {@link deadline} makes a deadline of. Default 5,000. */
  timeoutMs?: number
  /** What is waited for, for the error message. */
  what?: string
}

const stepMs = 10

/**
 * Calls `predicate` every 10 ms until it returns a truthy value, and resolves to that.
 *
 * @throws Error that names `what` when the deadline has passed. Errors of the predicate are rethrown immediately.
 */
export async function waitFor<T>(
  predicate: () => T | Promise<T>,
  { timeoutMs = 5_000, what = 'the condition' }: WaitOptions = {},
): Promise<T> {
  const limitMs = deadline(timeoutMs)
  const until = performance.now() + limitMs
  for (;;) {
    const value = await within(Promise.resolve(predicate()), until - performance.now() + stepMs, what)
    if (value) return value
    if (performance.now() >= until) throw new Error(`Waited ${limitMs} ms for ${what}, in vain.`)
    await sleep(stepMs)
  }
}

/**
 * The promise's own outcome, or a failure when it takes longer than the {@link deadline} that `ms` gives.
 *
 * @throws Error that names `what` when the time is up.
 */
export function withTimeout<T>(promise: Promise<T>, ms: number, what = 'the promise'): Promise<T> {
  return within(promise, deadline(ms), what)
}

async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`Waited ${Math.round(ms)} ms for ${what}, in vain.`))
    }, ms)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}
