/** `urls` and `spread`, from the options to the record, and over a restart. */
import { onTestFinished, expect, it } from 'vitest'
import { DownloadManager, type DownloadManagerOptions, type Source } from '../../src/index.js'
import { arrives, fails, fastTuning, KiB, MiB } from '../faults/harness.js'
import { recordOf } from '../store/conformance.js'
import { downloadRecordSchema } from '../../src/download/record.js'
import { randomContent } from '../support/content.js'
import { startOrigin, type Fault } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const content = randomContent(256 * KiB)
const never: Fault = { type: 'hangUp', reset: true }

function open(directory: string, options: DownloadManagerOptions = {}): DownloadManager {
  const manager = new DownloadManager({
    directory,
    defaultMode: null,
    proxy: false,
    tuning: { ...fastTuning, bodyTimeoutMs: 5_000 },
    ...options,
  })
  onTestFinished(() => manager.close())
  return manager
}

it('needs url or urls; takes 1 to 32, each once, and each must be one that can be fetched', async () => {
  const manager = open(tempDir('mirrors'))
  const bad = (options: object) => manager.download(options).catch((error: unknown) => error)
  const many = Array.from({ length: 33 }, (_, index) => `https://m${index}.example/a.bin`)
  expect(await bad({})).toMatchObject({ code: 'INVALID_OPTIONS', issues: [{ path: 'url' }] })
  for (const urls of [[], many, 'https://m.example/a.bin', [1]])
    expect(await bad({ url: 'https://a.example/a.bin', urls })).toMatchObject({ code: 'INVALID_OPTIONS' })
  for (const url of ['ftp://m.example/a', 'nonsense', 'https://m.example/a b', 'hf:owner/repo/file.gguf'])
    expect(await bad({ urls: ['https://a.example/a.bin', url] })).toMatchObject({ code: 'INVALID_URL', issues: [{ path: 'urls.0' }] }) // prettier-ignore
  const withPassword = 'https://user:secret@m.example/a.bin'
  expect(await bad({ urls: ['https://a.example/a.bin', withPassword], remote: true })).toMatchObject({ code: 'INVALID_URL' }) // prettier-ignore
  expect(manager.list()).toEqual([])
})

it('remembers mirrors over a restart, and takes others when it is asked for again', async () => {
  const directory = tempDir('mirrors')
  await using origin = await startOrigin()
  const slow = randomContent(2 * MiB)
  origin.serve('/a.bin', { content: slow, faults: [never] })
  origin.serve('/b.bin', { content: slow, bytesPerSecond: MiB })
  const [url, mirror] = [origin.url('/a.bin'), origin.url('/b.bin')]
  const first = open(directory)
  const download = await first.download({ urls: [url, mirror, url, mirror], spread: true })
  expect(download.url).toBe(url)
  expect(download.record).toMatchObject({ urls: [mirror], spread: true })
  await waitFor(() => download.current.downloaded > 512 * KiB, { what: 'some bytes' })
  await first.close()

  origin.serve('/b.bin', { content: slow })
  const second = open(directory)
  await second.ready
  const again = second.get(url)
  expect(again?.record).toMatchObject({ urls: [mirror], spread: true })
  await expect(again?.finished).resolves.toMatchObject({ sha256: slow.sha256(), filename: 'a.bin' })
  const other = origin.url('/c.bin')
  await arrives(await second.download({ url, urls: [other] }))
  expect(second.get(url)?.record.urls).toEqual([other])
})

it('reads records that know of no mirrors', () => {
  const record = recordOf(1)
  const known = Object.entries(record).filter(([name]) => name !== 'urls' && name !== 'spread')
  expect(downloadRecordSchema.parse(Object.fromEntries(known))).toEqual(record)
})

it('a source may name several addresses, and the caller more; its headers go to the first alone', async () => {
  await using a = await startOrigin()
  await using b = await startOrigin()
  await using c = await startOrigin()
  a.serve('/x.bin', { content, faults: [never] })
  b.serve('/x.bin', { content, faults: [{ type: 'status', status: 404 }] })
  c.serve('/x.bin', { content })
  const source: Source = {
    name: 'mine',
    match: (ref) => ref.startsWith('mine:'),
    resolve: () =>
      Promise.resolve({
        files: [
          { filename: 'x.bin', urls: [a.url('/x.bin'), b.url('/x.bin')], headers: { 'X-Token': 'secret' } },
        ],
      }),
  }
  const manager = open(tempDir('mirrors'), { sources: [source] })
  const file = await arrives(await manager.download({ url: 'mine:x', urls: [c.url('/x.bin')] }))
  expect(file).toMatchObject({ url: 'mine:x', sha256: content.sha256() })
  expect(a.requests('/x.bin')[0]?.headers['x-token']).toBe('secret')
  for (const origin of [b, c]) {
    expect(origin.requests('/x.bin').length).toBeGreaterThan(0)
    for (const request of origin.requests('/x.bin')) expect(request.headers['x-token']).toBeUndefined()
  }
})

it('mirrors of a ref that stands for several files are refused: it is unknown which file they mirror', async () => {
  const file = (name: string) => ({ filename: name, urls: [`http://127.0.0.1:9/${name}`], headers: {} })
  const source: Source = {
    name: 'mine',
    match: (ref) => ref.startsWith('mine:'),
    resolve: () => Promise.resolve({ files: [file('a.bin'), file('b.bin')] }),
  }
  const manager = open(tempDir('mirrors'), { sources: [source] })
  const download = await manager.download({ url: 'mine:both', urls: ['http://127.0.0.1:9/a.bin'] })
  expect(await fails(download)).toMatchObject({ code: 'INVALID_OPTIONS' })
})
