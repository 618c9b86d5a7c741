/**
 * Fetches what servers do wrong, and what comes through proxies: `faults.mjs PLAN`, with a plan in JSON. Prints as JSON what
 * became of each file.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { DownloadManager } from 'model-downloader'

const { files, directory } = JSON.parse(process.argv[2])
const told = {}

async function fetchOne(name, { url, proxy = false }) {
  const manager = new DownloadManager({
    directory,
    proxy,
    store: 'memory',
    tuning: { minDelayMs: 10, maxDelayMs: 100, bodyTimeoutMs: 3_000 },
  })
  try {
    const { path } = await (await manager.download({ url, filename: `${name}.gguf` })).finished
    told[name] = createHash('sha256').update(readFileSync(path)).digest('hex')
  } catch (error) {
    told[name] = error.code ?? String(error)
  }
  await manager.close()
}

await Promise.all(Object.entries(files).map(([name, file]) => fetchOne(name, file)))
console.log(JSON.stringify(told))
