/**
 * Runs every `examples/*.mjs`, and the demo, as a user would, each in an empty folder of its own. An example is self-contained: it
 * starts what it needs, on loopback, and ends with 0 within a minute.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const examples = path.resolve(import.meta.dirname, '..', 'examples')
const timeoutMs = 60_000
let failures = 0

const files = [...readdirSync(examples).filter((file) => file.endsWith('.mjs')), 'demo/demo.mjs']
for (const file of files.sort()) {
  const cwd = mkdtempSync(path.join(os.tmpdir(), 'model-downloader-example-'))
  try {
    const begin = performance.now()
    const run = spawnSync(process.execPath, [path.join(examples, file)], {
      cwd,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    })
    const seconds = ((performance.now() - begin) / 1000).toFixed(1)
    if (run.status === 0) console.log(`${file}: fine (${seconds} s)`)
    else {
      failures++
      console.error(`${file}: ended with ${run.status ?? run.signal} after ${seconds} s`)
      console.error(run.stdout + run.stderr)
    }
  } finally {
    rmSync(cwd, { recursive: true, force: true })
  }
}
console.log(`${files.length} examples, ${failures} failed`)
process.exit(failures === 0 ? 0 : 1)
