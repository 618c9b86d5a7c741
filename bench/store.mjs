/**
 * How long a manager takes to know 1,000 stored downloads again: the aim is under 2 s. From start to `ready`, the
 * default store, three rounds. `npm run build` first; then `node bench/store.mjs [count]`.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileStore, DownloadManager } from '../dist/index.js'

const aimSeconds = 2
const rounds = 3
const count = Number(process.argv[2] ?? 1_000)
if (!Number.isInteger(count) || count < 1) throw new Error('The count must be a whole number from 1.')

const directory = await mkdtemp(join(tmpdir(), 'model-downloader-bench-'))
try {
  const store = createFileStore(join(directory, '.model-downloader'))
  await Promise.all(Array.from({ length: count }, (_, sequence) => store.save(recordOf(sequence))))
  const times = []
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now()
    const manager = new DownloadManager({ directory })
    await manager.ready
    times.push((performance.now() - begin) / 1000)
    const known = manager.list().length
    await manager.close()
    if (known !== count) throw new Error(`${known} of ${count} downloads are known.`)
  }
  const worst = Math.max(...times)
  const shown = times.map((time) => `${time.toFixed(3)} s`).join(', ')
  const aim = count === 1_000 ? `; ${worst < aimSeconds ? 'PASS' : 'MISS'}: under ${aimSeconds} s` : ''
  console.log(`${count} stored downloads loaded in ${shown}${aim}`)
} finally {
  await rm(directory, { recursive: true, force: true })
}

/** A finished download. */
function recordOf(sequence) {
  const url = `https://models.example/${sequence}.gguf`
  const sha256 = createHash('sha256').update(url).digest('hex')
  return {
    version: 1,
    id: sha256,
    url,
    filename: `${sequence}.gguf`,
    named: true,
    mode: 'llm',
    state: 'completed',
    sha256,
    size: null,
    headers: { authorization: 'Bearer token' },
    priority: 0,
    connections: null,
    maxBytesPerSecond: null,
    remote: null,
    force: false,
    sequence,
    downloaded: 4_000_000_000,
    total: 4_000_000_000,
    error: null,
    resultSha256: sha256,
    verified: true,
    stamp: { size: 4_000_000_000, mtimeMs: 1.5, ino: sequence, sha256 },
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: '2026-01-01T00:00:00.000Z',
    finishedAt: '2026-01-01T00:00:00.000Z',
  }
}
