/** A correct store, and ways to make it incorrect. */
import { type DownloadRecord, downloadRecordSchema } from '../../src/download/record.js'
import { DownloadError } from '../../src/errors.js'
import type { StoreConformanceOptions } from '../../src/store/conformance.js'
import { documentNamePattern, type DownloadStore } from '../../src/store/store.js'

/** A store with all methods. */
type Full = Required<DownloadStore>

/** The data that outlives a store: texts, as in a database. */
export interface Disk {
  records: Map<string, string>
  documents: Map<string, string>
}

/** Nothing yet. */
export const emptyDisk = (): Disk => ({ records: new Map(), documents: new Map() })

const unnamed = () => new DownloadError('STORE_ERROR', 'That is no name.')

/** A store as docs/stores.md wants it. */
export function rightStore({ records, documents }: Disk): Full {
  const requireName = (name: string) => {
    if (!documentNamePattern.test(name)) throw unnamed()
  }
  return {
    async load() {
      const found: DownloadRecord[] = []
      const problems: string[] = []
      for (const [id, text] of records) {
        try {
          found.push(downloadRecordSchema.parse(JSON.parse(text)))
        } catch {
          problems.push(`The record ${id} cannot be read.`)
        }
      }
      return { records: found.sort((a, b) => a.sequence - b.sequence), problems }
    },
    async save(record) {
      records.set(record.id, JSON.stringify(record))
    },
    async remove(id) {
      records.delete(id)
    },
    async readDocument(name) {
      requireName(name)
      const value: unknown = JSON.parse(documents.get(name) ?? 'null')
      return { value, problem: null }
    },
    async writeDocument(name, value) {
      requireName(name)
      documents.set(name, JSON.stringify(value))
    },
    async close() {
      // Nothing to wait for.
    },
  }
}

/** A store that is down. */
export const unreachable: Full = {
  load: () => Promise.reject(new DownloadError('STORE_ERROR', 'It is down.')),
  save: () => Promise.reject(new DownloadError('STORE_ERROR', 'It is down.')),
  remove: () => Promise.reject(new DownloadError('STORE_ERROR', 'It is down.')),
  readDocument: () => Promise.reject(new DownloadError('STORE_ERROR', 'It is down.')),
  writeDocument: () => Promise.reject(new DownloadError('STORE_ERROR', 'It is down.')),
  close: () => Promise.resolve(),
}

/** How a store differs: some methods, given the correct store and what it writes to. */
type Change = (right: Full, disk: Disk) => Partial<Full>

/** Nothing is. */
export const unchanged: Change = () => ({})

/** A changed store, whose records outlive it. */
export function onDisk(change: Change, more: Partial<StoreConformanceOptions> = {}): StoreConformanceOptions {
  let disk = emptyDisk()
  const reopen = () => {
    const right = rightStore(disk)
    return { ...right, ...change(right, disk) }
  }
  return {
    open: () => {
      disk = emptyDisk()
      return reopen()
    },
    reopen,
    reopenAfterKill: reopen,
    openUnreachable: () => unreachable,
    corrupt: (id) => void disk.records.set(id, '{"url":"https://'),
    ...more,
  }
}

/** The same of one that does not. */
export function inMemory(change: Change): StoreConformanceOptions {
  return {
    open: () => {
      const disk = emptyDisk()
      const right = rightStore(disk)
      return { ...right, ...change(right, disk) }
    },
  }
}

/** What is wrong, the name of a case that must tell, and the store. */
export type BrokenStore = [what: string, tells: string, options: StoreConformanceOptions]
