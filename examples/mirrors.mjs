/**
 * Downloads one file from several addresses: the first has no such file, the second is slow, and the third has another
 * file of the same size. The download still ends with the right file, and with `spread` it is fetched from all
 * addresses that have it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager } from 'model-downloader'
import { fakeModel, sha256, startOrigin } from './demo/origin.mjs'

const model = fakeModel(6_000_000)
const other = Buffer.from(model).fill(1, 1_000)

const gone = await startOrigin({})
const slow = await startOrigin({ '/model.gguf': model }, { bytesPerSecond: 500_000 })
const wrong = await startOrigin({ '/model.gguf': other })
const second = await startOrigin({ '/model.gguf': model }, { bytesPerSecond: 500_000 })

const directory = await mkdtemp(path.join(tmpdir(), 'example-mirrors-'))
const manager = new DownloadManager({ directory, defaultMode: null })
manager.on('log', ({ message }) => console.log(message))

const download = await manager.download({
  urls: [gone, slow, wrong, second].map((origin) => origin.url('/model.gguf')),
  sha256: sha256(model),
  spread: true,
})
const { verified } = await download.finished
console.log(`verified: ${verified}, slow: ${slow.bytesSent} bytes, second: ${second.bytesSent} bytes`)
if (!verified || slow.bytesSent === 0 || second.bytesSent === 0)
  throw new Error('Both should have sent some bytes.')

await manager.close()
await Promise.all([gone, slow, wrong, second].map((origin) => origin.close()))
await rm(directory, { recursive: true })
