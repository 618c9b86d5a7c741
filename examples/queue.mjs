/**
 * Queues several downloads: one runs at a time, the urgent one goes first, and one is paused and resumed later. A paused
 * download keeps its bytes, and so does one that `close()` interrupts.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager } from 'model-downloader'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const names = ['first', 'second', 'third', 'urgent']
const files = Object.fromEntries(names.map((name) => [`/${name}.gguf`, fakeModel(1_500_000)]))
const origin = await startOrigin(files, { bytesPerSecond: 2_000_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-queue-'))
const manager = new DownloadManager({ directory, concurrency: 1 })

for (const event of ['started', 'paused', 'resumed', 'completed']) {
  manager.on(event, ({ download }) => console.log(`${event.padEnd(9)} ${download.filename}`))
}

const first = await manager.download({ url: origin.url('/first.gguf') })
await manager.download({ url: origin.url('/second.gguf') })
await manager.download({ url: origin.url('/third.gguf') })
await manager.download({ url: origin.url('/urgent.gguf'), priority: 10 })

// Pause the first download as soon as some of its bytes have arrived, so that another one can start.
await once(manager, 'progress')
await first.pause()

// From here on, two downloads run at a time; the change takes effect at once.
manager.concurrency = 2
await first.resume()

await manager.onIdle()
console.log(
  manager
    .list()
    .map((download) => `${download.filename}: ${download.state}`)
    .join(', '),
)

await manager.close()
await origin.close()
await rm(directory, { recursive: true })
