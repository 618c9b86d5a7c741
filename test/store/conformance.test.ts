/** The published kit notices what is wrong with a store. */
import { describe, expect, it } from 'vitest'
import { type DownloadRecord, downloadRecordSchema } from '../../src/download/record.js'
import { sampleRecord, storeConformance, type StoreConformanceOptions } from '../../src/store/conformance.js'
import { createMemoryStore } from '../../src/store/memory.js'
import { wrongWithDocuments } from './broken-documents.js'
import { wrongWithRecords } from './broken-records.js'
import { emptyDisk, onDisk, rightStore, unchanged } from './variants.js'

const brokenStores = [...wrongWithRecords, ...wrongWithDocuments]

/** The names of the cases that a store fails. */
async function failures(options: StoreConformanceOptions): Promise<string[]> {
  const failed: string[] = []
  for (const { name, run } of storeConformance(options)) {
    try {
      await run()
    } catch {
      failed.push(name)
    }
  }
  return failed
}

describe('the conformance kit', () => {
  it('finds nothing wrong with a right store', async () => {
    expect(await failures(onDisk(unchanged))).toEqual([])
  })

  it('finds nothing wrong with one without documents, when that is said', async () => {
    const open = () => {
      const right = rightStore(emptyDisk())
      return {
        load: () => right.load(),
        save: (record: DownloadRecord) => right.save(record),
        remove: (id: string) => right.remove(id),
      }
    }
    expect(await failures({ open, documents: false })).toEqual([])
    expect(await failures({ open })).toContain('has no document at first')
  })

  it.each(brokenStores)('notices a store that %s', async (_what, tells, options) => {
    const telling = storeConformance(options).find(({ name }) => name === tells)
    await expect(telling?.run()).rejects.toThrow()
  })

  it('has no case that no broken store fails', () => {
    const open = createMemoryStore
    const cases = storeConformance({
      open,
      reopenAfterKill: open,
      openUnreachable: open,
      corrupt: () => undefined,
    })
    expect(cases.map(({ name }) => name).sort()).toEqual(
      [...new Set(brokenStores.map(([, tells]) => tells))].sort(),
    )
  })

  it('gives cases to any runner: no arguments, no this, a new store for each', async () => {
    let opened = 0
    let closed = 0
    const open = () => {
      opened++
      return {
        ...createMemoryStore(),
        close: async () => {
          closed++
        },
      }
    }
    const cases = storeConformance({ open })
    for (const { run } of cases) expect(run).toHaveLength(0)
    await Promise.all(cases.map(async ({ run }) => run()))
    expect(opened).toBe(cases.length)
    expect(closed).toBeGreaterThanOrEqual(cases.length)
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
  })
})

describe('a sample record', () => {
  it('is valid, and another download for another number or URL', () => {
    for (const record of [sampleRecord(1), sampleRecord(2), sampleRecord(1, { url: 'hf:a/b' })]) {
      expect(downloadRecordSchema.parse(record)).toStrictEqual(record)
    }
    const ids = [sampleRecord(1), sampleRecord(2), sampleRecord(1, { url: 'hf:a/b' })].map(({ id }) => id)
    expect(new Set(ids).size).toBe(3)
    expect(sampleRecord(3, { url: 'hf:a/b' }).id).toBe(ids[2])
  })
})
