/**
 * What every {@link DownloadStore} must do, as cases for any test runner: the entry `model-downloader/testing`.
 *
 * It needs `node:assert` and nothing else, so that it brings no test runner along. Nothing of the package imports it.
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

/** A kind of store under test. */
export interface StoreConformanceOptions {
  /** Opens an empty store; called once for each case. */
  open: OpenStore
  /**
   * Opens the store of the last `open` again, as after a restart; the old one was closed. Default: nothing outlives the
   * process, as in memory.
   */
  reopen?: OpenStore
  /**
   * The same as after a kill: the old one has not been closed yet, and is not used again. Leave it out when a second one
   * can't be opened beside it. Default: not tried.
   */
  reopenAfterKill?: OpenStore
  /** Opens a store that can't be reached, such as a database that is down. Default: not tried. */
  openUnreachable?: OpenStore
  /**
   * Spoils the stored record of this id behind the store's back, so that it can't be read any more. Where there is a
   * `reopen`, the store is closed meanwhile. Default: not tried.
   */
  corrupt?: (id: string) => void | Promise<void>
  /** False for a store without `readDocument` and `writeDocument`. Default true. */
  documents?: boolean
}

/** One thing that a store must do. */
export interface StoreConformanceCase {
  /** What it must do, in a few words: the name of a test. */
  readonly name: string
  /** Rejects, mostly with an `AssertionError`, when the store does not do it. Takes no argument and needs no `this`. */
  readonly run: () => Promise<void>
}

/**
 * Everything that a {@link DownloadStore} must do, one case after the other. Each opens a store of its own and closes it
 * in the end. They are the same each time: nothing in them is left to chance.
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
