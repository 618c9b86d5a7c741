import type { DownloadRecord } from '../download/record.js'
import { byArrival, checkDocumentName, type DownloadStore } from './store.js'

/** Remembers downloads for as long as the process lives. Records are copied on the way in and out. */
export function createMemoryStore(): DownloadStore {
  const records = new Map<string, DownloadRecord>()
  /** As JSON, since that is what any other store makes of them. */
  const documents = new Map<string, string>()
  return {
    load() {
      const copies = [...records.values()].map((record) => structuredClone(record))
      return Promise.resolve({ records: copies.sort(byArrival), problems: [] })
    },
    // async: a record that can't be cloned rejects instead of throwing.
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
