import fc, { anyText } from '../support/properties.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sampleRecord, storeConformance, type StoreConformanceOptions } from '../../src/store/conformance.js'
import { downloadErrorCodes } from '../../src/errors.js'
import { downloadStates } from '../../src/download/states.js'
import type { DownloadRecord } from '../../src/download/record.js'
import type { DownloadStore } from '../../src/store/store.js'

/** What the published kit calls a sample, by the name that tests know. */
export { sampleRecord as recordOf }

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
    headers: fc.dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), anyText(), {
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

/** What every {@link DownloadStore} must do: the published cases, and the same with random records. */
export function describeStore(storeName: string, options: StoreConformanceOptions): void {
  describe(`${storeName} as a DownloadStore`, () => {
    for (const { name, run } of storeConformance(options)) it(name, run)
  })

  describe(`${storeName} with anything that may come`, () => {
    const { open, reopen } = options
    let store: DownloadStore
    beforeEach(async () => {
      store = await open()
    })
    afterEach(async () => {
      await store.close?.()
    })

    async function restart(): Promise<void> {
      if (reopen === undefined) return
      await store.close?.()
      store = await reopen()
    }

    /** What is stored, seen after a restart where there is such a thing. */
    async function stored(): Promise<DownloadRecord[]> {
      await restart()
      const { records, problems } = await store.load()
      expect(problems).toEqual([])
      return records
    }

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

    it('keeps saves and removals of one id in order', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }), async (steps) => {
          const done = steps.map((save, i) =>
            save ? store.save(sampleRecord(1, { downloaded: i })) : store.remove(sampleRecord(1).id),
          )
          await Promise.all(done)
          const last = steps.length - 1
          expect(await stored()).toStrictEqual(
            steps[last] === true ? [sampleRecord(1, { downloaded: last })] : [],
          )
        }),
        { numRuns: 30 },
      )
    })

    it('gives back documents, beside records and other documents', async () => {
      const read = async (name: string) => {
        await restart()
        const found = await store.readDocument?.(name)
        expect(found?.problem).toBeNull()
        return found?.value
      }
      await fc.assert(
        fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (one, two) => {
          await store.save(sampleRecord(1))
          await Promise.all([store.writeDocument?.('one', one), store.writeDocument?.('two-2', two)])
          expect(await read('one')).toEqual(JSON.parse(JSON.stringify(one)))
          expect(await read('two-2')).toEqual(JSON.parse(JSON.stringify(two)))
          expect(await stored()).toStrictEqual([sampleRecord(1)])
        }),
        { numRuns: 20 },
      )
    })

    it('holds 1,000 records and loads them all', async () => {
      const records = Array.from({ length: 1_000 }, (_, i) =>
        sampleRecord(i, { error: { code: 'STALLED', message: 'x', retryable: true } }),
      )
      await Promise.all(records.map((record) => store.save(record)))
      expect(await stored()).toStrictEqual(records)
    })
  })
}
