/** Stores that keep records wrongly, in one way each. */
import { setImmediate } from 'node:timers/promises'
import type { DownloadRecord } from '../../src/download/record.js'
import { DownloadError } from '../../src/errors.js'
import { sampleRecord } from '../../src/store/conformance.js'
import {
  type BrokenStore,
  emptyDisk,
  inMemory,
  onDisk,
  rightStore,
  unchanged,
  unreachable,
} from './variants.js'

const parsed = (text: string | undefined) => JSON.parse(text ?? 'null') as DownloadRecord | null // as it was saved

/** What is wrong, and the case that must tell. */
export const wrongWithRecords: readonly BrokenStore[] = [
  [
    'begins with something',
    'is empty at first',
    onDisk((_right, { records }) => {
      records.set(sampleRecord(9).id, JSON.stringify(sampleRecord(9)))
      return {}
    }),
  ],
  [
    'forgets a remove',
    'removes a record and ignores an unknown id',
    onDisk(() => ({ remove: async () => undefined })),
  ],
  [
    'minds an unknown id',
    'removes a record and ignores an unknown id',
    onDisk((right, { records }) => ({
      remove: (id) => (records.has(id) ? right.remove(id) : Promise.reject(new Error('unknown'))),
    })),
  ],
  [
    'removes everything',
    'removes a record and ignores an unknown id',
    onDisk((_right, { records }) => ({
      remove: async () => records.clear(),
    })),
  ],
  [
    'marks what was removed, and hides it for ever',
    'accepts a removed record again',
    inMemory((right) => {
      const gone = new Set<string>()
      return {
        remove: async (id) => void gone.add(id),
        load: async () => {
          const { records, problems } = await right.load()
          return { records: records.filter(({ id }) => !gone.has(id)), problems }
        },
      }
    }),
  ],
  [
    'keeps the first of each',
    'replaces an existing record without merging',
    onDisk((right, { records }) => ({
      save: async (record) => (records.has(record.id) ? undefined : right.save(record)),
    })),
  ],
  [
    'merges into the old record',
    'replaces an existing record without merging',
    onDisk((right, { records }) => ({
      save: (record) => {
        const old = parsed(records.get(record.id))
        return right.save({ ...old, ...record, headers: { ...old?.headers, ...record.headers } })
      },
    })),
  ],
  [
    'forgets a field that it does not know',
    'returns every field of a saved record',
    onDisk((right) => ({
      save: (record) => right.save({ ...record, group: null }),
    })),
  ],
  [
    'forgets mirrors',
    'returns every field of a saved record',
    onDisk((right) => ({
      save: (record) => right.save({ ...record, urls: [] }),
    })),
  ],
  [
    'rounds numbers',
    'returns every field of a saved record',
    onDisk((right) => ({
      save: (record) =>
        right.save({ ...record, total: record.total === null ? null : Math.fround(record.total) }),
    })),
  ],
  [
    'changes the objects that it is given',
    'returns every field of a saved record',
    onDisk((right) => ({
      save: (record) => {
        record.headers['saved'] = 'yes'
        return right.save(record)
      },
    })),
  ],
  [
    'cuts long URLs',
    'keeps unusual and long URLs',
    onDisk((right) => ({
      save: (record) => right.save({ ...record, url: record.url.slice(0, 2_048) }),
    })),
  ],
  [
    'takes URLs for one that differ in case',
    'keeps unusual and long URLs',
    onDisk((_right, { records }) => ({
      save: async (record) => {
        records.set(record.url.toLowerCase(), JSON.stringify(record))
      },
    })),
  ],
  [
    'loads in the order of the first save',
    'returns records in order of arrival',
    onDisk((right, { records }) => ({
      load: async () => ({
        ...(await right.load()),
        records: [...records.values()].flatMap((text) => parsed(text) ?? []),
      }),
    })),
  ],
  [
    'loads by numbers as texts',
    'returns records in order of arrival',
    onDisk((right) => ({
      load: async () => {
        const { records, problems } = await right.load()
        return {
          records: records.sort((a, b) => (String(a.sequence) < String(b.sequence) ? -1 : 1)),
          problems,
        }
      },
    })),
  ],
  [
    'loads one page',
    'holds 1,000 records',
    onDisk((right) => ({
      load: async () => {
        const { records, problems } = await right.load()
        return { records: records.slice(0, 500), problems }
      },
    })),
  ],
  [
    'saves in any order',
    'keeps the last of many concurrent saves',
    onDisk((right) => ({
      save: async (record) => {
        if (record.downloaded < 197) await setImmediate()
        await right.save(record)
      },
    })),
  ],
  [
    'removes later than it saves',
    'keeps saves and removals of one id in order',
    onDisk((right) => ({
      remove: async (id) => {
        await setImmediate()
        await right.remove(id)
      },
    })),
  ],
  [
    'removes the old record before it writes the new one',
    'shows a reader either the complete old record or the complete new one',
    onDisk((right) => ({
      save: async (record) => {
        await right.remove(record.id)
        await setImmediate()
        await setImmediate()
        await right.save(record)
      },
    })),
  ],
  [
    'writes a record in two steps',
    'shows a reader either the complete old record or the complete new one',
    onDisk((right, { records }) => ({
      save: async (record) => {
        const old = parsed(records.get(record.id))
        const text = JSON.stringify(record)
        if (old !== null) await right.save({ ...old, state: record.state })
        await setImmediate()
        await setImmediate()
        records.set(record.id, text)
      },
    })),
  ],
  [
    'closes without waiting',
    'finishes pending saves before close() resolves',
    onDisk((right) => ({
      save: async (record) => {
        const copy = structuredClone(record)
        for (let i = 0; i < 5; i++) await setImmediate()
        await right.save(copy)
      },
    })),
  ],
  [
    'writes when it is closed',
    'keeps confirmed saves and removals when the process is killed',
    onDisk((right) => {
      const open = rightStore(emptyDisk())
      return {
        save: (record) => open.save(record),
        remove: (id) => open.remove(id),
        load: async () => {
          const [stored, waiting] = [await right.load(), await open.load()]
          return { records: [...stored.records, ...waiting.records], problems: [] }
        },
        close: async () => {
          for (const record of (await open.load()).records) await right.save(record)
        },
      }
    }),
  ],
  [
    'takes the record when its turn comes',
    'is not affected when callers change their objects',
    onDisk((right) => ({
      save: async (record) => {
        await setImmediate()
        await right.save(record)
      },
    })),
  ],
  [
    'keeps and gives out the objects themselves',
    'is not affected when callers change their objects',
    inMemory(() => {
      const kept = new Map<string, DownloadRecord>()
      return {
        save: async (record) => void kept.set(record.id, record),
        remove: async (id) => void kept.delete(id),
        load: async () => ({
          records: [...kept.values()].sort((a, b) => a.sequence - b.sequence),
          problems: [],
        }),
      }
    }),
  ],
  [
    'copies the first level only',
    'is not affected when callers change their objects',
    inMemory(() => {
      const kept = new Map<string, DownloadRecord>()
      return {
        save: async (record) => void kept.set(record.id, { ...record, headers: { ...record.headers } }),
        remove: async (id) => void kept.delete(id),
        load: async () => ({
          records: [...kept.values()]
            .map((record) => ({ ...record }))
            .sort((a, b) => a.sequence - b.sequence),
          problems: [],
        }),
      }
    }),
  ],
  [
    'says that nothing is there when it is down',
    'rejects with STORE_ERROR when it cannot be reached',
    onDisk(unchanged, {
      openUnreachable: () => ({ ...unreachable, load: () => Promise.resolve({ records: [], problems: [] }) }),
    }),
  ],
  [
    'says that it saved when it is down',
    'rejects with STORE_ERROR when it cannot be reached',
    onDisk(unchanged, {
      openUnreachable: () => ({ ...unreachable, save: () => Promise.resolve() }),
    }),
  ],
  [
    'lets the errors of its database through',
    'rejects with STORE_ERROR when it cannot be reached',
    onDisk(unchanged, {
      openUnreachable: () => ({ ...unreachable, remove: () => Promise.reject(new Error('ECONNREFUSED')) }),
    }),
  ],
  [
    'has no word of a document when it is down',
    'rejects with STORE_ERROR when it cannot be reached',
    onDisk(unchanged, {
      openUnreachable: () => ({
        ...unreachable,
        readDocument: () => Promise.resolve({ value: null, problem: null }),
      }),
    }),
  ],
  [
    'loads nothing because of one bad record',
    'sets an unreadable record aside and reports it',
    onDisk((right) => ({
      load: async () => {
        const loaded = await right.load()
        if (loaded.problems.length > 0) throw new DownloadError('STORE_ERROR', 'It is broken.')
        return loaded
      },
    })),
  ],
  [
    'drops a bad record without a word',
    'sets an unreadable record aside and reports it',
    onDisk((right) => ({
      load: async () => ({ ...(await right.load()), problems: [] }),
    })),
  ],
]
