import { expect, it } from 'vitest'
import { Download, type DownloadOwner } from '../../../src/download/download.js'
import { adjusted, adjusters } from '../../../src/manager/adjust.js'
import { sampleRecord } from '../../../src/store/sample-record.js'

/** A download whose settings another manager changes, which answers when it is told to. */
function scene() {
  const asked: { answer: () => void; fail: (error: Error) => void }[] = []
  const control = () =>
    new Promise<void>((answer, fail) => {
      asked.push({ answer, fail })
    })
  const scheduler = { limit: () => undefined, reorder: () => undefined }
  const setters = adjusters(scheduler, { save: () => Promise.resolve() }, { control })
  return { asked, download: new Download(sampleRecord(1), setters as DownloadOwner) }
}

it('waits until all that was set has been done elsewhere', async () => {
  const { asked, download } = scene()
  await adjusted(download)
  download.priority = 3
  download.maxBytesPerSecond = 5
  const done: string[] = []
  const waiting = adjusted(download).then(() => done.push('done'))
  asked[1]!.answer()
  await Promise.resolve()
  expect(done).toEqual([])
  asked[0]!.answer()
  await waiting
  await adjusted(download)
})

it('tells what could not be done, once', async () => {
  const { asked, download } = scene()
  download.priority = 3
  download.maxBytesPerSecond = 5
  const waiting = adjusted(download)
  asked[0]!.fail(new Error('away'))
  await expect(waiting).rejects.toThrow('away')
  download.priority = 4
  const again = adjusted(download)
  asked[2]!.answer()
  await again
})
