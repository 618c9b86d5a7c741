/**
 * Follows a download in two ways: with a loop over its progress, and with the manager's events, which cover all
 * downloads.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager } from 'model-downloader'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/model.gguf': fakeModel(6_000_000) }, { bytesPerSecond: 1_000_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-progress-'))
const manager = new DownloadManager({ directory, connections: 4 })

manager.on('started', ({ download }) => console.log(`${download.filename}: started`))
manager.on('retrying', ({ error, delayMs }) => console.log(`${error.code}: retrying in ${delayMs} ms`))
manager.on('completed', ({ file }) => console.log(`${file.filename}: completed, ${file.size} bytes`))

const download = await manager.download({ url: origin.url('/model.gguf') })
for await (const { phase, percent, bytesPerSecond, etaSeconds, connections } of download.progress()) {
  const speed = `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`
  console.log(
    `${phase.padEnd(11)} ${String(percent).padStart(5)} %  ${speed}  ETA ${etaSeconds ?? '–'} s  ×${connections}`,
  )
}

await manager.close()
await origin.close()
await rm(directory, { recursive: true })
