import { join } from 'node:path'
import type { ResolvedManagerOptions } from '../options.js'
import { createFileStore } from './file.js'
import { createMemoryStore } from './memory.js'
import type { DownloadStore } from './store.js'

/** The store that a manager's options ask for. */
export function openStore(store: ResolvedManagerOptions['store'], directory: string): DownloadStore {
  if (store === 'file') return createFileStore(join(directory, '.model-downloader'))
  return store === 'memory' ? createMemoryStore() : store
}
