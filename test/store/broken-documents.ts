/** Stores that keep documents wrongly, in one way each. */
import { setImmediate } from 'node:timers/promises'
import { documentNamePattern, type DownloadStore } from '../../src/store/store.js'
import { type BrokenStore, emptyDisk, inMemory, onDisk, rightStore } from './variants.js'

function readsOnly(): DownloadStore {
  const right = rightStore(emptyDisk())
  return {
    load: () => right.load(),
    save: (record) => right.save(record),
    remove: (id) => right.remove(id),
    readDocument: (name) => right.readDocument(name),
  }
}

/** What is wrong, and the case that must tell. */
export const wrongWithDocuments: readonly BrokenStore[] = [
  [
    'has a document from the start',
    'has no document at first',
    onDisk((right) => ({
      readDocument: async (name) => {
        const found = await right.readDocument(name)
        return found.value === null ? { value: {}, problem: null } : found
      },
    })),
  ],
  [
    'says undefined for no document',
    'has no document at first',
    onDisk((right) => ({
      readDocument: async (name) => {
        const { value } = await right.readDocument(name)
        return { value: value ?? undefined, problem: null }
      },
    })),
  ],
  [
    'has one place for all documents',
    'returns documents, separate from records and other documents',
    onDisk((right) => ({
      readDocument: (name) => right.readDocument(documentNamePattern.test(name) ? 'one' : name),
      writeDocument: (name, value) =>
        right.writeDocument(documentNamePattern.test(name) ? 'one' : name, value),
    })),
  ],
  [
    'cuts the names of documents',
    'returns documents, separate from records and other documents',
    onDisk((right) => ({
      readDocument: (name) => right.readDocument(documentNamePattern.test(name) ? name.slice(0, 2) : name),
      writeDocument: (name, value) =>
        right.writeDocument(documentNamePattern.test(name) ? name.slice(0, 2) : name, value),
    })),
  ],
  [
    'keeps documents in a plain object',
    'has no document at first',
    inMemory((right) => {
      const kept: Record<string, unknown> = {}
      return {
        readDocument: async (name) => {
          await right.readDocument(name)
          return { value: kept[name] ?? null, problem: null }
        },
        writeDocument: async (name, value) => {
          await right.writeDocument(name, value)
          kept[name] = structuredClone(value)
        },
      }
    }),
  ],
  [
    'keeps documents among the records',
    'returns documents, separate from records and other documents',
    onDisk((right, { records }) => ({
      writeDocument: async (name, value) => {
        await right.writeDocument(name, value)
        records.set(name, JSON.stringify(value))
      },
    })),
  ],
  [
    'keeps objects only',
    'returns documents, separate from records and other documents',
    onDisk((right) => ({
      writeDocument: (name, value) => right.writeDocument(name, { ...(value as object) }),
    })),
  ],
  [
    'writes documents in any order',
    'keeps the last of many concurrent writes of a document',
    onDisk((right) => {
      let count = 0
      return {
        writeDocument: async (name, value) => {
          const text = JSON.stringify(value)
          if (count++ % 50 < 40) await setImmediate()
          await right.writeDocument(name, JSON.parse(text))
        },
      }
    }),
  ],
  [
    'reads the document before the writes that wait',
    'reads the document that was written last, even while its write is pending',
    onDisk((right) => ({
      writeDocument: async (name, value) => {
        const text = JSON.stringify(value)
        await setImmediate()
        await right.writeDocument(name, JSON.parse(text))
      },
    })),
  ],
  [
    'closes without waiting for documents',
    'finishes pending writes of documents before close() resolves',
    onDisk((right) => ({
      writeDocument: async (name, value) => {
        const text = JSON.stringify(value)
        for (let i = 0; i < 5; i++) await setImmediate()
        await right.writeDocument(name, JSON.parse(text))
      },
    })),
  ],
  [
    'keeps the documents themselves',
    'keeps documents unaffected when callers change their objects',
    inMemory((right) => {
      const kept = new Map<string, unknown>()
      return {
        readDocument: async (name) => {
          await right.readDocument(name)
          return { value: kept.get(name) ?? null, problem: null }
        },
        writeDocument: async (name, value) => {
          await right.writeDocument(name, value)
          kept.set(name, value)
        },
      }
    }),
  ],
  [
    'takes any name for a document',
    'rejects an invalid document name with STORE_ERROR',
    onDisk((_right, { documents }) => ({
      readDocument: async (name) => ({ value: JSON.parse(documents.get(name) ?? 'null'), problem: null }),
      writeDocument: async (name, value) => void documents.set(name, JSON.stringify(value)),
    })),
  ],
  [
    'refuses a name with an error of its own',
    'rejects an invalid document name with STORE_ERROR',
    onDisk((right) => ({
      readDocument: (name) =>
        right.readDocument(name).catch(() => {
          throw new TypeError('a name')
        }),
    })),
  ],
  [
    'reads documents, and writes none',
    'keeps the last of many concurrent writes of a document',
    { open: readsOnly },
  ],
]
