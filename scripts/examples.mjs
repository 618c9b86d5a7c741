/**
 * Runs every `examples/*.mjs` and the demo as a user would, each in an empty folder of its own. An example is
 * self-contained: it starts the servers that it needs on loopback, and exits with 0 within a minute. Example apps with
 * a Vite configuration are built.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const examples = path.resolve(import.meta.dirname, '..', 'examples')
const timeoutMs = 60_000
let failures = 0

const vite = path.resolve(examples, '../node_modules/vite/bin/vite.js')

/** The scripts and the apps, followed by the name and the Node arguments of each run. */
const files = [
  ...readdirSync(examples).filter((file) => file.endsWith('.mjs')),
  'demo/demo.mjs',
  'demo/cluster.mjs',
]
const apps = readdirSync(examples).filter((folder) =>
  existsSync(path.join(examples, folder, 'vite.config.js')),
)
const runs = [
  ...files.sort().map((file) => [file, () => [path.join(examples, file)]]),
  ...apps.map((app) => [app, (cwd) => [vite, 'build', path.join(examples, app), '--outDir', cwd]]),
]
for (const [file, argumentsIn] of runs) {
  const cwd = mkdtempSync(path.join(os.tmpdir(), 'model-downloader-example-'))
  try {
    const begin = performance.now()
    const run = spawnSync(process.execPath, argumentsIn(cwd), {
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
console.log(`${runs.length} examples, ${failures} failed`)
process.exit(failures === 0 ? 0 : 1)
