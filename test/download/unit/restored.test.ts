/** Downloads of an earlier process, of which there may be a hundred thousand. */
import { describe, expect, it } from 'vitest'
import { compactRecord } from '../../../src/download/compact.js'
import { Download, type DownloadOwner } from '../../../src/download/download.js'
import type { DownloadRecord } from '../../../src/download/record.js'
import { DownloadError } from '../../../src/errors.js'
import { sampleRecord } from '../../../src/store/sample-record.js'

// Nothing here asks its owner for more.
const owner = { pathOf: ({ filename }) => `/models/${filename}` } as DownloadOwner
const restored = (change: Partial<DownloadRecord>) => new Download(sampleRecord(0, change), owner)
const error = { code: 'NOT_FOUND' as const, message: 'gone', retryable: false }

describe('a restored download', () => {
  it('has its file, and is finished', async () => {
    const download = restored({ state: 'completed', downloaded: 7, total: 7 })
    expect(download.file).toMatchObject({ size: 7, existed: true, fetchedBytes: 0 })
    expect(await download.finished).toBe(download.file)
    download.move('queued')
    expect(download.file).toBeNull()
  })

  it('has failed with its error, and waits anew once it is asked for again', async () => {
    const download = restored({ state: 'failed', error })
    await expect(download.finished).rejects.toMatchObject({ code: 'NOT_FOUND' })
    download.move('queued')
    const { finished } = download
    expect(download.finished).toBe(finished)
    download.move('canceled')
    await expect(finished).rejects.toMatchObject({ code: 'CANCELED' })
  })

  it('ends with the manager, whether somebody waited before or asks after that', async () => {
    const closed = new DownloadError('CLOSED', 'closed')
    for (const asksBefore of [true, false]) {
      const download = restored({ state: 'paused' })
      const before = asksBefore ? download.finished : null
      download.abandon(closed)
      await expect(before ?? download.finished).rejects.toBe(closed)
    }
  })
})

it('a compact record says the same, and shares what many have in common', () => {
  const sha256 = 'a'.repeat(64)
  const stamp = { size: 1, mtimeMs: 2, ino: '3', sha256: Buffer.from(sha256).toString() }
  const [one, other] = [
    sampleRecord(1, { resultSha256: sha256, stamp }),
    sampleRecord(2, { headers: { a: 'b' }, urls: ['https://m.example/x'] }),
  ]
  expect(compactRecord(one)).toEqual(one)
  expect(compactRecord(other)).toEqual(other)
  expect(compactRecord(one).include).toBe(compactRecord(other).exclude)
})
