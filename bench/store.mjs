/**
 * How long a manager takes to know 1,000 stored downloads again: the aim is under 2 s. From start to `ready`, the
 * default store, three rounds. `npm run build` first; then `node bench/store.mjs [count]`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileStore, DownloadManager } from '../dist/index.js'
import { knownRecord } from './lib/records.mjs'

const aimSeconds = 2
const rounds = 3
const count = Number(process.argv[2] ?? 1_000)
if (!Number.isInteger(count) || count < 1) throw new Error('The count must be a whole number from 1.')

const directory = await mkdtemp(join(tmpdir(), 'model-downloader-bench-'))
try {
  const store = createFileStore(join(directory, '.model-downloader'))
  await Promise.all(Array.from({ length: count }, (_, sequence) => store.save(knownRecord(sequence))))
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
