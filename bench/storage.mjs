/**
 * One object by its name (`get s3://…`, signed) against the same one by its plain URL, in turn, from the imitation of S3 that
 * the tests use. Both are checked with the same SHA-256. Aim: within 5 % of the plain URL. `npm run build` first; then
 * `node bench/storage.mjs [--runs N] [--mib N]`.
 *
 * Store and tool are processes of their own, on the same cores; source and target lie in memory.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startChild } from './lib/child-server.mjs'
import { atExit, installCleanup } from './lib/cleanup.mjs'
import { findFault } from './lib/files.mjs'
import { measure } from './lib/measure.mjs'
import { spread } from './lib/results.mjs'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, mib: { type: 'string', default: '2048' } },
})
const aim = 1.05
const timeoutMs = 180_000
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))

installCleanup()
const home = mkdtempSync(join('/dev/shm', 'model-downloader-storage-'))
atExit(() => rmSync(home, { recursive: true, force: true }))
const target = join(home, 'target')
const store = await startStore()

const get = (...args) => ({
  file: process.execPath,
  args: [path('../dist/cli.js'), 'get', '--quiet', '-d', target, ...args],
  env: { ...store.env, AWS_SHARED_CREDENTIALS_FILE: '/dev/null', AWS_CONFIG_FILE: '/dev/null' },
})
const tools = [
  { name: 's3://', command: get(`s3://models/${store.name}`) },
  { name: 'plain URL', command: get(`${store.url}/models/${store.name}`, '--sha256', store.sha256) },
]
const walls = new Map(tools.map(({ name }) => [name, []]))
for (let round = 0; round <= Number(values.runs); round += 1) {
  // Whoever comes second finds the store warmer, so they change places.
  for (const { name, command } of round % 2 === 0 ? tools : [...tools].reverse()) {
    const run = await once(command)
    // The first round brings programs and sources into memory.
    if (round === 0) continue
    walls.get(name).push(run.wall)
    console.log(
      `${name}: ${run.wall.toFixed(2)} s, CPU ${run.cpu.toFixed(2)} s, peak ${(run.peak / 1e6).toFixed(0)} MB`,
    )
  }
}
const [signed, plain] = tools.map(({ name }) => spread(walls.get(name)).median)
const verdict = signed / plain <= aim ? 'PASS' : 'MISS'
console.log(
  `${verdict}: ${values.mib} MiB: s3:// ${signed.toFixed(2)} s, plain URL ${plain.toFixed(2)} s; ${(signed / plain).toFixed(3)} × its time (aim: at most ${aim} ×)`,
)
process.exit(0)

/** Fetches into an empty folder, and looks at what came. */
async function once(command) {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target)
  const run = await measure(command, { scratch: home, timeoutMs })
  if (!run.ok) throw new Error(`${command.args.at(-1)}: ${run.why}`)
  const fault = await findFault(target, [store])
  if (fault !== null) throw new Error(`${command.args.at(-1)}: ${fault}`)
  rmSync(target, { recursive: true, force: true })
  return run
}

function startStore() {
  return startChild(path('tools/storage.mjs'), ['--mib', values.mib])
}
