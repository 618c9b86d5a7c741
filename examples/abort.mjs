/**
 * Cancels a download with an `AbortSignal`, the usual way to tie it to a request, a timeout or a button. The bytes on
 * disk are deleted; to keep them, use `pause()` instead.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager, isDownloadError } from 'model-downloader'
import { fakeModel, startOrigin } from './demo/origin.mjs'

const origin = await startOrigin({ '/large.gguf': fakeModel(20_000_000) }, { bytesPerSecond: 500_000 })
const directory = await mkdtemp(path.join(tmpdir(), 'example-abort-'))
const manager = new DownloadManager({ directory, defaultMode: null, store: 'memory' })

const download = await manager.download({
  url: origin.url('/large.gguf'),
  signal: AbortSignal.timeout(1_500),
})
try {
  await download.finished
  throw new Error('It cannot be complete within 1.5 seconds.')
} catch (error) {
  if (!isDownloadError(error, 'CANCELED')) throw error
  console.log(`${download.filename}: ${error.code} (${download.state})`)
}

await manager.close()
console.log(`left in the folder: ${(await readdir(directory)).join(', ') || 'nothing'}`)
await origin.close()
await rm(directory, { recursive: true })
