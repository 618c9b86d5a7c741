/**
 * Downloads a ref that stands for several files. It is one download, with one progress, one promise and a list of its
 * files. In your program the ref would be one such as `hf:owner/repo`; here a custom source takes the place of the hub.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DownloadManager } from 'model-downloader'
import { fakeModel, sha256, startOrigin } from './demo/origin.mjs'

const files = {
  'config.json': Buffer.from('{ "layers": 2 }'),
  'tokenizer/vocab.txt': Buffer.from('hello\nworld\n'),
  'model-00001-of-00002.gguf': fakeModel(3_000_000),
  'model-00002-of-00002.gguf': fakeModel(2_000_000),
  'README.md': Buffer.from('# A model\n'),
}
const origin = await startOrigin(
  Object.fromEntries(Object.entries(files).map(([name, data]) => [`/${name}`, data])),
)

/** @type {import('model-downloader').Source} */
const hub = {
  name: 'hub',
  match: (ref) => ref.startsWith('hub:'),
  resolve: async () => ({
    name: 'tiny-model',
    files: Object.entries(files).map(([name, data]) => ({
      filename: name,
      urls: [origin.url(`/${name}`)],
      size: data.length,
      sha256: sha256(data),
      headers: {},
    })),
  }),
}

const directory = await mkdtemp(path.join(tmpdir(), 'example-group-'))
const manager = new DownloadManager({ directory, sources: [hub] })

const download = await manager.download({ url: 'hub:owner/tiny-model', exclude: ['*.md'] })
const { path: folder, size, verified } = await download.finished

console.log(`${path.relative(directory, folder)}: ${size} bytes, verified: ${verified}`)
for (const file of download.group.files) console.log(`  ${file.state} ${file.filename} (${file.size} bytes)`)
console.log(
  `${download.group.completed} of ${download.group.files.length} files, missing: ${download.group.missing.length}`,
)
if (!verified || download.group.completed !== 4) throw new Error('Four files should be complete.')

await manager.close()
await origin.close()
await rm(directory, { recursive: true })
