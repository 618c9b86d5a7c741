import { setTimeout as sleep } from 'node:timers/promises'

/** How long, and for what, {@link waitFor} waits. */
export interface WaitOptions {
  /** Deadline in milliseconds. Default 5,000. */
  timeoutMs?: number
  /** What is waited for, for the message of the failure. */
  what?: string
}

const stepMs = 10

/**
 * Asks `predicate` every 10 ms until it answers with something truthy, and returns that.
 *
 * @throws Error when the deadline passes, naming `what`; what the predicate itself throws is passed on at once.
 */
export async function waitFor<T>(
  predicate: () => T | Promise<T>,
  { timeoutMs = 5_000, what = 'the condition' }: WaitOptions = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await withTimeout(Promise.resolve(predicate()), deadline - performance.now() + stepMs, what)
    if (value) return value
    if (performance.now() >= deadline) throw new Error(`Waited ${timeoutMs} ms for ${what}, in vain.`)
    await sleep(stepMs)
  }
}

/**
 * The promise's own outcome, or a failure when it takes longer than `ms`.
 *
 * @throws Error when the time is up, naming `what`.
 */
export async function withTimeout<T>(promise: Promise<T>, ms: number, what = 'the promise'): Promise<T> {
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
