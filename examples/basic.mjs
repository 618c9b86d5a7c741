/**
 * Downloads one file in three steps: create a manager, request a URL, wait for the file.
 *
 * Run it with `node examples/basic.mjs` after `npm run build`. The server here runs on this machine; in your
 * program, use the URL of the model.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager } from 'model-downloader'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/tiny-llm.Q4.gguf': fakeModel(8_000_000) })
const directory = await mkdtemp(path.join(tmpdir(), 'example-basic-'))

const manager = new DownloadManager({ directory })
const download = await manager.download({ url: origin.url('/tiny-llm.Q4.gguf') })
const file = await download.finished

console.log(`${path.relative(directory, file.path)}: ${file.size} bytes, sha256 ${file.sha256}`)

// Requesting the URL again fetches nothing, because the file exists.
const again = await manager.download({ url: origin.url('/tiny-llm.Q4.gguf') })
const { existed, fetchedBytes } = await again.finished
console.log(`requested again: existed ${existed}, fetched ${fetchedBytes} bytes`)

await manager.close()
await origin.close()
await rm(directory, { recursive: true })
