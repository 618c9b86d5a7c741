import { afterAll, beforeAll } from 'vitest'

/**
 * Starts something before the tests of a block, and disposes of it after them.
 *
 * @returns gets it, once the tests have begun.
 */
export function shared<T extends AsyncDisposable>(start: () => Promise<T>): () => T {
  let started: T | null = null
  beforeAll(async () => {
    started = await start()
  })
  afterAll(async () => {
    await started?.[Symbol.asyncDispose]()
  })
  return () => {
    if (started === null) throw new Error('It is started only when the tests begin.')
    return started
  }
}
