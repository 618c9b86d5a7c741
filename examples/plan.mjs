/** Plans a download: what is missing, what exists already, and whether the missing bytes fit on the disk. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager } from 'model-downloader'
import { fakeModel, sha256, startOrigin } from './demo/origin.mjs'

const model = fakeModel(3_000_000)
const origin = await startOrigin({ '/model.gguf': model })
const directory = await mkdtemp(path.join(tmpdir(), 'example-plan-'))
const manager = new DownloadManager({ directory, defaultMode: null })
const options = { url: origin.url('/model.gguf'), sha256: sha256(model) }

const before = await manager.plan(options)
console.log(`${before.files[0].status}: ${before.missingBytes} bytes to fetch, fits: ${before.fits}`)
if (before.missingBytes !== model.length || manager.list().length > 0)
  throw new Error('A plan should not start anything.')

const download = await manager.download(options)
await download.finished

const after = await manager.plan(options)
console.log(`${after.files[0].status}: ${after.missingBytes} bytes to fetch`)
if (after.missingBytes !== 0) throw new Error('The file should be complete.')

await manager.close()
await origin.close()
await rm(directory, { recursive: true })
