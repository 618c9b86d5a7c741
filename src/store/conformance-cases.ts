/** Bodies of the cases in `conformance.ts`. */
import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import type { DownloadRecord } from '../download/record.js'
import { isDownloadError } from '../errors.js'
import { fullRecord, sampleError, sampleRecord } from './sample-record.js'
import type { DownloadStore } from './store.js'

/** Bodies of cases, by name. */
export type ConformanceBodies = Record<string, (scene: ConformanceScene) => Promise<void>>

const noDocuments =
  'The store lacks readDocument or writeDocument; pass `documents: false` if it has neither.'

/** Opens a store. */
export type OpenStore = () => DownloadStore | Promise<DownloadStore>

/** The store of one case, with helpers to write and read it. */
export class ConformanceScene {
  store: DownloadStore
  readonly #reopen: OpenStore | null

  /** @param reopen - null if the store does not outlive the process; a restart then keeps it open. */
  constructor(store: DownloadStore, reopen: OpenStore | null) {
    this.store = store
    this.#reopen = reopen
  }

  /** @param meanwhile - runs while the store is closed. */
  async restart(meanwhile: () => void | Promise<void> = () => undefined): Promise<void> {
    if (this.#reopen === null) return meanwhile()
    await this.store.close?.()
    await meanwhile()
    this.store = await this.#reopen()
  }

  async stored(): Promise<DownloadRecord[]> {
    await this.restart()
    return this.load()
  }

  async load(): Promise<DownloadRecord[]> {
    const { records, problems } = await this.store.load()
    deepStrictEqual(problems, [])
    return records
  }

  async write(name: string, value: unknown): Promise<void> {
    ok(this.store.writeDocument !== undefined, noDocuments)
    await this.store.writeDocument(name, value)
  }

  async read(name: string): Promise<unknown> {
    ok(this.store.readDocument !== undefined, noDocuments)
    const { value, problem } = await this.store.readDocument(name)
    strictEqual(problem, null)
    return value
  }

  async storedDocument(name: string): Promise<unknown> {
    await this.restart()
    return this.read(name)
  }
}

/**
 * Returns the same promise, marked as handled. It is awaited later, but a case that fails before that must
 * not leave an unhandled rejection behind.
 */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

/** Cases for records. */
export const recordCases: ConformanceBodies = {
  'is empty at first': async ({ store }) => {
    deepStrictEqual(await store.load(), { records: [], problems: [] })
  },

  'returns every field of a saved record': async (scene) => {
    const group = { revision: null, pinned: false, files: [] }
    const records = () => [sampleRecord(1), fullRecord(), sampleRecord(8, { group })]
    for (const record of records()) await scene.store.save(record)
    deepStrictEqual(await scene.stored(), records())
  },

  'keeps unusual and long URLs': async (scene) => {
    const urls = [
      'https://models.example/模型/ü?x=%F0%9F%A6%99#🦙',
      `https://models.example/${'a'.repeat(16_000)}`,
      'https://a/"\\\u2028\ud800',
      // URLs that differ only in case, and one that is a prefix of another.
      'https://models.example/MODEL',
      'https://models.example/model',
      'https://models.example/model/',
    ]
    for (const [i, url] of urls.entries()) await scene.store.save(sampleRecord(i, { url }))
    deepStrictEqual(
      (await scene.stored()).map((record) => record.url),
      urls,
    )
  },

  'returns records in order of arrival': async (scene) => {
    const order = [5, 3, 11, 1, 2, 100, 0, Number.MAX_SAFE_INTEGER]
    await Promise.all(order.map((sequence) => scene.store.save(sampleRecord(sequence))))
    deepStrictEqual(
      (await scene.stored()).map((record) => record.sequence),
      order.toSorted((a, b) => a - b),
    )
  },

  'replaces an existing record without merging': async (scene) => {
    const { url } = fullRecord()
    await scene.store.save(fullRecord())
    await scene.store.save(sampleRecord(7, { url, state: 'completed' }))
    deepStrictEqual(await scene.stored(), [sampleRecord(7, { url, state: 'completed' })])
  },

  'removes a record and ignores an unknown id': async (scene) => {
    await scene.store.save(sampleRecord(1))
    await scene.store.save(sampleRecord(2))
    await scene.store.remove(sampleRecord(1).id)
    await scene.store.remove(sampleRecord(1).id)
    await scene.store.remove(sampleRecord(3).id)
    await scene.store.remove('../no id at all')
    deepStrictEqual(await scene.stored(), [sampleRecord(2)])
  },

  'accepts a removed record again': async (scene) => {
    await scene.store.save(sampleRecord(1))
    await scene.store.remove(sampleRecord(1).id)
    await scene.store.save(sampleRecord(1, { downloaded: 1 }))
    deepStrictEqual(await scene.stored(), [sampleRecord(1, { downloaded: 1 })])
  },

  'keeps the last of many concurrent saves': async (scene) => {
    const saves = Array.from({ length: 200 }, (_, i) =>
      scene.store.save(sampleRecord(i % 2, { downloaded: i })),
    )
    await Promise.all(saves)
    deepStrictEqual(
      (await scene.stored()).map((record) => record.downloaded),
      [198, 199],
    )
  },

  'keeps saves and removals of one id in order': async (scene) => {
    const { id } = sampleRecord(1)
    for (let round = 0; round < 32; round++) {
      // All 32 sequences of five saves (1) and removals (0); the last operation decides.
      const steps = Array.from({ length: 5 }, (_, i) => (round >> i) & 1)
      await Promise.all(
        steps.map((step, i) =>
          step === 1 ? scene.store.save(sampleRecord(1, { downloaded: i })) : scene.store.remove(id),
        ),
      )
      deepStrictEqual(await scene.stored(), steps[4] === 1 ? [sampleRecord(1, { downloaded: 4 })] : [])
    }
  },

  'shows a reader either the complete old record or the complete new one': async (scene) => {
    const small = sampleRecord(7, { url: fullRecord().url })
    await scene.store.save(small)
    for (const record of [fullRecord(), small, fullRecord(), small]) {
      const write = { isDone: false }
      const saving = handled(scene.store.save(record).finally(() => (write.isDone = true)))
      do {
        const found = await scene.load()
        strictEqual(found.length, 1)
        deepStrictEqual(found[0], found[0]?.state === small.state ? small : fullRecord())
        await setImmediate()
      } while (!write.isDone)
      await saving
    }
  },

  'finishes pending saves before close() resolves': async (scene) => {
    const saves = [1, 2, 2, 3].map((i) => handled(scene.store.save(sampleRecord(i))))
    await scene.store.close?.()
    deepStrictEqual(
      await scene.stored(),
      [1, 2, 3].map((i) => sampleRecord(i)),
    )
    await Promise.all(saves)
  },

  'is not affected when callers change their objects': async (scene) => {
    const files = () => ({ revision: null, pinned: false, files: [{ path: 'a' }] })
    const record = sampleRecord(1, { headers: { a: 'b' }, group: files() })
    const saved = scene.store.save(record)
    mutate(record)
    await saved
    record.downloaded = 17
    const [first] = await scene.load()
    if (first !== undefined) mutate(first)
    deepStrictEqual(await scene.stored(), [sampleRecord(1, { headers: { a: 'b' }, group: files() })])
  },

  'holds 1,000 records': async (scene) => {
    const records = Array.from({ length: 1_000 }, (_, i) => sampleRecord(i, { error: sampleError }))
    await Promise.all(records.map((record) => scene.store.save(record)))
    deepStrictEqual(await scene.stored(), records)
  },
}

/** Changes nested objects of a record. */
function mutate(record: DownloadRecord): void {
  record.headers['a'] = 'changed'
  for (const file of record.group?.files ?? []) file.path = 'changed'
}

/** Cases for a process that is killed. */
export function killCases(reopenAfterKill: OpenStore): ConformanceBodies {
  return {
    'keeps confirmed saves and removals when the process is killed': async (scene) => {
      await scene.store.save(sampleRecord(1))
      await scene.store.save(sampleRecord(2))
      await scene.store.save(sampleRecord(2, { downloaded: 5 }))
      await scene.store.remove(sampleRecord(1).id)
      const killed = scene.store
      scene.store = await reopenAfterKill()
      try {
        deepStrictEqual(await scene.load(), [sampleRecord(2, { downloaded: 5 })])
      } finally {
        await killed.close?.()
      }
    },
  }
}

const isStoreError = (error: unknown) => isDownloadError(error, 'STORE_ERROR')

/** Cases for a store that can't be reached. */
export function unreachableCases(openUnreachable: OpenStore, documents: boolean): ConformanceBodies {
  return {
    'rejects with STORE_ERROR when it cannot be reached': async () => {
      const store = await openUnreachable()
      await rejects(() => store.load(), isStoreError)
      await rejects(() => store.save(sampleRecord(1)), isStoreError)
      await rejects(() => store.remove(sampleRecord(1).id), isStoreError)
      if (!documents) return
      await rejects(async () => store.readDocument?.('preload'), isStoreError)
      await rejects(async () => store.writeDocument?.('preload', 1), isStoreError)
    },
  }
}

/** Cases for a corrupted record. */
export function corruptCases(corrupt: (id: string) => void | Promise<void>): ConformanceBodies {
  return {
    'sets an unreadable record aside and reports it': async (scene) => {
      for (const i of [1, 2, 3]) await scene.store.save(sampleRecord(i))
      await scene.restart(() => corrupt(sampleRecord(2).id))
      const { records, problems } = await scene.store.load()
      deepStrictEqual(records, [sampleRecord(1), sampleRecord(3)])
      strictEqual(problems.length, 1)
      ok(
        !problems[0]?.includes(sampleRecord(2).url),
        'A record may contain secrets; `problems` must not quote it.',
      )
      await scene.store.save(sampleRecord(2, { downloaded: 1 }))
      const expected = [sampleRecord(1), sampleRecord(2, { downloaded: 1 }), sampleRecord(3)]
      deepStrictEqual(await scene.stored(), expected)
    },
  }
}

const jsonValues = [
  null,
  false,
  0,
  '',
  'text "\\\u2028\u0000 🦙',
  [],
  {},
  [1, [null, { a: [] }]],
  { a: { b: null }, 'ü🦙': 1e-300, length: 3 },
  { long: 'a'.repeat(100_000) },
]

const badNames = [
  '',
  '../x',
  'A',
  '1a',
  '-a',
  'a'.repeat(33),
  'a/b',
  'a.json',
  'a b',
  'ä',
  'a\n',
  '__proto__',
]

/** Cases for documents. */
export const documentCases: ConformanceBodies = {
  'has no document at first': async (scene) => {
    strictEqual(await scene.storedDocument('preload'), null)
    strictEqual(await scene.read('constructor'), null)
  },

  'returns documents, separate from records and other documents': async (scene) => {
    await scene.store.save(sampleRecord(1))
    const names = ['a', 'a1', 'a-1', 'one', 'one-', 'a'.repeat(32), 'constructor']
    for (const i of jsonValues.keys()) {
      const valueOf = (index: number) => jsonValues[(i + index) % jsonValues.length]
      await Promise.all(names.map((name, index) => scene.write(name, valueOf(index))))
      await scene.restart()
      for (const [index, name] of names.entries()) deepStrictEqual(await scene.read(name), valueOf(index))
      deepStrictEqual(await scene.read('preload'), null)
      deepStrictEqual(await scene.load(), [sampleRecord(1)])
    }
    await scene.store.remove(sampleRecord(1).id)
    deepStrictEqual(
      await scene.storedDocument('one'),
      jsonValues[(jsonValues.length - 1 + 3) % jsonValues.length],
    )
  },

  'keeps the last of many concurrent writes of a document': async (scene) => {
    await Promise.all(Array.from({ length: 50 }, (_, i) => scene.write('preload', { i })))
    deepStrictEqual(await scene.storedDocument('preload'), { i: 49 })
  },

  'reads the document that was written last, even while its write is pending': async (scene) => {
    const writes = [1, 2, 3].map((i) => handled(scene.write('preload', i)))
    strictEqual(await scene.read('preload'), 3)
    await Promise.all(writes)
  },

  'finishes pending writes of documents before close() resolves': async (scene) => {
    const writes = [1, 2].map((i) => handled(scene.write('preload', i)))
    await scene.store.close?.()
    strictEqual(await scene.storedDocument('preload'), 2)
    await Promise.all(writes)
  },

  'keeps documents unaffected when callers change their objects': async (scene) => {
    const value = { list: [1] }
    const written = scene.write('preload', value)
    value.list.push(2)
    await written
    const found = await scene.read('preload')
    deepStrictEqual(found, { list: [1] })
    found.list.push(3)
    deepStrictEqual(await scene.storedDocument('preload'), { list: [1] })
  },

  'rejects an invalid document name with STORE_ERROR': async (scene) => {
    for (const name of badNames) {
      await rejects(scene.write(name, 1), isStoreError, `writing ${JSON.stringify(name)}`)
      await rejects(scene.read(name), isStoreError, `reading ${JSON.stringify(name)}`)
    }
  },
}
