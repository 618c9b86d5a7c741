/**
 * Verifies files against a known digest and size, so that no other file gets the final name. When the digest does not
 * match, the download fails with a stable error code and no file is created.
 */
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager, isDownloadError } from 'model-downloader'
import { fakeModel, sha256, startOrigin } from './demo/origin.mjs'

const good = fakeModel(3_000_000)
const tampered = Buffer.from(good)
tampered[2_000_000] ^= 1

const origin = await startOrigin({ '/good.gguf': good, '/tampered.gguf': tampered })
const directory = await mkdtemp(path.join(tmpdir(), 'example-verify-'))
const manager = new DownloadManager({ directory, defaultMode: null })

const expected = { sha256: sha256(good), size: good.length }
const first = await manager.download({ url: origin.url('/good.gguf'), ...expected })
console.log(`good.gguf: verified ${(await first.finished).verified}`)

const second = await manager.download({ url: origin.url('/tampered.gguf'), ...expected })
try {
  await second.finished
  throw new Error('A tampered file must not pass.')
} catch (error) {
  if (!isDownloadError(error, 'CHECKSUM_MISMATCH')) throw error
  const exists = await access(second.path).then(
    () => true,
    () => false,
  )
  console.log(`tampered.gguf: ${error.code}, file published: ${exists}`)
}

await manager.close()
await origin.close()
await rm(directory, { recursive: true })
