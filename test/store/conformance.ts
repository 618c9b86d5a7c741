import { createHash } from 'node:crypto'
import fc from '../support/properties.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { downloadErrorCodes } from '../../src/errors.js'
import { downloadStates } from '../../src/download/states.js'
import type { DownloadRecord } from '../../src/download/record.js'
import type { DownloadStore } from '../../src/store/store.js'

/** A valid record of the n-th download, with whatever is given changed. */
export function recordOf(sequence: number, change: Partial<DownloadRecord> = {}): DownloadRecord {
  const url = change.url ?? `https://models.example/${sequence}.gguf`
  return {
    version: 1,
    id: createHash('sha256').update(url).digest('hex'),
    url,
    urls: [],
    spread: false,
    filename: `${sequence}.gguf`,
    named: true,
    mode: 'llm',
    directory: null,
    layout: 'flat',
    cache: null,
    adopt: false,
    state: 'queued',
    sha256: null,
    size: null,
    headers: {},
    priority: 0,
    connections: null,
    maxBytesPerSecond: null,
    remote: null,
    force: false,
    sequence,
    downloaded: 0,
    total: null,
    error: null,
    resultSha256: null,
    verified: false,
    stamp: null,
    include: [],
    exclude: [],
    group: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: null,
    finishedAt: null,
    ...change,
  }
}

const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'))
const natural = fc.nat(Number.MAX_SAFE_INTEGER)
const text = fc.string({ minLength: 1, unit: 'grapheme' })
// JSON has no −0: it comes back as 0.
const real = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })

const serializedError = fc.record(
  {
    code: fc.constantFrom(...downloadErrorCodes),
    message: fc.string(),
    retryable: fc.boolean(),
    status: fc.nat(),
  },
  { requiredKeys: ['code', 'message', 'retryable'], noNullPrototype: true },
)
const stamp = fc.record(
  { size: natural, mtimeMs: real, ino: natural, sha256: hex },
  { noNullPrototype: true },
)
const yes = fc.constant(true as const)
const group = fc.record(
  {
    revision: optional(fc.string()),
    pinned: fc.boolean(),
    files: fc.array(
      fc.record(
        {
          path: text,
          size: natural,
          sha256: hex,
          done: yes,
          stamp,
          fetched: yes,
          stale: yes,
          downloaded: natural,
          error: serializedError,
        },
        { requiredKeys: ['path'], noNullPrototype: true },
      ),
      { maxLength: 3 },
    ),
  },
  { noNullPrototype: true },
)

/** Any valid record. */
export const anyRecord: fc.Arbitrary<DownloadRecord> = fc.record(
  {
    version: fc.constant(1 as const),
    id: hex,
    url: text,
    urls: fc.array(text, { maxLength: 3 }),
    spread: fc.boolean(),
    filename: text,
    named: fc.boolean(),
    mode: optional(text),
    directory: optional(text),
    layout: fc.constantFrom('flat' as const, 'hf-cache' as const),
    cache: optional(
      fc.record(
        { folder: text, commit: text, path: optional(text), blob: optional(text) },
        { noNullPrototype: true },
      ),
    ),
    adopt: fc.constantFrom(true, false, 'copy' as const),
    state: fc.constantFrom(...downloadStates),
    sha256: optional(hex),
    size: optional(natural),
    headers: fc.dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), fc.string({ unit: 'binary' }), {
      noNullPrototype: true,
    }),
    priority: fc.integer(),
    connections: optional(fc.integer({ min: 1, max: 64 })),
    maxBytesPerSecond: optional(fc.double({ min: 1e-3, max: 1e12, noNaN: true })),
    remote: optional(
      fc.record(
        { allowPrivateNetwork: fc.boolean(), allowedHosts: fc.array(fc.string(), { maxLength: 3 }) },
        { noNullPrototype: true },
      ),
    ),
    force: fc.boolean(),
    sequence: natural,
    downloaded: natural,
    total: optional(natural),
    error: optional(serializedError),
    resultSha256: optional(hex),
    verified: fc.boolean(),
    stamp: optional(stamp),
    include: fc.array(fc.string(), { maxLength: 3 }),
    exclude: fc.array(fc.string(), { maxLength: 3 }),
    group: optional(group),
    createdAt: fc.string(),
    startedAt: optional(fc.string()),
    finishedAt: optional(fc.string()),
  },
  { noNullPrototype: true },
)

/** A kind of store under test. */
export interface StoreKit {
  /** An empty store. */
  make: () => Promise<DownloadStore>
  /** The same store after a restart; missing where nothing outlives the process. */
  reopen?: () => Promise<DownloadStore>
}

/** What every {@link DownloadStore} must do. */
export function describeStore(name: string, { make, reopen }: StoreKit): void {
  describe(`${name} as a DownloadStore`, () => {
    let store: DownloadStore
    beforeEach(async () => {
      store = await make()
    })
    afterEach(async () => {
      await store.close?.()
    })

    /** What is stored, seen after a restart where there is such a thing. */
    async function stored(): Promise<DownloadRecord[]> {
      if (reopen !== undefined) {
        await store.close?.()
        store = await reopen()
      }
      const { records, problems } = await store.load()
      expect(problems).toEqual([])
      return records
    }

    it('begins empty', async () => {
      expect(await store.load()).toEqual({ records: [], problems: [] })
    })

    it('gives back what was saved', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(anyRecord, { maxLength: 5, selector: (record) => record.id }),
          async (records) => {
            for (const record of records) await store.save(record)
            const found = await stored()
            const byId = (a: DownloadRecord, b: DownloadRecord) => (a.id < b.id ? -1 : 1)
            expect(found.toSorted(byId)).toStrictEqual(records.toSorted(byId))
            for (const record of records) await store.remove(record.id)
          },
        ),
        { numRuns: 30 },
      )
    })

    it('keeps strange and long URLs', async () => {
      const urls = [
        'https://models.example/模型/ü?x=%F0%9F%A6%99#🦙',
        `https://models.example/${'a'.repeat(16_000)}`,
        'https://a/"\\\u2028\ud800',
      ]
      for (const [i, url] of urls.entries()) await store.save(recordOf(i, { url }))
      expect((await stored()).map((record) => record.url)).toEqual(urls)
    })

    it('gives them in order of arrival', async () => {
      const order = [5, 3, 11, 1, 2, 100, 0]
      await Promise.all(order.map((sequence) => store.save(recordOf(sequence))))
      expect((await stored()).map((record) => record.sequence)).toEqual(order.toSorted((a, b) => a - b))
    })

    it('overwrites', async () => {
      await store.save(recordOf(1, { state: 'downloading', headers: { a: 'b' } }))
      await store.save(recordOf(1, { state: 'completed' }))
      expect(await stored()).toStrictEqual([recordOf(1, { state: 'completed' })])
    })

    it('removes one, and does not mind an unknown one', async () => {
      await store.save(recordOf(1))
      await store.save(recordOf(2))
      await store.remove(recordOf(1).id)
      await store.remove(recordOf(3).id)
      await store.remove('../no id at all')
      expect(await stored()).toStrictEqual([recordOf(2)])
    })

    it('ends with the last of many saves at once', async () => {
      const saves = Array.from({ length: 200 }, (_, i) => store.save(recordOf(i % 2, { downloaded: i })))
      await Promise.all(saves)
      expect((await stored()).map((record) => record.downloaded)).toEqual([198, 199])
    })

    it('keeps saves and removals of one id in order', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }), async (steps) => {
          const done = steps.map((save, i) =>
            save ? store.save(recordOf(1, { downloaded: i })) : store.remove(recordOf(1).id),
          )
          await Promise.all(done)
          const last = steps.length - 1
          expect(await stored()).toStrictEqual(
            steps[last] === true ? [recordOf(1, { downloaded: last })] : [],
          )
        }),
        { numRuns: 30 },
      )
    })

    it('has saved by the time that close() resolves', async () => {
      const saves = [1, 2, 2, 3].map((i) => store.save(recordOf(i)))
      await store.close?.()
      expect(await stored()).toHaveLength(3)
      await Promise.all(saves)
    })

    it('is not touched by what callers do to their objects', async () => {
      const record = recordOf(1, { headers: { a: 'b' } })
      const saved = store.save(record)
      record.headers['a'] = 'changed'
      await saved
      record.downloaded = 17
      const first = (await store.load()).records[0]
      if (first !== undefined) first.headers['a'] = 'changed too'
      expect(await stored()).toStrictEqual([recordOf(1, { headers: { a: 'b' } })])
    })

    describe('with documents', () => {
      async function write(name: string, value: unknown): Promise<void> {
        await store.writeDocument?.(name, value)
      }

      /** A document, seen after a restart where there is such a thing. */
      async function read(name: string): Promise<unknown> {
        if (reopen !== undefined) {
          await store.close?.()
          store = await reopen()
        }
        const found = await store.readDocument?.(name)
        expect(found?.problem).toBeNull()
        return found?.value
      }

      it('has none at first', async () => {
        expect(await read('preload')).toBeNull()
      })

      it('gives back what was written, beside records and other documents', async () => {
        await fc.assert(
          fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (one, two) => {
            await store.save(recordOf(1))
            await Promise.all([write('one', one), write('two-2', two)])
            expect(await read('one')).toEqual(JSON.parse(JSON.stringify(one)))
            expect(await read('two-2')).toEqual(JSON.parse(JSON.stringify(two)))
            expect(await stored()).toStrictEqual([recordOf(1)])
          }),
          { numRuns: 20 },
        )
      })

      it('ends with the last of many writes at once', async () => {
        await Promise.all(Array.from({ length: 50 }, (_, i) => write('preload', { i })))
        expect(await read('preload')).toEqual({ i: 49 })
      })

      it('reads what was written last without waiting for it', async () => {
        const writes = [1, 2, 3].map((i) => write('preload', i))
        expect((await store.readDocument?.('preload'))?.value).toBe(3)
        await Promise.all(writes)
      })

      it('is not touched by what callers do to their objects', async () => {
        const value = { list: [1] }
        const written = write('preload', value)
        value.list.push(2)
        await written
        expect(await read('preload')).toEqual({ list: [1] })
      })

      it.each(['', '../x', 'A', 'a'.repeat(33), 'a/b', 'a.json', 'a b'])(
        'refuses the name %j',
        async (name) => {
          await expect(write(name, 1)).rejects.toMatchObject({ code: 'STORE_ERROR' })
          await expect(store.readDocument?.(name)).rejects.toMatchObject({ code: 'STORE_ERROR' })
        },
      )
    })

    it('holds 1,000 records and loads them all', async () => {
      const records = Array.from({ length: 1_000 }, (_, i) =>
        recordOf(i, { error: { code: 'STALLED', message: 'x', retryable: true } }),
      )
      await Promise.all(records.map((record) => store.save(record)))
      expect(await stored()).toStrictEqual(records)
    })
  })
}
