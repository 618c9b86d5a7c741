import type { DownloadRecord } from '../download/record.js'
import { byArrival, checkDocumentName, type DownloadStore } from './store.js'

/**
 * Creates a store that keeps downloads in memory for the lifetime of the process. Records are copied on the
 * way in and out.
 */
export function createMemoryStore(): DownloadStore {
  const records = new Map<string, DownloadRecord>()
  /** Kept as JSON, so that values come back just as from any other store. */
  const documents = new Map<string, string>()
  return {
    load() {
      const copies = [...records.values()].map((record) => structuredClone(record))
      return Promise.resolve({ records: copies.sort(byArrival), problems: [] })
    },
    // Async, so that a record that can't be cloned leads to a rejection instead of an exception.
    async save(record) {
      records.set(record.id, structuredClone(record))
    },
    remove(id) {
      records.delete(id)
      return Promise.resolve()
    },
    async readDocument(name) {
      const value: unknown = JSON.parse(documents.get(checkDocumentName(name)) ?? 'null')
      return { value, problem: null }
    },
    async writeDocument(name, value) {
      documents.set(checkDocumentName(name), JSON.stringify(value))
    },
  }
}
