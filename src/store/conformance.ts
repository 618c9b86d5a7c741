/**
 * Conformance cases that every {@link DownloadStore} must pass, for any test runner: the entry
 * `model-downloader/testing`.
 *
 * It depends only on `node:assert`, so it brings no test runner with it. Nothing else in the package imports
 * it.
 */
import {
  ConformanceScene,
  corruptCases,
  documentCases,
  killCases,
  type OpenStore,
  recordCases,
  unreachableCases,
} from './conformance-cases.js'

export type { OpenStore } from './conformance-cases.js'
export { sampleRecord } from './sample-record.js'

/** The store implementation under test. */
export interface StoreConformanceOptions {
  /** Opens an empty store; called once for each case. */
  open: OpenStore
  /**
   * Opens the store of the last `open` again, as after a restart; the previous instance has been closed.
   * Default: the store does not outlive the process, like one in memory.
   */
  reopen?: OpenStore
  /**
   * Opens the same store as after a kill: the previous instance has not been closed yet, and is not used
   * again. Leave it out if a second instance can't be opened beside the first. Default: these cases are
   * skipped.
   */
  reopenAfterKill?: OpenStore
  /**
   * Opens a store that can't be reached, such as a database that is down. Default: these cases are skipped.
   */
  openUnreachable?: OpenStore
  /**
   * Corrupts the stored record with this id without using the store, so that it can no longer be read. If
   * `reopen` is given, the store is closed during this call. Default: these cases are skipped.
   */
  corrupt?: (id: string) => void | Promise<void>
  /** Whether the store has `readDocument` and `writeDocument`. Default true. */
  documents?: boolean
}

/** One requirement on a store. */
export interface StoreConformanceCase {
  /** Short description of the requirement, to be used as the name of a test. */
  readonly name: string
  /**
   * Rejects, usually with an `AssertionError`, if the store does not meet the requirement. Takes no argument
   * and does not use `this`.
   */
  readonly run: () => Promise<void>
}

/**
 * Returns all conformance cases of a {@link DownloadStore}. Each case opens its own store and closes it at
 * the end. The cases are deterministic.
 *
 * @param options - see {@link StoreConformanceOptions}.
 *
 * @example
 * import { test } from 'node:test'
 *
 * for (const { name, run } of storeConformance({ open: () => createMyStore() })) test(name, run)
 */
export function storeConformance(options: StoreConformanceOptions): StoreConformanceCase[] {
  const { open, reopen = null, reopenAfterKill, openUnreachable, corrupt, documents = true } = options
  const bodies = {
    ...recordCases,
    ...(reopenAfterKill === undefined ? {} : killCases(reopenAfterKill)),
    ...(openUnreachable === undefined ? {} : unreachableCases(openUnreachable, documents)),
    ...(corrupt === undefined ? {} : corruptCases(corrupt)),
    ...(documents ? documentCases : {}),
  }
  return Object.entries(bodies).map(([name, body]) => ({
    name,
    run: async () => {
      const scene = new ConformanceScene(await open(), reopen)
      try {
        await body(scene)
      } finally {
        await scene.store.close?.()
      }
    },
  }))
}
