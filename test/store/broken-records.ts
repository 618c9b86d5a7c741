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
    'begins empty',
    onDisk((_right, { records }) => {
      records.set(sampleRecord(9).id, JSON.stringify(sampleRecord(9)))
      return {}
    }),
  ],
  [
    'forgets a remove',
    'removes one, and does not mind an unknown one',
    onDisk(() => ({ remove: async () => undefined })),
  ],
  [
    'minds an unknown id',
    'removes one, and does not mind an unknown one',
    onDisk((right, { records }) => ({
      remove: (id) => (records.has(id) ? right.remove(id) : Promise.reject(new Error('unknown'))),
    })),
  ],
  [
    'removes everything',
    'removes one, and does not mind an unknown one',
    onDisk((_right, { records }) => ({
      remove: async () => records.clear(),
    })),
  ],
  [
    'marks what was removed, and hides it for ever',
    'takes a removed one again',
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
    'puts a new record in the place of the old one, and merges nothing',
    onDisk((right, { records }) => ({
      save: async (record) => (records.has(record.id) ? undefined : right.save(record)),
    })),
  ],
  [
    'merges into the old record',
    'puts a new record in the place of the old one, and merges nothing',
    onDisk((right, { records }) => ({
      save: (record) => {
        const old = parsed(records.get(record.id))
        return right.save({ ...old, ...record, headers: { ...old?.headers, ...record.headers } })
      },
    })),
  ],
  [
    'forgets a field that it does not know',
    'gives back every field of what was saved',
    onDisk((right) => ({
      save: (record) => right.save({ ...record, group: null }),
    })),
  ],
  [
    'forgets mirrors',
    'gives back every field of what was saved',
    onDisk((right) => ({
      save: (record) => right.save({ ...record, urls: [] }),
    })),
  ],
  [
    'rounds numbers',
    'gives back every field of what was saved',
    onDisk((right) => ({
      save: (record) =>
        right.save({ ...record, total: record.total === null ? null : Math.fround(record.total) }),
    })),
  ],
  [
    'changes the objects that it is given',
    'gives back every field of what was saved',
    onDisk((right) => ({
      save: (record) => {
        record.headers['saved'] = 'yes'
        return right.save(record)
      },
    })),
  ],
  [
    'cuts long URLs',
    'keeps strange and long URLs',
    onDisk((right) => ({
      save: (record) => right.save({ ...record, url: record.url.slice(0, 2_048) }),
    })),
  ],
  [
    'takes URLs for one that differ in case',
    'keeps strange and long URLs',
    onDisk((_right, { records }) => ({
      save: async (record) => {
        records.set(record.url.toLowerCase(), JSON.stringify(record))
      },
    })),
  ],
  [
    'loads in the order of the first save',
    'gives them in order of arrival',
    onDisk((right, { records }) => ({
      load: async () => ({
        ...(await right.load()),
        records: [...records.values()].flatMap((text) => parsed(text) ?? []),
      }),
    })),
  ],
  [
    'loads by numbers as texts',
    'gives them in order of arrival',
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
    'ends with the last of many saves at once',
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
    'shows a reader the old record or the new one, whole, whenever it looks',
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
    'shows a reader the old record or the new one, whole, whenever it looks',
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
    'has saved by the time that close() resolves',
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
    'keeps through a kill what it said was saved or removed',
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
    'is not touched by what callers do to their objects',
    onDisk((right) => ({
      save: async (record) => {
        await setImmediate()
        await right.save(record)
      },
    })),
  ],
  [
    'keeps and gives out the objects themselves',
    'is not touched by what callers do to their objects',
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
    'is not touched by what callers do to their objects',
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
    'tells with STORE_ERROR that it cannot be reached',
    onDisk(unchanged, {
      openUnreachable: () => ({ ...unreachable, load: () => Promise.resolve({ records: [], problems: [] }) }),
    }),
  ],
  [
    'says that it saved when it is down',
    'tells with STORE_ERROR that it cannot be reached',
    onDisk(unchanged, {
      openUnreachable: () => ({ ...unreachable, save: () => Promise.resolve() }),
    }),
  ],
  [
    'lets the errors of its database through',
    'tells with STORE_ERROR that it cannot be reached',
    onDisk(unchanged, {
      openUnreachable: () => ({ ...unreachable, remove: () => Promise.reject(new Error('ECONNREFUSED')) }),
    }),
  ],
  [
    'has no word of a document when it is down',
    'tells with STORE_ERROR that it cannot be reached',
    onDisk(unchanged, {
      openUnreachable: () => ({
        ...unreachable,
        readDocument: () => Promise.resolve({ value: null, problem: null }),
      }),
    }),
  ],
  [
    'loads nothing because of one bad record',
    'sets a record aside that cannot be read, and tells of it',
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
    'sets a record aside that cannot be read, and tells of it',
    onDisk((right) => ({
      load: async () => ({ ...(await right.load()), problems: [] }),
    })),
  ],
]
